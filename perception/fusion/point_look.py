"""What the LiDAR's returns show where a query is: those around it, seen from its centre."""

from __future__ import annotations

from itertools import chain, pairwise

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from tricast.configs.strict import StrictConfig
from tricast.perception.batch import SensorBatch
from tricast.perception.encoders.lidar_pointnet import NEWEST_S
from tricast.perception.fusion.near_returns import NearReturns, Window, distinct, on_grid, returns_around, values_at
from tricast.perception.layers.convolution import pixelwise
from tricast.perception.layers.pillars import lengths, scatter_max

FEATURES = 8
FAR_UP_M = 1e3


class PointLookConfig(StrictConfig):
    """Which returns a query looks at, and the width of the network on each."""

    reach_cells: int = Field(default=4, ge=0, le=32)
    """Of the heatmap, in x and y on each side of the query's own cell."""
    returns: int = Field(default=128, ge=1, le=4096)
    """So many are looked at, spread evenly over those that are there; of fewer, some more than once."""
    above_ground_m: float = Field(default=0.2, ge=0, le=5)
    """Returns no higher than this above the lowest one around are taken for ground and left out."""
    ground_cells: int = Field(default=2, ge=0, le=32)
    """How far around the lowest return is sought, in cells on each side."""
    width: int = Field(default=64, ge=4, le=1024)
    layers: int = Field(default=3, ge=1, le=8)


@torch.no_grad()
def near_points(batch: SensorBatch, cells: Tensor, config: PointLookConfig, side: int, range_m: float) -> NearReturns:
    """The LiDAR's returns around queries: x, y, z, intensity, age, height above the ground around them.

    Metres and seconds, ego axes.

    Args:
        batch: Its LiDAR returns.
        cells: (B, Q) int64 cells of the queries, `y * side + x`.
        config: Which returns.
        side: Cells along each axis of the heatmap.
        range_m: Half the grid's side.

    """
    window = Window(count=len(cells), side=side, range_m=range_m, reach=config.reach_cells, returns=config.returns)
    points, cell = on_grid(batch.lidar_points, batch.lidar_sample, window)
    height_m = points[2] - _ground_m(points[2], cell, (window.count, side), config.ground_cells)
    taken = ((cell < window.total) & (height_m > config.above_ground_m)).long()
    described = torch.cat([points, height_m[None]])
    return returns_around(described, cell, taken, cells, window)


def _ground_m(height_m: Tensor, cell: Tensor, shape: tuple[int, int], reach: int) -> Tensor:
    """The lowest height (P,) among the returns around each return; its own for those off the grid."""
    count, side = shape
    rows = count * side * side
    # At least as long as what is put into it: TensorRT takes no other scattering.
    longest = max(rows + 1, len(height_m))
    lowest = torch.full((longest,), FAR_UP_M, dtype=height_m.dtype, device=height_m.device)
    lowest = lowest.scatter_reduce(0, cell, height_m, "amin")
    grid = lowest[:rows].view(count, 1, side, side)
    around = -functional.max_pool2d(-grid, 2 * reach + 1, stride=1, padding=reach)
    return torch.where(cell < rows, values_at(around.flatten(), cell.clamp(max=rows - 1)), height_m)


class PointNet(nn.Sequential):
    """Layers on every point of a set, then the largest of each feature.

    Source: PointNet (Qi et al., CVPR 2017).
    """

    fixed_shapes = False
    """Whether no shape may hang on how many returns there are."""

    def forward(self, columns: Tensor, number: Tensor) -> Tensor:
        """Columns (F, B, Q, K) of sets of K points, taken evenly of `number` (B, Q), to (B, Q, W); zeros of none.

        On a CPU layers see a point once that was taken several times: less than half of K are left on average.
        """
        if torch.compiler.is_exporting():  # as pictures: OpenVINO turns narrow columns slowly
            return pixelwise(self, columns.transpose(0, 1)).amax(dim=3).transpose(1, 2) * (number > 0)[..., None]
        if self.fixed_shapes or columns.device.type != "cpu":
            return self.of_all(columns, number)
        return self.of_distinct(columns, number)

    def of_distinct(self, columns: Tensor, number: Tensor) -> Tensor:
        """As `forward`, each point once; shapes on the way hang on how many there are."""
        points = distinct(number, columns.shape[3])
        features = super().forward(columns.flatten(1).index_select(1, points.slot).T)
        return scatter_max(features, points.query, number.numel()).view(*number.shape, -1)

    def of_all(self, columns: Tensor, number: Tensor) -> Tensor:
        """As `forward`, in shapes that are always the same."""
        # One flat list: layers on more axes copy it when they work in place.
        features = super().forward(columns.movedim(0, 3).flatten(0, 2)).view(*columns.shape[1:], -1)
        # The gradient of `amax` is shared among equals in ten passes over every point; without one it is the faster.
        largest = features.max(dim=2).values if torch.is_grad_enabled() else features.amax(dim=2)
        return largest * (number > 0)[..., None]


class PointLook(nn.Module):
    """A PointNet on the returns around a place: their shape, and what it tells a query. Nothing where there are none.

    The query's correction is zero at first. Source: the second stages of PointRCNN (Shi et al., CVPR 2019) and of
    LiDAR R-CNN (Li et al., CVPR 2021).
    """

    def __init__(self, config: PointLookConfig, width: int) -> None:
        super().__init__()
        widths = (FEATURES, *[config.width] * config.layers)
        layers = [[nn.Linear(before, after), nn.ReLU(inplace=True)] for before, after in pairwise(widths)]
        self.point_net = PointNet(*chain.from_iterable(layers))
        # What comes in is not negative: the third layer and those after it change nothing at first.
        for linear, _ in layers[2:]:
            nn.init.eye_(linear.weight)
            nn.init.zeros_(linear.bias)
        self.project = nn.Linear(config.width + 1, width)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, centers_m: Tensor, near: NearReturns) -> tuple[Tensor, Tensor]:
        """Centres (B, Q, 3) to corrections (B, Q, D) and shapes (B, Q, W + 1)."""
        largest = self.point_net(_described(centers_m, near.returns), near.number)
        number = near.number[..., None].to(largest.dtype)
        shapes = torch.cat([largest, (1 + number).log() / 4], dim=2)
        return self.project(shapes) * (number > 0), shapes


def _described(centers_m: Tensor, points: Tensor) -> Tensor:
    """Columns (8, B, Q, K) of returns (6, B, Q, K) seen from a centre."""
    apart, (strength, age, height) = (points[:3] - centers_m.movedim(2, 0)[..., None]) / 2, points[3:]
    away, newest = lengths(apart[0], apart[1]), (age < NEWEST_S).to(points.dtype)
    return torch.stack([*apart, away, height / 2, strength.clamp(0, 1), age * 2, newest])
