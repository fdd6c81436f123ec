"""Detection head: class, box, velocity and quality of each query, as corrections to what is believed so far."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tricast.perception.query_outputs import LayerOutputs
from tricast.perception.typical_sizes import TYPICAL_SIZES_M
from tricast.sensors.annotations import DETECTION_CLASSES

CLASS_BIAS = -2.0
VELOCITY_SCALE_MPS = 5.0


class DetectionHead(nn.Module):
    """One small network on a query gives corrections to a box: of the centre, log size, heading, velocity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        classes = len(DETECTION_CLASSES)
        self.network = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width))
        self.classes = nn.Linear(width, classes)
        corrections = nn.Linear(width, 13)
        self.box = nn.Sequential(nn.Linear(width, width), nn.GELU(), corrections)
        nn.init.constant_(self.classes.bias, CLASS_BIAS)
        nn.init.normal_(corrections.weight, std=0.01)
        nn.init.zeros_(corrections.bias)

    def forward(self, queries: Tensor, believed: LayerOutputs) -> LayerOutputs:
        """Queries (B, Q, D) and the boxes believed so far to better boxes."""
        features = self.network(queries)
        center, log_size, yaw, velocity, quality, axis = self.box(features).split((3, 3, 2, 2, 1, 2), dim=2)
        return LayerOutputs(
            class_logits=self.classes(features),
            centers_m=believed.centers_m + center,
            log_sizes=believed.log_sizes + log_size,
            yaw_sin_cos=believed.yaw_sin_cos + yaw,
            axis_sin_cos=believed.axis_sin_cos + axis,
            velocities_mps=believed.velocities_mps + velocity * VELOCITY_SCALE_MPS,
            quality_logits=quality.squeeze(2),
        )


class BoxPrior(nn.Module):
    """What is believed of a box before anything was looked at: its cell, and its class's typical size."""

    def __init__(self) -> None:
        super().__init__()
        sizes = torch.tensor([[math.log(v) for v in TYPICAL_SIZES_M[name]] for name in DETECTION_CLASSES])
        self.log_sizes = nn.Parameter(sizes)
        self.centers_z_m = nn.Parameter(sizes[:, 2].exp() / 2)

    def forward(self, places_m: Tensor, classes: Tensor) -> LayerOutputs:
        """Places (B, Q, 2) and classes (B, Q) to standing boxes without a heading."""
        shape = (*classes.shape, 2)
        return LayerOutputs(
            class_logits=places_m.new_zeros(*classes.shape, len(DETECTION_CLASSES)),
            centers_m=torch.cat([places_m, self.centers_z_m[classes][..., None]], dim=2),
            log_sizes=self.log_sizes[classes],
            yaw_sin_cos=places_m.new_zeros(shape),
            axis_sin_cos=places_m.new_zeros(shape),
            velocities_mps=places_m.new_zeros(shape),
            quality_logits=places_m.new_zeros(classes.shape),
        )
