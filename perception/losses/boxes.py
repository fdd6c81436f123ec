"""Box, velocity and quality losses of matched queries, each channel brought to a comparable scale."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from tricast.configs.strict import StrictConfig
from tricast.perception.losses.matching import Matches
from tricast.perception.losses.targets import TruthBatch
from tricast.perception.query_outputs import LayerOutputs


class BoxLossConfig(StrictConfig):
    """Errors that cost 1, and how much movers weigh."""

    center_scale_m: float = Field(default=0.5, gt=0)
    height_scale_m: float = Field(default=0.5, gt=0)
    log_size_scale: float = Field(default=0.25, gt=0)
    yaw_scale: float = Field(default=0.5, gt=0)
    """Of sine and cosine."""
    velocity_scale_mps: float = Field(default=1.0, gt=0)
    mover_mps: float = Field(default=0.5, gt=0)
    mover_weight: float = Field(default=4.0, gt=0)
    """Most objects stand, so that the median velocity is zero: a mover's velocity weighs more."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MatchedTruth:
    """True values of M matched queries, row by row those of the matches: (M, ...) of the fields of `TruthBatch`."""

    class_indices: Tensor
    centers_m: Tensor
    sizes_m: Tensor
    yaws_rad: Tensor
    velocities_mps: Tensor
    velocity_known: Tensor
    futures_m: Tensor
    future_known: Tensor


def truth_at(truth: TruthBatch, matches: Matches) -> MatchedTruth:
    """The objects that matched queries answer for."""
    place = (matches.samples, matches.objects)
    return MatchedTruth(**{f.name: getattr(truth, f.name)[place] for f in fields(MatchedTruth)})


def layer_at(layer: LayerOutputs, matches: Matches) -> LayerOutputs:
    """Outputs of the matched queries, (M, ...)."""
    place = (matches.samples, matches.queries)
    return LayerOutputs(**{f.name: getattr(layer, f.name)[place] for f in fields(LayerOutputs)})


def box_losses(matched: LayerOutputs, target: MatchedTruth, config: BoxLossConfig) -> dict[str, Tensor]:
    """Mean losses over M matched queries by channel; zeros that still reach every parameter where M is 0.

    Quality is trained towards exp(-distance of the centre in metres): Lin et al., Sparse4D v3, 2023.
    """
    count = max(len(target.yaws_rad), 1)
    center = (matched.centers_m - target.centers_m).abs()
    size = (matched.log_sizes - target.sizes_m.log()).abs()
    heading = torch.stack([target.yaws_rad.sin(), target.yaws_rad.cos()], dim=-1)
    yaw = (matched.yaw_sin_cos - heading).abs()
    twice = torch.stack([(2 * target.yaws_rad).sin(), (2 * target.yaws_rad).cos()], dim=-1)
    axis = (matched.axis_sin_cos - twice).abs()
    velocity = functional.smooth_l1_loss(
        matched.velocities_mps / config.velocity_scale_mps,
        target.velocities_mps / config.velocity_scale_mps,
        reduction="none",
    )
    moving = (target.velocities_mps.norm(dim=-1) > config.mover_mps).float()
    weight = (1 + (config.mover_weight - 1) * moving) * target.velocity_known
    distance = (matched.centers_m - target.centers_m)[:, :2].norm(dim=-1).detach()
    quality = functional.binary_cross_entropy_with_logits(matched.quality_logits, torch.exp(-distance), reduction="sum")
    return {
        "center": center[:, :2].sum() / config.center_scale_m / count,
        "height": center[:, 2].sum() / config.height_scale_m / count,
        "size": size.sum() / config.log_size_scale / count,
        "yaw": yaw.sum() / config.yaw_scale / count,
        "axis": axis.sum() / config.yaw_scale / count,
        "velocity": (velocity * weight[:, None]).sum() / weight.sum().clamp(min=1),
        "quality": quality / count,
    }
