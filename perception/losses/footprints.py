"""What stands in each cell of the grid: the footprints of true boxes."""

from __future__ import annotations

import torch
from torch import Tensor

from tricast.perception.losses.targets import OBJECT_REACH_M, TruthBatch, cells_around, cells_within

MARGIN_CELLS = 0.25
"""Cells whose centre lies so little outside still count, so that the narrow ones have a footprint."""
EMPTY_WEIGHT = 0.1
"""Of a cell in which nothing stands: most are."""
UNKNOWN = -1


def footprint_targets(truth: TruthBatch, *, num_classes: int, num_cells: int, range_m: float) -> Tensor:
    """Classes (B, Y, X) int64 of what stands in each cell, `num_classes` for nothing, -1 where no sensor can tell.

    Args:
        truth: Positive objects are shown, ignored ones left open.
        num_classes: C.
        num_cells: Cells per side.
        range_m: Half the grid's side.

    """
    window = cells_within(OBJECT_REACH_M, num_cells=num_cells, range_m=range_m)
    cells = cells_around(truth.centers_m, window, num_cells=num_cells, range_m=range_m)
    cos, sin = truth.yaws_rad.cos()[..., None], truth.yaws_rad.sin()[..., None]
    half = truth.sizes_m[..., :2] * (num_cells / (4 * range_m)) + MARGIN_CELLS
    along = cos * cells.apart_x + sin * cells.apart_y
    across = cos * cells.apart_y - sin * cells.apart_x
    within = (along.abs() <= half[..., 0:1]) & (across.abs() <= half[..., 1:2])
    within[..., within.shape[-1] // 2] = True  # the cell of the centre, wherever in it the centre lies
    within = within & cells.inside
    index = torch.arange(len(within), device=within.device)[:, None, None] * num_cells**2 + cells.index
    targets = torch.full((len(within) * num_cells**2,), num_classes, device=within.device)
    targets[index[within & truth.ignored[..., None]]] = UNKNOWN
    shown = within & truth.positive[..., None]
    targets[index[shown]] = truth.class_indices[..., None].expand_as(index)[shown]
    return targets.reshape(len(within), num_cells, num_cells)
