"""What heads of single sensors decided, merged into one decision: absent sensors have no say."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from tricast.perception.batch import MODALITY_ORDER
from tricast.perception.query_outputs import LayerOutputs
from tricast.sensors.annotations import DETECTION_CLASSES

NO_SAY = -1e4
"""A logit that no other comes near: its weight is 0 to the last bit, and nothing is undefined where all are absent."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Told:
    """What the heads of one sensor tell of the common queries.

    Args:
        queries: (B, Q, D) after the last layer.
        layers: Boxes of every layer.
        confidence: (B, Q), a logit: how much this sensor's word counts.
        shapes: (B, Q, W) of LiDAR returns, of the sensor that looks at them.

    """

    queries: Tensor
    layers: tuple[LayerOutputs, ...]
    confidence: Tensor
    shapes: Tensor | None


class LateMerge(nn.Module):
    """Means of logits and of boxes, weighted: of heatmaps by a learned number per sensor and class, of boxes by what
    each sensor's heads say of themselves.

    A mean of logits is a product of probabilities, as independent experts have it (Hinton, Neural Computation, 2002),
    that does not grow surer with how many speak.
    """

    def __init__(self) -> None:
        super().__init__()
        self.class_says = nn.Parameter(torch.zeros(len(MODALITY_ORDER), len(DETECTION_CLASSES)))

    def heatmap(self, logits: tuple[Tensor, ...], present: Tensor) -> Tensor:
        """One heatmap (B, C, Y, X) of each sensor's; `present` (B, 3) bool."""
        says = self.class_says[None].expand(len(present), -1, -1)
        weights = says.masked_fill(~present[..., None], NO_SAY).softmax(dim=1)
        return torch.stack([logit * weights[:, m, :, None, None] for m, logit in enumerate(logits)]).sum(dim=0)

    def weights(self, told: tuple[Tensor, ...], present: Tensor) -> Tensor:
        """(B, Q, 3) of confidences (B, Q), summing to 1 over the sensors that are present."""
        return torch.stack(told, dim=2).masked_fill(~present[:, None], NO_SAY).softmax(dim=2)


def merged(values: tuple[Tensor, ...], weights: Tensor) -> Tensor:
    """The weighted mean of each sensor's values (B, Q, ...); `weights` (B, Q, 3)."""
    over = weights.reshape(*weights.shape, *[1] * (values[0].dim() - 2))
    return torch.stack([value * over[:, :, m] for m, value in enumerate(values)]).sum(dim=0)


def merged_boxes(boxes: tuple[LayerOutputs, ...], weights: Tensor) -> LayerOutputs:
    """Boxes of one layer; headings and axes are merged as vectors."""
    return LayerOutputs(
        **{f.name: merged(tuple(getattr(box, f.name) for box in boxes), weights) for f in fields(LayerOutputs)}
    )
