"""Traffic of one carriageway: drivers keep their distance, and some change lanes where it helps them and harms nobody.

Sources: the improved intelligent driver model of Treiber and Kesting, Traffic Flow Dynamics, Springer 2013, chapter 11
(car following); Kesting, Treiber and Helbing, MOBIL, Transportation Research Record 1999, 2007 (lane changes).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.population import Resident
from tricast.sensors.synthetic.traffic import SIM_STEP_S

Float64 = NDArray[np.float64]
EASY_MPS2, HARD_MPS2, HARDEST_MPS2 = 1.2, 2.0, 8.0
STANDING_GAP_M = 2.5
CHANGE_S = (4.0, 6.5)
"""How long a change of lanes takes."""
COOLDOWN_S = 6.0
GAIN_MPS2 = 0.25
"""What a change to a faster lane has to gain; one to a slower lane may cost half as much."""
HARM_MPS2 = 1.5
"""How hard a change may make the next behind brake."""
LORRY_LANES = 2
"""How many of the outer lanes trucks use."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Driver:
    """Somebody on a carriageway, with what is towed.

    Args:
        bodies: The vehicle and its trailer, with how far the middle of each lies ahead of the middle of both.
        length_m: Of both together.
        lane: Where the drive begins; 0 is the outermost lane.
        start_m: Likewise, along the lanes in the direction of travel.
        speed_mps: Likewise.
        wanted_mps: Speed on a free lane.
        headway_s: Time kept to the next ahead.
        aside_m: Off the middle of the lane, to the left.
        weave: Amplitude in m, wave number in 1/m and phase of the way about that.
        changes_lanes: Whether other lanes are considered.
        heavy: Whether the innermost lanes are left to others.

    """

    bodies: tuple[tuple[float, Resident], ...]
    length_m: float
    lane: int
    start_m: float
    speed_mps: float
    wanted_mps: float
    headway_s: float
    aside_m: float
    weave: tuple[float, float, float]
    changes_lanes: bool
    heavy: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class LaneMotion:
    """Motion of D drivers from time 0 on, every `SIM_STEP_S`.

    Args:
        along_m: (S, D) in the direction of travel.
        lanes: (S, D) place among the lanes, whole numbers in the middle of one.
        drifts: (S, D) change of that per metre along the lanes.
        speeds_mps: (S, D).

    """

    along_m: Float64
    lanes: Float64
    drifts: Float64
    speeds_mps: Float64


class LaneTraffic:
    """Drivers of one carriageway while they are simulated.

    Args:
        drivers: D of them.
        lanes: First lane that may be used, and the number of lanes.
        stretch: Way on the middle of the motorway per way along a lane, at places (D,) and lanes (D,).
        limit_mps: Highest speed at places (D,) and a time.
        rng: Draws who looks for another lane, and how fast it is taken.

    """

    def __init__(
        self,
        drivers: tuple[Driver, ...],
        lanes: tuple[int, int],
        stretch: Callable[[Float64, Float64], Float64],
        limit_mps: Callable[[Float64, float], Float64],
        rng: np.random.Generator,
    ) -> None:
        self._drivers, self._lanes, self._stretch, self._limit, self._rng = drivers, lanes, stretch, limit_mps, rng
        self.along = np.array([d.start_m for d in drivers])
        self.speed = np.array([d.speed_mps for d in drivers])
        self._wanted = np.array([d.wanted_mps for d in drivers])
        self._headway = np.array([d.headway_s for d in drivers])
        self._length = np.array([d.length_m for d in drivers])
        # A change of lanes goes from one to the other; without one, both are the same.
        self._from = np.array([d.lane for d in drivers])
        self._to = self._from.copy()
        self._done, self._change_m = np.ones(len(drivers)), np.ones(len(drivers))
        self._rest_s = self._rng.uniform(0, COOLDOWN_S, len(drivers))

    def simulate(self, warm_up_s: float, seconds: float) -> LaneMotion:
        """Let everybody go; what is before the end of the warm-up is not told."""
        first = -round(warm_up_s / SIM_STEP_S)
        told: list[tuple[Float64, Float64, Float64, Float64]] = []
        for step in range(first, int(np.ceil(seconds / SIM_STEP_S)) + 2):
            if step >= 0:
                told.append((self.along.copy(), *self._across(), self.speed.copy()))
            self._advance(step)
        along, lanes, drifts, speeds = (np.stack(column) for column in zip(*told, strict=True))
        return LaneMotion(along_m=along, lanes=lanes, drifts=drifts, speeds_mps=speeds)

    def _across(self) -> tuple[Float64, Float64]:
        """Places (D,) among the lanes and their change per metre; a change begins and ends without a jerk."""
        p, by = self._done, self._to - self._from
        return (
            self._from + by * p**3 * (10 - 15 * p + 6 * p**2),
            by * 30 * p**2 * (1 - p) ** 2 / self._change_m,
        )

    def _advance(self, step: int) -> None:
        wanted = np.minimum(self._wanted, self._limit(self.along, step * SIM_STEP_S))
        accelerations = self._following(wanted)
        for i in np.flatnonzero(self._rest_s <= 0):
            # Each looks around twice a second.
            if self._drivers[i].changes_lanes and (step + int(i)) % 5 == 0:
                self._consider(int(i), float(accelerations[i]), wanted)
        before = self.speed
        self.speed = np.maximum(before + SIM_STEP_S * accelerations, 0.0)
        way = SIM_STEP_S * (before + self.speed) / 2 * self._stretch(self.along, self._across()[0])
        self.along = self.along + way
        self._done = np.minimum(self._done + way / self._change_m, 1.0)
        self._from = np.where(self._done >= 1, self._to, self._from)
        self._rest_s -= SIM_STEP_S

    def _following(self, wanted: Float64) -> Float64:
        """Accelerations (D,) behind the next ahead in any lane that is touched."""
        to, start = self._to, self._from
        shared = (to[:, None] == to) | (to[:, None] == start) | (start[:, None] == to) | (start[:, None] == start)
        ahead = self.along[None] - self.along[:, None]
        gaps = np.where(shared & (ahead > 0), ahead - (self._length[:, None] + self._length) / 2, np.inf)
        leader = np.argmin(gaps, axis=1)
        gap = gaps[np.arange(len(gaps)), leader]
        return acceleration(wanted, self.speed, gap, self.speed[leader], self._headway)

    def _consider(self, i: int, now_mps2: float, wanted: Float64) -> None:
        """Begin a change of lanes where one is worth it and safe."""
        first, count = self._lanes
        last = min(count, max(LORRY_LANES, first + 1)) if self._drivers[i].heavy else count
        for lane in (self._to[i] + 1, self._to[i] - 1):
            if not first <= lane < last:
                continue
            inward = lane > self._to[i]
            gain = self._gain(i, int(lane), now_mps2, wanted)
            if gain > (GAIN_MPS2 if inward else -GAIN_MPS2 / 2) and (inward or self._rng.random() < 0.1):
                self._to[i], self._done[i] = lane, 0.0
                self._change_m[i] = max(float(self.speed[i]), 3.0) * float(self._rng.uniform(*CHANGE_S))
                self._rest_s[i] = CHANGE_S[1] + COOLDOWN_S
                return

    def _gain(self, i: int, lane: int, now_mps2: float, wanted: Float64) -> float:
        """How much more the driver could accelerate in a lane; minus infinity where it would be unsafe."""
        there = ((self._to == lane) | (self._from == lane)) & (np.arange(len(self.along)) != i)
        ahead = np.where(there, self.along - self.along[i], np.nan)
        rooms = np.abs(ahead) - (self._length + self._length[i]) / 2
        # Nobody beside: room for the standing gap and half a second of the faster one.
        if np.any(rooms < STANDING_GAP_M + 0.5 * np.maximum(self.speed, self.speed[i])):
            return -np.inf
        behind = np.flatnonzero(there & (ahead <= 0))
        if len(behind):
            j = behind[np.argmax(ahead[behind])]
            one = slice(j, j + 1)
            harm = acceleration(wanted[one], self.speed[one], rooms[one], self.speed[i : i + 1], self._headway[one])
            if harm[0] < -HARM_MPS2:
                return -np.inf
        before = np.flatnonzero(there & (ahead > 0))
        own, gap, lead = slice(i, i + 1), np.array([np.inf]), self.speed[i : i + 1]
        if len(before):
            j = before[np.argmin(ahead[before])]
            gap, lead = rooms[j : j + 1], self.speed[j : j + 1]
        return float(acceleration(wanted[own], self.speed[own], gap, lead, self._headway[own])[0]) - now_mps2


def acceleration(wanted: Float64, speed: Float64, gap_m: Float64, lead: Float64, headway_s: Float64) -> Float64:
    """Accelerations (D,) of drivers behind leaders; all arguments are (D,), and the gap infinite without a leader."""
    safe = STANDING_GAP_M + np.maximum(
        speed * headway_s + speed * (speed - lead) / (2 * np.sqrt(EASY_MPS2 * HARD_MPS2)), 0.0
    )
    closeness = np.where(np.isinf(gap_m), 0.0, safe / np.maximum(gap_m, 0.1))
    share = speed / np.maximum(wanted, 0.1)
    too_fast = share > 1
    slow = np.minimum(share, 1.0)
    rise = np.maximum(EASY_MPS2 * (1 - slow**4), 1e-3)
    fall = -HARD_MPS2 * (1 - np.maximum(share, 1.0) ** (-4 * EASY_MPS2 / HARD_MPS2))
    free = np.where(too_fast, fall, rise)
    eased = np.where(too_fast, fall, rise * (1 - np.minimum(closeness, 1.0) ** (2 * EASY_MPS2 / rise)))
    pressed = np.where(too_fast, free, 0.0) + EASY_MPS2 * (1 - closeness**2)
    return np.clip(np.where(closeness < 1, eased, pressed), -HARDEST_MPS2, EASY_MPS2)
