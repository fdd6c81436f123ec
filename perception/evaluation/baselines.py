"""Forecasts by physics from a track's own estimates, to be beaten: one integral serves all modes."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from tricast.perception.outputs import FUTURE_STEP_S, NUM_FUTURE_STEPS, Tracks

BRAKING_MPS2 = 3.0
HISTORY_NS = 1_000_000_000
"""A track's acceleration is the slope of its speed over this time."""
MIN_SAMPLES = 3
MAX_ACCELERATION_MPS2 = 6.0
"""No road user keeps more; a steeper slope is noise of the track."""
STEPS_PER_POINT = 10

PHYSICS_MODES = (
    "constant_velocity",
    "constant_turn_rate",
    "constant_acceleration",
    "constant_turn_rate_and_acceleration",
    "braking",
    "standing_still",
)

Float64 = NDArray[np.float64]


class SpeedHistory:
    """Recent speeds of every track, for its acceleration: trackers estimate none."""

    def __init__(self) -> None:
        self._speeds: dict[int, deque[tuple[int, float]]] = {}

    def reset(self) -> None:
        """Forget all tracks (a jump in time)."""
        self._speeds = {}

    def add(self, tracks: Tracks) -> None:
        """Take the tracks of a tick; those that are no longer there are forgotten."""
        oldest_ns = tracks.timestamp_ns - HISTORY_NS
        kept: dict[int, deque[tuple[int, float]]] = {}
        for identity, (vx, vy) in zip(tracks.track_ids.tolist(), tracks.boxes.velocities_mps.tolist(), strict=True):
            speeds = self._speeds.get(identity, deque())
            speeds.append((tracks.timestamp_ns, float(np.hypot(vx, vy))))
            while speeds[0][0] < oldest_ns:
                speeds.popleft()
            kept[identity] = speeds
        self._speeds = kept

    def accelerations_mps2(self, tracks: Tracks) -> Float64:
        """Slope (N,) of each track's speed over the last second by least squares; 0 for tracks too young to tell."""
        return np.array([_slope(self._speeds.get(i, deque())) for i in tracks.track_ids.tolist()], np.float64)


def _slope(speeds: deque[tuple[int, float]]) -> float:
    if len(speeds) < MIN_SAMPLES:
        return 0.0
    times = np.array([(stamp - speeds[0][0]) / 1e9 for stamp, _ in speeds])
    times -= times.mean()
    slope = float(times @ np.array([speed for _, speed in speeds])) / float(times @ times)
    return float(np.clip(slope, -MAX_ACCELERATION_MPS2, MAX_ACCELERATION_MPS2))


def physics_modes(
    positions_m: Float64, velocities_mps: Float64, turn_rates_radps: Float64, accelerations_mps2: Float64
) -> Float64:
    """The six fixed modes (N, 6, 12, 2) in the order of `PHYSICS_MODES`, 0.5 s to 6 s ahead.

    Args:
        positions_m: (N, 2) in any frame that stands still; the result is in the same frame.
        velocities_mps: (N, 2) over ground along that frame's axes.
        turn_rates_radps: (N,).
        accelerations_mps2: (N,) change of speed; no mode drives backwards after braking.

    """
    none = np.zeros(len(positions_m))
    turning, pushing = turn_rates_radps, accelerations_mps2
    speeds = np.linalg.norm(velocities_mps, axis=1)
    settings = [
        (speeds, none, none),
        (speeds, none, turning),
        (speeds, pushing, none),
        (speeds, pushing, turning),
        (speeds, none - BRAKING_MPS2, none),
        (none, none, none),
    ]
    headings = np.arctan2(velocities_mps[:, 1], velocities_mps[:, 0])
    return np.stack([_driven(positions_m, headings, *setting) for setting in settings], axis=1)


def _driven(
    positions_m: Float64, headings_rad: Float64, speeds_mps: Float64, accelerations_mps2: Float64, rates_radps: Float64
) -> Float64:
    """Positions (N, 12, 2) under a constant change of speed, until it is used up, and of heading (Simpson's rule)."""
    step_s = FUTURE_STEP_S / STEPS_PER_POINT
    times = step_s / 2 * np.arange(2 * STEPS_PER_POINT * NUM_FUTURE_STEPS + 1)  # ends and middles of the steps
    speed = np.maximum(speeds_mps[:, None] + accelerations_mps2[:, None] * times, 0.0)
    heading = headings_rad[:, None] + rates_radps[:, None] * times
    velocity = speed[..., None] * np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    steps = step_s / 6 * (velocity[:, :-2:2] + 4 * velocity[:, 1::2] + velocity[:, 2::2])
    return positions_m[:, None] + np.cumsum(steps, axis=1)[:, STEPS_PER_POINT - 1 :: STEPS_PER_POINT]
