"""Synthetic drives: the same bytes for the same seed, and truth that agrees with what the sensors measured."""

import hashlib
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tricast.configs.errors import ConfigError, InputError
from tricast.sensors.annotations import DETECTION_CLASSES, Annotations
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.stream import Message
from tricast.sensors.log.writer import LogWriter
from tricast.sensors.motion_compensation import EgoMotion, lidar_in_ego
from tricast.sensors.synthetic.casting import SceneCaster
from tricast.sensors.synthetic.drive import PHASE_MS, SPARSE_LEAD_MS, SyntheticDrive, sparse_lead_ms
from tricast.sensors.synthetic.radar import CLUTTER, scan
from tricast.sensors.synthetic.rig import make_rig
from tricast.sensors.synthetic.scene import make_scene
from tricast.sensors.synthetic.sizes import SIZE_RANGES_M, random_size_m
from tricast.sensors.synthetic.truth import occlusion
from tricast.sensors.synthetic.world_config import SeedRanges, WorldConfig, load_world

SEED = 100_010


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    return list(SyntheticDrive(load_world(), [SEED], 1.0).messages())


def of(messages: Sequence[Message], kind: type[Any]) -> list[Any]:
    return [m for m in messages if isinstance(m, kind)]


def test_the_packaged_world_states_every_setting() -> None:
    assert load_world() == WorldConfig()


def test_version_1_is_what_it_was(messages: list[Message]) -> None:
    # Counts in place of a digest: a digest of pictures would change with the libraries that compress them.
    assert [len(m.points_m) for m in of(messages, LidarSweep)] == [
        29257, 29302, 29249, 29272, 29320, 29313, 29265, 29222, 29114, 29087,
    ]  # fmt: skip
    assert [len(m.points_m) for m in of(messages, RadarScan)] == [
        27, 31, 34, 29, 27, 28, 29, 19, 35, 32, 36, 20, 22, 22, 36, 34, 30, 23, 38, 28, 41, 39, 31, 23, 46, 33,
    ]  # fmt: skip
    counts = [
        (len(t.class_names), *(int(n.sum()) for n in (t.num_lidar_points, t.num_radar_points, t.num_visible_pixels)))
        for t in of(messages, Annotations)
    ]
    assert counts == [(73, 3881, 23, 20567), (75, 6160, 27, 34692)]
    means = [float(m.pixels().mean()) for m in of(messages, CameraFrame)[:4]]
    assert means == pytest.approx([106.3, 106.7, 106.5, 105.6], abs=0.3)


def test_shards_and_sets_of_version_1_are_known_by_the_digest_they_have() -> None:
    assert hashlib.sha256(load_world().recipe().encode()).hexdigest()[:16] == "15681a80ca4c54a4"


def test_seeds_of_training_validation_and_test_never_overlap() -> None:
    with pytest.raises(ValueError, match="overlap"):
        SeedRanges(train=(0, 100), validation=(99, 200), test=(200, 300))


def test_the_same_seed_gives_the_same_file_on_one_process_or_two(tmp_path: Path) -> None:
    digests = set()
    for name, workers in (("a.mcap", 1), ("b.mcap", 1), ("c.mcap", 2)):
        drive = SyntheticDrive(load_world(), [SEED, SEED + 1], 1.2, workers=workers)
        with LogWriter(tmp_path / name, drive.rig) as writer:
            for message in drive.messages():
                writer.write(message)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_every_sensor_delivers_and_nothing_is_stamped_after_its_arrival(messages: list[Message]) -> None:
    channels = {m.channel for m in messages if isinstance(m, CameraFrame | LidarSweep | RadarScan)}
    assert channels == set(SyntheticDrive(load_world(), [SEED], 1.0).rig.channels())
    assert [m.received_ns for m in messages] == sorted(m.received_ns for m in messages)
    assert all(m.received_ns >= m.timestamp_ns for m in messages)


def content(value: Any) -> Any:
    """A message as plain values, to the last bit."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if is_dataclass(value):
        return type(value).__name__, [content(getattr(value, field.name)) for field in fields(value)]
    return value


def test_a_sparse_drive_has_the_full_drives_truth_and_what_ticks_at_its_stamps_use(messages: list[Message]) -> None:
    sparse = list(SyntheticDrive(load_world(), [SEED], 1.0, sparse=True).messages())
    assert len(of(sparse, CameraFrame)) < len(of(messages, CameraFrame)) / 2
    full = [content(m) for m in messages]
    places = [full.index(content(m)) for m in sparse]
    assert places == sorted(places)
    for kind in (Annotations, EgoPose):
        assert len(of(sparse, kind)) == len(of(messages, kind))
    for stamp_ns in (m.timestamp_ns for m in of(messages, Annotations)):
        for kind, count in ((CameraFrame, 1), (LidarSweep, 5), (RadarScan, 3)):
            for channel in {m.channel for m in of(messages, kind)}:
                past, kept = (
                    [content(m) for m in of(part, kind) if m.channel == channel and m.timestamp_ns <= stamp_ns]
                    for part in (messages, sparse)
                )
                assert kept[-count:] == past[-count:]


@pytest.mark.parametrize("world", ["standard", "realistic", "held_out_rig", "city", "motorway", "benchmark_nuscenes"])
def test_packaged_worlds_have_the_leads_that_they_had(world: str) -> None:
    config = load_world(world)
    for modality, lead_ms in SPARSE_LEAD_MS.items():
        assert sparse_lead_ms(modality, getattr(config, modality).period_ms) == lead_ms


@pytest.mark.parametrize("period_ms", [33, 77, 100, 120, 130, 200, 250, 300, 700])
def test_a_lead_holds_what_a_tick_uses_whatever_the_period(period_ms: int) -> None:
    for modality, count in (("camera", 1), ("lidar", 5), ("radar", 3)):
        lead_ms = sparse_lead_ms(modality, period_ms)
        for truth_ms in range(10_000, 20_000, 500):
            # As `_made_at` has them: near the next truth, which may be another one than this.
            made = [
                t for t in range(truth_ms - 5 * period_ms, truth_ms + 1) if (t + PHASE_MS[modality]) % period_ms == 0
            ]
            assert all(-t % 500 <= lead_ms for t in made[-count:])


def test_boxes_hold_about_as_many_points_as_the_truth_counts(messages: list[Message]) -> None:
    true_rig = make_rig(load_world(), SEED).true
    truth = of(messages, Annotations)[-1]
    sweep = next(m for m in of(messages, LidarSweep) if m.timestamp_ns == truth.timestamp_ns)
    cloud = lidar_in_ego([sweep], true_rig[sweep.channel], EgoMotion(of(messages, EgoPose)), truth.timestamp_ns)
    # Returns lie on the boxes' faces, so range noise puts half of them outside.
    inside = replace(truth.boxes, sizes_m=truth.boxes.sizes_m + 0.2).contains(cloud.points_m).sum(axis=1)
    many = (truth.num_lidar_points > 20) & (np.linalg.norm(truth.boxes.velocities_mps, axis=1) < 0.1)
    assert many.sum() >= 5
    ratio = inside[many] / truth.num_lidar_points[many]
    assert 0.8 < np.median(ratio) < 1.25


def test_futures_continue_the_boxes(messages: list[Message]) -> None:
    early, late = of(messages, Annotations)[:2]
    poses = {p.timestamp_ns: p.odom_from_ego for p in of(messages, EgoPose)}
    early_from_late = poses[early.timestamp_ns].inverse @ poses[late.timestamp_ns]
    places = dict(zip(late.instance_ids, early_from_late.apply(late.boxes.centers_m), strict=True))
    both = [i for i, name in enumerate(early.instance_ids) if name in places]
    assert len(both) > 10
    for i in both:  # the truth is half a second apart: the first step
        np.testing.assert_allclose(early.futures_m[i, 0], places[early.instance_ids[i]][:2], atol=0.02)


def test_the_stated_calibration_is_a_little_off() -> None:
    rig = make_rig(load_world(), SEED)
    true, stated = rig.true, rig.stated
    for channel in true.channels():
        error = true[channel].ego_from_sensor.inverse @ stated[channel].ego_from_sensor
        assert 0 < np.linalg.norm(error.translation) < 0.06
        assert 0 < np.abs(error.rotation - np.eye(3)).max() < 0.012


def test_a_fifth_of_the_radar_returns_belongs_to_nothing() -> None:
    world = load_world()
    scene = make_scene(world, SEED, 0.5)
    caster, rng = SceneCaster(scene, "embreex").at(0.0), np.random.default_rng(0)
    pose = scene.world_from_ego(0.0) @ SE3(translation_m=(3.7, 0.0, 0.6))
    owners = np.concatenate([scan(scene, caster, pose, np.zeros(3), world.radar, 0.0, rng).owners for _ in range(40)])
    assert 0.2 <= (owners == CLUTTER).mean() < 0.45
    assert (owners >= 0).mean() > 0.1


def test_nearly_everything_is_occluded_from_under_the_ground_and_seen_from_above() -> None:
    scene = make_scene(load_world(), SEED, 0.5)
    caster = SceneCaster(scene, "embreex")
    centers, _, _ = scene.states(0.0)
    near = np.flatnonzero(np.linalg.norm(centers[:, :2], axis=1) < 50)
    below = occlusion(caster, np.array([0.0, 0.0, -30.0]), 0.0, near)
    assert np.median(below) > 0.9  # bodies stand upright on sloping ground: an edge may reach through it
    above = [occlusion(caster, centers[i] + [0, 0, 3.0], 0.0, np.array([i]))[0] for i in near]
    assert np.median(above) < 0.1


def nearest_class_accuracy(per_class: int) -> float:
    """Balanced accuracy of a 15-nearest-neighbour classifier that knows the true size alone."""
    from scipy.spatial import KDTree

    rng = np.random.default_rng(5)
    train, test = (
        np.log([[random_size_m(name, rng) for _ in range(per_class)] for name in SIZE_RANGES_M]) for _ in range(2)
    )
    labels = np.repeat(np.arange(len(SIZE_RANGES_M)), per_class)
    _, nearest = KDTree(train.reshape(-1, 3)).query(test.reshape(-1, 3), k=15)
    votes = np.apply_along_axis(np.bincount, 1, labels[nearest], minlength=len(SIZE_RANGES_M))
    return float((votes.argmax(axis=1) == labels).mean())


def test_size_alone_tells_at_most_half_of_the_classes() -> None:
    assert set(SIZE_RANGES_M) == set(DETECTION_CLASSES)
    assert nearest_class_accuracy(2000) <= 0.5


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("light: {day: 0, dusk: 0, night: 0}", "above 0, not none"),
        ("lidar: {num_slices: 10, num_columns: 8}", "at most num_columns 8"),
    ],
)
def test_settings_of_a_world_that_cannot_be_are_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=told):
        load_world(str(tmp_path / "mine.yaml"))


def test_an_unknown_setting_of_a_world_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("town: {num_treez: 3}\n")
    with pytest.raises(ConfigError, match="num_treez"):
        load_world(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize(
    ("seeds", "seconds", "where"),
    [((), 1.0, "--seeds"), ((-1,), 1.0, "--seeds")]
    + [((SEED,), seconds, "--seconds") for seconds in (0.0, 0.0004, -1.0, float("inf"), float("nan"))],
)
def test_a_drive_without_scenes_or_without_length_is_refused(
    seeds: tuple[int, ...], seconds: float, where: str
) -> None:
    with pytest.raises(InputError, match=where):
        SyntheticDrive(WorldConfig(), seeds, seconds)
