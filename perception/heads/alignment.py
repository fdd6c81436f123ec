"""One embedding of a tick from each sensor alone, in a space that all sensors share."""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from tricast.configs.strict import StrictConfig
from tricast.perception.batch import MODALITY_ORDER
from tricast.perception.layers.convolution import Pointwise

FIRST_TEMPERATURE, LARGEST_SCALE = 0.07, 100.0
"""Where the learned temperature begins, and the largest of its inverse (Radford et al., CLIP, ICML 2021)."""


class AlignmentConfig(StrictConfig):
    """Heads for `training.objective: contrastive`; a network has none unless a width is given."""

    width: int = Field(default=0, ge=0, le=1024)
    """Of the embedding; 0: no heads."""
    regions: int = Field(default=16, ge=1, le=64)
    """The grid is pooled to so many regions along each axis: what there is counts, and where."""
    channels: int = Field(default=8, ge=1, le=256)
    """Of each region."""


class AlignmentHeads(nn.Module):
    """From each sensor's grid to unit vectors, with the temperature of their comparison.

    Regions in place of a mean over the whole grid: neighbouring ticks have the same things in other places.
    Source: projections and temperature of CLIP (Radford et al., ICML 2021).
    """

    def __init__(self, config: AlignmentConfig, bev_width: int) -> None:
        super().__init__()
        self.regions = config.regions
        size = config.channels * config.regions**2
        self.narrow = nn.ModuleList(Pointwise(bev_width, config.channels) for _ in MODALITY_ORDER)
        self.project = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(size), nn.Linear(size, config.width)) for _ in MODALITY_ORDER
        )
        self.log_scale = nn.Parameter(torch.tensor(-math.log(FIRST_TEMPERATURE)))

    @property
    def scale(self) -> Tensor:
        """The inverse of the temperature."""
        return self.log_scale.exp()

    @torch.no_grad()
    def cut_scale(self) -> None:
        """Cut the inverse of the temperature at `LARGEST_SCALE`, after a step."""
        # The parameter itself: cut in the graph, it would have no gradient beyond and never come back.
        self.log_scale.clamp_(max=math.log(LARGEST_SCALE))

    def forward(self, bevs: tuple[Tensor, ...]) -> Tensor:
        """Grids (B, C, Y, X) of each sensor to unit vectors (B, 3, D), which mean nothing where a sensor is absent."""
        told = []
        for bev, narrow, project in zip(bevs, self.narrow, self.project, strict=True):
            pooled = functional.adaptive_avg_pool2d(functional.gelu(narrow(bev)), self.regions)
            told.append(functional.normalize(project(pooled.flatten(1)), dim=1))
        return torch.stack(told, dim=1)
