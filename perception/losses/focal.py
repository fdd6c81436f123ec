"""Losses of dense outputs and classes: heatmaps against Gaussians, matched classes, depth."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tricast.perception.losses.targets import HeatmapTargets

BACKGROUND_WEIGHT = 0.3
"""Of an image feature that sees no object: most see none."""


def heatmap_focal_loss(logits: Tensor, targets: HeatmapTargets, delivered: Tensor, class_weights: Tensor) -> Tensor:
    """Gaussian focal loss of (B, C, Y, X) logits, summed and divided by the number of peaks (at least 1).

    Samples whose sensor did not deliver, False in `delivered` (B,), are left out; a peak weighs as its class does in
    `class_weights` (C,).

    Source: Law and Deng, CornerNet, 2018 (alpha 2, beta 4).
    """
    counted = targets.counted & delivered[:, None, None, None]
    peak = (targets.peaks == 1.0) & counted
    probability = torch.sigmoid(logits)
    missed = -class_weights[:, None, None] * (1 - probability) ** 2 * functional.logsigmoid(logits)
    raised = -((1 - targets.peaks) ** 4) * probability**2 * functional.logsigmoid(-logits)
    loss = torch.where(peak, missed, raised * counted)
    return loss.sum() / peak.sum().clamp(min=1)


def class_focal_loss(logits: Tensor, targets: Tensor, weights: Tensor, *, alpha: float, gamma: float) -> Tensor:
    """Sigmoid focal loss, weighted and summed.

    Source: Lin et al., RetinaNet, 2017.

    Args:
        logits: (..., C).
        targets: (..., C) 0 or 1.
        weights: (..., C), 0 leaves an entry out.
        alpha: Weight of positives; negatives weigh 1 - alpha.
        gamma: How much easy entries are played down.

    """
    probability = torch.sigmoid(logits)
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    error = targets * (1 - probability) + (1 - targets) * probability
    balance = targets * alpha + (1 - targets) * (1 - alpha)
    return (balance * error**gamma * entropy * weights).sum()


def class_or_nothing_loss(logits: Tensor, targets: Tensor, class_weights: Tensor, *, nothing_weight: float) -> Tensor:
    """Cross-entropy of classes or nothing, a weighted mean over what is known; the last class is nothing.

    Args:
        logits: (R, C + 1) or (B, C + 1, Y, X).
        targets: (R,) or (B, Y, X) int64, -1 where unknown.
        class_weights: (C,).
        nothing_weight: Of the last class, which is by far the most frequent.

    """
    weights = torch.cat([class_weights, class_weights.new_tensor([nothing_weight])])
    total = functional.cross_entropy(logits, targets, weights, ignore_index=-1, reduction="sum")
    return total / (weights[targets.clamp(min=0)] * (targets >= 0)).sum().clamp(min=1)


def picture_loss(logits: Tensor, targets: Tensor, class_weights: Tensor) -> Tensor:
    """Of what image features (R, C + 1) see against (R,).

    Source: supervision in perspective (Yang et al., BEVFormer v2, CVPR 2023), here by features instead of boxes.
    """
    return class_or_nothing_loss(logits, targets, class_weights, nothing_weight=BACKGROUND_WEIGHT)


def shape_loss(logits: Tensor, classes: Tensor, class_weights: Tensor) -> Tensor:
    """Cross-entropy of the classes of M matched objects (M, C), (M,), told from LiDAR returns; a weighted mean."""
    total = functional.cross_entropy(logits, classes, class_weights, reduction="sum")
    return total / class_weights[classes].sum().clamp(min=1)


def depth_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of depth distributions (R, bins) against bins (R,), averaged over those that are known (not -1)."""
    total = functional.cross_entropy(logits, targets, ignore_index=-1, reduction="sum")
    return total / (targets >= 0).sum().clamp(min=1)
