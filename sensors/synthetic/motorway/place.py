"""A motorway laid out for a scene: the road, its traffic, what happens beside it, and what stands there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.layout import FUTURE_MARGIN_S, Layout
from tricast.sensors.synthetic.motorway.extrusion import joined
from tricast.sensors.synthetic.motorway.furniture import furnished
from tricast.sensors.synthetic.motorway.incidents import Bystander, WorkZone, breakdown, path_users, work_zone
from tricast.sensors.synthetic.motorway.lane_traffic import Driver, LaneMotion, LaneTraffic
from tricast.sensors.synthetic.motorway.motorway_ground import drawn_ground
from tricast.sensors.synthetic.motorway.road import ONCOMING, OWN, SIDES, MotorwayRoad, drawn_road
from tricast.sensors.synthetic.motorway.road_users import Flow, drawn_drivers, drawn_ego
from tricast.sensors.synthetic.motorway_config import MotorwayConfig
from tricast.sensors.synthetic.population import Resident
from tricast.sensors.synthetic.traffic import SIM_STEP_S, Motion
from tricast.sensors.synthetic.world_config import DetailConfig

Float64 = NDArray[np.float64]
WARM_UP_S = 8.0
"""Traffic runs so long before the scene, so that distances have settled and changes of lanes are under way."""
IN_SIGHT_M, KEPT_M = 150.0, 250.0
"""Traffic is full so far around the vehicle; who never comes as near as the second is left out."""
SCENERY_M = (190.0, 260.0)
"""Scenery goes so far behind the first place of the vehicle and beyond its last one."""
WAVE_MPS = 4.5
"""Waves of a jam run backward at this speed (Treiber and Kesting, 2013, chapter 2)."""
ZONE_LIMIT_MPS = 24.0
EGO_BACK_M = 1.35
"""The vehicle's place is the middle of its rear axle, so far behind the middle of its body."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Track:
    """Motion of one body, as a column of `Motion`: points (S, 2), yaws (S,) and speeds (S,)."""

    resident: Resident
    points_m: Float64
    yaws_rad: Float64
    speeds_mps: Float64


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What kind of traffic a seed has.

    Args:
        jammed: The carriageway with a jam, or -1.
        spare_m: As in `Flow`, where traffic is free.
        closes_lane: Whether the own carriageway's outermost lane is closed; None without a work zone.

    """

    jammed: int
    spare_m: float
    closes_lane: bool | None


def lay_out_motorway(config: MotorwayConfig, detail: DetailConfig, seconds: float, rng: np.random.Generator) -> Layout:
    """A motorway for scenes of a length; the vehicle begins near the world's origin.

    Args:
        config: The road and its traffic.
        detail: How much stands beside it.
        seconds: Length of the scene.
        rng: Draws everything.

    """
    road = drawn_road(config, 1500.0 + 2 * config.car_mps[1] * (seconds + FUTURE_MARGIN_S), rng)
    ground = drawn_ground(road, rng)
    plan = _plan(config, rng)
    tracks = _traffic(config, road, plan, seconds, rng)
    passed = tracks[0].points_m[[0, round(seconds / SIM_STEP_S)]]
    begin_m, end_m = road.centreline.along_across(passed[:, 0], passed[:, 1])[0].tolist()
    bystanders = _bystanders(config, road, plan, (begin_m, end_m), seconds, rng)
    steps = len(tracks[0].speeds_mps)
    tracks += [_walked(road, b, steps) for b in bystanders if b.speed_mps != 0]
    span = (begin_m - SCENERY_M[0], end_m + SCENERY_M[1])
    standing = [_stood(road, b) for b in bystanders if b.speed_mps == 0]
    return Layout(
        ground=ground,
        residents=(*(t.resident for t in tracks), *standing),
        columns=(*range(len(tracks)), *[-1] * len(standing)),
        motion=Motion(
            points_m=np.stack([t.points_m for t in tracks], axis=1),
            yaws_rad=np.stack([t.yaws_rad for t in tracks], axis=1),
            speeds_mps=np.stack([t.speeds_mps for t in tracks], axis=1),
        ),
        scenery=joined(furnished(config, detail, ground, span, standing, rng)),
    )


def _plan(config: MotorwayConfig, rng: np.random.Generator) -> Plan:
    jammed = int(rng.integers(2)) if rng.random() < config.jam_share else -1
    zone = rng.random() < config.work_zone_share
    closes = bool(rng.random() < 0.5)
    return Plan(
        jammed=jammed,
        spare_m=float(rng.uniform(*config.spare_m)),
        closes_lane=closes if zone else None,
    )


def _traffic(
    config: MotorwayConfig, road: MotorwayRoad, plan: Plan, seconds: float, rng: np.random.Generator
) -> list[Track]:
    """Everybody in the lanes who comes near the vehicle, which is the first."""
    ways, tracks = np.zeros(0), list[Track]()
    for carriageway in (OWN, ONCOMING):
        flow, limit = _flow(config, road, plan, carriageway, seconds, rng)
        ego = drawn_ego(config, flow, WARM_UP_S, rng) if carriageway == OWN else None
        drivers = tuple(drawn_drivers(config, flow, ego, rng))
        traffic = LaneTraffic(drivers, flow.lanes, _stretch(road, carriageway), limit, rng)
        motion = traffic.simulate(WARM_UP_S, seconds + FUTURE_MARGIN_S)
        along = -SIDES[carriageway] * motion.along_m
        ways = along[:, 0] if carriageway == OWN else ways
        seen = np.abs(along - ways[:, None])[: round(seconds / SIM_STEP_S) + 1].min(axis=0) < KEPT_M
        for i in np.flatnonzero(seen):
            for ahead, resident in drivers[i].bodies:
                back = EGO_BACK_M if carriageway == OWN and i == 0 else 0.0
                place = ahead - back
                tracks.append(_driven(road, carriageway, motion, int(i), drivers[i], along[:, i], place, resident))
    return tracks


def _flow(
    config: MotorwayConfig, road: MotorwayRoad, plan: Plan, carriageway: int, seconds: float, rng: np.random.Generator
) -> tuple[Flow, Callable[[Float64, float], Float64]]:
    """Traffic of a carriageway at the beginning of the warm-up, and its limit of speed by place and time."""
    fastest, whole_s = config.car_mps[1], seconds + WARM_UP_S
    jammed = plan.jammed == carriageway
    own_mps = config.jam_mps[1] if plan.jammed == OWN else config.ego_mps[1]
    if carriageway == OWN:
        apart = (config.jam_mps[1] / 2 if jammed else fastest - config.lorry_mps[0]) * whole_s
        span = (-IN_SIGHT_M - apart, IN_SIGHT_M + apart)
    else:
        other = config.jam_mps[1] if jammed else fastest
        # Along the road it goes backward, from far ahead of the vehicle.
        span = (-IN_SIGHT_M - own_mps * seconds - other * whole_s, IN_SIGHT_M)
    closed = carriageway == OWN and bool(plan.closes_lane)
    lanes = (int(closed), road.num_lanes[carriageway])
    if not jammed:
        slowest = ZONE_LIMIT_MPS if closed else None
        top = np.inf if slowest is None else slowest
        flow = Flow(lanes=lanes, span_m=span, spare_m=plan.spare_m, slowest_mps=slowest)
        return flow, lambda along, time_s: np.full(len(along), top)
    low, high = config.jam_mps
    length, phase = float(rng.uniform(150, 400)) / (2 * np.pi), float(rng.uniform(0, 2 * np.pi))
    flow = Flow(lanes=lanes, span_m=span, spare_m=None, slowest_mps=(low + high) / 2)

    def limit(along: Float64, time_s: float) -> Float64:
        return low + (high - low) * (1 + np.sin((along + WAVE_MPS * time_s) / length + phase)) / 2

    return flow, limit


def _stretch(road: MotorwayRoad, carriageway: int) -> Callable[[Float64, Float64], Float64]:
    """Way along the middle of the road per way in a lane: the inside of a bend is shorter."""

    def stretch(along: Float64, lanes: Float64) -> Float64:
        side = SIDES[carriageway]
        across = side * (road.outer_m(carriageway) - (lanes + 0.5) * road.lane_m)
        return 1 / (1 - road.centreline.curvature(-side * along) * across)

    return stretch


def _driven(
    road: MotorwayRoad,
    carriageway: int,
    motion: LaneMotion,
    column: int,
    driver: Driver,
    along_m: Float64,
    ahead_m: float,
    resident: Resident,
) -> Track:
    """A body of a driver whose middle is (S,) along the road: its way among the lanes, woven a little."""
    side, way = SIDES[carriageway], -SIDES[carriageway]
    s = along_m + way * ahead_m
    height, number, phase = driver.weave
    # Places from the middle of the road, and their change along it.
    from_middle = road.outer_m(carriageway) - (motion.lanes[:, column] + 0.5) * road.lane_m
    from_middle = from_middle - driver.aside_m + height * np.sin(number * s + phase)
    drift = height * number * np.cos(number * s + phase) - way * road.lane_m * motion.drifts[:, column]
    across = side * from_middle
    points, yaw = road.centreline.at(s, across)
    slant = side * drift / (1 - road.centreline.curvature(s) * across)
    return Track(
        resident=resident,
        points_m=points,
        yaws_rad=yaw + np.arctan(slant) + (0.0 if way > 0 else np.pi),
        speeds_mps=motion.speeds_mps[:, column] * np.sqrt(1 + slant**2),
    )


def _bystanders(
    config: MotorwayConfig,
    road: MotorwayRoad,
    plan: Plan,
    way_m: tuple[float, float],
    seconds: float,
    rng: np.random.Generator,
) -> list[Bystander]:
    """Everybody and everything beside the lanes, near the vehicle's way along the road."""
    found: list[Bystander] = []
    begin_m, end_m = way_m
    zone = None
    if plan.closes_lane is not None:
        length = float(rng.uniform(90, 180))
        begin = float(rng.uniform(begin_m - 40, max(end_m - 60, begin_m + 10)))
        zone = WorkZone(begin_m=begin, length_m=length, closes_lane=plan.closes_lane)
        found += work_zone(road, zone, seconds, rng)
    if rng.random() < config.breakdown_share:
        carriageway, along = int(rng.integers(2)), float(rng.uniform(begin_m, end_m + 40))
        clear = zone is None or carriageway != OWN or not zone.begin_m - 60 < along < zone.end_m + 60
        found += breakdown(road, along, carriageway, rng) if clear else []
    for carriageway in (OWN, ONCOMING):
        if road.paths[carriageway]:
            found += path_users(road, carriageway, (begin_m - 30, end_m + 50), rng)
    return found


def _walked(road: MotorwayRoad, bystander: Bystander, steps: int) -> Track:
    s: Float64 = bystander.along_m + bystander.speed_mps * SIM_STEP_S * np.arange(steps, dtype=np.float64)
    points, yaw = road.centreline.at(s, bystander.across_m)
    return Track(
        resident=bystander.resident,
        points_m=points,
        yaws_rad=yaw + (0.0 if bystander.speed_mps > 0 else np.pi),
        speeds_mps=abs(bystander.speed_mps) * (1 - road.centreline.curvature(s) * bystander.across_m),
    )


def _stood(road: MotorwayRoad, bystander: Bystander) -> Resident:
    place, yaw = road.centreline.at(np.array(bystander.along_m), bystander.across_m)
    turned = float(yaw) + bystander.turned_rad
    return replace(bystander.resident, place_m=place, yaw_rad=turned)
