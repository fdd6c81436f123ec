"""What was known of an object half a second ago and earlier: remembered queries near where a query is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tricast.perception.query_memory import Recalled

SPREAD_M = 2.0
"""At first, of the Gaussian by which a remembered object counts the less the farther it is from where it should be."""
GEOMETRY = 10
"""Numbers beside the features: two displacements, velocity, heading, score, and how much was found at all."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MemoryTokens:
    """What is remembered, ready to be looked at.

    Args:
        tokens: (B, S, M, D).
        carried_m: (B, S, M, 2) where objects are now if they went on as they did.
        geometry: (B, S, M, 9) places then, places carried, velocity / 10, heading, score.
        absent: (B, S, 1, M) logits, 0 or minus infinity.

    """

    tokens: Tensor
    carried_m: Tensor
    geometry: Tensor
    absent: Tensor


class MemoryTokenizer(nn.Module):
    """Remembered queries, normalised by how they moved and how long ago that was.

    Source: motion-aware layer normalisation of StreamPETR (Wang et al., ICCV 2023).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        last = nn.Linear(width, 2 * width)
        self.motion = nn.Sequential(nn.Linear(6, width), nn.GELU(), last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, recalled: Recalled) -> MemoryTokens:
        """Tokens of what was recalled."""
        age_s = recalled.ages_s[..., None, None].expand(*recalled.scores.shape, 1)
        score = recalled.scores[..., None]
        motion = torch.cat([recalled.velocities_mps / 10, recalled.headings, score, age_s], dim=3)
        gain, shift = self.motion(motion).chunk(2, dim=3)
        carried_m = recalled.places_m + recalled.velocities_mps * age_s
        place = [recalled.places_m, carried_m, recalled.velocities_mps / 10, recalled.headings, score]
        absent = torch.zeros_like(recalled.scores).masked_fill(~recalled.valid, float("-inf"))
        return MemoryTokens(
            tokens=self.norm(recalled.features) * (1 + gain) + shift,
            carried_m=carried_m,
            geometry=torch.cat(place, dim=3),
            absent=absent[:, :, None],
        )


class MemoryLook(nn.Module):
    """Of each remembered tick the object that a query may be, softly chosen, and how far it has come since.

    A query may also be new: a logit of its own competes with those of what is remembered. The correction to the query
    is zero at first and where nothing is remembered.
    """

    def __init__(self, width: int, ticks: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.log_spread_m = nn.Parameter(torch.tensor(math.log(SPREAD_M)))
        self.is_new = nn.Parameter(torch.zeros(()))
        self.project = nn.Linear(ticks * (width + GEOMETRY), width, bias=False)
        nn.init.zeros_(self.project.weight)

    def forward(self, queries: Tensor, centers_m: Tensor, memory: MemoryTokens) -> Tensor:
        """Queries (B, Q, D) and their believed centres (B, Q, 3) to corrections (B, Q, D)."""
        here_m = centers_m[:, None, :, :2]  # (B, 1, Q, 2)
        asked, keys = self.query(queries)[:, None], self.key(memory.tokens)
        alike = asked @ keys.transpose(2, 3) * keys.shape[3] ** -0.5  # (B, S, Q, M)
        squared_m = ((here_m[..., None, :] - memory.carried_m[:, :, None]) ** 2).sum(dim=4)  # (B, S, Q, M)
        logits = alike - 0.5 * squared_m * (-2 * self.log_spread_m).exp() + memory.absent
        new = self.is_new.expand(*logits.shape[:3], 1)
        weights = torch.softmax(torch.cat([logits, new], dim=3), dim=3)[..., :-1]
        found = weights.sum(dim=3, keepdim=True)  # (B, S, Q, 1)
        features = weights @ self.value(memory.tokens)
        then, carried, rest = (weights @ memory.geometry).split((2, 2, 5), dim=3)
        seen = torch.cat([features, then - here_m * found, carried - here_m * found, rest, found], dim=3)
        return self.project(seen.transpose(1, 2).flatten(2))
