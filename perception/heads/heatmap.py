"""Heatmap head: where an object of each class may have its centre, and the cells from which queries start."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tricast.perception.layers.convolution import Bottleneck, ConvNorm, Pointwise
from tricast.sensors.annotations import DETECTION_CLASSES

HEATMAP_BIAS = -4.0
"""Nearly every cell is empty: start from a probability of 0.02 (Lin et al., Focal Loss, ICCV 2017)."""
NARROW_CLASSES = ("pedestrian", "motorcycle", "bicycle", "traffic_cone", "barrier")
"""They stand side by side: a diagonal neighbour may be a peak of its own."""


class HeatmapHead(nn.Module):
    """The trunk at twice its resolution, with the LiDAR's fine map beside it where there is one.

    Args:
        trunk_width: Of the trunk.
        lidar_width: Of the fine map; None: there never is one.
        width: Of the features under the heatmap.

    """

    def __init__(self, trunk_width: int, lidar_width: int | None, width: int) -> None:
        super().__init__()
        self.up = nn.Sequential(Pointwise(trunk_width, 4 * width), nn.PixelShuffle(2))
        self.lidar = Pointwise(lidar_width, width, bias=False) if lidar_width else None
        self.join = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(inplace=True), Bottleneck(width, width // 2))
        self.logits = _logits(width)

    def forward(self, trunk: Tensor, lidar_fine: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, C, Y, X) and the features under them (B, F, Y, X); an absent LiDAR's fine map is all zeros."""
        up = self.up(trunk)
        features = self.join(up if self.lidar is None else up + self.lidar(lidar_fine))
        return self.logits(features), features


class AuxiliaryHeatmap(nn.Module):
    """A heatmap from one sensor alone on the BEV grid, in training only: it keeps a weak branch learning."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(ConvNorm(width, width // 2), _logits(width // 2))

    def forward(self, bev: Tensor) -> Tensor:
        """(B, C, Y, X) features to logits."""
        return self.layers(bev)


def _logits(width: int) -> Pointwise:
    logits = Pointwise(width, len(DETECTION_CLASSES))
    assert logits.bias is not None
    nn.init.constant_(logits.bias, HEATMAP_BIAS)
    return logits


@dataclass(frozen=True, kw_only=True, eq=False)
class Peaks:
    """The most likely cells, over all classes.

    Args:
        cells: (B, Q) int64, `y * X + x`.
        classes: (B, Q) int64.

    """

    cells: Tensor
    classes: Tensor


def narrow_classes() -> Tensor:
    """(C,) bool. Whoever looks for peaks keeps it: made anew on a GPU it would be a copy that no CUDA graph records."""
    return torch.tensor([name in NARROW_CLASSES for name in DETECTION_CLASSES])


def peaks_of(heatmap: Tensor, narrow: Tensor, count: int) -> Peaks:
    """The best cells that are local maxima: among all eight neighbours, for narrow classes among the nearest four.

    Args:
        heatmap: (B, C, Y, X) logits.
        narrow: (C,) bool, see `narrow_classes`.
        count: How many a sample.

    """
    heat = heatmap.detach()
    row, column = _highest_of_three(heat, 3), _highest_of_three(heat, 2)
    square = _highest_of_three(row, 2)
    highest = torch.where(narrow[:, None, None], torch.maximum(row, column), square)
    cells = heat.shape[2] * heat.shape[3]
    heights = torch.where(heat == highest, heat, heat - 1e4).flatten(1)
    best = heights.topk(count, dim=1).indices
    return Peaks(cells=best % cells, classes=best // cells)


def _highest_of_three(heat: Tensor, axis: int) -> Tensor:
    """Maximum of each cell and its two neighbours along an axis; thirty times faster here than by pooling."""
    if torch.compiler.is_exporting():  # other runtimes pool well, and would copy the map for every part that is set
        size = (3, 1) if axis == 2 else (1, 3)
        return functional.max_pool2d(heat, size, stride=1, padding=(size[0] // 2, size[1] // 2))
    highest = heat.clone()
    count = heat.shape[axis] - 1
    before, after = heat.narrow(axis, 0, count), heat.narrow(axis, 1, count)
    highest.narrow(axis, 1, count).copy_(torch.maximum(highest.narrow(axis, 1, count), before))
    highest.narrow(axis, 0, count).copy_(torch.maximum(highest.narrow(axis, 0, count), after))
    return highest
