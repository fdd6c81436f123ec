"""What the radars' returns show where a query is: their places seen from it, and how fast they come or go."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from tricast.configs.strict import StrictConfig
from tricast.perception.batch import SensorBatch
from tricast.perception.fusion.near_returns import NearReturns, Window, distinct, on_grid, returns_around
from tricast.perception.layers.pillars import scatter_max

FEATURES = 13


class RadarLookConfig(StrictConfig):
    """Which radar returns a query looks at, and the width of the network on each."""

    reach_cells: int = Field(default=5, ge=0, le=32)
    """Of the heatmap, in x and y on each side of the query's own cell: radars tell angles to a degree or two."""
    returns: int = Field(default=24, ge=1, le=1024)
    """So many are looked at, spread evenly over those that are there; of fewer, some more than once."""
    width: int = Field(default=48, ge=4, le=1024)


@torch.no_grad()
def near_radar(batch: SensorBatch, cells: Tensor, config: RadarLookConfig, side: int, range_m: float) -> NearReturns:
    """The radars' returns around queries, as `RADAR_COLUMNS`.

    Args:
        batch: Its radar returns.
        cells: (B, Q) int64 cells of the queries, `y * side + x`.
        config: Which returns.
        side: Cells along each axis of the heatmap.
        range_m: Half the grid's side.

    """
    window = Window(count=len(cells), side=side, range_m=range_m, reach=config.reach_cells, returns=config.returns)
    returns, cell = on_grid(batch.radar_points, batch.radar_sample, window)
    return returns_around(returns, cell, (cell < window.total).long(), cells, window)


class RadarLook(nn.Module):
    """A PointNet on the returns around a place: maximum and mean over them. Nothing where there are none.

    The query's correction is zero at first. A grid cell keeps the maximum of what many returns say; here a query reads
    the speeds along each line of sight themselves. Source of the idea: CenterFusion (Nabati and Qi, WACV 2021), which
    hands each box the returns in its frustum.
    """

    fixed_shapes = False
    """See `PointNet.fixed_shapes`."""

    def __init__(self, config: RadarLookConfig, width: int) -> None:
        super().__init__()
        self.point_net = nn.Sequential(
            nn.Linear(FEATURES, config.width),
            nn.ReLU(inplace=True),
            nn.Linear(config.width, config.width),
            nn.ReLU(inplace=True),
        )
        self.project = nn.Linear(2 * config.width + 1, width)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, centers_m: Tensor, near: NearReturns) -> Tensor:
        """Centres (B, Q, 3) to corrections (B, Q, D)."""
        described = _described(centers_m, near.returns)
        every = self.fixed_shapes or described.device.type != "cpu"
        pooled = self.of_all(described) if every else self.of_distinct(described, near.number)
        number = near.number[..., None].to(described.dtype)
        return self.project(torch.cat([*pooled, (1 + number).log() / 4], dim=2)) * (number > 0)

    def of_all(self, described: Tensor) -> tuple[Tensor, Tensor]:
        """Maximum and mean (B, Q, W) of what is described (F, B, Q, K), in shapes that are always the same."""
        per_return = self.point_net(described.movedim(0, 3).flatten(0, 2)).view(*described.shape[1:], -1)
        return per_return.amax(dim=2), per_return.mean(dim=2)

    def of_distinct(self, described: Tensor, number: Tensor) -> tuple[Tensor, Tensor]:
        """The same, each return seen once: an eighth of K is left on average. Zeros where there are none."""
        returns = distinct(number, described.shape[3])
        per_return = self.point_net(described.flatten(1).index_select(1, returns.slot).T)
        largest = scatter_max(per_return, returns.query, number.numel())
        shares = per_return * (returns.times / described.shape[3])[:, None]
        mean = torch.zeros_like(largest).index_add(0, returns.query, shares)
        return largest.view(*number.shape, -1), mean.view(*number.shape, -1)


def _described(centers_m: Tensor, returns: Tensor) -> Tensor:
    """Columns (13, B, Q, K) of returns (9, B, Q, K) seen from a centre."""
    x, y, z, section, radial, known, sight_x, sight_y, age = returns
    apart_x, apart_y = (x - centers_m[..., :1]) / 2, (y - centers_m[..., 1:2]) / 2
    # Off along the line of sight and across it: radars tell the first well and the second badly.
    along, across = apart_x * sight_x + apart_y * sight_y, apart_y * sight_x - apart_x * sight_y
    above, speed = (z - centers_m[..., 2:]) / 2, radial / 5
    places = [apart_x, apart_y, above, along, across]
    speeds = [speed, speed * sight_x, speed * sight_y, known]
    return torch.stack([*places, *speeds, section.clamp(-20, 40) / 20, sight_x, sight_y, age * 5])
