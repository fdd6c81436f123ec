"""What the network gives before decoding, and the extra queries that training puts in.

Letters in shapes: B batch, Q queries, C classes, K modes, Y and X cells of the heatmap grid, G training seeds.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerOutputs:
    """Boxes of every query after one layer, in ego axes at the tick.

    Args:
        class_logits: (B, Q, C).
        centers_m: (B, Q, 3) centres of volume.
        log_sizes: (B, Q, 3) logarithms of length, width and height in metres.
        yaw_sin_cos: (B, Q, 2) sine and cosine of the heading about +z, not normalised: which way is ahead.
        axis_sin_cos: (B, Q, 2) sine and cosine of twice the heading, not normalised: how the box lies, whichever end is
            ahead. A sum of headings that differ by half a turn is nothing, one of axes is not.
        velocities_mps: (B, Q, 2) over ground.
        quality_logits: (B, Q): how near the centre is to a true one.

    """

    class_logits: Tensor
    centers_m: Tensor
    log_sizes: Tensor
    yaw_sin_cos: Tensor
    axis_sin_cos: Tensor
    velocities_mps: Tensor
    quality_logits: Tensor

    @property
    def headings(self) -> Tensor:
        """Unit vectors (B, Q, 2), sine and cosine of the heading: along the axis, to the side that the yaw leans to."""
        angle = 0.5 * torch.atan2(self.axis_sin_cos[..., 0], self.axis_sin_cos[..., 1])
        along = torch.stack([angle.sin(), angle.cos()], dim=-1)
        backwards = (along * self.yaw_sin_cos).sum(dim=-1, keepdim=True) < 0
        return torch.where(backwards, -along, along)

    def to(self, device: torch.device | str) -> LayerOutputs:
        """The same on another device."""
        return LayerOutputs(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def detached(self) -> LayerOutputs:
        """The same values, without gradient."""
        return LayerOutputs(**{f.name: getattr(self, f.name).detach() for f in fields(self)})


@dataclass(frozen=True, kw_only=True, eq=False)
class QueryOutputs:
    """All outputs of one forward pass.

    Args:
        heatmap: (B, C, Y, X) logits; Y counts along ego y and X along ego x, both from the negative end.
        camera_heatmap: (B, C, Y', X') logits from the cameras alone; None at inference. Training only.
        radar_heatmap: Likewise from the radars alone.
        footprint_logits: (B, C + 1, Y, X) what stands in each cell, the last one nothing; None at inference.
        query_cells: (B, Q) int64, `y * X + x` of the heatmap cell that a query started from.
        query_classes: (B, Q) int64, the class that it started from.
        query_mask: (B, Q) bool; False: padding that means nothing.
        num_seeded: The first so many queries come from peaks or learned places, the rest from training seeds.
        layers: Index 0 straight from the features at the query's cell, then one per decoder layer; the last is the
            answer.
        mode_points_m: (B, Q, K, 12, 2) futures as offsets from the last layer's centre, along and across the query's
            own predicted heading (that yaw is detached).
        mode_log_scales: (B, Q, K, 12, 2) logarithms of Laplace scales in metres, along the same axes.
        mode_logits: (B, Q, K).
        from_peaks: False: queries began at learned places, so that the heat there says nothing of what they found, and
            what they find may be anywhere.
        picture_logits: (B * N * h * w, C + 1) what each image feature sees, the last one nothing; None at inference.
        shape_logits: (B, Q, C) what the LiDAR returns around each query are of; None at inference.
        depth_logits: (B * N * h * w, bins) how far along its ray each image feature sees something; None at inference.
        attention: Per decoder layer (B, heads, Q, T), the weights on BEV tokens, then on those of each camera; only
            where they were asked for.
        grid_shares: (B, 3, Y, X) how much camera, LiDAR and radar have in each cell of the fused grid, 0 where absent;
            only beside `attention`.

    """

    heatmap: Tensor
    camera_heatmap: Tensor | None
    radar_heatmap: Tensor | None
    query_cells: Tensor
    query_classes: Tensor
    query_mask: Tensor
    num_seeded: int
    layers: tuple[LayerOutputs, ...]
    mode_points_m: Tensor
    mode_log_scales: Tensor
    mode_logits: Tensor
    from_peaks: bool = True
    footprint_logits: Tensor | None = None
    picture_logits: Tensor | None = None
    shape_logits: Tensor | None = None
    depth_logits: Tensor | None = None
    attention: tuple[Tensor, ...] = ()
    grid_shares: Tensor | None = None

    def to(self, device: torch.device | str) -> QueryOutputs:
        """The same outputs on another device."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {name: value.to(device) for name, value in own.items() if isinstance(value, Tensor)}
        layers = tuple(layer.to(device) for layer in self.layers)
        return replace(self, **moved, layers=layers, attention=tuple(weights.to(device) for weights in self.attention))


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingSeeds:
    """Extra queries at (jittered) true cells, so that box and trajectory heads learn from the first step on.

    They see peaks and each other no more than peaks see them: self-attention keeps the two groups apart.

    Args:
        cells: (B, G) int64, `y * X + x` on the heatmap grid.
        classes: (B, G) int64.
        mask: (B, G) bool; False: padding.

    """

    cells: Tensor
    classes: Tensor
    mask: Tensor
