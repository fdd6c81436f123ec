"""The motorway: traffic that keeps its lanes and its distance, fast and jammed, on ground without gaps."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tricast.configs.errors import ConfigError
from tricast.perception.evaluation.overlap import bev_intersections_m2
from tricast.sensors.annotations import DETECTION_CLASSES, Annotations
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import Message
from tricast.sensors.log.writer import LogWriter
from tricast.sensors.synthetic.bodies import part_triangle_counts
from tricast.sensors.synthetic.casting import STATIC, SceneCaster, default_backend, rays_from
from tricast.sensors.synthetic.drive import SyntheticDrive
from tricast.sensors.synthetic.long_vehicles import bus_parts, trailer_parts, truck_parts
from tricast.sensors.synthetic.motorway.centreline import Centreline
from tricast.sensors.synthetic.motorway.extrusion import extruded, rectangle
from tricast.sensors.synthetic.motorway.lane_traffic import STANDING_GAP_M, Driver, LaneMotion, LaneTraffic
from tricast.sensors.synthetic.motorway.motorway_ground import MotorwayGround
from tricast.sensors.synthetic.motorway.road import MARGIN_M, MotorwayRoad, drawn_road
from tricast.sensors.synthetic.motorway_config import MotorwayConfig
from tricast.sensors.synthetic.population import drawn_resident
from tricast.sensors.synthetic.rig_ranges import BeamPattern
from tricast.sensors.synthetic.scene import Scene, make_scene
from tricast.sensors.synthetic.world_config import WorldConfig, load_world

SEEDS = range(150_000, 150_004)
SECONDS = 4.0
TIMES = np.arange(0, SECONDS + 6.0, 1.0)
ON_FOOT = ("pedestrian", "bicycle")
CALM = {"jam_share": 0.0, "work_zone_share": 0.0, "breakdown_share": 0.0, "path_share": 0.0, "bridge_share": 0.0}
BUSY = {"jam_share": 1.0, "work_zone_share": 1.0, "breakdown_share": 1.0, "path_share": 1.0, "bridge_share": 1.0}


def motorway(**settings: Any) -> WorldConfig:
    """The packaged world with other shares, and with little beside the road, which makes it quick to lay out."""
    world = load_world("motorway")
    assert world.motorway is not None
    assert world.detail is not None
    place = world.motorway.model_copy(update={"num_trees": 20, **settings})
    detail = world.detail.model_copy(update={"num_things": 10, "num_bushes": 10, "num_poles": 10})
    return world.model_copy(update={"motorway": place, "detail": detail})


def small(world: WorldConfig) -> WorldConfig:
    """The world with coarse sensors: quick to record."""
    assert world.rigs is not None
    pattern = BeamPattern(num_beams=16, num_columns=256, lowest_rad=-0.4, highest_rad=0.1)
    rigs = world.rigs.model_copy(update={"lidar_patterns": (pattern,), "num_cameras": (2, 2), "num_radars": (2, 2)})
    camera = world.camera.model_copy(update={"width_px": 80, "height_px": 48})
    return world.model_copy(update={"rigs": rigs, "camera": camera})


DRIVEN = small(motorway(**CALM, spare_m=(5.0, 5.0), truth_range_m=100.0))


@pytest.fixture(scope="module")
def calm() -> list[Scene]:
    return [make_scene(motorway(**CALM), seed, SECONDS) for seed in SEEDS]


@pytest.fixture(scope="module")
def busy() -> list[Scene]:
    return [make_scene(motorway(**BUSY), seed, SECONDS) for seed in SEEDS]


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    return list(SyntheticDrive(DRIVEN, [150_000], 1.0).messages())


def of(messages: Sequence[Message], kind: type[Any]) -> list[Any]:
    return [m for m in messages if isinstance(m, kind)]


def road_of(scene: Scene) -> MotorwayRoad:
    assert isinstance(scene.ground, MotorwayGround)
    return scene.ground.road


def movers(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the actors that drive on the lanes, and the places (M, T) across the middle of the road."""
    chosen = np.array([i for i, a in enumerate(scene.actors) if a.agent >= 0 and a.class_name not in ON_FOOT])
    across = []
    for time_s in TIMES:
        x, y = scene.states(float(time_s))[0][chosen, :2].T
        across.append(road_of(scene).centreline.along_across(x, y)[1])
    return chosen, np.stack(across, axis=1)


def speeds_mps(scene: Scene, time_s: float) -> np.ndarray:
    return np.linalg.norm(scene.states(time_s)[2], axis=1)


# Settings.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: 2\nmotorway: {}\ntown: {}\n", "a town or a motorway"),
        ("motorway: {}\n", "version 1 of the world has no motorway"),
        ("version: 2\nmotorway: {num_lane: [2, 3]}\n", "num_lanes"),
        ("version: 2\nmotorway: {num_lanes: [1, 3]}\n", "num_lanes must lie within 2 and 6"),
        ("version: 2\nmotorway: {car_mps: [40, 30]}\n", "first limit of a range"),
    ],
)
def test_what_is_wrong_in_a_motorway_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"mine\.yaml") as error:
        load_world(str(tmp_path / "mine.yaml"))
    assert message in str(error.value)


def test_the_packaged_motorway_has_the_rigs_and_sensors_of_the_realistic_world() -> None:
    world, town = load_world("motorway"), load_world("realistic")
    assert world.motorway == MotorwayConfig()
    assert world.town is None
    for name in ("seeds", "light", "rig", "rigs", "camera", "radar"):
        assert getattr(world, name) == getattr(town, name)
    # At 40 m/s a road user that stood still for a quarter of a revolution would be half a metre off.
    assert world.lidar.model_copy(update={"num_slices": town.lidar.num_slices}) == town.lidar
    assert world.lidar.num_slices > town.lidar.num_slices
    assert WorldConfig.model_validate_json(world.model_dump_json()) == world


# The road.


def test_places_in_the_world_and_along_the_road_are_each_others_inverse() -> None:
    line = Centreline(swing_rad=0.35, length_m=210.0, phase_rad=1.0, reach_m=1500.0)
    rng = np.random.default_rng(0)
    s, d = rng.uniform(-1200, 1200, 500), rng.uniform(-95, 95, 500)
    points, _ = line.at(s, d)
    for kind, error in ((np.float64, 1e-3), (np.float32, 2e-3)):
        along, across = line.along_across(points[:, 0].astype(kind), points[:, 1].astype(kind))
        assert along.dtype == kind
        np.testing.assert_allclose(along, s, atol=error)
        np.testing.assert_allclose(across, d, atol=error)
    np.testing.assert_allclose(np.linalg.norm(np.diff(line.at(np.arange(0.0, 900))[0], axis=0), axis=1), 1.0, atol=1e-3)


def test_bends_are_as_wide_as_asked_for_and_lanes_as_many() -> None:
    roads = [drawn_road(MotorwayConfig(), 2000.0, np.random.default_rng(seed)) for seed in range(60)]
    s = np.arange(-2000.0, 2000.0)
    radii = np.array([1 / np.abs(road.centreline.curvature(s)).max() for road in roads])
    assert radii.min() >= 600
    assert (radii < 1200).sum() > 10
    assert {n for road in roads for n in road.num_lanes} == {2, 3, 4}
    assert all(3.5 <= road.lane_m <= 3.75 and road.shoulder_m >= 2.5 for road in roads)
    paths = sum(any(road.paths) for road in roads)
    assert 3 <= paths <= 25


def test_an_extruded_profile_has_its_outside_outside_and_no_holes() -> None:
    road = drawn_road(MotorwayConfig(ground_wave_m=0.0), 500.0, np.random.default_rng(0))
    triangles, _, _ = extruded(road, np.arange(0.0, 9, 4), 0.0, rectangle(0.4, 1.0, 2.0), np.zeros(3))
    crossed = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    # The divergence theorem: a closed surface with normals outward encloses its volume, and their sum is zero.
    assert (crossed * triangles[:, 0]).sum() / 6 == pytest.approx(8.0 * 0.4 * 1.0, rel=0.01)
    np.testing.assert_allclose(crossed.sum(axis=0), 0.0, atol=1e-9)


def test_nothing_stands_on_the_lanes_and_the_ground_below_them_has_no_gap(calm: list[Scene]) -> None:
    scene = calm[0]
    road, way = road_of(scene), scene.motion.points_m[[0, round(SECONDS * 10)], 0]
    begin, end = road.centreline.along_across(way[:, 0], way[:, 1])[0]
    assert end - begin > 80
    s = np.arange(begin - 130, end + 130, 1.0)
    caster = SceneCaster(replace(scene, actors=()), default_backend()).at(0.0)
    for carriageway, side in enumerate((-1, 1)):
        for across in np.linspace(road.inner_m - MARGIN_M + 0.1, road.edge_m(carriageway) - 0.1, 9):
            foot, _ = road.centreline.at(s, side * across)
            origins = np.column_stack([foot, road.height_m(foot) + 4.5])
            hits = caster.cast(rays_from(origins, np.broadcast_to([0.0, 0, -1], origins.shape)))
            assert (hits.owners == STATIC).all()
            np.testing.assert_allclose(hits.distances_m, 4.5, atol=0.04)
    lanes = scene.ground.colors(np.column_stack([road.centreline.at(s, -road.inner_m)[0], s * 0]).T)
    assert (lanes.mean(axis=0) > 0.6).all()  # the line beside the innermost lane


# Traffic.


def driver(lane: int, start_m: float, wanted_mps: float, *, changes: bool = False, length_m: float = 4.5) -> Driver:
    resident = drawn_resident("car", np.random.default_rng(0))
    return Driver(
        bodies=((0.0, resident),),
        length_m=length_m,
        lane=lane,
        start_m=start_m,
        speed_mps=wanted_mps,
        wanted_mps=wanted_mps,
        headway_s=1.2,
        aside_m=0.0,
        weave=(0.0, 0.02, 0.0),
        changes_lanes=changes,
        heavy=False,
    )


def driven(*drivers: Driver, lanes: int = 2, seconds: float = 40.0, limit_mps: float = np.inf) -> LaneMotion:
    traffic = LaneTraffic(
        drivers,
        (0, lanes),
        lambda along, lane: np.ones(len(along)),
        lambda along, time_s: np.full(len(along), limit_mps),
        np.random.default_rng(0),
    )
    return traffic.simulate(0.0, seconds)


def test_a_driver_settles_behind_a_slower_one_at_the_distance_that_the_model_gives() -> None:
    motion = driven(driver(0, 0.0, 35.0), driver(0, 150.0, 22.0))
    gaps = motion.along_m[:, 1] - motion.along_m[:, 0] - 4.5
    assert gaps.min() > STANDING_GAP_M
    assert gaps[-1] == pytest.approx(STANDING_GAP_M + 1.2 * 22.0, rel=0.03)
    assert motion.speeds_mps[-1, 0] == pytest.approx(22.0, abs=0.3)
    assert np.abs(np.diff(motion.speeds_mps[:, 0])).max() / 0.1 < 4.0


def test_a_driver_overtakes_smoothly_where_the_next_lane_is_free_and_stays_where_it_is_not() -> None:
    slow, fast = driver(0, 120.0, 22.0), driver(0, 0.0, 35.0, changes=True)
    motion = driven(fast, slow)
    assert motion.along_m[-1, 0] > motion.along_m[-1, 1]
    lanes = motion.lanes[:, 0]
    assert lanes.max() == pytest.approx(1.0)
    sideways_mps = np.abs(np.diff(lanes)) * 3.6 / 0.1
    assert 0.8 < sideways_mps.max() < 2.0
    np.testing.assert_allclose(np.diff(lanes), motion.drifts[:-1, 0] * np.diff(motion.along_m[:, 0]), atol=2e-2)
    beside = tuple(driver(1, 120.0 - 30 * i, 22.0) for i in range(8))
    assert driven(fast, slow, *beside, seconds=10.0).lanes[:, 0].max() == 0.0


def test_who_is_faster_than_a_limit_slows_down_gently_and_goes_on_at_the_limit() -> None:
    motion = driven(driver(0, 0.0, 36.0), limit_mps=20.0)
    assert motion.speeds_mps[-1, 0] == pytest.approx(20.0, abs=0.3)
    assert (np.diff(motion.speeds_mps[:, 0]) / 0.1).min() >= -2.0


def test_free_traffic_has_the_speeds_of_a_motorway(calm: list[Scene]) -> None:
    speeds: dict[str, list[float]] = {}
    for scene in calm:
        for actor, speed in zip(scene.actors, speeds_mps(scene, 2.0), strict=True):
            speeds.setdefault(actor.class_name, []).append(float(speed))
        assert scene.motion.speeds_mps[:, 0].min() > 20.0
        assert scene.motion.speeds_mps[:, 0].max() <= 36.0 + 0.1
    assert np.mean(speeds["car"]) > 27
    assert max(speeds["car"]) <= 40.1
    assert min(speeds["car"]) > 19
    assert 20 < np.mean(speeds["truck"]) <= 26
    assert max(speeds["truck"]) <= 26.1


def test_a_jam_is_slow_on_its_carriageway_and_leaves_the_other_free(busy: list[Scene]) -> None:
    jammed = set()
    for scene in busy:
        chosen, across = movers(scene)
        speeds = speeds_mps(scene, 2.0)[chosen]
        means = [speeds[across[:, 2] * side > 0].mean() for side in (-1, 1)]
        slow = int(np.argmin(means))
        jammed.add(slow)
        assert speeds[across[:, 2] * (-1, 1)[slow] > 0].max() < 8.3
        assert means[1 - slow] > 18
    assert jammed == {0, 1}


def test_traffic_keeps_to_its_own_carriageway_and_the_vehicle_to_its_lane(calm: list[Scene], busy: list[Scene]) -> None:
    for scene in (*calm, *busy):
        road = road_of(scene)
        chosen, across = movers(scene)
        half = np.array([scene.actors[i].size_m[1] / 2 for i in chosen])[:, None]
        side = np.where(across[:, 0] < 0, 0, 1)
        outer = np.array([road.outer_m(c) for c in side])[:, None]
        assert (np.abs(across) - half > road.inner_m - 0.35).all()
        assert (np.abs(across) + half < outer + 0.35).all()
        way = scene.motion.points_m[:, 0]
        own = road.centreline.along_across(way[:, 0], way[:, 1])[1]
        lane = (road.outer_m(0) + own) / road.lane_m - 0.5
        assert np.abs(lane - np.rint(lane[0])).max() < 0.15


def test_oncoming_traffic_comes_and_everybody_goes_where_they_look(calm: list[Scene]) -> None:
    for scene in calm:
        motion = scene.motion
        step = np.diff(motion.points_m, axis=0) / 0.1
        yaws = (motion.yaws_rad[1:] + motion.yaws_rad[:-1]) / 2
        ahead = step[..., 0] * np.cos(yaws) + step[..., 1] * np.sin(yaws)
        np.testing.assert_allclose(ahead, (motion.speeds_mps[1:] + motion.speeds_mps[:-1]) / 2, atol=0.1)
        assert np.abs(-step[..., 0] * np.sin(yaws) + step[..., 1] * np.cos(yaws)).max() < 0.05
        against = np.cos(motion.yaws_rad[0] - motion.yaws_rad[0, 0]) < 0
        _, across = road_of(scene).centreline.along_across(*motion.points_m[0].T)
        np.testing.assert_array_equal(against, across > 0)
        assert 3 < against.sum() < len(against) - 3


def test_no_two_boxes_overlap_at_any_time(calm: list[Scene], busy: list[Scene]) -> None:
    for scene in (*calm, *busy):
        sizes = np.array([a.size_m for a in scene.actors])
        first, second = np.triu_indices(len(sizes), 1)
        reach = (np.hypot(*sizes[first, :2].T) + np.hypot(*sizes[second, :2].T)) / 2
        for time_s in TIMES:
            centers, yaws, _ = scene.states(float(time_s))
            near = np.linalg.norm(centers[first, :2] - centers[second, :2], axis=1) < reach
            i, j = first[near], second[near]
            shared = bev_intersections_m2(centers[i], sizes[i], yaws[i], centers[j], sizes[j], yaws[j])
            assert shared.max(initial=0.0) < 1e-6, (time_s, scene.actors[i[shared.argmax()]].instance_id)


def test_all_classes_occur_and_without_incidents_nobody_walks(calm: list[Scene], busy: list[Scene]) -> None:
    seen = Counter(a.class_name for scene in (*calm, *busy) for a in scene.actors)
    assert set(seen) == set(DETECTION_CLASSES)
    assert not {a.class_name for scene in calm for a in scene.actors} & {*ON_FOOT, "traffic_cone", "barrier"}
    walking = [a for scene in busy for a in scene.actors if a.class_name == "pedestrian"]
    assert {a.agent >= 0 for a in walking} == {True, False}
    for scene in busy:
        people = np.array([a.class_name in ON_FOOT for a in scene.actors])
        points = scene.states(3.0)[0][people, :2]
        road = road_of(scene)
        # Nobody is on a lane that is in use: all are outside of the second lane from the outside.
        _, across = road.centreline.along_across(points[:, 0], points[:, 1])
        limit = np.array([road.outer_m(int(d > 0)) - road.lane_m for d in across])
        assert (np.abs(across) > limit).all()


@pytest.mark.parametrize("make", [lambda s: truck_parts(s, tank=True), bus_parts, trailer_parts])
def test_long_vehicles_fill_their_boxes_and_their_wheels_are_round(make: Any) -> None:
    for length in (6.0, 16.5):
        size = np.array([length, 2.5, 3.6])
        parts = make(size)
        assert sum(part_triangle_counts(parts)) > 50
        for part in parts:
            assert (np.abs(part.at) + np.array(part.size) / 2 <= 0.5 + 1e-6).all(), part
        reach = np.max([np.abs(part.at) + np.array(part.size) / 2 for part in parts], axis=0)
        assert (reach > 0.48).all()
        for wheel in (part for part in parts if part.kind == "axle"):
            assert wheel.size[0] * length == pytest.approx(wheel.size[2] * 3.6)


# The drive as a whole.


def test_the_same_seed_gives_the_same_scene_and_another_seed_another() -> None:
    first, second, other = (make_scene(motorway(), seed, 1.0) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first.motion.points_m, second.motion.points_m)
    np.testing.assert_array_equal(first.static_triangles_m, second.static_triangles_m)
    assert [a.instance_id for a in first.actors] == [a.instance_id for a in second.actors]
    assert (
        first.motion.points_m.shape != other.motion.points_m.shape
        or (first.motion.points_m[0, 0] != other.motion.points_m[0, 0]).any()
    )


def test_a_drive_comes_back_from_its_log_with_the_futures_that_came_true(
    messages: list[Message], tmp_path: Path
) -> None:
    drive = SyntheticDrive(DRIVEN, [150_000], 1.0)
    with LogWriter(tmp_path / "drive.mcap", drive.rig) as writer:
        for message in messages:
            writer.write(message)
    back = list(open_log(tmp_path / "drive.mcap").messages())
    for kind in (CameraFrame, LidarSweep, RadarScan, Annotations, EgoPose):
        assert len(of(back, kind)) == len(of(messages, kind)) > 0
    early, late = of(back, Annotations)
    poses = {p.timestamp_ns: p.odom_from_ego for p in of(back, EgoPose)}
    early_from_late = poses[early.timestamp_ns].inverse @ poses[late.timestamp_ns]
    places = dict(zip(late.instance_ids, early_from_late.apply(late.boxes.centers_m), strict=True))
    both = [i for i, name in enumerate(early.instance_ids) if name in places]
    fast = np.linalg.norm(early.boxes.velocities_mps, axis=1) > 15
    assert fast[both].sum() > 3
    for i in both:  # the truth is half a second apart: the first step
        np.testing.assert_allclose(early.futures_m[i, 0], places[early.instance_ids[i]][:2], atol=0.03)
        far = np.linalg.norm(early.futures_m[i, 0] - early.boxes.centers_m[i, :2])
        assert far == pytest.approx(0.5 * np.linalg.norm(early.boxes.velocities_mps[i]), abs=0.6)


def test_poses_have_the_speed_of_a_motorway(messages: list[Message]) -> None:
    speeds = [p.linear_velocity_mps[0] for p in of(messages, EgoPose)]
    scene = make_scene(DRIVEN, 150_000, 1.0)
    np.testing.assert_allclose(speeds[5:], scene.motion.speeds_mps[1, 0], atol=0.3)
    assert min(speeds) > 15
