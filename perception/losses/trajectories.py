"""Winner-takes-all forecasts: the mode nearest to what happened learns, and is told to be probable."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from tricast.configs.strict import StrictConfig
from tricast.perception.losses.boxes import MatchedTruth


class TrajectoryLossConfig(StrictConfig):
    """How forecasts are trained."""

    mover_mps: float = Field(default=0.5, gt=0)
    mover_weight: float = Field(default=3.0, gt=0)
    loser_share: float = Field(default=0.0, ge=0, lt=1)
    """Of the likelihood's weight: so much is spread over all modes, so that each stays sensible where another won."""
    mode_temperature_m: float = Field(default=1.0, ge=0)
    """Probabilities are to be those of a softmax of minus the mean errors over this: modes that come near share what
    the winner would have alone. 0 leaves it to the winner."""
    min_log_scale: float = -2.5
    max_log_scale: float = 2.5


def displacements(target: MatchedTruth, yaws_rad: Tensor) -> Tensor:
    """True futures (M, 12, 2) as offsets from the true centre, along and across given headings (M,)."""
    offset = target.futures_m - target.centers_m[:, None, :2]
    cos, sin = yaws_rad.cos()[:, None], yaws_rad.sin()[:, None]
    along = cos * offset[..., 0] + sin * offset[..., 1]
    across = -sin * offset[..., 0] + cos * offset[..., 1]
    return torch.stack([along, across], dim=-1)


def mean_displacement_errors(points_m: Tensor, offsets_m: Tensor, known: Tensor) -> Tensor:
    """Mean distance over known steps of modes (M, K, 12, 2) to truth (M, 12, 2), as (M, K)."""
    distance = (points_m - offsets_m[:, None]).norm(dim=-1)
    return (distance * known[:, None]).sum(dim=-1) / known.sum(dim=-1).clamp(min=1)[:, None]


def trajectory_losses(
    points_m: Tensor,
    log_scales: Tensor,
    logits: Tensor,
    offsets_m: Tensor,
    target: MatchedTruth,
    config: TrajectoryLossConfig,
) -> dict[str, Tensor]:
    """Laplace negative log-likelihood of the winning mode, and cross-entropy of the modes' probabilities.

    The winner has the least mean distance to the truth over the steps that are known.
    Source: Zhou et al., QCNet, 2023 (Laplace, winner takes all).

    Args:
        points_m: (M, K, 12, 2) in each query's own axes.
        log_scales: (M, K, 12, 2).
        logits: (M, K).
        offsets_m: (M, 12, 2) what happened, in the same axes.
        target: For the known steps and who moves.
        config: Weights and limits.

    """
    known = target.future_known
    steps = known.sum(dim=-1)
    moving = (target.velocities_mps.norm(dim=-1) > config.mover_mps).float()
    weight = (1 + (config.mover_weight - 1) * moving) * (steps > 0)
    total = weight.sum().clamp(min=1)
    distances = mean_displacement_errors(points_m.detach(), offsets_m, known)
    winner = functional.one_hot(distances.argmin(dim=1), distances.shape[1]).to(distances.dtype)
    scale = log_scales.clamp(config.min_log_scale, config.max_log_scale)
    error = (points_m - offsets_m[:, None]).abs()
    likelihood = ((error * torch.exp(-scale) + scale) * known[:, None, :, None]).sum(dim=(2, 3))
    shares = (1 - config.loser_share) * winner + config.loser_share / winner.shape[1]
    likelihood = (likelihood * shares).sum(dim=1) / steps.clamp(min=1)
    wanted = torch.softmax(-distances / config.mode_temperature_m, dim=1) if config.mode_temperature_m else winner
    entropy = functional.cross_entropy(logits, wanted, reduction="none")
    return {"forecast": (likelihood * weight).sum() / total, "mode": (entropy * weight).sum() / total}
