"""Object queries from cells of the heatmap."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tricast.perception.heads.heatmap import Peaks, narrow_classes, peaks_of
from tricast.perception.layers.positions import FourierPosition
from tricast.sensors.annotations import DETECTION_CLASSES


def gathered(features: Tensor, cells: Tensor) -> Tensor:
    """Rows (B, Q, C) of a map (B, C, Y, X) at cells (B, Q)."""
    table = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])
    first = torch.arange(len(cells), device=cells.device)[:, None] * (features.shape[2] * features.shape[3])
    return functional.embedding(cells + first, table)


class QuerySeeding(nn.Module):
    """A query is what the maps hold at its cell, plus its class and its place.

    Source: Bai et al., TransFusion, CVPR 2022 (category-aware, heatmap-initialised queries).
    """

    from_peaks = True

    def __init__(self, widths: tuple[int, int, int], width: int, cells: int, range_m: float) -> None:
        super().__init__()
        self.cells, self.range_m = cells, range_m
        fine, trunk, coarse = widths
        self.fine, self.trunk, self.coarse = nn.Linear(fine, width), nn.Linear(trunk, width), nn.Linear(coarse, width)
        self.kind = nn.Embedding(len(DETECTION_CLASSES), width)
        self.position = FourierPosition(width, range_m)
        self.norm = nn.LayerNorm(width)
        self.narrow: Tensor
        self.register_buffer("narrow", narrow_classes(), persistent=False)

    def starts(self, heatmap: Tensor, count: int) -> Peaks:
        """Where queries begin: the highest cells of the heatmap (B, C, Y, X)."""
        return peaks_of(heatmap, self.narrow, count)

    def forward(self, maps: tuple[Tensor, Tensor, Tensor], cells: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Make queries.

        Args:
            maps: Features at the heatmap's resolution, at half and at a quarter of it.
            cells: (B, Q) int64 on the heatmap's grid.
            classes: (B, Q) int64.

        Returns:
            Queries (B, Q, D) and the places (B, Q, 2) of the cells' centres in metres.

        """
        y, x = cells // self.cells, cells % self.cells
        half = (y // 2) * (self.cells // 2) + x // 2
        quarter = (y // 4) * (self.cells // 4) + x // 4
        places_m = (torch.stack([x, y], dim=2) + 0.5) * (2 * self.range_m / self.cells) - self.range_m
        features = self.fine(gathered(maps[0], cells))
        features = features + self.trunk(gathered(maps[1], half)) + self.coarse(gathered(maps[2], quarter))
        return self.norm(features + self.kind(classes) + self.position(places_m)), places_m
