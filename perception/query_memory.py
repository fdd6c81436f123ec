"""What the network carries from tick to tick: the best queries of the last ticks, with their boxes, poses and times.

It is a value: adding a tick makes a new one. Recalling brings what is remembered to the vehicle's axes of another tick,
so that dropped ticks and gaps need no care. Letters in shapes: B batch, S remembered ticks, M objects of each, D width.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from tricast.configs.strict import StrictConfig
from tricast.perception.query_outputs import LayerOutputs


class MemoryConfig(StrictConfig):
    """How much is remembered, and from how long ago it is looked at."""

    objects: int = Field(default=64, ge=0, le=2000)
    """Of each tick so many, the surest; 0 remembers nothing."""
    lags_s: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(0.5, 1.0), min_length=1)
    """Of the remembered ticks, those nearest to so long ago are looked at: the spacing of the ticks of training, and
    the same at any other rate."""
    lag_tolerance_s: float = Field(default=0.2, gt=0, le=2)

    @property
    def longest_s(self) -> float:
        """What is older than this is forgotten."""
        return max(self.lags_s) + self.lag_tolerance_s


@dataclass(frozen=True, kw_only=True, eq=False)
class ObjectNotes:
    """What is written down of the surest queries of one tick, in ego axes at that tick, without gradient.

    Args:
        features: (B, M, D), the queries after the last layer.
        centers_m: (B, M, 2).
        velocities_mps: (B, M, 2) over ground.
        headings: (B, M, 2) cosine and sine.
        scores: (B, M) the probability of the likeliest class.

    """

    features: Tensor
    centers_m: Tensor
    velocities_mps: Tensor
    headings: Tensor
    scores: Tensor


@torch.no_grad()
def notes_of(queries: Tensor, boxes: LayerOutputs, count: int) -> ObjectNotes:
    """Write down the surest of queries (B, Q, D) with their boxes."""
    scores, rows = torch.sigmoid(boxes.class_logits).amax(dim=2).topk(count, dim=1)

    first = torch.arange(len(rows), device=rows.device)[:, None] * queries.shape[1]

    def chosen(values: Tensor) -> Tensor:
        # By whole rows: OpenVINO takes no `gather` along one of several axes that differ.
        return functional.embedding(rows + first, values.flatten(0, 1))

    return ObjectNotes(
        features=chosen(queries),
        centers_m=chosen(boxes.centers_m[..., :2]),
        velocities_mps=chosen(boxes.velocities_mps),
        headings=chosen(boxes.headings.flip(2)),
        scores=scores,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Recalled:
    """What is remembered of S ticks, in ego axes at the tick that recalls it.

    Args:
        features: (B, S, M, D).
        places_m: (B, S, M, 2) where objects were; they may have moved since.
        velocities_mps: (B, S, M, 2) over ground, as they were.
        headings: (B, S, M, 2) cosine and sine, as they were.
        scores: (B, S, M).
        ages_s: (B, S).
        valid: (B, S, M) bool; the rest is zeros, or of no meaning.

    """

    features: Tensor
    places_m: Tensor
    velocities_mps: Tensor
    headings: Tensor
    scores: Tensor
    ages_s: Tensor
    valid: Tensor

    @staticmethod
    def nothing(batch: int, config: MemoryConfig, width: int, device: torch.device | None = None) -> Recalled:
        """Of the shapes that a network with such a memory takes, and empty."""
        shape = (batch, len(config.lags_s), config.objects)
        # Tensors of their own: exporters take one that stands in several places for one input.
        return Recalled(
            features=torch.zeros(*shape, width, device=device),
            places_m=torch.zeros(*shape, 2, device=device),
            velocities_mps=torch.zeros(*shape, 2, device=device),
            headings=torch.zeros(*shape, 2, device=device),
            scores=torch.zeros(shape, device=device),
            ages_s=torch.zeros(shape[:2], device=device),
            valid=torch.zeros(shape, dtype=torch.bool, device=device),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _RememberedTick:
    """Notes with the time (B,) and the pose (B, 4, 4) they belong to."""

    notes: ObjectNotes
    timestamps_ns: Tensor
    odom_from_ego: Tensor

    def to(self, device: torch.device | str) -> _RememberedTick:
        return _RememberedTick(
            notes=ObjectNotes(**{f.name: getattr(self.notes, f.name).to(device) for f in fields(self.notes)}),
            timestamps_ns=self.timestamps_ns.to(device),
            odom_from_ego=self.odom_from_ego.to(device),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class QueryMemory:
    """The last ticks, newest first. A new one remembers nothing."""

    ticks: tuple[_RememberedTick, ...] = ()

    def to(self, device: torch.device | str) -> QueryMemory:
        """The same memory on another device."""
        return QueryMemory(ticks=tuple(tick.to(device) for tick in self.ticks))

    def with_tick(
        self, notes: ObjectNotes, timestamps_ns: Tensor, odom_from_ego: Tensor, config: MemoryConfig
    ) -> QueryMemory:
        """This memory and one more tick; without those that nothing will ask for.

        Args:
            notes: Of the tick.
            timestamps_ns: (B,) int64.
            odom_from_ego: (B, 4, 4) float64.
            config: What is kept.

        """
        tick = _RememberedTick(notes=notes, timestamps_ns=timestamps_ns, odom_from_ego=odom_from_ego)
        ages_s = self._ages_s(timestamps_ns)
        asked_for = ((ages_s > 0) & (ages_s <= config.longest_s)).any(dim=1).tolist()
        return QueryMemory(ticks=(tick, *(t for t, asked in zip(self.ticks, asked_for, strict=True) if asked)))

    def recalled(self, timestamps_ns: Tensor, odom_from_ego: Tensor, config: MemoryConfig, width: int) -> Recalled:
        """What is known of each sample's ticks nearest to each lag, in the axes of another tick.

        Args:
            timestamps_ns: (B,) int64 of that tick.
            odom_from_ego: (B, 4, 4) float64.
            config: The lags; a lag without a tick near enough is not valid.
            width: D.

        """
        if not self.ticks:
            return Recalled.nothing(len(timestamps_ns), config, width, timestamps_ns.device)
        ages_s = self._ages_s(timestamps_ns)
        chosen = [
            _moved(self._nearest(lag_s, ages_s), timestamps_ns, odom_from_ego, lag_s, config.lag_tolerance_s)
            for lag_s in config.lags_s
        ]
        return Recalled(**{f.name: torch.cat([getattr(s, f.name) for s in chosen], dim=1) for f in fields(Recalled)})

    def _ages_s(self, timestamps_ns: Tensor) -> Tensor:
        """How long ago each tick was for each sample, (T, B) float64."""
        then_ns = [tick.timestamps_ns for tick in self.ticks]
        return (timestamps_ns - torch.stack(then_ns)).double() / 1e9 if then_ns else torch.zeros(0, len(timestamps_ns))

    def _nearest(self, lag_s: float, ages_s: Tensor) -> _RememberedTick:
        """Of each sample, which may lack ticks that others have, what belongs to the tick nearest to a lag."""
        ticks = [self.ticks[row] for row in (ages_s - lag_s).abs().argmin(dim=0).tolist()]

        def own(values: list[Tensor]) -> Tensor:
            return torch.stack([value[sample] for sample, value in enumerate(values)])

        return _RememberedTick(
            notes=ObjectNotes(**{f.name: own([getattr(t.notes, f.name) for t in ticks]) for f in fields(ObjectNotes)}),
            timestamps_ns=own([tick.timestamps_ns for tick in ticks]),
            odom_from_ego=own([tick.odom_from_ego for tick in ticks]),
        )


def _moved(
    tick: _RememberedTick, timestamps_ns: Tensor, odom_from_ego: Tensor, lag_s: float, tolerance_s: float
) -> Recalled:
    """Notes in the axes of a later tick, of those samples whose tick lies at the lag; zeros of the others.

    Poses are kept in float64, in which odometry of any length is exact enough.
    """
    notes = tick.notes
    now_from_then = torch.linalg.solve(odom_from_ego, tick.odom_from_ego).to(notes.features.dtype)
    turn, shift = now_from_then[:, :2, :2].transpose(1, 2), now_from_then[:, None, :2, 3]
    age_s = (timestamps_ns - tick.timestamps_ns).double() / 1e9
    at_lag = (age_s - lag_s).abs() <= tolerance_s
    values = {
        "features": notes.features,
        "places_m": notes.centers_m @ turn + shift,
        "velocities_mps": notes.velocities_mps @ turn,
        "headings": notes.headings @ turn,
        "scores": notes.scores,
        "ages_s": age_s.to(notes.features.dtype),
    }
    return Recalled(
        **{n: torch.where(at_lag.view(-1, *[1] * (v.dim() - 1)), v, 0.0)[:, None] for n, v in values.items()},
        valid=at_lag[:, None, None].expand(-1, 1, notes.scores.shape[1]),
    )
