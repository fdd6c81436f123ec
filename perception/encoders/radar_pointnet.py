"""Radar encoder: a PointNet with cross-section and Doppler, the maximum over each cell, then a convolution."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn

from tricast.configs.strict import StrictConfig
from tricast.perception.batch import BatchConfig, SensorBatch
from tricast.perception.layers.convolution import Bottleneck, on_present
from tricast.perception.layers.pillars import cells_of, scatter_max

POINT_FEATURES = 15


class RadarConfig(StrictConfig):
    """Width of the radar encoder."""

    width: int = Field(default=64, ge=4, le=1024)


@dataclass(frozen=True, kw_only=True, eq=False)
class RadarFeatures:
    """What the radars of a batch give; zeros where a sample has none.

    Args:
        bev: (B, C, Y, X) on the BEV grid.
        observed: (B, Y, X) bool, cells with a return.

    """

    bev: Tensor
    observed: Tensor


class RadarEncoder(nn.Module):
    """Flat returns of a batch straight to the BEV grid: radar is too sparse for a finer one."""

    def __init__(self, config: RadarConfig, batch: BatchConfig) -> None:
        super().__init__()
        self.range_m, self.cells = batch.range_m, batch.cells
        self.point_net = nn.Sequential(
            nn.Linear(POINT_FEATURES, config.width),
            nn.ReLU(inplace=True),
            nn.Linear(config.width, config.width),
            nn.ReLU(inplace=True),
        )
        self.spread = Bottleneck(config.width, config.width // 2)

    def forward(self, batch: SensorBatch) -> RadarFeatures:
        """See `RadarFeatures`. The order of returns changes nothing."""
        count, rows = len(batch.present), len(batch.present) * self.cells**2
        cell, offsets = cells_of(batch.radar_points, batch.radar_sample, count, self.cells, self.range_m)
        maxima = scatter_max(self.point_net(self._described(batch.radar_points, offsets)), cell, rows + 1)[:rows]
        grid = maxima.view(count, self.cells, self.cells, -1).permute(0, 3, 1, 2)
        hit = grid.new_zeros(rows + 1).index_fill(0, cell, 1.0)[:rows].view(count, self.cells, self.cells) > 0
        shape = (grid.shape[1], self.cells, self.cells)
        return RadarFeatures(bev=on_present(self.spread, grid, batch.with_radar, shape), observed=hit)

    def _described(self, points: Tensor, offsets: Tensor) -> Tensor:
        """Rows (R, 15): place, height, cross-section, radial velocity alone and along x and y, sight, age, offset."""
        place, height, section = points[:, :2] / self.range_m, points[:, 2:3] / 3, points[:, 3:4].clamp(-20, 40) / 20
        radial, known, sight, age = points[:, 4:5] / 10, points[:, 5:6], points[:, 6:8], points[:, 8:9] * 5
        reach = place.norm(dim=1, keepdim=True)
        columns = [place, reach, height, section, radial, radial.abs(), known, radial * sight, sight, age, offsets]
        return torch.cat(columns, dim=1)
