"""Object queries that begin at learned places, whatever the sensors saw."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tricast.perception.fusion.query_seeding import QuerySeeding
from tricast.perception.heads.heatmap import Peaks
from tricast.perception.layers.positions import FourierPosition
from tricast.sensors.annotations import DETECTION_CLASSES

OUTERMOST = 0.98
"""Places are spread over so much of the grid at first; a hyperbolic tangent keeps them on it."""


class LearnedSeeding(nn.Module):
    """A query is a learned feature at a learned place; training seeds are made as `QuerySeeding` makes them.

    Classes come in turn, for a size to begin with. Source: object queries of DETR (Carion et al., ECCV 2020) with
    reference points on the ground as DETR3D has them (Wang et al., CoRL 2021).
    """

    from_peaks = False

    def __init__(self, widths: tuple[int, int, int], width: int, cells: int, range_m: float, queries: int) -> None:
        super().__init__()
        self.cells, self.range_m = cells, range_m
        self.features = nn.Parameter(torch.randn(queries, width))
        self.places = nn.Parameter(torch.empty(queries, 2).uniform_(-OUTERMOST, OUTERMOST).atanh())
        self.position, self.norm = FourierPosition(width, range_m), nn.LayerNorm(width)
        self.at_cells = QuerySeeding(widths, width, cells, range_m)

    @property
    def places_m(self) -> Tensor:
        """(Q, 2) where queries begin."""
        return self.range_m * self.places.tanh()

    def starts(self, heatmap: Tensor, count: int) -> Peaks:
        """The cells of the learned places, the same for every sample; `count` is what it was built with."""
        assert count == len(self.features), "another number of queries"
        places = (self.places.detach().tanh() + 1) * (self.cells / 2)
        x, y = places.long().clamp(0, self.cells - 1).unbind(dim=1)
        classes = torch.arange(count, device=heatmap.device) % len(DETECTION_CLASSES)
        shape = (len(heatmap), count)
        return Peaks(cells=(y * self.cells + x).expand(shape), classes=classes.expand(shape))

    def forward(self, maps: tuple[Tensor, Tensor, Tensor], cells: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """See `QuerySeeding.forward`: the first queries are those of `starts`, the rest training seeds."""
        count, batch = len(self.features), len(cells)
        learned = self.norm(self.features + self.position(self.places_m)).expand(batch, -1, -1)
        places_m = self.places_m.expand(batch, -1, -1)
        if cells.shape[1] == count:
            return learned, places_m
        seeds, seed_places_m = self.at_cells(maps, cells[:, count:], classes[:, count:])
        return torch.cat([learned, seeds], dim=1), torch.cat([places_m, seed_places_m], dim=1)
