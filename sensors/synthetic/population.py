"""Who lives in a town scene: movers with their ways, parked and standing road users, and look-alikes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.bodies import SHAPES, Part
from tricast.sensors.synthetic.city import bicycle_places, drawn_body, drawn_turn, parked_lateral_m
from tricast.sensors.synthetic.roads import TURNS, lane_path, polyline_path
from tricast.sensors.synthetic.sizes import LOOKALIKE_SIZES_M, SIZE_RANGES_M, random_size_m
from tricast.sensors.synthetic.town_ground import TownGround
from tricast.sensors.synthetic.traffic import Agent
from tricast.sensors.synthetic.world_config import TownConfig

RCS_DBSM = {"pedestrian": -8.0, "bicycle": -4.0, "motorcycle": 2.0, "traffic_cone": -16.0, "barrier": 0.0}
DRIVING_SHARES, CITY_DRIVING_SHARES = (0.42, 0.14, 0.13, 0.05, 0.09, 0.17), (0.6, 0.14, 0.06, 0.0, 0.04, 0.16)
PARKED_SHARES, CITY_PARKED_SHARES = (0.34, 0.1, 0.08, 0.15, 0.09, 0.13, 0.11), (0.62, 0.07, 0.0, 0.05, 0.02, 0.14, 0.1)
ON_ROAD_LOOKALIKES = ("carton", "skip", "bollard", "hydrant", "cabinet")


@dataclass(frozen=True, kw_only=True, eq=False)
class Resident:
    """One road user or look-alike before it has a body.

    Args:
        class_name: A detection name, or None for a look-alike.
        kind: The class or the look-alike's name.
        shape: Which of the kind's shapes.
        size_m: (3,) length, width, height.
        color: (3,) main colour.
        second_color: (3,) the other one.
        agent: How it moves through a town; None for one that stands, or that a motorway's traffic moves.
        place_m: (2,) where it stands.
        yaw_rad: Its direction.
        on_road: Whether traffic has to mind it.
        rcs_dbsm: Mean radar cross-section.
        parts: A shape of its own, in place of one of its kind's.

    """

    class_name: str | None
    kind: str
    shape: int
    size_m: NDArray[np.float64]
    color: NDArray[np.float64]
    second_color: NDArray[np.float64]
    agent: Agent | None
    place_m: NDArray[np.float64]
    yaw_rad: float
    on_road: bool
    rcs_dbsm: float
    parts: tuple[Part, ...] | None = None


def populate(config: TownConfig, ground: TownGround, reach_m: float, rng: np.random.Generator) -> tuple[Resident, ...]:
    """All residents of a scene; the first one is the vehicle itself."""
    residents = [_ego(config, ground, reach_m, rng)]
    residents += _drivers(config, ground, reach_m, rng)
    residents += _walkers(config, ground, rng)
    residents += _parked(config, ground, rng)
    residents += _bicycles(config, ground, rng)
    residents += _work_zones(config, ground, rng)
    residents += _lookalikes(config, ground, rng)
    return tuple(residents)


def drawn_resident(
    name: str,
    rng: np.random.Generator,
    *,
    agent: Agent | None = None,
    place_m: NDArray[np.float64] | None = None,
    yaw_rad: float = 0.0,
    on_road: bool = False,
    size_m: NDArray[np.float64] | None = None,
    shape: int | None = None,
    parts: tuple[Part, ...] | None = None,
) -> Resident:
    """A road user or look-alike of a kind, with what is not given drawn."""
    is_class = name in SIZE_RANGES_M
    if size_m is None:
        size_m = random_size_m(name, rng)
    color = rng.uniform(0.05, 0.9, 3) if rng.random() < 0.6 else np.full(3, rng.uniform(0.05, 0.9))
    if name in ("traffic_cone", "barrier") and rng.random() < 0.7:
        color = np.array([0.9, 0.35, 0.08])
    if name == "construction_vehicle" and rng.random() < 0.6:
        color = np.array([0.85, 0.65, 0.1])
    if shape is None:
        shape = int(rng.integers(len(SHAPES[name]))) if is_class else 0
    return Resident(
        class_name=name if is_class else None,
        kind=name,
        shape=shape,
        size_m=size_m,
        color=color,
        second_color=rng.uniform(0.05, 0.9, 3),
        agent=agent,
        place_m=np.zeros(2) if place_m is None else place_m,
        yaw_rad=yaw_rad,
        on_road=on_road,
        rcs_dbsm=RCS_DBSM.get(name, 9.0) + float(rng.normal(0, 2)),
        parts=parts,
    )


def _ego(config: TownConfig, ground: TownGround, reach_m: float, rng: np.random.Generator) -> Resident:
    turn = str(rng.choice(TURNS, p=[0.6, 0.2, 0.2]))
    path = lane_path(0, turn, ground.junction_m, reach_m, ground.streets)
    size = np.array([4.6, 1.9, 1.6])
    speed = config.clear_speed_mps * float(rng.uniform(0.7, 1.1))
    agent = Agent(path=path, start_s_m=reach_m - ground.junction_m[0], size_m=size, clear_speed_mps=speed)
    return drawn_resident("car", rng, agent=agent, size_m=size)


def _drivers(config: TownConfig, ground: TownGround, reach_m: float, rng: np.random.Generator) -> list[Resident]:
    """Vehicles and riders on all four approaches, with room between them."""
    residents: list[Resident] = []
    taken: dict[int, list[tuple[float, float]]] = {0: [(reach_m - ground.junction_m[0], 8.0)]}
    classes = ["car", "truck", "bus", "trailer", "construction_vehicle", "motorcycle"]
    shares = DRIVING_SHARES if config.city is None else CITY_DRIVING_SHARES
    names = [str(n) for n in rng.choice(classes, config.num_driving, p=shares)]
    names += ["bicycle"] * config.num_cycling
    for name in names:
        arm = int(rng.integers(4))
        size, shape, parts = drawn_body(name, config, rng, ridden=True)
        start = reach_m + float(rng.uniform(-75, 45))
        room = size[0] / 2 + 4.0
        places = taken.setdefault(arm, [])
        if any(abs(start - other) < room + half for other, half in places) or abs(start - reach_m) < 14:
            continue
        places.append((start, room))
        turn = str(rng.choice(TURNS, p=[0.5, 0.25, 0.25])) if start < reach_m - 14 else "straight"
        offset = float(rng.uniform(-1.1, -0.7)) if name in ("bicycle", "motorcycle") else float(rng.normal(0, 0.12))
        path = lane_path(arm, drawn_turn(size, config, turn), ground.junction_m, reach_m, ground.streets, offset)
        pace = 0.5 if name == "bicycle" else 1.0
        speed = config.clear_speed_mps * pace * float(rng.uniform(0.6, 1.25))
        agent = Agent(path=path, start_s_m=start, size_m=size, clear_speed_mps=speed)
        if name in ("bicycle", "motorcycle"):
            shape = int(rng.integers(1, 3))
        residents.append(drawn_resident(name, rng, agent=agent, size_m=size, shape=shape, parts=parts, on_road=True))
    return residents


def _walkers(config: TownConfig, ground: TownGround, rng: np.random.Generator) -> list[Resident]:
    """People along the pavements; every third crosses a road somewhere."""
    residents: list[Resident] = []
    for i in range(config.num_walking):
        if i % 2 and rng.random() < 0.6:
            residents.append(_companion(residents[-1], config, rng))
            continue
        side, way = rng.choice([-1, 1], 2)
        start = float(rng.uniform(-45, 55))
        depth = ground.streets.depth
        lateral = side * (ground.streets.half_m + 2.0 * depth + float(rng.uniform(0, 2.2)) * depth)
        if i % 3 == 0:
            turn_at = start + way * float(rng.uniform(0, 8))
            corners = np.array(
                [[start, lateral], [turn_at, lateral], [turn_at, -lateral], [turn_at + way * 40, -lateral]]
            )
        else:
            corners = np.array([[start, lateral], [start + way * 90.0, lateral]])
        corners[1:] += 1e-3
        if rng.random() < 0.35:
            corners = corners[:, ::-1] + ground.junction_m
        size, _, _ = drawn_body("pedestrian", config, rng)
        speed = float(rng.uniform(0.7, 2.2)) if rng.random() > 0.15 else 0.0
        agent = Agent(path=polyline_path(corners), start_s_m=0.0, size_m=size, clear_speed_mps=speed, on_foot=True)
        residents.append(drawn_resident("pedestrian", rng, agent=agent, size_m=size))
    return residents


def _companion(walker: Resident, config: TownConfig, rng: np.random.Generator) -> Resident:
    """Somebody who walks beside another."""
    assert walker.agent is not None
    path, (size, _, _) = walker.agent.path, drawn_body("pedestrian", config, rng)
    aside = np.stack([-np.sin(path.yaws_rad), np.cos(path.yaws_rad)], axis=1) * float(rng.uniform(0.8, 1.1))
    path = replace(path, points_m=path.points_m + aside)
    start = walker.agent.start_s_m + float(rng.uniform(0, 0.5))
    agent = replace(walker.agent, path=path, size_m=size, start_s_m=start)
    return drawn_resident("pedestrian", rng, agent=agent, size_m=size)


def _parked(config: TownConfig, ground: TownGround, rng: np.random.Generator) -> list[Resident]:
    """Vehicles in the parking strips, two-wheelers at the pavement's edge."""
    residents: list[Resident] = []
    classes = ["car", "truck", "bus", "trailer", "construction_vehicle", "bicycle", "motorcycle"]
    taken: list[tuple[int, float, float]] = []
    streets = ground.streets
    for name in rng.choice(classes, config.num_parked, p=PARKED_SHARES if config.city is None else CITY_PARKED_SHARES):
        kind, side, along = str(name), int(rng.choice([-1, 1])), float(rng.uniform(-45, 65))
        size, shape, parts = drawn_body(kind, config, rng)
        small = kind in ("bicycle", "motorcycle")
        near_junction = abs(along - ground.junction_m[0]) < streets.half_m + 8
        room = size[0] / 2 + 0.6
        if near_junction or any(s == side and abs(along - a) < room + r for s, a, r in taken):
            continue
        taken.append((side, along, room))
        lateral = streets.half_m + 0.9 * streets.depth if small else parked_lateral_m(size, config, streets)
        yaw = (
            (0.0 if side < 0 else np.pi)
            + float(rng.normal(0, 0.04))
            + (np.pi / 2 if small and rng.random() < 0.5 else 0)
        )
        place = np.array([along, side * lateral])
        shape = 0 if small else shape
        residents.append(drawn_resident(kind, rng, place_m=place, yaw_rad=yaw, size_m=size, shape=shape, parts=parts))
    return residents


def _bicycles(config: TownConfig, ground: TownGround, rng: np.random.Generator) -> list[Resident]:
    """Bicycles left in rows before the houses of a city."""
    residents: list[Resident] = []
    for place, yaw in bicycle_places(config, ground, rng):
        size, _, _ = drawn_body("bicycle", config, rng)
        residents.append(drawn_resident("bicycle", rng, place_m=place, yaw_rad=yaw, size_m=size, shape=0))
    return residents


def _work_zones(config: TownConfig, ground: TownGround, rng: np.random.Generator) -> list[Resident]:
    """Rows of cones and barriers along a strip of the road, with a machine behind some of them."""
    residents: list[Resident] = []
    streets = ground.streets
    for _ in range(config.num_work_zones):
        side, begin = int(rng.choice([-1, 1])), float(rng.uniform(-30, 50))
        row = side * (streets.lane_m + float(rng.uniform(0.4, 1.0)))
        for i in range(int(rng.integers(4, 9))):
            place = np.array([begin + 2.3 * i, row + float(rng.normal(0, 0.1))])
            if abs(place[0] - ground.junction_m[0]) > streets.half_m + 3:
                yaw = float(rng.uniform(0, 6.2))
                size, _, _ = drawn_body("traffic_cone", config, rng)
                residents.append(drawn_resident("traffic_cone", rng, place_m=place, yaw_rad=yaw, size_m=size))
        for i in range(int(rng.integers(3, 8))):
            place = np.array([begin + 2.8 * i, side * (streets.half_m + 0.6 * streets.depth)])
            if abs(place[0] - ground.junction_m[0]) > streets.half_m + 3:
                yaw = np.pi / 2 + float(rng.normal(0, 0.15))
                size, _, _ = drawn_body("barrier", config, rng)
                residents.append(drawn_resident("barrier", rng, place_m=place, yaw_rad=yaw, size_m=size))
        if rng.random() < 0.6:
            place = np.array([begin + 6.0, side * (streets.half_m + max(streets.front_m - 2.0, 1.6))])
            yaw = float(rng.uniform(0, 6.2))
            size, _, _ = drawn_body("construction_vehicle", config, rng)
            residents.append(drawn_resident("construction_vehicle", rng, place_m=place, yaw_rad=yaw, size_m=size))
    return residents


def _lookalikes(config: TownConfig, ground: TownGround, rng: np.random.Generator) -> list[Resident]:
    """Things of a road user's size, most beside the road, some on it."""
    residents: list[Resident] = []
    names = list(LOOKALIKE_SIZES_M)
    for i in range(config.num_lookalikes):
        on_road = i % 6 == 0
        name = str(rng.choice(ON_ROAD_LOOKALIKES if on_road else names))
        side, along = int(rng.choice([-1, 1])), float(rng.uniform(-50, 75))
        streets = ground.streets
        lateral = streets.lane_m + 1.0 if on_road else streets.half_m + float(rng.uniform(0.7, 6.0)) * streets.depth
        place = np.array([along, side * lateral])
        if not on_road and rng.random() < 0.3:
            place = place[::-1] + ground.junction_m
        yaw = float(rng.choice([0, np.pi / 2]) + rng.normal(0, 0.2))
        residents.append(drawn_resident(name, rng, place_m=place, yaw_rad=yaw, on_road=on_road))
    return residents
