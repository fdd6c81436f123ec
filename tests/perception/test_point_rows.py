import dataclasses

import numpy as np
import pytest
import torch

from tricast.perception.batch import BatchConfig, BevTransform
from tricast.perception.collation import collate
from tricast.perception.layers.pillars import cells_of
from tricast.perception.point_rows import _ascending, _thinned
from tricast.perception.tick_sample import TickSample

CONFIG = BatchConfig(cells=32, image_size_px=(64, 32), depth_bins=8)


def test_lidar_and_radar_move_with_the_frame(ticks: list[TickSample], transform: BevTransform) -> None:
    # A range so large that no point leaves the grid, voxels so small that none is thinned.
    config = CONFIG.model_copy(update={"range_m": 100.0, "lidar_voxel_m": 0.01})
    plain, moved = collate(ticks[:1], config), collate(ticks[:1], config, [transform])
    for before, after in ((plain.lidar_points, moved.lidar_points), (plain.radar_points, moved.radar_points)):
        expected = transform.vectors(before.numpy())
        if before.shape[1] == 9:
            expected[:, 6:8] = transform.vectors(before[:, 6:8].numpy())
        order, other = np.argsort(expected[:, 3], kind="stable"), np.argsort(after[:, 3].numpy(), kind="stable")
        assert after.numpy()[other] == pytest.approx(expected[order], abs=5e-4)


def test_of_a_voxel_one_return_of_each_age_is_kept(ticks: list[TickSample]) -> None:
    rows = np.array([[5, 5, 1, 0.5, 0.0], [5.01, 5, 1, 0.5, 0.0], [5, 5, 1, 0.5, 0.2], [9, 5, 1, 0.5, 0.0]], np.float32)
    batch = collate([dataclasses.replace(ticks[0], lidar=rows)], CONFIG)
    assert sorted(map(tuple, batch.lidar_points[:, [0, 4]].tolist())) == [
        (5.0, 0.0),
        (5.0, pytest.approx(0.2)),
        (9.0, 0.0),
    ]


def test_returns_come_in_the_order_of_the_cells_in_which_the_network_puts_them() -> None:
    """Also those on the borders of cells, to the bit, in every frame."""
    config, rng = BatchConfig(), np.random.default_rng(0)
    place = rng.integers(-500, 500, (4000, 2)) * 0.1
    rows = np.column_stack([place, rng.uniform(0, 2, 4000), np.ones(4000), np.zeros(4000)]).astype(np.float32)
    radar = np.column_stack([rows[:, :3], np.ones((4000, 6))]).astype(np.float32)
    sample = TickSample(timestamp_ns=0, cameras=(), lidar=rows, radar=radar)
    for transform in (BevTransform(), BevTransform(yaw_rad=0.3), BevTransform(flip_x=True, yaw_rad=-0.4)):
        batch = collate([sample, sample], config, [transform, BevTransform()])
        for points, samples in ((batch.lidar_points, batch.lidar_sample), (batch.radar_points, batch.radar_sample)):
            cell, _ = cells_of(points, samples, 2, config.heatmap_cells, config.range_m)
            assert (cell.diff() >= 0).all()


def test_returns_on_borders_stay_in_their_cells_however_a_runtime_rounds() -> None:
    config, rng = BatchConfig(), np.random.default_rng(0)
    borders = np.linspace(-config.range_m, config.range_m, config.heatmap_cells + 1)[1:-1]
    place = rng.choice(borders, (4000, 2)) + rng.integers(-4, 5, (4000, 2)) * 4e-6
    rows = np.column_stack([place, np.ones(4000), np.ones(4000), np.zeros(4000)]).astype(np.float32)
    radar = np.column_stack([rows[:, :3], np.ones((4000, 6))]).astype(np.float32)
    batch = collate([TickSample(timestamp_ns=0, cameras=(), lidar=rows, radar=radar)], config)
    for points in (batch.lidar_points, batch.radar_points):
        cell, _ = cells_of(points, torch.zeros(len(points), dtype=torch.int64), 1, config.heatmap_cells, config.range_m)
        assert len(points) > 1000 and (cell.diff() >= 0).all()
        exact, scale, half = (
            points[:, :2].double(),
            config.heatmap_cells / (2 * config.range_m),
            config.heatmap_cells / 2,
        )
        for place in ((exact + config.range_m) * scale, exact * scale + half, (points[:, :2] * scale).double() + half):
            column, line = place.floor().long().unbind(1)
            assert torch.equal(line * config.heatmap_cells + column, cell)
        moved_m = torch.cdist(
            exact, torch.from_numpy(rows[:, :2]).double(), compute_mode="donot_use_mm_for_euclid_dist"
        ).amin(dim=1)
        assert moved_m.max() < 2e-4


def test_one_return_of_each_voxel_and_age_is_kept_as_a_plain_search_keeps_it() -> None:
    rng = np.random.default_rng(0)
    place = rng.uniform((-51, -51, -2.9), (51, 51, 5.9), (300, 3))[rng.integers(300, size=5000)]
    rows = np.column_stack(
        [place + rng.normal(0, 0.05, place.shape), rng.random(5000), rng.choice([0, 0.2, 0.41], 5000)]
    )
    rows[:, 0:2] = rows[:, 0:2].clip(-51.1, 51.1)
    rows[:, 2] = rows[:, 2].clip(-2.99, 5.99)
    rows = rows.astype(np.float32)
    first: dict[tuple, int] = {}
    low = np.array([-51.2, -51.2, -3.0], np.float32)
    for number, row in enumerate(rows):
        x, y, z = np.floor((row[:3] - low) / CONFIG.lidar_voxel_m)
        first.setdefault((y, x, z, round(float(row[4]) / 0.2)), number)
    assert 300 < len(first) < 4500
    in_order = sorted(first, key=lambda voxel: (*np.floor((rows[first[voxel], 1::-1] + 51.2) / 1.6), *voxel))
    assert _thinned(list(rows[:, [0, 1, 2, 4]].T), CONFIG).tolist() == [first[voxel] for voxel in in_order]
    assert _thinned(list(rows[:0, [0, 1, 2, 4]].T), CONFIG).shape == (0,)


@pytest.mark.parametrize("largest", [3, 2**16 - 1, 2**16, 2**31, 2**45])
def test_counting_digits_sorts_as_comparing_numbers_does(largest: int) -> None:
    numbers = np.random.default_rng(0).integers(0, largest, 3000, endpoint=True)
    numbers[::7] = numbers[0]
    numbers[5] = largest
    assert _ascending(numbers).tolist() == np.argsort(numbers, kind="stable").tolist()
