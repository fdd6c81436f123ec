"""Version 2 of the world: rigs within their ranges, sensors with the flaws asked for, truth of what was rendered."""

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tricast.configs.errors import ConfigError
from tricast.sensors.annotations import Annotations
from tricast.sensors.frames import CameraFrame, LidarSweep, RadarScan
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.lenses import FisheyeLens, PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.stream import Message
from tricast.sensors.synthetic.bodies import SHAPES, body_triangles
from tricast.sensors.synthetic.body_details import detailed
from tricast.sensors.synthetic.casting import NOTHING, STATIC, SceneCaster, default_backend
from tricast.sensors.synthetic.detailed_camera import render_detailed
from tricast.sensors.synthetic.drive import SyntheticDrive
from tricast.sensors.synthetic.lidar import sweep
from tricast.sensors.synthetic.lidar_optics import detected, elevations_rad
from tricast.sensors.synthetic.materials import GLASS, MATT, WALL, body_materials
from tricast.sensors.synthetic.radar_echoes import scan_echoes
from tricast.sensors.synthetic.random_rig import CameraLook
from tricast.sensors.synthetic.rig import SyntheticRig, make_rig
from tricast.sensors.synthetic.rig_ranges import BeamPattern, LidarOptics, RigRanges
from tricast.sensors.synthetic.scene import Scene, make_scene
from tricast.sensors.synthetic.world_config import LidarConfig, WorldConfig, load_world

SEED = 150_000
SEEDS = range(150_000, 150_040)
JITTER_M = 0.1
"""By which a rig of the packaged worlds is off its plan."""


def small(world: WorldConfig) -> WorldConfig:
    """The world with few people and coarse sensors: quick to record."""
    assert world.rigs is not None
    pattern = BeamPattern(num_beams=16, num_columns=256, lowest_rad=-0.4, highest_rad=0.1)
    rigs = world.rigs.model_copy(update={"lidar_patterns": (pattern,), "num_cameras": (2, 2), "num_radars": (2, 2)})
    camera = world.camera.model_copy(update={"width_px": 80, "height_px": 48})
    return world.model_copy(update={"rigs": rigs, "camera": camera})


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    return list(SyntheticDrive(small(load_world("realistic")), [SEED], 0.5).messages())


@pytest.fixture(scope="module")
def rigs() -> list[SyntheticRig]:
    return [make_rig(load_world("realistic"), seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make_scene(load_world("realistic"), SEED, 0.5)


@pytest.fixture(scope="module")
def caster(scene: Scene) -> SceneCaster:
    return SceneCaster(scene, default_backend())


def content(value: Any) -> Any:
    """A message as plain values, to the last bit."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if is_dataclass(value):
        return type(value).__name__, [content(getattr(value, field.name)) for field in fields(value)]
    return value


def of(messages: Sequence[Message], kind: type[Any]) -> list[Any]:
    return [m for m in messages if isinstance(m, kind)]


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return str(path)


# Settings.


def test_a_world_without_a_setting_of_version_2_is_version_1_and_is_known_by_the_same_text() -> None:
    text = load_world().recipe()
    assert "null" not in text
    for name in ("detail", "rigs", "optics", "echoes"):
        assert f'"{name}"' not in text
    assert WorldConfig.model_validate_json(text) == load_world()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("detail: {}\n", "version 1 of the world has no detail: write version: 2"),
        ("version: 2\ndetail: {}\nrigs: {}\n", "needs lidar.optics and radar.echoes"),
        ("version: 3\n", "version"),
        ("version: 2\nrigs: {num_cameras: [3, 2]}\n", "first limit of a range"),
        ("version: 2\nrigs: {num_cameras: [1, 9]}\n", "num_cameras must lie within 1 and 8"),
        ("version: 2\nrigs: {num_radars: [0, 2]}\n", "num_radars must lie within 1 and 6"),
        ("version: 2\nrigs: {camera_hight_m: [1, 2]}\n", "camera_height_m"),
        ("version: 2\nrigs: {lidar_patterns: []}\n", "lidar_patterns"),
        (
            "version: 2\nrigs: {lidar_patterns: [{num_beams: 8, num_columns: 64, lowest_rad: 0.1, highest_rad: 0}]}\n",
            "lowest_rad must lie below highest_rad",
        ),
    ],
)
def test_what_is_wrong_in_a_world_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_world(written(tmp_path, text))
    assert message in str(error.value)
    assert "mine.yaml" in str(error.value)


def test_the_held_out_rig_stands_in_the_same_world_and_outside_of_what_training_draws() -> None:
    trained, held_out = load_world("realistic"), load_world("held_out_rig")
    assert held_out.model_copy(update={"rigs": trained.rigs}) == trained
    ranges = trained.rigs
    assert ranges is not None
    rig = make_rig(held_out, trained.seeds.test[0])
    assert [len(rig.true.channels(m)) for m in ("camera", "lidar", "radar")] == [6, 1, 5]
    for modality, limits in (
        ("camera", ranges.camera_height_m),
        ("lidar", ranges.lidar_height_m),
        ("radar", ranges.radar_height_m),
    ):
        for channel in rig.true.channels(modality):  # pyright: ignore[reportArgumentType]
            height = rig.true[channel].ego_from_sensor.translation[2]
            assert height > limits[1] + JITTER_M
    for channel in rig.true.channels("camera"):
        lens = rig.true[channel].lens
        assert isinstance(lens, PinholeLens)
        assert 2 * np.arctan(lens.width_px / 2 / lens.focal_px[0]) < ranges.camera_view_rad[0] - 0.05
    (lidar,) = rig.lidars.values()
    assert lidar.num_beams == 64
    patterns = [(p.num_beams, p.num_columns, p.lowest_rad, p.highest_rad) for p in ranges.lidar_patterns]
    assert (lidar.num_beams, lidar.num_columns, lidar.lowest_rad, lidar.highest_rad) not in patterns


# Rigs.


def test_rigs_differ_between_seeds_and_lie_within_the_ranges(rigs: list[SyntheticRig]) -> None:
    ranges = load_world("realistic").rigs
    assert ranges is not None
    counts = {m: {len(r.true.channels(m)) for r in rigs} for m in ("camera", "lidar", "radar")}
    assert counts["camera"] <= set(range(1, 9))
    assert len(counts["camera"]) >= 6
    assert counts["lidar"] == {1, 2}
    assert counts["radar"] == set(range(1, 7))
    views = set()
    for rig in rigs:
        for channel in rig.true.channels("camera"):
            sensor = rig.true[channel]
            low, high = ranges.camera_height_m
            assert low - JITTER_M <= sensor.ego_from_sensor.translation[2] <= high + JITTER_M
            lens = sensor.lens
            assert isinstance(lens, PinholeLens | FisheyeLens)
            half = lens.width_px / 2 / lens.focal_px[0]
            fisheye = isinstance(lens, FisheyeLens)
            view = 2 * (half if fisheye else np.arctan(half))
            low, high = ranges.fisheye_view_rad if fisheye else ranges.camera_view_rad
            assert low - 1e-9 <= view <= high + 1e-9
            views.add((fisheye, round(view, 6)))
        for channel, lidar in rig.lidars.items():
            low, high = ranges.lidar_height_m
            height = rig.true[channel].ego_from_sensor.translation[2]
            assert low - JITTER_M - 0.15 <= height <= high + JITTER_M
            assert (lidar.num_beams, lidar.num_columns) in {(p.num_beams, p.num_columns) for p in ranges.lidar_patterns}
    assert len(views) == len(rigs)
    assert {fisheye for fisheye, _ in views} == {False, True}
    assert {lidar.num_beams for rig in rigs for lidar in rig.lidars.values()} == {32, 64, 128}
    elevation = {radar.echoes.measures_elevation for rig in rigs for radar in rig.radars.values() if radar.echoes}
    assert elevation == {False, True}


def test_a_seed_has_one_rig_and_the_same_town_in_both_versions(scene: Scene) -> None:
    first, second = (make_rig(load_world("realistic"), SEED) for _ in range(2))
    assert content(first.true) == content(second.true)
    assert first.lidars == second.lidars
    plain = make_scene(load_world(), SEED, 0.5)
    assert [a.instance_id for a in plain.actors] == [a.instance_id for a in scene.actors]
    for one, other in zip(plain.states(0.4), scene.states(0.4), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_first_camera_looks_ahead_and_a_rig_of_many_looks_all_around(rigs: list[SyntheticRig]) -> None:
    for rig in rigs:
        poses = [rig.true[c].ego_from_sensor for c in rig.true.channels("camera")]
        looks = np.stack([pose.rotate(np.array([0.0, 0.0, 1.0])) for pose in poses])
        assert looks[0, 0] > 0.95
        if len(looks) >= 4:
            angles = np.sort(np.arctan2(looks[:, 1], looks[:, 0]))
            gaps = np.diff(angles, append=angles[0] + 2 * np.pi)
            assert gaps.max() < 2 * np.pi / len(looks) + 0.45


# The drive as a whole.


def test_version_2_is_the_same_to_the_bit_for_a_seed_and_another_for_another(messages: list[Message]) -> None:
    world = small(load_world("realistic"))
    again = list(SyntheticDrive(world, [SEED], 0.5).messages())
    assert [content(m) for m in again] == [content(m) for m in messages]
    other = SyntheticDrive(world, [SEED + 1], 0.5)
    assert content(other.rig) != content(SyntheticDrive(world, [SEED], 0.5).rig)


def test_every_sensor_of_the_rig_delivers(messages: list[Message]) -> None:
    drive = SyntheticDrive(small(load_world("realistic")), [SEED], 0.5)
    delivered = {m.channel for m in messages if isinstance(m, CameraFrame | LidarSweep | RadarScan)}
    assert delivered == set(drive.rig.channels())


def test_the_truth_counts_the_returns_that_lie_in_the_boxes(messages: list[Message]) -> None:
    rig = make_rig(small(load_world("realistic")), SEED).true
    (truth,) = of(messages, Annotations)
    newest = {m.channel: m for m in of(messages, LidarSweep) if m.timestamp_ns <= truth.timestamp_ns}
    points = np.concatenate([rig[c].ego_from_sensor.apply(m.points_m) for c, m in newest.items()])
    grown = replace(truth.boxes, sizes_m=truth.boxes.sizes_m + 0.3)
    inside = grown.contains(points).sum(axis=1)
    still = (np.linalg.norm(truth.boxes.velocities_mps, axis=1) < 0.1) & (truth.num_lidar_points >= 8)
    assert still.sum() >= 4
    assert 0.75 < np.median(inside[still] / truth.num_lidar_points[still]) < 1.35
    assert (truth.num_lidar_points == 0).any()
    assert truth.num_radar_points.sum() > 0
    assert truth.num_visible_pixels.sum() > 0


# What each sensor gives.


def test_returns_of_lidar_and_radar_lie_on_their_owners(scene: Scene, caster: SceneCaster) -> None:
    rig, rng = make_rig(load_world("realistic"), SEED), np.random.default_rng(0)
    centers, yaws, velocities = scene.states(0.3)
    sizes = np.array([a.size_m for a in scene.actors]) + 0.6
    boxes = Boxes(centers_m=centers, sizes_m=sizes, yaws_rad=yaws, velocities_mps=velocities)
    ego = scene.world_from_ego(0.3)
    lidar = LidarConfig(num_beams=24, num_columns=360, num_slices=1, optics=LidarOptics())
    swept = sweep(scene, caster, SE3(translation_m=(1.0, 0.0, 1.9)), lidar, 0.3, rng)
    seen = swept.owners >= 0
    # The revolution took 100 ms, over which whatever moves, moves.
    world = ego.apply(np.array([1.0, 0.0, 1.9]) + swept.points_m[seen])
    assert seen.sum() > 100
    away = np.linalg.norm(world - centers[swept.owners[seen]], axis=1)
    assert (away < np.linalg.norm(sizes[swept.owners[seen]], axis=1) / 2 + 1.5).mean() > 0.98
    hits = 0
    for channel, radar in rig.radars.items():
        assert radar.echoes is not None
        exact = radar.model_copy(
            update={
                "range_noise_m": 0.0,
                "azimuth_noise_rad": 0.0,
                "echoes": radar.echoes.model_copy(update={"measures_elevation": True, "elevation_noise_rad": 0.0}),
            }
        )
        pose = ego @ rig.true[channel].ego_from_sensor
        heard = scan_echoes(scene, caster.at(0.3), pose, np.zeros(3), exact, 0.3, rng)
        places = pose.apply(heard.points_m)
        own = np.flatnonzero(heard.owners >= 0)
        inside = boxes.contains(places[own].astype(np.float32))
        assert inside[heard.owners[own], np.arange(len(own))].mean() > 0.9
        hits += len(own)
    assert hits > 10


def test_most_of_what_stands_is_measured_as_standing_from_a_moving_vehicle(scene: Scene, caster: SceneCaster) -> None:
    rig, rng = make_rig(load_world("realistic"), SEED), np.random.default_rng(1)
    pose = scene.world_from_ego(0.3) @ rig.true["RADAR_0"].ego_from_sensor
    velocity = scene.world_from_ego(0.3).rotate(np.array([9.0, 0, 0]))
    moving: list[np.ndarray] = []
    for _ in range(10):
        heard = scan_echoes(scene, caster.at(0.3), pose, velocity, rig.radars["RADAR_0"], 0.3, rng)
        sight = pose.rotate(heard.points_m / np.linalg.norm(heard.points_m, axis=1, keepdims=True))
        ground = heard.radial_velocities_mps + sight @ velocity
        moving.append(np.abs(ground[heard.owners < 0]) > 1.0)
        standing = ground[heard.owners == STATIC]
        assert np.abs(np.median(standing)) < 0.2
    share = np.concatenate(moving).mean()
    assert 0.005 < share < 0.15


def test_pixels_of_a_road_user_are_where_its_box_projects(scene: Scene, caster: SceneCaster) -> None:
    rig = make_rig(load_world("realistic"), SEED).true
    sensor, ego = rig["CAM_0"], scene.world_from_ego(0.3)
    lens, pose = sensor.lens, ego @ sensor.ego_from_sensor
    assert lens is not None
    y, x = np.mgrid[0 : lens.height_px, 0 : lens.width_px]
    pixels = np.stack([x.ravel(), y.ravel()], axis=1)
    look = CameraLook(colour=0.6, contrast=1.2, exposure=0.45, noise=0.0, pixel_rad=1 / 150)
    detail = load_world("realistic").detail
    assert detail is not None
    rays = lens.rays(pixels).astype(np.float32)
    frozen, rng = caster.at(0.3), np.random.default_rng(0)
    colors, owners = render_detailed(scene, frozen, pose, ego, rays, look, detail, rng)
    assert colors.shape == (3, len(pixels))
    assert ((colors >= 0) & (colors <= 1)).all()
    assert (owners == NOTHING).any()
    assert (owners == STATIC).any()
    centers, _, _ = scene.states(0.3)
    shown = [a for a in np.unique(owners[owners >= 0]) if (owners == a).sum() > 60]
    assert len(shown) >= 2
    reach = np.array([np.linalg.norm(a.size_m) / 2 for a in scene.actors])
    for actor in shown:
        toward = pose.inverse.apply(centers[actor][None])[0]
        angles = np.arccos(np.clip(rays[owners == actor] @ toward / np.linalg.norm(toward), -1, 1))
        assert angles.max() <= np.arcsin(min(reach[actor] / np.linalg.norm(toward), 1.0)) + 0.02
    # Surfaces show patterns that a plain world has not.
    plain = detail.model_copy(update={"texture": 0.0})
    smooth, _ = render_detailed(scene, frozen, pose, ego, rays, look, plain, np.random.default_rng(0))
    steps = [np.abs(np.diff(c.mean(axis=0).reshape(y.shape), axis=1)).mean() for c in (colors, smooth)]
    assert steps[0] > 1.2 * steps[1]


def test_dark_far_and_glass_surfaces_are_seen_less_often() -> None:
    optics, rng = LidarOptics(dark_range_m=60.0, glass_loss=0.9), np.random.default_rng(0)
    ones = np.ones(4000, np.float32)

    def share(range_m: float, albedo: float, material: int = MATT, incidence: float = 1.0) -> float:
        materials = np.full(4000, material, np.int8)
        seen = detected(range_m * ones, albedo * ones, incidence * ones, materials, optics, 0.0, rng)
        return float(seen.mean())

    assert share(60.0, 0.1) == pytest.approx(0.5, abs=0.03)
    assert share(10.0, 0.1) > 0.98
    assert share(110.0, 0.1) < 0.15
    assert share(60.0, 0.5) > 0.9
    assert share(60.0, 0.1, incidence=0.1) < 0.1
    assert share(10.0, 0.1, GLASS) < 0.2


def test_beams_are_denser_at_the_horizon_where_asked_for() -> None:
    even, dense = (elevations_rad(-0.44, 0.26, 64, density) for density in (1.0, 4.0))
    np.testing.assert_allclose(even, np.linspace(-0.44, 0.26, 64), atol=1e-6)
    assert (dense[0], dense[-1]) == pytest.approx((-0.44, 0.26))
    steps = np.diff(dense)
    assert steps.min() > 0
    assert steps[-1] / steps[np.argmin(np.abs(dense))] > 3


@pytest.mark.parametrize("name", SHAPES)
def test_a_detailed_shape_fills_its_box_and_stays_inside(name: str) -> None:
    size = np.array([4.0, 2.0, 1.5])
    for plain in SHAPES[name]:
        parts = detailed(plain, name)
        triangles, _ = body_triangles(parts, size, np.zeros(3), np.ones(3))
        reach = np.abs(triangles.reshape(-1, 3)).max(axis=0) / (size / 2)
        assert (reach <= 1.0 + 1e-9).all()
        assert (reach > 0.7).all()
        assert len(body_materials(parts, name)) == len(triangles)


def test_scenery_of_version_2_leaves_the_roads_free(scene: Scene) -> None:
    plain = make_scene(load_world(), SEED, 0.5)
    added = len(scene.static_triangles_m) - len(plain.static_triangles_m)
    assert added > 500
    places = scene.static_triangles_m[-added:].mean(axis=1)
    assert scene.ground.off_road_m(places[:, :2]).min() > -0.4  # boards of signs hang over the curb
    assert (scene.static_materials == WALL).any()


def test_ranges_have_defaults_that_are_valid() -> None:
    assert RigRanges().num_cameras == (1, 8)
