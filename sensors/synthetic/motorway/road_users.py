"""Who drives on a motorway: vehicles of their true sizes, in lanes by how fast they like to go."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.long_vehicles import bus_parts, trailer_parts, truck_parts
from tricast.sensors.synthetic.motorway.lane_traffic import EASY_MPS2, HARD_MPS2, STANDING_GAP_M, Driver
from tricast.sensors.synthetic.motorway_config import MotorwayConfig
from tricast.sensors.synthetic.population import Resident, drawn_resident
from tricast.sensors.synthetic.sizes import SIZE_RANGES_M, SizeLimits, size_within

SIZES_M: dict[str, SizeLimits] = {
    **SIZE_RANGES_M,
    "car": ((3.7, 5.1), (1.65, 2.0), (1.38, 1.85)),
    "van": ((4.8, 6.8), (1.9, 2.2), (1.9, 2.8)),
    "truck": ((6.0, 16.8), (2.3, 2.6), (2.7, 4.0)),
    "bus": ((9.0, 14.0), (2.45, 2.6), (2.9, 3.9)),
    "trailer": ((8.0, 13.0), (2.4, 2.6), (2.7, 4.0)),
    "caravan": ((3.6, 6.4), (1.8, 2.3), (1.5, 2.6)),
}
"""Length, width and height, as they are on real roads, which leaves less to guess than the town does."""
TOWING_TRUCK_M = (6.0, 8.5)
COUPLING_M = (0.6, 1.0)
EGO_SIZE_M = (4.7, 1.9, 1.6)
HEADWAY_S = (0.9, 1.8)
JAM_GAP_M = (2.5, 9.0)
WEAVE_M = 0.12


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Traffic of one carriageway of a seed.

    Args:
        lanes: First lane that may be used, and the number of lanes.
        span_m: Where vehicles are at the beginning, along their travel, from the vehicle itself if that is there.
        spare_m: Mean way to the next ahead beyond a safe distance; None in a jam.
        slowest_mps: Speed in the jam at the beginning, or a limit for all; None for neither.

    """

    lanes: tuple[int, int]
    span_m: tuple[float, float]
    spare_m: float | None
    slowest_mps: float | None


def drawn_drivers(config: MotorwayConfig, flow: Flow, ego: Driver | None, rng: np.random.Generator) -> list[Driver]:
    """Vehicles in all lanes, none nearer to the next than is safe; `ego` comes first."""
    about = 0.0 if ego is None else ego.start_m
    drivers = [] if ego is None else [ego]
    for lane in range(*flow.lanes):
        ahead: Driver | None = None
        free_to = about + flow.span_m[1] - float(rng.uniform(0, 60))
        passed = ego is None or ego.lane != lane
        while free_to > about + flow.span_m[0]:
            driver = _driver(config, flow, lane, rng)
            middle = free_to - _gap_m(flow, driver, ahead, rng) - driver.length_m / 2
            if ego is not None and not passed and middle < _room_m(driver, ego):
                # The vehicle itself takes its place in the row, and this one goes behind it.
                passed = True
                middle = ego.start_m - (ego.length_m + driver.length_m) / 2 - _gap_m(flow, driver, ego, rng)
            ahead = replace(driver, start_m=middle)
            drivers.append(ahead)
            free_to = middle - driver.length_m / 2
    return drivers


def drawn_ego(config: MotorwayConfig, flow: Flow, warm_up_s: float, rng: np.random.Generator) -> Driver:
    """The vehicle itself, which keeps its lane and is near the origin after the warm-up."""
    low, high = config.ego_mps
    wanted = float(rng.uniform(low, high))
    first, count = flow.lanes
    share = (wanted - low) / max(high - low, 1e-6)
    lane = first + min(int(share * (count - first)), count - first - 1)
    speed = min(wanted, flow.slowest_mps or np.inf)
    size = np.array(EGO_SIZE_M)
    return Driver(
        bodies=((0.0, drawn_resident("car", rng, size_m=size)),),
        length_m=EGO_SIZE_M[0],
        lane=lane,
        start_m=-speed * warm_up_s,
        speed_mps=speed,
        wanted_mps=wanted,
        headway_s=float(rng.uniform(*HEADWAY_S)),
        aside_m=float(np.clip(rng.normal(0, 0.12), -0.25, 0.25)),
        weave=_weave(rng),
        changes_lanes=False,
        heavy=False,
    )


def _room_m(driver: Driver, ego: Driver) -> float:
    """How far ahead of the vehicle itself the middle of a driver has to be, so that it need not brake at once."""
    return ego.start_m + (ego.length_m + driver.length_m) / 2 + _safe_m(ego, driver.speed_mps)


def _safe_m(behind: Driver, lead_mps: float) -> float:
    """Gap at which a driver behind another one keeps its speed, or begins to brake gently."""
    speed = behind.speed_mps
    closing = max(speed - lead_mps, 0.0)
    return STANDING_GAP_M + speed * behind.headway_s + speed * closing / (2 * np.sqrt(EASY_MPS2 * HARD_MPS2))


def _gap_m(flow: Flow, driver: Driver, ahead: Driver | None, rng: np.random.Generator) -> float:
    """Way to the next ahead from bumper to bumper."""
    if flow.spare_m is None:
        return float(rng.uniform(*JAM_GAP_M)) + driver.speed_mps * driver.headway_s
    safe = 0.0 if ahead is None else _safe_m(driver, ahead.speed_mps)
    return safe + float(rng.exponential(flow.spare_m))


def _driver(config: MotorwayConfig, flow: Flow, lane: int, rng: np.random.Generator) -> Driver:
    """Somebody who suits a lane: the outer ones are those of the slow."""
    first, count = flow.lanes
    rank = lane - first
    share_heavy = (0.45, 0.12, 0.0)[min(rank, 2)] if count - first > 1 else 0.35
    heavy = bool(rng.random() < share_heavy)
    if heavy:
        bodies, length = _train(rng)
        wanted = float(rng.uniform(*config.lorry_mps))
    else:
        bodies, length = _light_vehicle(rng)
        low, high = config.car_mps
        wanted = low + (high - low) * min((rank + float(rng.uniform(0, 1.3))) / (count - first), 1.0)
    narrow = bodies[0][1].class_name == "motorcycle"
    aside = float(rng.uniform(-0.7, 0.7)) if narrow else float(np.clip(rng.normal(0, 0.15), -0.3, 0.3))
    return Driver(
        bodies=bodies,
        length_m=length,
        lane=lane,
        start_m=0.0,
        speed_mps=min(wanted, flow.slowest_mps or np.inf),
        wanted_mps=wanted,
        headway_s=float(rng.uniform(*HEADWAY_S)),
        aside_m=aside,
        weave=_weave(rng),
        changes_lanes=len(bodies) == 1 and flow.spare_m is not None,
        heavy=heavy,
    )


def _weave(rng: np.random.Generator) -> tuple[float, float, float]:
    return float(rng.uniform(0, WEAVE_M)), 1 / float(rng.uniform(25, 70)), float(rng.uniform(0, 2 * np.pi))


def _light_vehicle(rng: np.random.Generator) -> tuple[tuple[tuple[float, Resident], ...], float]:
    kind = str(rng.choice(["car", "van", "motorcycle"], p=[0.72, 0.2, 0.08]))
    size = size_m(kind, rng)
    if kind == "motorcycle":
        return ((0.0, drawn_resident("motorcycle", rng, size_m=size, shape=int(rng.integers(1, 3)))),), size[0]
    shape = 2 if kind == "van" else None
    return ((0.0, drawn_resident("car", rng, size_m=size, shape=shape)),), size[0]


def _train(rng: np.random.Generator) -> tuple[tuple[tuple[float, Resident], ...], float]:
    """A heavy vehicle, or one that tows; bodies with their places about the middle of all, and the whole length."""
    kind = str(rng.choice(["truck", "towing", "bus", "construction_vehicle", "caravan"], p=[0.5, 0.24, 0.1, 0.06, 0.1]))
    if kind in ("truck", "bus", "construction_vehicle"):
        resident = heavy_vehicle(kind, rng)
        return ((0.0, resident),), float(resident.size_m[0])
    if kind == "towing":
        size = size_m("truck", rng)
        size[0] = rng.uniform(*TOWING_TRUCK_M)
        front = drawn_resident("truck", rng, size_m=size, parts=truck_parts(size, tank=False))
        towed = size_m("trailer", rng)
    else:
        front = drawn_resident("car", rng, size_m=size_m("car", rng))
        towed = size_m("caravan", rng)
    behind = drawn_resident("trailer", rng, size_m=towed, parts=trailer_parts(towed))
    first, second = float(front.size_m[0]), float(towed[0])
    length = first + float(rng.uniform(*COUPLING_M)) + second
    return (((length - first) / 2, front), ((second - length) / 2, behind)), length


def heavy_vehicle(kind: str, rng: np.random.Generator, size: NDArray[np.float64] | None = None) -> Resident:
    """A truck, a bus or a construction vehicle, of a size (3,) if one is given."""
    size = size_m(kind, rng) if size is None else size
    if kind == "truck":
        return drawn_resident(kind, rng, size_m=size, parts=truck_parts(size, tank=bool(rng.random() < 0.2)))
    if kind == "bus":
        return drawn_resident(kind, rng, size_m=size, parts=bus_parts(size))
    return drawn_resident(kind, rng, size_m=size, shape=int(rng.integers(1, 3)))


def size_m(kind: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """A size (3,) of a kind in `SIZES_M`."""
    return size_within(SIZES_M[kind], rng)
