"""A seeded street: road users with box-built bodies that keep their lanes, and the houses and poles beside it.

World frame: x along the road, y to the left, z up; the ground is z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.world_config import StreetConfig

LANE_WIDTH_M = 3.5
SIZES_M: dict[str, tuple[float, float, float]] = {
    "car": (4.5, 1.9, 1.6),
    "truck": (7.5, 2.5, 3.1),
    "bus": (11.0, 2.7, 3.2),
    "pedestrian": (0.6, 0.6, 1.75),
    "bicycle": (1.8, 0.6, 1.7),
    "motorcycle": (2.1, 0.8, 1.6),
    "traffic_cone": (0.4, 0.4, 0.8),
}
# Parts of a body: offset of centre and size, both in shares of the whole box.
VEHICLE_PARTS = (((0.0, 0.0, -0.15), (1.0, 1.0, 0.6)), ((-0.05, 0.0, 0.3), (0.6, 0.85, 0.4)))
TALL_PARTS = (((0.35, 0.0, -0.05), (0.3, 0.95, 0.8)), ((-0.15, 0.0, 0.0), (0.7, 1.0, 1.0)))
PERSON_PARTS = (((0.0, 0.0, -0.1), (0.5, 0.9, 0.8)), ((0.0, 0.0, 0.4), (0.4, 0.4, 0.2)))
CONE_PARTS = (((0.0, 0.0, -0.45), (1.0, 1.0, 0.1)), ((0.0, 0.0, 0.05), (0.5, 0.5, 0.9)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Actor:
    """One object: constant velocity along its heading; `class_name` None is scenery."""

    instance_id: str
    class_name: str | None
    size_m: NDArray[np.float64]
    start_m: NDArray[np.float64]
    yaw_rad: float
    speed_mps: float
    color: NDArray[np.float64]
    parts: tuple[tuple[tuple[float, float, float], tuple[float, float, float]], ...]
    rcs_dbsm: float

    @property
    def velocity_mps(self) -> NDArray[np.float64]:
        """Velocity over ground (3,) in world axes."""
        return self.speed_mps * np.array([np.cos(self.yaw_rad), np.sin(self.yaw_rad), 0.0])

    def center_m(self, time_s: float) -> NDArray[np.float64]:
        """Centre of volume (3,) at a time."""
        return self.start_m + self.velocity_mps * time_s


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """All actors, scenery included, and the ego's constant speed along +x in its lane."""

    actors: tuple[Actor, ...]
    ego_speed_mps: float

    def ego_position_m(self, time_s: float) -> NDArray[np.float64]:
        """Ego origin (3,) in the world at a time."""
        return np.array([self.ego_speed_mps * time_s, -LANE_WIDTH_M / 2, 0.0])


def make_scene(config: StreetConfig, seed: int) -> Scene:
    """The street of a seed; the same seed gives the same street."""
    rng = np.random.default_rng([seed, 1])
    actors = [*_moving(config, rng), *_parked(config, rng), *_pedestrians(config, rng), *_cones(config, rng)]
    actors += _scenery(config, rng)
    speed = config.ego_speed_mps * float(rng.uniform(0.7, 1.2)) if config.ego_speed_mps else 0.0
    return Scene(actors=tuple(actors), ego_speed_mps=speed)


def _actor(
    identity: str, name: str, x_m: float, y_m: float, yaw_rad: float, speed_mps: float, rng: np.random.Generator
) -> Actor:
    size = np.array(SIZES_M[name]) * rng.uniform(0.88, 1.12, 3)
    parts = {"truck": TALL_PARTS, "bus": TALL_PARTS, "pedestrian": PERSON_PARTS, "traffic_cone": CONE_PARTS}
    color = np.array([0.9, 0.4, 0.1]) if name == "traffic_cone" else rng.uniform(0.1, 0.9, 3)
    return Actor(
        instance_id=identity,
        class_name=name,
        size_m=size,
        start_m=np.array([x_m, y_m, size[2] / 2]),
        yaw_rad=yaw_rad,
        speed_mps=speed_mps,
        color=color,
        parts=parts.get(name, VEHICLE_PARTS),
        rcs_dbsm={"pedestrian": -8.0, "bicycle": -3.0, "traffic_cone": -15.0}.get(name, 8.0),
    )


def _moving(config: StreetConfig, rng: np.random.Generator) -> list[Actor]:
    """Vehicles in the ego's lane and the opposite one, spaced so that none catches up with another."""
    actors = []
    names = rng.choice(["car", "car", "car", "truck", "bus", "bicycle", "motorcycle"], config.num_moving)
    places = {-1: 22.0, 1: -40.0}
    lane_speed = {-1: config.ego_speed_mps * 1.25 + 1.0, 1: float(rng.uniform(6, 11))}
    for i, name in enumerate(str(n) for n in names):
        lane = -1 if i % 3 == 0 else 1
        yaw = 0.0 if lane < 0 else np.pi
        x_m = places[lane] + float(rng.uniform(0, 8))
        places[lane] = x_m + SIZES_M[name][0] + 12
        actors.append(_actor(f"moving-{i}", name, x_m, lane * LANE_WIDTH_M / 2, yaw, lane_speed[lane], rng))
    return actors


def _parked(config: StreetConfig, rng: np.random.Generator) -> list[Actor]:
    actors = []
    places = {-1: -30.0, 1: -30.0}
    for i in range(config.num_parked):
        side = 1 if rng.random() < 0.5 else -1
        name = str(rng.choice(["car", "car", "car", "truck"]))
        x_m = places[side] + float(rng.uniform(6, 16))
        places[side] = x_m + SIZES_M[name][0] + 1
        yaw = (0.0 if side < 0 else np.pi) + float(rng.normal(0, 0.03))
        actors.append(_actor(f"parked-{i}", name, x_m, side * (LANE_WIDTH_M + 1.6), yaw, 0.0, rng))
    return actors


def _pedestrians(config: StreetConfig, rng: np.random.Generator) -> list[Actor]:
    actors = []
    for i in range(config.num_pedestrians):
        side = 1 if rng.random() < 0.5 else -1
        yaw = 0.0 if rng.random() < 0.5 else np.pi
        y_m = side * (LANE_WIDTH_M + 4.2 + 0.8 * (i % 3))
        speed = float(rng.uniform(0.6, 1.8))
        actors.append(_actor(f"pedestrian-{i}", "pedestrian", float(rng.uniform(-25, 70)), y_m, yaw, speed, rng))
    return actors


def _cones(config: StreetConfig, rng: np.random.Generator) -> list[Actor]:
    x_m = float(rng.uniform(15, 50))
    return [
        _actor(f"cone-{i}", "traffic_cone", x_m + 2.0 * i, LANE_WIDTH_M + 0.25, 0.0, 0.0, rng)
        for i in range(config.num_cones)
    ]


def _scenery(config: StreetConfig, rng: np.random.Generator) -> list[Actor]:
    """Houses, poles and bins: never in the truth."""
    actors = []
    for side in (-1, 1):
        for i, x_m in enumerate(np.arange(-60.0, config.length_m, 24.0)):
            house = np.array([rng.uniform(12, 20), rng.uniform(8, 12), rng.uniform(4, 9)])
            y_m = side * (LANE_WIDTH_M + 8 + house[1] / 2 + float(rng.uniform(0, 3)))
            color = rng.uniform([0.5, 0.35, 0.3], [0.8, 0.65, 0.6])
            actors.append(_block(f"house-{side}-{i}", house, float(x_m), y_m, color, 0.0))
            pole = np.array([0.2, 0.2, 5.0])
            at_m = float(x_m + rng.uniform(-6, 6))
            actors.append(_block(f"pole-{side}-{i}", pole, at_m, side * (LANE_WIDTH_M + 3.2), np.full(3, 0.35), 2.0))
            bin_size = np.array([0.6, 0.6, 1.1]) * rng.uniform(0.9, 1.2, 3)
            near_m = side * (LANE_WIDTH_M + 7.0)
            actors.append(_block(f"bin-{side}-{i}", bin_size, at_m + 3, near_m, np.array([0.2, 0.3, 0.2]), -5.0))
    return actors


def _block(
    identity: str, size: NDArray[np.float64], x_m: float, y_m: float, color: NDArray[np.float64], rcs: float
) -> Actor:
    return Actor(
        instance_id=identity,
        class_name=None,
        size_m=size,
        start_m=np.array([x_m, y_m, size[2] / 2]),
        yaw_rad=0.0,
        speed_mps=0.0,
        color=color,
        parts=(((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),),
        rcs_dbsm=rcs,
    )
