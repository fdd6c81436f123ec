"""Batches follow from seed and step alone."""

import shutil
from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from tricast.configs.errors import InputError
from tricast.perception.batch import BatchConfig
from tricast.perception.losses.targets import cell_centers_m
from tricast.perception.query_memory import MemoryConfig
from tricast.perception.training.augmentation import AugmentationConfig
from tricast.perception.training.batches import BatchSource, TrainingBatch, TrainingBatches, batches_from, moved

GRID = BatchConfig(range_m=25.6, cells=32, image_size_px=(64, 32))


@pytest.fixture
def source(shards: Path) -> BatchSource:
    return BatchSource(
        folder=shards,
        scenes=("demo",),
        batch_size=2,
        seed=3,
        batch_config=GRID,
        augmentation=AugmentationConfig(),
        seed_jitter_m=0.0,
        memory=MemoryConfig(),
    )


def assert_equal(first: TrainingBatch, second: TrainingBatch) -> None:
    for part in ("sensors", "truth", "seeds"):
        ours, theirs = getattr(first, part), getattr(second, part)
        for field in fields(ours):
            value = getattr(ours, field.name)
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, getattr(theirs, field.name)), field.name


def test_a_step_has_the_same_batch_whatever_came_before(source: BatchSource) -> None:
    used = TrainingBatches(source)
    for step in (0, 1, 2):
        used[step]
    assert_equal(used[4], TrainingBatches(source)[4])


def test_another_seed_or_step_has_another_batch(source: BatchSource) -> None:
    first = TrainingBatches(source)[0]
    others = TrainingBatches(source)[1], TrainingBatches(replace(source, seed=4))[0]
    turns = [first.sensors.odom_from_ego, *(other.sensors.odom_from_ego for other in others)]
    assert not torch.equal(turns[0], turns[1]) and not torch.equal(turns[0], turns[2])


def test_every_tick_is_seen_once_an_epoch(source: BatchSource) -> None:
    batches = TrainingBatches(source)
    order = [batches._index_at(place, 0) for place in range(18)]
    assert [sorted(order[i : i + 6]) for i in (0, 6, 12)] == [list(range(6))] * 3
    assert order[:6] != order[6:12]


def test_sequences_go_through_their_scenes_under_one_turn_and_with_the_same_sensors(source: BatchSource) -> None:
    batches = TrainingBatches(replace(source, sequence_ticks=3))
    for block in range(4):
        steps = [batches[3 * block + place].sensors for place in range(3)]
        for earlier, later in pairwise(steps):
            assert (later.timestamps_ns - earlier.timestamps_ns == 500_000_000).all()
            assert torch.equal(later.present, earlier.present)
            # Where the ground lies does not turn: the frames share their turn, and so the motion between them is small.
            motion = torch.linalg.solve(later.odom_from_ego, earlier.odom_from_ego)
            torch.testing.assert_close(motion[:, :3, :3], torch.eye(3).double().expand(2, 3, 3), atol=0.2, rtol=0)
    assert [replace(source, sequence_ticks=3).begins(step) for step in range(4)] == [True, False, False, True]


def test_sequences_longer_than_every_scene_are_refused(source: BatchSource) -> None:
    with pytest.raises(InputError, match="sequence_ticks"):
        TrainingBatches(replace(source, sequence_ticks=7))[0]


def test_batches_on_the_spot_come_in_order(source: BatchSource) -> None:
    made = list(batches_from(source, range(1, 3), workers=0))
    assert len(made) == 2
    assert_equal(made[1], TrainingBatches(source)[2])


def test_batches_move_to_a_device_in_order_while_the_one_before_is_used(source: BatchSource) -> None:
    made = list(batches_from(source, range(3), workers=0))
    # A device without memory stands for one that copies take time to.
    elsewhere = list(moved(iter(made), torch.device("meta")))
    assert [batch.sensors.present.device.type for batch in elsewhere] == ["meta"] * 3
    assert [batch.sensors.lidar_points.shape for batch in elsewhere] == [b.sensors.lidar_points.shape for b in made]
    assert all(a is b for a, b in zip(made, moved(iter(made), torch.device("cpu")), strict=True))


def test_a_batch_that_cannot_be_made_is_told_where_it_is_waited_for(source: BatchSource) -> None:
    def broken() -> Iterator[TrainingBatch]:
        yield TrainingBatches(source)[0]
        raise InputError(where="shard", got="half of it", expected="all of it", remedy="make it again")

    batches = moved(broken(), torch.device("meta"))
    next(batches)
    with pytest.raises(InputError, match="half of it"):
        next(batches)


@pytest.mark.slow
def test_a_loading_process_gives_the_same_batches(source: BatchSource) -> None:
    made = list(batches_from(source, range(3), workers=1))
    assert len(made) == 3
    for step, batch in enumerate(made):
        assert_equal(batch, TrainingBatches(source)[step])


def test_a_shard_that_breaks_in_a_loading_process_is_the_users_to_mend(source: BatchSource, tmp_path: Path) -> None:
    for name in ("manifest.json", "demo.safetensors"):
        shutil.copy(source.folder / name, tmp_path / name)
    batches = batches_from(replace(source, folder=tmp_path), range(3), workers=1)
    # Whole when the run began, and not when the process opens it.
    (tmp_path / "demo.safetensors").write_bytes(b"cut")
    with pytest.raises(InputError, match=r"demo\.safetensors: got no shard"):
        next(batches)


def test_depth_is_known_for_samples_with_cameras_also_where_the_lidar_was_dropped(source: BatchSource) -> None:
    rows, columns = GRID.feature_size
    seen = 0
    for step in range(6):
        batch = TrainingBatches(source)[step]
        known = (batch.depth_targets.reshape(*batch.sensors.camera_mask.shape, rows, columns) >= 0).flatten(2)
        assert torch.equal(known.any(dim=2), batch.sensors.camera_mask)
        seen += int((batch.sensors.present[:, 0] & ~batch.sensors.present[:, 1]).sum())
    assert seen > 0


def test_truth_lies_on_the_grid_and_seeds_lie_on_the_truth(source: BatchSource) -> None:
    batch = TrainingBatches(source)[0]
    truth, seeds = batch.truth, batch.seeds
    there = truth.positive | truth.ignored
    assert not (truth.positive & truth.ignored).any()
    assert truth.positive.any() and (truth.centers_m[there].abs()[:, :2] < GRID.range_m).all()
    assert torch.equal(seeds.mask, truth.positive)
    centers = cell_centers_m(seeds.cells, num_cells=GRID.heatmap_cells, range_m=GRID.range_m)
    off = (centers - truth.centers_m[..., :2])[seeds.mask].abs()
    assert off.max() <= 0.5 * GRID.heatmap_cell_m + 1e-4
    assert torch.isfinite(truth.velocities_mps).all() and torch.isfinite(truth.futures_m).all()
