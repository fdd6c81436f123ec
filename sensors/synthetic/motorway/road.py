"""The cross-section of a motorway: two carriageways with lanes and shoulders, a median, slopes beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.ground import wave_height_m
from tricast.sensors.synthetic.motorway.centreline import Centreline
from tricast.sensors.synthetic.motorway_config import MotorwayConfig

Float64 = NDArray[np.float64]
OWN, ONCOMING = 0, 1
"""The carriageways: the vehicle's own, right of the middle, and the other."""
SIDES = (-1, 1)
"""Sign of the places across the middle of each carriageway; its traffic goes against this sign along it."""
MARGIN_M = 0.6
"""Asphalt between the innermost lane and the median."""
RAIL_M = 0.8
"""Guard rails stand so far outside the asphalt."""
SLOPE_FROM_M, SLOPE_M = 2.0, 12.0
"""Where the slopes beside the asphalt begin, and how wide they are."""
PATH_M, PATH_HALF_M = 6.0, 1.9
"""The middle of a path behind the guard rail, outside the asphalt, and half of its width."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MotorwayRoad:
    """Where everything of a motorway lies along and across its middle.

    Args:
        centreline: Its middle.
        num_lanes: Of both carriageways. Lane 0 is the outermost, that of the slowest.
        lane_m: Width of a lane.
        inner_m: From the middle to the innermost lanes.
        shoulder_m: Width of the shoulders, outside of the outermost lanes.
        rises_m: Height of the slopes beside both carriageways, negative where the road lies on an embankment.
        paths: Whether a path runs behind the guard rail of each side.
        waves: As in `Ground.waves`.

    """

    centreline: Centreline
    num_lanes: tuple[int, int]
    lane_m: float
    inner_m: float
    shoulder_m: float
    rises_m: tuple[float, float]
    paths: tuple[bool, bool]
    waves: Float64

    def outer_m(self, carriageway: int) -> float:
        """From the middle to the line between the outermost lane and the shoulder."""
        return self.inner_m + self.num_lanes[carriageway] * self.lane_m

    def edge_m(self, carriageway: int) -> float:
        """From the middle to the end of the asphalt."""
        return self.outer_m(carriageway) + self.shoulder_m

    def slope_m(self, carriageway: int) -> tuple[float, float]:
        """From the middle to the beginning and the end of the slope."""
        begin = self.edge_m(carriageway) + SLOPE_FROM_M
        if self.paths[carriageway]:
            begin = self.edge_m(carriageway) + PATH_M + PATH_HALF_M + 1.0
        return begin, begin + SLOPE_M

    def height_m(self, points_m: Float64) -> Float64:
        """Height (...) of the ground at points (..., 2)."""
        _, d = self.centreline.along_across(points_m[..., 0], points_m[..., 1])
        height = wave_height_m(self.waves, points_m)
        for carriageway, side in enumerate(SIDES):
            height = height + np.interp(side * d, self.slope_m(carriageway), (0.0, self.rises_m[carriageway]))
        return height


def drawn_road(config: MotorwayConfig, reach_m: float, rng: np.random.Generator) -> MotorwayRoad:
    """The road of a seed, which goes so far either way."""
    swing = float(rng.uniform(0, 0.35))
    # The tightest bend is somewhat wider than it may be.
    length = max(swing * config.least_radius_m * float(rng.uniform(1.0, 2.0)), 120.0)
    own = int(rng.integers(config.num_lanes[0], config.num_lanes[1] + 1))
    other = own if rng.random() < 0.8 else int(rng.integers(config.num_lanes[0], config.num_lanes[1] + 1))
    numbers = rng.uniform(0.004, 0.02, (3, 2)) * rng.choice([-1, 1], (3, 2))
    waves = np.column_stack([np.full(3, config.ground_wave_m), numbers, rng.uniform(0, 2 * np.pi, 3)])
    path = bool(rng.random() < config.path_share)
    on_right = bool(rng.random() < 0.5)
    return MotorwayRoad(
        centreline=Centreline(
            swing_rad=swing, length_m=length, phase_rad=float(rng.uniform(0, 2 * np.pi)), reach_m=reach_m
        ),
        num_lanes=(own, other),
        lane_m=float(rng.uniform(*config.lane_m)),
        inner_m=MARGIN_M + float(rng.uniform(0.9, 2.6)),
        shoulder_m=float(rng.uniform(2.5, 3.2)),
        rises_m=(_rise_m(rng), _rise_m(rng)),
        paths=(path and on_right, path and not on_right),
        waves=waves,
    )


def _rise_m(rng: np.random.Generator) -> float:
    """Every third side is level, a third in a cutting, a third on an embankment."""
    kind = int(rng.integers(3))
    return (0.0, float(rng.uniform(1.0, 5.0)), float(rng.uniform(-3.5, -0.8)))[kind]
