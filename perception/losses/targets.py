"""Truth of a batch as padded tensors, and heatmap targets drawn from it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

REACH_M = 2.4
"""A Gaussian reaches so far to each side of its centre."""
MIN_SIGMA_M = 0.4
SIGMA_PER_M = 0.15
"""Standard deviation of a Gaussian: this share of the object's footprint's mean side."""
IGNORED_MARGIN_M = 0.8
OBJECT_REACH_M = 9.6
"""Objects reach at most so far to each side of their centre; longer ones are cut."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TruthBatch:
    """True objects of B samples, padded to T each, in ego axes at the tick (augmented as the sample was).

    Args:
        positive: (B, T) bool, objects that the sample's sensors can see and that lie on the grid.
        ignored: (B, T) bool, objects on the grid that they cannot see: neither to be found nor to be missed.
            Where both are False the row is padding.
        camera_positive: (B, T) bool, part of `positive` or `ignored` that the sample's cameras see.
        radar_positive: (B, T) bool, likewise its radars.
        class_indices: (B, T) int64.
        centers_m: (B, T, 3).
        sizes_m: (B, T, 3) length, width, height; 1 in padding.
        yaws_rad: (B, T).
        velocities_mps: (B, T, 2), 0 where unknown.
        velocity_known: (B, T) bool.
        futures_m: (B, T, 12, 2) positions, 0 where unknown.
        future_known: (B, T, 12) bool.

    """

    positive: Tensor
    ignored: Tensor
    camera_positive: Tensor
    radar_positive: Tensor
    class_indices: Tensor
    centers_m: Tensor
    sizes_m: Tensor
    yaws_rad: Tensor
    velocities_mps: Tensor
    velocity_known: Tensor
    futures_m: Tensor
    future_known: Tensor

    def to(self, device: torch.device) -> TruthBatch:
        """The same truth on another device."""
        return TruthBatch(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


@dataclass(frozen=True, kw_only=True, eq=False)
class HeatmapTargets:
    """What a heatmap should show.

    Args:
        peaks: (B, C, Y, X) in [0, 1], 1 at the cells of true centres.
        counted: (B, C, Y, X) bool, False in cells whose answer nobody knows.

    """

    peaks: Tensor
    counted: Tensor


def cell_centers_m(cells: Tensor, *, num_cells: int, range_m: float) -> Tensor:
    """Centres (..., 2) in ego x and y of cells numbered `y * num_cells + x` on a square grid of +-range_m."""
    cell_m = 2 * range_m / num_cells
    place = torch.stack([cells % num_cells, torch.div(cells, num_cells, rounding_mode="floor")], dim=-1)
    return (place + 0.5) * cell_m - range_m


def cells_within(reach_m: float, *, num_cells: int, range_m: float) -> int:
    """How many cells of a square grid of +-range_m cover a distance."""
    return math.ceil(reach_m * num_cells / (2 * range_m) - 1e-9)


def cells_of(centers_m: Tensor, *, num_cells: int, range_m: float) -> Tensor:
    """Numbers `y * num_cells + x` of the cells that points (..., 2 or 3) lie in; those outside go to the border."""
    cell_m = 2 * range_m / num_cells
    place = torch.floor((centers_m[..., :2] + range_m) / cell_m).long().clamp(0, num_cells - 1)
    return place[..., 1] * num_cells + place[..., 0]


def heatmap_targets(
    truth: TruthBatch, positive: Tensor, ignored: Tensor, *, num_classes: int, num_cells: int, range_m: float
) -> HeatmapTargets:
    """Gaussians at the positive objects, and uncounted discs of their own class at the ignored ones.

    Source: Zhou et al., Objects as Points, 2019; the Gaussian sits at the exact centre, not at the cell's.

    Args:
        truth: The objects.
        positive: (B, T) bool, objects to show.
        ignored: (B, T) bool, objects to leave open.
        num_classes: C.
        num_cells: Cells per side.
        range_m: Half the grid's side.

    """
    batch = len(positive)
    shape = (batch, num_classes, num_cells, num_cells)
    footprint_m = (truth.sizes_m[..., 0] * truth.sizes_m[..., 1]).sqrt()
    sigma_m = (SIGMA_PER_M * footprint_m).clamp(min=MIN_SIGMA_M)
    squared_m, index, inside = _window(truth, REACH_M, num_classes, num_cells, range_m)
    height = torch.exp(-0.5 * squared_m / sigma_m[..., None] ** 2)
    peaks = torch.zeros(batch * num_classes * num_cells**2, device=positive.device)
    shown = positive[..., None] & inside
    peaks.scatter_reduce_(0, index[shown], height[shown], "amax")
    # The cell of the centre itself is a peak wherever in it the centre lies.
    peaks[index[..., index.shape[-1] // 2][positive]] = 1.0
    counted = torch.ones_like(peaks, dtype=torch.bool)
    open_m = 0.5 * truth.sizes_m[..., :2].amax(dim=-1) + IGNORED_MARGIN_M
    squared_m, index, inside = _window(truth, OBJECT_REACH_M, num_classes, num_cells, range_m)
    counted[index[ignored[..., None] & inside & (squared_m <= open_m[..., None] ** 2)]] = False
    counted |= peaks == 1.0
    return HeatmapTargets(peaks=peaks.reshape(shape), counted=counted.reshape(shape))


def _window(
    truth: TruthBatch, reach_m: float, num_classes: int, num_cells: int, range_m: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Cells around each centre: squared distance to it (B, T, W), index into the flat heatmap, and whether on it."""
    window = cells_within(reach_m, num_cells=num_cells, range_m=range_m)
    cells = cells_around(truth.centers_m, window, num_cells=num_cells, range_m=range_m)
    squared_m = (cells.apart_x**2 + cells.apart_y**2) * (2 * range_m / num_cells) ** 2
    sample = torch.arange(len(squared_m), device=squared_m.device)[:, None, None]
    channel = sample * num_classes + truth.class_indices[..., None]
    return squared_m, channel * num_cells**2 + cells.index, cells.inside


@dataclass(frozen=True, kw_only=True, eq=False)
class CellsAround:
    """The square of W cells around each of (B, T) centres, row by row from the negative end.

    Args:
        index: (B, T, W) int64, `y * X + x`; of a cell off the grid, that of the nearest one on it.
        inside: (B, T, W) bool, whether the cell is on the grid.
        apart_x: (B, T, W) from the centre to the middle of the cell, in cells.
        apart_y: (B, T, W) likewise.

    """

    index: Tensor
    inside: Tensor
    apart_x: Tensor
    apart_y: Tensor


def cells_around(centers_m: Tensor, reach: int, *, num_cells: int, range_m: float) -> CellsAround:
    """Cells up to so many away from those of centres (B, T, 2 or 3), on a square grid of +-range_m."""
    offsets = torch.arange(-reach, reach + 1, device=centers_m.device)
    dy, dx = (part.reshape(-1) for part in torch.meshgrid(offsets, offsets, indexing="ij"))
    place = (centers_m[..., :2] + range_m) / (2 * range_m / num_cells)
    x = torch.floor(place[..., 0:1]).long() + dx
    y = torch.floor(place[..., 1:2]).long() + dy
    return CellsAround(
        index=y.clamp(0, num_cells - 1) * num_cells + x.clamp(0, num_cells - 1),
        inside=(x >= 0) & (x < num_cells) & (y >= 0) & (y < num_cells),
        apart_x=x + 0.5 - place[..., 0:1],
        apart_y=y + 0.5 - place[..., 1:2],
    )
