"""What a sample loses its truth loses too, and what is turned is turned together."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tricast.perception.batch import BevTransform
from tricast.perception.training.augmentation import (
    SUBSETS,
    AugmentationConfig,
    augmented,
    blinked,
    recolored,
    restricted,
    staled,
    turned,
)
from tricast.perception.training.shards import ShardSet, TrainingTick
from tricast.perception.training.tick_truth import TickTruth, countable
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3

NOTHING = AugmentationConfig(
    drop_modalities=0,
    drop_camera=0,
    thin_beams=0,
    lose_sector=0,
    lose_radar_returns=0,
    jitter_extrinsics=0,
    flip_x=0,
    flip_y=0,
    max_turn_rad=0,
)


@pytest.fixture(scope="module")
def tick(shards: Path) -> TrainingTick:
    return ShardSet(shards)[2]


def drawn(tick: TrainingTick, seed: int = 0, **chances: float):
    config = NOTHING.model_copy(update=chances)
    return augmented(tick.sample, tick.truth, config, np.random.default_rng(seed))


def boxes_of(truth: TickTruth) -> Boxes:
    parts = [np.asarray(a, np.float64) for a in (truth.centers_m, truth.sizes_m, truth.yaws_rad, truth.velocities_mps)]
    return Boxes(centers_m=parts[0], sizes_m=parts[1], yaws_rad=parts[2], velocities_mps=parts[3])


def test_without_augmentation_nothing_changes(tick: TrainingTick) -> None:
    same = drawn(tick)
    assert same.sample is tick.sample and same.truth is tick.truth
    assert same.transform == BevTransform()


def test_the_same_generator_draws_the_same(tick: TrainingTick) -> None:
    first, second = (augmented(tick.sample, tick.truth, AugmentationConfig(), np.random.default_rng(5)) for _ in "ab")
    assert first.transform == second.transform
    assert [c.tick_from_camera for c in first.sample.cameras] == [c.tick_from_camera for c in second.sample.cameras]


def test_half_the_samples_keep_all_modalities_and_the_rest_share_the_six_subsets(tick: TrainingTick) -> None:
    names = {frozenset(m): n for n, m in SUBSETS.items()}
    counts = dict.fromkeys(SUBSETS, 0)
    for seed in range(1200):
        sample = drawn(tick, seed, drop_modalities=0.5).sample
        present = {"camera": bool(sample.cameras), "lidar": sample.lidar is not None, "radar": sample.radar is not None}
        counts[names[frozenset(m for m, there in present.items() if there)]] += 1
    whole = counts.pop("camera+lidar+radar")
    assert 530 < whole < 670
    assert len(counts) == 6 and all(65 < count < 135 for count in counts.values())


def test_truth_follows_the_turned_points(tick: TrainingTick) -> None:
    assert tick.sample.lidar is not None
    transform = BevTransform(yaw_rad=0.7, flip_x=True, flip_y=False)
    before = boxes_of(tick.truth).contains(tick.sample.lidar[:, :3]).sum(axis=1)
    moved = transform.vectors(tick.sample.lidar)[:, :3]
    after = boxes_of(turned(tick.truth, transform)).contains(moved).sum(axis=1)
    assert before.sum() > 500
    assert np.abs(before - after).max() <= 1  # a point on a face may fall to either side


def test_velocities_and_futures_turn_with_the_heading(tick: TrainingTick) -> None:
    truth = turned(tick.truth, BevTransform(yaw_rad=math.pi / 2))
    np.testing.assert_allclose(truth.velocities_mps[:, 1], tick.truth.velocities_mps[:, 0], atol=1e-5)
    np.testing.assert_allclose(truth.futures_m[..., 1], tick.truth.futures_m[..., 0], atol=1e-4)
    mirrored = turned(tick.truth, BevTransform(flip_y=True))
    np.testing.assert_allclose(np.sin(mirrored.yaws_rad), -np.sin(tick.truth.yaws_rad), atol=1e-5)


def test_a_sensor_left_out_decides_what_counts(tick: TrainingTick) -> None:
    truth = tick.truth
    assert countable(truth).sum() > countable(truth, camera=False, lidar=False).sum() > 0
    np.testing.assert_array_equal(countable(truth, camera=False, radar=False), truth.num_lidar_points >= 1)
    np.testing.assert_array_equal(countable(truth, lidar=False, radar=False), truth.num_visible_pixels >= 20)
    unknown = np.full(len(truth), -1, np.int32)
    recorded = replace(truth, num_lidar_points=unknown, num_radar_points=unknown, num_visible_pixels=unknown)
    assert countable(recorded, camera=False).all()


def test_restricting_leaves_sensors_absent_not_empty(tick: TrainingTick) -> None:
    sample = restricted(tick.sample, ("radar",))
    assert sample.cameras == () and sample.lidar is None
    np.testing.assert_array_equal(np.asarray(sample.radar), np.asarray(tick.sample.radar))


def test_objects_of_a_dropped_camera_have_no_pixels_left(tick: TrainingTick) -> None:
    lost = drawn(tick, drop_camera=1.0)
    assert len(lost.sample.cameras) == 1
    before, after = tick.truth.num_visible_pixels, lost.truth.num_visible_pixels
    assert 0 < (after >= 20).sum() < (before >= 20).sum()
    in_camera = lost.sample.cameras[0].tick_from_camera.inverse.apply(lost.truth.centers_m[after > 0].astype(float))
    assert (in_camera[:, 2] > 0).all()


def test_fewer_beams_and_a_lost_sector_take_points_and_counts(tick: TrainingTick) -> None:
    assert tick.sample.lidar is not None
    thinned = drawn(tick, seed=1, thin_beams=1.0)
    assert thinned.sample.lidar is not None
    assert 0.1 < len(thinned.sample.lidar) / len(tick.sample.lidar) < 0.7
    assert thinned.truth.num_lidar_points.sum() < tick.truth.num_lidar_points.sum()
    gap = drawn(tick, seed=1, lose_sector=1.0)
    assert gap.sample.lidar is not None
    # No box that still counts returns lies in the gap, and none that lost them has more than a few left.
    kept = boxes_of(tick.truth).contains(gap.sample.lidar[:, :3]).sum(axis=1)
    had = boxes_of(tick.truth).contains(tick.sample.lidar[:, :3]).sum(axis=1)
    lost = (gap.truth.num_lidar_points == 0) & (tick.truth.num_lidar_points > 0)
    assert lost.any() and (kept[lost] <= 0.5 * had[lost]).all()


def test_intensities_of_another_make_keep_their_order(tick: TrainingTick) -> None:
    rows, dimmed = tick.sample.lidar, drawn(tick, 3, other_intensities=1).sample.lidar
    assert rows is not None and dimmed is not None
    np.testing.assert_array_equal(dimmed[:, [0, 1, 2, 4]], rows[:, [0, 1, 2, 4]])
    changed = dimmed[np.argsort(rows[:, 3], kind="stable"), 3]
    assert (np.diff(changed) >= 0).all() and changed.min() >= 0 and changed.max() <= 1
    assert np.abs(dimmed[:, 3] - rows[:, 3]).max() > 0.02


def test_without_older_sweeps_the_newest_is_whole(tick: TrainingTick) -> None:
    rows, newest = tick.sample.lidar, drawn(tick, 3, newest_sweep_only=1)
    assert rows is not None and np.ptp(rows[:, 4]) > 0.3
    assert newest.sample.lidar is not None
    np.testing.assert_array_equal(newest.sample.lidar, rows[rows[:, 4] < rows[:, 4].min() + 0.15])
    assert 0 < len(newest.sample.lidar) < 0.8 * len(rows)
    assert newest.truth is tick.truth
    empty = replace(tick, sample=replace(tick.sample, lidar=rows[:0]))
    assert drawn(empty, 3, newest_sweep_only=1, other_intensities=1).sample is empty.sample


def test_a_stale_sensor_shows_the_tick_before_from_where_the_vehicle_is_now(shards: Path) -> None:
    before, now = (ShardSet(shards)[index].sample for index in (1, 2))
    config = NOTHING.model_copy(update={"stale": 1.0})
    turned_left = SE3.from_yaw(math.pi / 2, (2.0, 0, 0))
    before = replace(before, odom_from_ego=SE3())
    now = replace(now, odom_from_ego=turned_left)
    assert before.lidar is not None and before.radar is not None
    kinds: set[str] = set()
    for seed in range(40):
        stale = staled(now, before, config, np.random.default_rng(seed))
        assert stale.lidar is not None and now.lidar is not None and stale.radar is not None and now.radar is not None
        changed = {c.channel for c, d in zip(stale.cameras, now.cameras, strict=True) if c is not d}
        if not np.array_equal(stale.lidar, now.lidar):
            np.testing.assert_allclose(stale.lidar[:, 0], before.lidar[:, 1], atol=1e-5)
            np.testing.assert_allclose(stale.lidar[:, 1], 2 - before.lidar[:, 0], atol=1e-5)
            np.testing.assert_allclose(stale.lidar[:, 4], before.lidar[:, 4] + 0.5, atol=1e-3)
            changed.add("lidar")
        if not np.array_equal(stale.radar, now.radar):
            np.testing.assert_allclose(stale.radar[:, 6], before.radar[:, 7], atol=1e-5)
            np.testing.assert_allclose(stale.radar[:, 7], -before.radar[:, 6], atol=1e-5)
            np.testing.assert_array_equal(stale.radar[:, 3:6], before.radar[:, 3:6])
            changed.add("radar")
        for ours, theirs in zip(stale.cameras, before.cameras, strict=True):
            if ours.channel in changed:
                assert ours.image is theirs.image
                np.testing.assert_allclose(
                    turned_left.apply(ours.tick_from_camera.translation[None]),
                    theirs.tick_from_camera.translation[None],
                    atol=1e-9,
                )
        assert len(changed) == 1
        kinds |= changed
    assert kinds == {"lidar", "radar", *(camera.channel for camera in now.cameras)}
    assert staled(now, before, NOTHING, np.random.default_rng(0)) is now


def test_a_blink_takes_one_modality_and_leaves_one(tick: TrainingTick) -> None:
    config = NOTHING.model_copy(update={"blink": 1.0})
    lost = [blinked(tick.sample, config, np.random.default_rng(seed)) for seed in range(30)]
    there = {(bool(s.cameras), s.lidar is not None, s.radar is not None) for s in lost}
    assert there == {(False, True, True), (True, False, True), (True, True, False)}
    alone = restricted(tick.sample, ("radar",))
    assert blinked(alone, config, np.random.default_rng(0)) is alone


def test_subsets_are_kept_in_the_proportions_asked_for(tick: TrainingTick) -> None:
    shares = {"camera+lidar": 3.0, "camera": 1.0}
    config = NOTHING.model_copy(update={"drop_modalities": 1.0, "kept_subsets": shares})
    with_lidar = 0
    for seed in range(400):
        sample = augmented(tick.sample, tick.truth, config, np.random.default_rng(seed)).sample
        assert sample.cameras and sample.radar is None
        with_lidar += sample.lidar is not None
    assert 260 < with_lidar < 340


@pytest.mark.parametrize("shares", [{"lidar+camera": 1.0}, {"camera+lidar+radar": 1.0}, {"camera": 0.0}])
def test_subsets_that_are_none_of_the_smaller_ones_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"shares of subsets among camera\+lidar, .*, radar, one of them above zero"):
        AugmentationConfig(kept_subsets=shares)


def test_radar_returns_and_extrinsics_change_a_little(tick: TrainingTick) -> None:
    assert tick.sample.radar is not None
    lost = drawn(tick, lose_radar_returns=1.0)
    fewer = lost.sample.radar
    known = tick.truth.num_radar_points > 0
    np.testing.assert_array_equal(lost.truth.num_radar_points[known], tick.truth.num_radar_points[known] // 2)
    assert fewer is not None and 0.2 < len(fewer) / len(tick.sample.radar) < 0.8
    shaken = drawn(tick, jitter_extrinsics=1.0)
    for ours, theirs in zip(shaken.sample.cameras, tick.sample.cameras, strict=True):
        step = theirs.tick_from_camera.inverse @ ours.tick_from_camera
        assert 0 < np.linalg.norm(step.translation) < 0.5 and 0 < abs(step.yaw_rad) < 0.05


def test_recoloured_pictures_keep_their_shape_and_differ_from_each_other() -> None:
    grey = torch.full((2, 3, 4, 5), 100, dtype=torch.uint8)
    changed = recolored(grey, AugmentationConfig(recolor=0.3), np.random.default_rng(0))
    assert changed.shape == grey.shape and changed.dtype == torch.uint8
    assert not torch.equal(changed[0], changed[1])
    assert torch.equal(recolored(grey, AugmentationConfig(recolor=0), np.random.default_rng(0)), grey)
    assert len(recolored(grey[:0], AugmentationConfig(), np.random.default_rng(0))) == 0


def test_recoloured_levels_are_those_of_the_line_that_is_drawn() -> None:
    spread, pictures = 0.25, torch.arange(256, dtype=torch.uint8).repeat(3, 3, 1).view(3, 3, 16, 16)
    changed = recolored(pictures, AugmentationConfig(recolor=spread), np.random.default_rng(4))
    rng = np.random.default_rng(4)
    gains = rng.uniform(1 - spread, 1 + spread, (3, 1)) * rng.uniform(1 - spread / 2, 1 + spread / 2, (3, 3))
    offsets = 128 * rng.uniform(-spread / 2, spread / 2, 3)
    for picture, channel in np.ndindex(3, 3):
        line = pictures[picture, channel] * float(np.float32(gains[picture, channel])) + float(offsets[picture])
        assert (changed[picture, channel] - line.clamp(0, 255)).abs().max() < 1.001
        assert torch.equal(changed[picture, channel].float(), line.clamp(0, 255).floor())


def test_a_vehicle_without_radars_is_never_left_with_nothing(tick: TrainingTick) -> None:
    without = replace(tick, sample=replace(tick.sample, radar=None))
    for seed in range(60):
        sample = drawn(without, seed, drop_modalities=1.0).sample
        assert sample.cameras or sample.lidar is not None


def test_a_camera_that_a_tick_lacks_changes_nothing_else(tick: TrainingTick) -> None:
    chances = dict.fromkeys(("thin_beams", "lose_sector", "lose_radar_returns", "drop_camera"), 0.5)
    chances |= {"jitter_extrinsics": 1.0}
    lacking = replace(tick, sample=replace(tick.sample, cameras=tick.sample.cameras[1:]))
    blind = replace(tick, sample=replace(tick.sample, lidar=None))
    for seed in range(20):
        whole, less, none = (drawn(t, seed, **chances) for t in (tick, lacking, blind))
        assert whole.sample.lidar is not None and less.sample.lidar is not None
        np.testing.assert_array_equal(whole.sample.lidar, less.sample.lidar)
        assert whole.sample.radar is not None and none.sample.radar is not None
        np.testing.assert_array_equal(whole.sample.radar, none.sample.radar)
        mounts = {c.channel: c.tick_from_camera for c in whole.sample.cameras}
        shared = [c for c in less.sample.cameras if c.channel in mounts]
        assert all(c.tick_from_camera == mounts[c.channel] for c in shared)
        assert len(whole.sample.cameras) >= 1
