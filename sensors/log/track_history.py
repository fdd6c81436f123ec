"""Velocities and futures of annotated road users, taken from their own later and earlier annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.annotations import FUTURE_STEP_S, NUM_FUTURE_STEPS, Annotations
from tricast.sensors.geometry.se3 import SE3

SECOND_NS = 1_000_000_000
VELOCITY_WINDOW_NS = 250_000_000
"""A velocity is taken over the annotations within this time: neighbours 100 ms apart would give noise."""
MIN_VELOCITY_SPAN_NS = 50_000_000
MAX_GAP_NS = 250_000_000
"""Positions between annotations further apart than this are unknown."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackHistory:
    """Where one road user was annotated over a whole recording.

    Args:
        stamps_ns: (K,) int64, growing.
        positions_m: (K, 3) float64 centres in the odometry frame.

    """

    stamps_ns: NDArray[np.int64]
    positions_m: NDArray[np.float64]

    def velocity_mps(self, timestamp_ns: int) -> NDArray[np.float64]:
        """Velocity (3,) over ground in odometry axes at an annotated time; NaN where it was annotated only once."""
        first = int(np.searchsorted(self.stamps_ns, timestamp_ns - VELOCITY_WINDOW_NS))
        last = int(np.searchsorted(self.stamps_ns, timestamp_ns + VELOCITY_WINDOW_NS, side="right")) - 1
        span_ns = int(self.stamps_ns[last] - self.stamps_ns[first]) if first < last else 0
        if span_ns < MIN_VELOCITY_SPAN_NS:
            return np.full(3, np.nan)
        return (self.positions_m[last] - self.positions_m[first]) / (span_ns / SECOND_NS)

    def future_m(self, timestamp_ns: int) -> NDArray[np.float64]:
        """Positions (12, 3) at the next steps of 0.5 s, in the odometry frame; NaN where none was annotated near."""
        steps = np.arange(1, NUM_FUTURE_STEPS + 1) * round(FUTURE_STEP_S * SECOND_NS)
        wanted_ns = timestamp_ns + steps.astype(np.int64)
        after = np.searchsorted(self.stamps_ns, wanted_ns)
        known = after < len(self.stamps_ns)
        later = np.minimum(after, len(self.stamps_ns) - 1)
        exact = self.stamps_ns[later] == wanted_ns
        earlier = np.where(exact, later, np.maximum(later - 1, 0))
        gaps_ns = self.stamps_ns[later] - self.stamps_ns[earlier]
        share = (wanted_ns - self.stamps_ns[earlier]) / np.maximum(gaps_ns, 1)
        between = self.positions_m[earlier] + share[:, None] * (self.positions_m[later] - self.positions_m[earlier])
        return np.where((known & (gaps_ns <= MAX_GAP_NS))[:, None], between, np.nan)


def track_histories(
    ids: Sequence[str], stamps_ns: NDArray[np.int64], positions_m: NDArray[np.float64]
) -> dict[str, TrackHistory]:
    """Histories by identity, of annotations in any order.

    Args:
        ids: N identities.
        stamps_ns: (N,) int64 times.
        positions_m: (N, 3) float64 centres in the odometry frame.

    """
    if not len(stamps_ns):
        return {}
    names, owners = np.unique(np.array(ids, np.str_), return_inverse=True)
    order = np.lexsort((stamps_ns, owners))
    starts = np.searchsorted(owners[order], np.arange(1, len(names)))
    rows = np.split(order, starts)
    return {
        str(name): TrackHistory(stamps_ns=stamps_ns[own], positions_m=positions_m[own])
        for name, own in zip(names, rows, strict=True)
    }


def with_motion(annotations: Annotations, histories: Mapping[str, TrackHistory], odom_from_ego: SE3) -> Annotations:
    """The same truth with velocities and futures by the histories of its road users; others stay as they are.

    Args:
        annotations: Truth in ego axes.
        histories: By identity; empty where no poses are known.
        odom_from_ego: Pose of the ego frame at the time of the truth.

    """
    ego_from_odom = odom_from_ego.inverse
    velocities, futures = annotations.boxes.velocities_mps.copy(), annotations.futures_m.copy()
    for row, name in enumerate(annotations.instance_ids):
        if name in histories:
            velocities[row] = ego_from_odom.rotate(histories[name].velocity_mps(annotations.timestamp_ns))[:2]
            futures[row] = ego_from_odom.apply(histories[name].future_m(annotations.timestamp_ns))[:, :2]
    return replace(annotations, boxes=replace(annotations.boxes, velocities_mps=velocities), futures_m=futures)
