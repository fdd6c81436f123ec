"""LiDAR encoder: a PointNet per pillar, the maximum over each pillar and age, then convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from tricast.configs.strict import StrictConfig
from tricast.perception.batch import BatchConfig, SensorBatch
from tricast.perception.layers.convolution import Bottleneck, ConvNorm, on_present
from tricast.perception.layers.pillars import cells_of, lengths, scatter_max

POINT_FEATURES = 10
NEWEST_S = 0.1
"""Returns younger than this belong to the newest sweep."""


class LidarConfig(StrictConfig):
    """Widths of the LiDAR encoder, and how it keeps times apart."""

    point_width: int = Field(default=32, ge=4, le=1024)
    fine_width: int = Field(default=32, ge=4, le=1024)
    width: int = Field(default=64, ge=4, le=1024)
    age_borders_s: tuple[float, ...] = (0.1, 0.3)
    """Returns are gathered apart between these ages: what moves shows in several pillars."""

    @model_validator(mode="after")
    def _ascending(self) -> LidarConfig:
        if any(later <= earlier for earlier, later in pairwise(self.age_borders_s)):
            raise ValueError(f"age_borders_s ascending, not {list(self.age_borders_s)}")
        return self


@dataclass(frozen=True, kw_only=True, eq=False)
class LidarFeatures:
    """What the LiDARs of a batch give; zeros where a sample has none.

    Args:
        bev: (B, C, Y, X) on the BEV grid.
        fine: (B, F, 2Y, 2X) on the heatmap's grid.
        observed: (B, Y, X) bool, cells with a return.

    """

    bev: Tensor
    fine: Tensor
    observed: Tensor


class LidarEncoder(nn.Module):
    """Flat returns of a batch to the grid.

    Source: Qi et al., PointNet, CVPR 2017, per pillar as in PointPillars (Lang et al., CVPR 2019).
    """

    def __init__(self, config: LidarConfig, batch: BatchConfig) -> None:
        super().__init__()
        self.range_m, self.cells = batch.range_m, batch.heatmap_cells
        self.fine_width, self.width = config.fine_width, config.width
        self.ages = len(config.age_borders_s) + 1
        self.register_buffer("age_borders_s", torch.tensor(config.age_borders_s), persistent=False)
        self.point_net = nn.Sequential(
            nn.Linear(POINT_FEATURES, config.point_width),
            nn.ReLU(inplace=True),
            nn.Linear(config.point_width, config.point_width),
            nn.ReLU(inplace=True),
        )
        self.pillars = nn.Sequential(
            ConvNorm(self.ages * config.point_width, config.fine_width),
            Bottleneck(config.fine_width, config.fine_width // 2),
        )
        self.reduce = ConvNorm(config.fine_width, config.width, kernel=2, stride=2)

    def forward(self, batch: SensorBatch) -> LidarFeatures:
        """See `LidarFeatures`. The order of returns changes nothing."""
        count = len(batch.present)
        rows = count * self.cells**2 * self.ages
        row, described = self.described(batch.lidar_points, batch.lidar_sample, count)
        maxima = scatter_max(self.point_net(described), row, rows + 1)[:rows]
        grid = maxima.view(count, self.cells, self.cells, -1).permute(0, 3, 1, 2)
        hit = grid.new_zeros(rows + 1).index_fill(0, row, 1.0)[:rows].view(count, self.cells, self.cells, self.ages)
        hit = functional.max_pool2d(hit.amax(dim=3), 2) > 0
        fine = on_present(self.pillars, grid, batch.with_lidar, (self.fine_width, self.cells, self.cells))
        half = (self.width, self.cells // 2, self.cells // 2)
        return LidarFeatures(bev=on_present(self.reduce, fine, batch.with_lidar, half), fine=fine, observed=hit)

    def described(self, points: Tensor, sample: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """What the network of each point takes, and where its output goes.

        Args:
            points: (P, 5), as in `SensorBatch`.
            sample: (P,) likewise.
            count: Samples in the batch.

        Returns:
            (P,) int64, `pillar * ages + age`, or the dump row behind all pillars; and rows (P, 10): place, height,
            intensity, age, offset to the pillar's centre, range and newness.

        """
        cell, offsets = cells_of(points, sample, count, self.cells, self.range_m)
        columns = points.T.contiguous()
        place, (height, strength, age) = columns[:2] / self.range_m, columns[2:]
        older = torch.bucketize(age, self.get_buffer("age_borders_s"))
        row = cell * self.ages + torch.where(cell < count * self.cells**2, older, 0)
        shape = [height / 3, (height / 6) ** 2, strength.clamp(0, 1), age * 2]
        newest = (age < NEWEST_S).to(points.dtype)
        # Column by column, then turned: putting narrow columns side by side takes several times as long.
        described = torch.stack([*place, *shape, *offsets.T, lengths(*place), newest])
        return row, described.T.contiguous()
