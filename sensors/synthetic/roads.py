"""Roads of a town: a main street along x that meets a cross street at a junction with signals.

World frame: x along the main street, y to the left, z up; the vehicle starts near the origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

TURNS = ("straight", "right", "left")
STEP_M = 0.5
JUNCTION_M = 6.0
"""From the middle of a junction to where lanes begin to bend."""
USUAL_FRONT_M = 7.5


@dataclass(frozen=True, kw_only=True)
class Streets:
    """Widths of a town's two streets, from the middle outwards.

    Args:
        lane_m: One lane each way.
        parking_m: A strip on both sides.
        parked_m: Middle of what is parked, from the lane's edge.
        front_m: From the curb to the nearest fronts of houses.

    """

    lane_m: float = 3.5
    parking_m: float = 2.4
    parked_m: float = 1.25
    front_m: float = USUAL_FRONT_M

    @property
    def half_m(self) -> float:
        """Half of the carriageway."""
        return self.lane_m + self.parking_m

    @property
    def stop_m(self) -> float:
        """The stop line, from the middle of the junction."""
        return self.half_m + 5.0

    @property
    def depth(self) -> float:
        """What distances beside the carriageway are multiplied by, so that all fits before the houses."""
        return self.front_m / USUAL_FRONT_M


@dataclass(frozen=True, kw_only=True, eq=False)
class Path:
    """A way through the town by arc length.

    Args:
        points_m: (N, 2) every `STEP_M`.
        yaws_rad: (N,) unwrapped direction.
        stop_s_m: Arc length of the stop line; infinity where there is none.
        arm: 0 east, 1 north, 2 west, 3 south-bound approach; -1 off the lanes.
        turn: One of `TURNS`.

    """

    points_m: NDArray[np.float64]
    yaws_rad: NDArray[np.float64]
    stop_s_m: float
    arm: int
    turn: str

    @property
    def length_m(self) -> float:
        """Arc length of the whole path."""
        return STEP_M * (len(self.points_m) - 1)

    def at(self, s_m: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Points (..., 2) and yaws (...) at arc lengths (...), held at both ends."""
        place = np.minimum(np.maximum(s_m / STEP_M, 0), len(self.points_m) - 1.001)
        low = place.astype(int)
        part = (place - low)[..., None]
        states = self._states[low] * (1 - part) + self._states[low + 1] * part
        return states[..., :2], states[..., 2]

    @cached_property
    def _states(self) -> NDArray[np.float64]:
        return np.column_stack([self.points_m, self.yaws_rad])


def lane_path(
    arm: int,
    turn: str,
    junction_m: NDArray[np.float64],
    reach_m: float,
    streets: Streets,
    offset_m: float = 0.0,
) -> Path:
    """The lane of an approach through the junction, shifted to the left by `offset_m`."""
    enter, lane = -JUNCTION_M, -streets.lane_m / 2
    right, left = JUNCTION_M + lane, JUNCTION_M - lane
    straight_in = np.array([[x, lane] for x in np.arange(-reach_m, enter, STEP_M)])
    if turn == "straight":
        rest = np.array([[x, lane] for x in np.arange(enter, reach_m, STEP_M)])
    else:
        radius, side = (right, -1.0) if turn == "right" else (left, 1.0)
        angles = np.arange(0, np.pi / 2, STEP_M / radius)
        arc = np.stack([enter + radius * np.sin(angles), lane + side * radius * (1 - np.cos(angles))], axis=1)
        x_m, y_m = enter + radius, lane + side * radius
        out = np.array([[x_m, y_m + side * d] for d in np.arange(0, reach_m, STEP_M)])
        rest = np.concatenate([arc, out])
    points = np.concatenate([straight_in, rest])
    return _path(points, offset_m, arm * np.pi / 2, junction_m, reach_m - streets.stop_m, arm, turn)


def polyline_path(corners_m: NDArray[np.float64]) -> Path:
    """A way along straight pieces, for people on foot."""
    pieces: list[NDArray[np.float64]] = []
    for first, second in pairwise(corners_m):
        count = max(int(np.linalg.norm(second - first) / STEP_M), 1)
        pieces.append(first + (second - first) * (np.arange(count) / count)[:, None])
    return _path(np.concatenate([*pieces, corners_m[-1:]]), 0.0, 0.0, np.zeros(2), np.inf, -1, "straight")


def _path(
    points: NDArray[np.float64],
    offset_m: float,
    angle: float,
    origin: NDArray[np.float64],
    stop: float,
    arm: int,
    turn: str,
) -> Path:
    heading = np.diff(points, axis=0, append=2 * points[-1:] - points[-2:-1])
    yaws = np.unwrap(np.arctan2(heading[:, 1], heading[:, 0]))
    points = points + offset_m * np.stack([-np.sin(yaws), np.cos(yaws)], axis=1)
    # Resampled, so that the index is the arc length again.
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    even = np.arange(0, along[-1], STEP_M)
    points = np.stack([np.interp(even, along, points[:, i]) for i in (0, 1)], axis=1)
    yaws = np.interp(even, along, yaws)
    cos, sin = np.cos(angle), np.sin(angle)
    turned = points @ np.array([[cos, sin], [-sin, cos]]) + origin
    return Path(points_m=turned, yaws_rad=yaws + angle, stop_s_m=stop, arm=arm, turn=turn)
