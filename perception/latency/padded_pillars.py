"""Points to a BEV canvas in three ways with the same weights: the network's own, and the usual one of padded pillars.

The padded way sorts points into pillars, copies them into an array (pillars, slots, features), runs the network of each
point over all slots, full or not, takes the maximum over the full ones and puts it onto the canvas. Nothing is cut
here: there are as many slots as the fullest pillar has points, so that all ways give the same canvas.
Source: Lang et al., PointPillars, CVPR 2019.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tricast.perception.encoders.lidar_pointnet import LidarEncoder
from tricast.perception.layers.pillars import scatter_max

SLOTS = 32
"""Points a pillar at most in `made_points`: what PointPillars keeps of a pillar."""


def made_points(count: int, encoder: LidarEncoder, seed: int = 0) -> Tensor:
    """Returns (count, 5) of a sweep, the denser the nearer, in an order without order, no pillar above `SLOTS`.

    Args:
        count: How many.
        encoder: Whose grid they lie on.
        seed: Of the random numbers.

    Raises:
        ValueError: The grid has no room for so many.

    """
    if count > SLOTS * encoder.cells**2 // 2:
        raise ValueError(f"{count} points do not fit on {encoder.cells} x {encoder.cells} pillars of {SLOTS}")
    rng = np.random.default_rng(seed)
    kept = np.zeros((0, 5), np.float32)
    while len(kept) < count:
        reach = encoder.range_m * rng.random(count)  # as a spinning LiDAR: as many at every range
        angle = rng.uniform(-np.pi, np.pi, count)
        columns = [reach * np.cos(angle), reach * np.sin(angle), rng.uniform(-2, 3, count), rng.random(count)]
        more = np.column_stack([*columns, rng.uniform(0, 0.09, count)]).astype(np.float32)
        kept = np.concatenate([kept, more])
        with torch.no_grad():
            row = encoder.described(torch.from_numpy(kept), torch.zeros(len(kept), dtype=torch.int64), 1)[0].numpy()
        kept = kept[_places(row) < SLOTS]
    return torch.from_numpy(kept[rng.permutation(len(kept))[:count]])


def canvas_ways(encoder: LidarEncoder, points: Tensor) -> dict[str, Callable[[], Tensor]]:
    """From points (P, 5) to the canvas (pillars and ages, C), by `scatter` (the network's way), `numpy` and `torch`.

    Args:
        encoder: In evaluation mode; its weights are used by all.
        points: On the grid.

    """
    rows = encoder.cells**2 * encoder.ages
    sample = torch.zeros(len(points), dtype=torch.int64)
    first, second = _linear(encoder.point_net[0]), _linear(encoder.point_net[2])

    def scatter() -> Tensor:
        row, described = encoder.described(points, sample, 1)
        return scatter_max(encoder.point_net(described), row, rows + 1)[:rows]

    def padded_torch() -> Tensor:
        row, described = encoder.described(points, sample, 1)
        return _padded_torch(described, row, rows, encoder.point_net)

    def padded_numpy() -> Tensor:
        row, described = encoder.described(points, sample, 1)
        return torch.from_numpy(_padded_numpy(described.numpy(), row.numpy(), rows, (first, second)))

    return {"scatter": scatter, "torch": padded_torch, "numpy": padded_numpy}


_Layer = tuple[NDArray[np.float32], NDArray[np.float32]]


def _linear(layer: nn.Module) -> _Layer:
    assert isinstance(layer, nn.Linear)
    return np.ascontiguousarray(layer.weight.detach().numpy().T), layer.bias.detach().numpy()


def _places(row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of each point in its pillar, in their order."""
    order = np.argsort(row, kind="stable")
    _, begin, counts = np.unique(row[order], return_index=True, return_counts=True)
    places = np.empty(len(row), np.int64)
    places[order] = np.arange(len(row)) - np.repeat(begin, counts)
    return places


def _padded_numpy(
    described: NDArray[np.float32], row: NDArray[np.int64], rows: int, layers: tuple[_Layer, _Layer]
) -> NDArray[np.float32]:
    order = np.argsort(row, kind="stable")
    pillars, begin, counts = np.unique(row[order], return_index=True, return_counts=True)
    pillar = np.repeat(np.arange(len(pillars)), counts)
    place = np.arange(len(row)) - np.repeat(begin, counts)
    padded = np.zeros((len(pillars), int(counts.max()), described.shape[1]), np.float32)
    padded[pillar, place] = described[order]
    values = padded.reshape(-1, described.shape[1])
    for weight, bias in layers:
        values = values @ weight
        values += bias
        np.maximum(values, 0, out=values)
    values = values.reshape(*padded.shape[:2], -1)
    values *= (np.arange(padded.shape[1]) < counts[:, None])[..., None]  # none is negative: zero is no maximum
    canvas = np.zeros((rows, values.shape[2]), np.float32)
    canvas[pillars] = values.max(axis=1)
    return canvas


def _padded_torch(described: Tensor, row: Tensor, rows: int, point_net: nn.Module) -> Tensor:
    ordered, order = torch.sort(row, stable=True)
    pillars, pillar, counts = torch.unique_consecutive(ordered, return_inverse=True, return_counts=True)
    place = torch.arange(len(row)) - (counts.cumsum(0) - counts)[pillar]
    padded = described.new_zeros(len(pillars), int(counts.max()), described.shape[1])
    padded[pillar, place] = described[order]
    values = point_net(padded)
    values *= (torch.arange(padded.shape[1]) < counts[:, None])[..., None]
    canvas = described.new_zeros(rows, values.shape[2])
    canvas[pillars] = values.amax(dim=1)
    return canvas
