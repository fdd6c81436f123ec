"""What sets a city apart from a town: streets of other widths, road users of their true sizes, rows of bicycles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.bodies import Part
from tricast.sensors.synthetic.long_vehicles import bus_parts, trailer_parts, truck_parts
from tricast.sensors.synthetic.roads import Streets
from tricast.sensors.synthetic.sizes import CITY_SIZES_M, UNRIDDEN_HEIGHT_M, random_size_m, size_within
from tricast.sensors.synthetic.town_ground import TownGround
from tricast.sensors.synthetic.world_config import CityConfig, TownConfig

Body = tuple[NDArray[np.float64], int | None, tuple[Part, ...] | None]
"""Size (3,), number of the shape if it is not to be drawn, and parts of a shape of its own."""
VAN_SHARE, VAN_SHAPE, TANK_SHARE = 0.22, 2, 0.1
LONGEST_TURNING_M = 7.0
"""What is longer goes straight on: the bends of a junction are too tight."""
CURB_ROOM_M = 0.1
WIDE_FRONT_M = 4.5
"""Before houses so far back bicycles stand side by side, elsewhere one behind the other along the wall."""


def drawn_streets(city: CityConfig | None, rng: np.random.Generator) -> Streets:
    """Streets within a city's limits, or those of every town, for which nothing is drawn."""
    if city is None:
        return Streets()
    lane, parking, front = (float(rng.uniform(*limits)) for limits in (city.lane_m, city.parking_m, city.front_m))
    return Streets(lane_m=lane, parking_m=parking, parked_m=parking / 2 + 0.05, front_m=front)


def drawn_body(name: str, config: TownConfig, rng: np.random.Generator, *, ridden: bool = False) -> Body:
    """The body of a road user: in a city one of its true size, in a town one of which only the size is drawn here."""
    if config.city is None:
        return random_size_m(name, rng), None, None
    if name == "car" and rng.random() < VAN_SHARE:
        return size_within(CITY_SIZES_M["van"], rng), VAN_SHAPE, None
    size = size_within(CITY_SIZES_M[name], rng)
    if not ridden and name in UNRIDDEN_HEIGHT_M:
        size[2] = rng.uniform(*UNRIDDEN_HEIGHT_M[name])
    if name == "truck":
        return size, None, truck_parts(size, tank=bool(rng.random() < TANK_SHARE))
    if name == "bus":
        return size, None, bus_parts(size)
    return size, None, trailer_parts(size) if name == "trailer" else None


def drawn_turn(size_m: NDArray[np.float64], config: TownConfig, turn: str) -> str:
    """The turn that a vehicle of a size takes if it likes to take this one."""
    return "straight" if config.city is not None and size_m[0] > LONGEST_TURNING_M else turn


def parked_lateral_m(size_m: NDArray[np.float64], config: TownConfig, streets: Streets) -> float:
    """How far from the middle of the road a vehicle is parked; in a city wide ones stand over the curb."""
    if config.city is None:
        return streets.lane_m + streets.parked_m
    return streets.lane_m + max(streets.parked_m, float(size_m[1]) / 2 + CURB_ROOM_M)


def bicycle_places(
    config: TownConfig, ground: TownGround, rng: np.random.Generator
) -> list[tuple[NDArray[np.float64], float]]:
    """Places (2,) and headings of bicycles in rows before the houses of a city, clear of who walks there."""
    places: list[tuple[NDArray[np.float64], float]] = []
    taken: list[tuple[int, float, float]] = []
    streets = ground.streets
    abreast = streets.front_m >= WIDE_FRONT_M
    least, most = (0.6, 0.9) if abreast else (1.9, 2.6)
    across = streets.half_m + streets.front_m - (1.1 if abreast else 0.45)
    for _ in range(0 if config.city is None else config.city.num_bicycle_rows):
        side, begin = int(rng.choice([-1, 1])), float(rng.uniform(-45, 65))
        lean, number = float(rng.normal(0, 0.1)), int(rng.integers(3, 11) if abreast else rng.integers(1, 5))
        along = begin + np.cumsum(rng.uniform(least, most, number))
        if any(s == side and along[0] < high + 2 and along[-1] > low - 2 for s, low, high in taken):
            continue
        taken.append((side, float(along[0]), float(along[-1])))
        for x in along[np.abs(along - ground.junction_m[0]) > streets.half_m + streets.front_m + 1]:
            turned = float(rng.choice([0.0, np.pi])) + lean
            places.append((np.array([x, side * across]), turned + (np.pi / 2 if abreast else 0.0)))
    return places
