"""Who and what is beside the lanes of a motorway: work zones, breakdowns, people and bicycles on a path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.motorway.road import PATH_M, SIDES, MotorwayRoad
from tricast.sensors.synthetic.motorway.road_users import heavy_vehicle, size_m
from tricast.sensors.synthetic.population import Resident, drawn_resident
from tricast.sensors.synthetic.sizes import random_size_m

Float64 = NDArray[np.float64]
TAPER_M, SLOT_M = 30.0, 13.0
CONE_STEP_M, BARRIER_STEP_M = 4.5, 3.2
ROW_M = 0.58
"""Cones and barriers stand so far outside of the last lane in use."""
SLOTS = ("machine", "truck", "crew", "walker", "heap", "machine", "crew", "")


@dataclass(frozen=True, kw_only=True, eq=False)
class Bystander:
    """Somebody or something beside the lanes.

    Args:
        resident: Who or what.
        along_m: Where along the road at time 0.
        across_m: Where across its middle.
        speed_mps: Along the road, negative against its direction.
        turned_rad: Against the road's direction; who moves looks ahead.

    """

    resident: Resident
    along_m: float
    across_m: float
    speed_mps: float = 0.0
    turned_rad: float = 0.0


@dataclass(frozen=True, kw_only=True)
class WorkZone:
    """A work zone on the shoulder of the vehicle's own carriageway.

    Args:
        begin_m: Where along the road its taper begins.
        length_m: Its length.
        closes_lane: Whether it takes the outermost lane.

    """

    begin_m: float
    length_m: float
    closes_lane: bool

    @property
    def end_m(self) -> float:
        """Where along the road it ends."""
        return self.begin_m + self.length_m


def work_zone(road: MotorwayRoad, zone: WorkZone, seconds: float, rng: np.random.Generator) -> list[Bystander]:
    """Cones and barriers along the lane; behind them machines, trucks, heaps and people in slots, one each."""
    outer, edge = road.outer_m(0), road.edge_m(0)
    row = outer + ROW_M - (road.lane_m if zone.closes_lane else 0.0)
    found: list[Bystander] = []
    places = np.arange(zone.begin_m + TAPER_M, zone.end_m - SLOT_M, SLOT_M)
    for begin in places.tolist():
        kind = SLOTS[int(rng.integers(len(SLOTS)))]
        found += _slot(kind, begin, (row + 0.5, edge - 0.1), seconds, rng)
    in_the_way = [(b.along_m, float(b.resident.size_m[0]) / 2) for b in found if b.resident.size_m[0] > 2]
    barriers_from = zone.begin_m + TAPER_M + float(rng.uniform(0, 1)) * zone.length_m
    along = zone.begin_m
    while along < zone.end_m:
        # The taper leads from the edge of the asphalt to the row.
        inward = min((along - zone.begin_m) / TAPER_M, 1.0)
        across = edge - 0.5 + (row - edge + 0.5) * inward
        name = "barrier" if along > barriers_from else "traffic_cone"
        narrow = not zone.closes_lane and any(abs(along - a) < half + 1.0 for a, half in in_the_way)
        if not narrow:
            turned = np.pi / 2 + float(rng.normal(0, 0.06)) if name == "barrier" else float(rng.uniform(0, 6.2))
            found.append(_standing(drawn_resident(name, rng), along, -across, turned))
        along += BARRIER_STEP_M if name == "barrier" else CONE_STEP_M
    return found


def _slot(
    kind: str, begin_m: float, between_m: tuple[float, float], seconds: float, rng: np.random.Generator
) -> list[Bystander]:
    """What stands in one slot of a work zone, between the row and the edge of the asphalt."""
    inner, outer = between_m
    middle = begin_m + SLOT_M / 2
    if kind in ("machine", "truck"):
        name = "construction_vehicle" if kind == "machine" else "truck"
        resident = _fitting(name, SLOT_M - 3.0, outer - inner + 0.4, rng)
        across = outer - float(resident.size_m[1]) / 2
        turned = float(rng.normal(0, 0.02)) + (np.pi if kind == "machine" and rng.random() < 0.4 else 0.0)
        return [_standing(resident, middle, -across, turned)]
    if kind == "heap":
        size = np.array([rng.uniform(1.0, 2.5), rng.uniform(0.8, outer - inner), rng.uniform(0.5, 1.2)])
        return [_standing(drawn_resident("boulder", rng, size_m=size), middle, -(inner + outer) / 2, 0.0)]
    if kind == "walker":
        person, way = drawn_resident("pedestrian", rng), int(rng.choice([-1, 1]))
        speed = min(float(rng.uniform(0.4, 1.3)), (SLOT_M - 3.0) / (seconds + 7.0))
        start = middle - way * (SLOT_M / 2 - 1.5)
        return [Bystander(resident=person, along_m=start, across_m=-_across(inner, outer, rng), speed_mps=way * speed)]
    if kind != "crew":
        return []
    count = int(rng.integers(2, 4))
    step = SLOT_M / count
    return [
        _standing(
            drawn_resident("pedestrian", rng),
            begin_m + (i + 0.5) * step + float(rng.uniform(-0.5, 0.5)) * (step - 2.0),
            -_across(inner, outer, rng),
            float(rng.uniform(0, 6.2)),
        )
        for i in range(count)
    ]


def breakdown(road: MotorwayRoad, along_m: float, carriageway: int, rng: np.random.Generator) -> list[Bystander]:
    """A vehicle that stands on the shoulder, somebody beside it, and a cone behind some."""
    side, way = SIDES[carriageway], -SIDES[carriageway]
    outer, edge = road.outer_m(carriageway), road.edge_m(carriageway)
    kind = str(rng.choice(["car", "van", "truck", "bus", "motorcycle", "bicycle"], p=[0.4, 0.2, 0.2, 0.06, 0.08, 0.06]))
    vehicle = _fitting(kind, 16.8, road.shoulder_m - 0.3, rng)
    half_length, half_width = (vehicle.size_m[:2] / 2).tolist()
    turned = (0.0 if way > 0 else np.pi) + float(rng.normal(0, 0.01))
    found = [_standing(vehicle, along_m, side * (edge - 0.1 - half_width), turned)]
    people = 1 + int(rng.random() < 0.4)
    for i in range(people):
        # Ahead of it or behind it, most of them near the guard rail.
        where = along_m + (1 if i else -1) * way * (half_length + float(rng.uniform(0.9, 5.0)))
        across = edge + float(rng.uniform(-0.8, 0.1))
        found.append(_standing(drawn_resident("pedestrian", rng), where, side * across, float(rng.uniform(0, 6.2))))
    if rng.random() < 0.4:
        where = along_m - way * (half_length + float(rng.uniform(12, 40)))
        across = outer + 1.0 + float(rng.uniform(0, 0.6))
        found.append(_standing(drawn_resident("traffic_cone", rng), where, side * across, 0.0))
    return found


def path_users(
    road: MotorwayRoad, carriageway: int, span_m: tuple[float, float], rng: np.random.Generator
) -> list[Bystander]:
    """People on bicycles and on foot on the path beside a carriageway; groups of one speed, each on its own side."""
    middle = road.edge_m(carriageway) + PATH_M
    found: list[Bystander] = []
    for name, aside, speeds, most in (("bicycle", 0.45, (3.0, 7.5), 4), ("pedestrian", 1.4, (0.8, 1.8), 4)):
        for way in (-1, 1):
            speed, along = float(rng.uniform(*speeds)), float(rng.uniform(*span_m))
            for _ in range(int(rng.integers(0, most))):
                ridden = int(rng.integers(1, 3)) if name == "bicycle" else None
                person = drawn_resident(name, rng, size_m=random_size_m(name, rng), shape=ridden)
                across = SIDES[carriageway] * middle - way * aside
                found.append(Bystander(resident=person, along_m=along, across_m=across, speed_mps=way * speed))
                along += float(rng.uniform(3.0, 14.0))
    return found


def _fitting(kind: str, most_length_m: float, most_width_m: float, rng: np.random.Generator) -> Resident:
    """A standing vehicle of a kind that is no longer and no wider than there is room."""
    size = np.minimum(size_m(kind, rng), [most_length_m, most_width_m, 4.0])
    if kind in ("truck", "bus"):
        return heavy_vehicle(kind, rng, size)
    shape = {"van": 2, "motorcycle": 0, "bicycle": 0}.get(kind)
    return drawn_resident("car" if kind == "van" else kind, rng, size_m=size, shape=shape)


def _standing(resident: Resident, along_m: float, across_m: float, turned_rad: float) -> Bystander:
    return Bystander(resident=resident, along_m=along_m, across_m=across_m, turned_rad=turned_rad)


def _across(inner_m: float, outer_m: float, rng: np.random.Generator) -> float:
    return float(rng.uniform(inner_m + 0.4, max(outer_m - 0.4, inner_m + 0.5)))
