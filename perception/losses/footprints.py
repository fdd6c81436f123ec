"""What stands in each cell of the grid: the footprints of true boxes, and the loss of telling them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tricast.perception.losses.targets import TruthBatch

WINDOW = 12
"""Footprints reach so many cells to each side of their centre's; longer ones are cut."""
MARGIN_CELLS = 0.25
"""Cells whose centre lies so little outside still count, so that the narrow ones have a footprint."""
EMPTY_WEIGHT = 0.1
UNKNOWN = -1


def footprint_targets(truth: TruthBatch, *, num_classes: int, num_cells: int, range_m: float) -> Tensor:
    """Classes (B, Y, X) int64 of what stands in each cell, `num_classes` for nothing, -1 where no sensor can tell.

    Args:
        truth: Positive objects are shown, ignored ones left open.
        num_classes: C.
        num_cells: Cells per side.
        range_m: Half the grid's side.

    """
    cell_m = 2 * range_m / num_cells
    offsets = torch.arange(-WINDOW, WINDOW + 1, device=truth.centers_m.device)
    dy, dx = (part.reshape(-1) for part in torch.meshgrid(offsets, offsets, indexing="ij"))
    place = (truth.centers_m[..., :2] + range_m) / cell_m
    x = torch.floor(place[..., 0:1]).long() + dx  # (B, T, W)
    y = torch.floor(place[..., 1:2]).long() + dy
    apart_x, apart_y = x + 0.5 - place[..., 0:1], y + 0.5 - place[..., 1:2]
    cos, sin = truth.yaws_rad.cos()[..., None], truth.yaws_rad.sin()[..., None]
    half = truth.sizes_m[..., :2] / (2 * cell_m) + MARGIN_CELLS
    within = ((cos * apart_x + sin * apart_y).abs() <= half[..., 0:1]) & (
        (cos * apart_y - sin * apart_x).abs() <= half[..., 1:2]
    )
    within = within | ((dx == 0) & (dy == 0))
    within = within & (x >= 0) & (x < num_cells) & (y >= 0) & (y < num_cells)
    sample = torch.arange(len(place), device=place.device)[:, None, None]
    index = (sample * num_cells + y.clamp(0, num_cells - 1)) * num_cells + x.clamp(0, num_cells - 1)
    targets = torch.full((len(place) * num_cells**2,), num_classes, device=place.device)
    targets[index[within & truth.ignored[..., None]]] = UNKNOWN
    shown = within & truth.positive[..., None]
    targets[index[shown]] = truth.class_indices[..., None].expand_as(index)[shown]
    return targets.reshape(len(place), num_cells, num_cells)


def footprint_loss(logits: Tensor, targets: Tensor, class_weights: Tensor) -> Tensor:
    """Cross-entropy of (B, C + 1, Y, X) against (B, Y, X), a weighted mean over the cells that are known."""
    weights = torch.cat([class_weights, class_weights.new_tensor([EMPTY_WEIGHT])])
    total = functional.cross_entropy(logits, targets, weights, ignore_index=UNKNOWN, reduction="sum")
    return total / (weights[targets.clamp(min=0)] * (targets >= 0)).sum().clamp(min=1)
