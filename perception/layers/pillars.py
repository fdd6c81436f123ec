"""Points onto a grid: cells, offsets in them, and the maximum over each cell."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def cells_of(points_m: Tensor, sample: Tensor, count: int, cells: int, range_m: float) -> tuple[Tensor, Tensor]:
    """Where points fall on the grids of a batch.

    Args:
        points_m: (P, 2 or more), x and y first.
        sample: (P,) int64; `count` for padding rows.
        count: Samples in the batch.
        cells: Cells along each axis.
        range_m: The grid covers minus to plus this.

    Returns:
        (P,) int64, `(sample * cells + y) * cells + x`, or the dump row `count * cells * cells` for padding and for
        points off the grid; and offsets (P, 2) from the cell's centre, in units of the cell.

    """
    # Coordinate by coordinate: runtimes take several times as long for pairs.
    place = (points_m.T.contiguous()[:2] + range_m) * (cells / (2 * range_m))
    index = place.floor()
    inside = ((index >= 0) & (index < cells)).all(dim=0) & (sample < count)
    x, y = index.long()
    cell = torch.where(inside, (sample * cells + y) * cells + x, count * cells * cells)
    return cell, (place - index - 0.5).T


def lengths(x: Tensor, y: Tensor) -> Tensor:
    """Of vectors in the plane, by their coordinates, all of one shape and unit; those of length zero have no gradient.

    PyTorch's `norm` along a first axis takes seventy times as long.
    """
    return (x * x + y * y).clamp(min=1e-12).sqrt()


def scatter_max(features: Tensor, cell: Tensor, rows: int) -> Tensor:
    """Maximum over the points of each cell.

    Args:
        features: (P, C), none negative.
        cell: (P,) int64.
        rows: Number of cells.

    Returns:
        (rows, C); zeros in cells without a point. Of equal maxima each gets the whole gradient.

    """
    features = features.float()  # in 16 bits scattering takes three times as long in OpenVINO
    if features.requires_grad and torch.is_grad_enabled():
        return _ScatterMax.apply(features, cell, rows)  # type: ignore[return-value]
    return _maxima(features, cell, rows)


def _maxima(features: Tensor, cell: Tensor, rows: int) -> Tensor:
    index = cell[:, None].expand(-1, features.shape[1])
    # At least as long as what is put into it: TensorRT takes no other scattering.
    kept = max(rows, len(features)) if torch.compiler.is_exporting() else rows
    maxima = features.new_zeros(kept, features.shape[1])
    # In place: no copy of a large grid.
    return maxima.scatter_reduce_(0, index, features, "amax", include_self=True)[:rows]


class _ScatterMax(torch.autograd.Function):
    """The same with a backward pass that gathers: four times faster on a CPU than the built-in one."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, cell: Tensor, rows: int) -> Tensor:
        maxima = _maxima(features, cell, rows)
        ctx.save_for_backward(features, maxima, cell)
        return maxima

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        features, maxima, cell = ctx.saved_tensors
        won = (features == maxima.index_select(0, cell)).to(features.dtype)
        return won.mul_(gradients[0].index_select(0, cell)), None, None
