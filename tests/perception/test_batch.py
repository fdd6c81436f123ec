import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from tricast.perception.batch import (
    BatchConfig,
    BevTransform,
    _thinned,
    cell_centers_m,
    collate,
    depth_bins_of,
)
from tricast.perception.layers.pillars import cells_of
from tricast.perception.tick_sample import TickSample
from tricast.sensors.frames import CameraFrame

CONFIG = BatchConfig(cells=32, image_size_px=(64, 32), depth_bins=8)
TURNED = [
    BevTransform(yaw_rad=0.7),
    BevTransform(flip_x=True),
    BevTransform(flip_y=True),
    BevTransform(yaw_rad=-2.0, flip_x=True),
    BevTransform(yaw_rad=0.4, flip_x=True, flip_y=True),
]


def test_a_quarter_turn_to_the_left_brings_what_was_ahead_to_the_left() -> None:
    turn = BevTransform(yaw_rad=np.pi / 2)
    assert turn.vectors(np.array([[10.0, 0.0, 3.0]])) == pytest.approx(np.array([[0.0, 10.0, 3.0]]))
    assert turn.yaws_rad(np.array([0.0])) == pytest.approx([np.pi / 2])


def test_a_reflection_of_y_turns_headings_round() -> None:
    flip = BevTransform(flip_y=True)
    assert flip.vectors(np.array([[10.0, 2.0]])) == pytest.approx(np.array([[10.0, -2.0]]))
    assert flip.yaws_rad(np.array([0.3])) == pytest.approx([-0.3])


def test_headings_and_vectors_move_alike() -> None:
    for transform in TURNED:
        yaw = np.array([0.9])
        ahead = transform.vectors(np.array([[np.cos(0.9), np.sin(0.9)]]))
        assert np.arctan2(ahead[:, 1], ahead[:, 0]) == pytest.approx(transform.yaws_rad(yaw))


@pytest.mark.parametrize("transform", TURNED)
def test_a_point_falls_on_the_same_pixel_in_a_transformed_frame(
    ticks: list[TickSample], transform: BevTransform
) -> None:
    batch = collate(ticks[:1], CONFIG, [transform])
    axis = cell_centers_m(CONFIG.cells, CONFIG.range_m)
    rows, columns = CONFIG.feature_size
    checked = 0
    for y, x, z in np.argwhere(batch.lift_index[0].numpy() >= 0)[::37]:
        slot, pixel = divmod(int(batch.lift_index[0, y, x, z]), rows * columns)
        camera = ticks[0].cameras[slot]
        in_ego = transform.matrix.T @ np.array([axis[x], axis[y]])
        point = np.array([[*in_ego, CONFIG.lift_heights_m[z]]])
        in_camera = camera.tick_from_camera.inverse.apply(point)
        (expected,), (seen,) = camera.lens.project(in_camera)
        assert seen
        assert divmod(pixel, columns) == (int((expected[1] + 0.5) // 8), int((expected[0] + 0.5) // 8))
        assert batch.lift_depth_bin[0, y, x, z] == depth_bins_of(np.linalg.norm(in_camera, axis=1), CONFIG)[0]
        checked += 1
    assert checked > 20


@pytest.mark.parametrize("transform", TURNED)
def test_rays_point_at_the_cells_that_look_them_up(ticks: list[TickSample], transform: BevTransform) -> None:
    batch = collate(ticks[:1], CONFIG, [transform])
    axis = cell_centers_m(CONFIG.cells, CONFIG.range_m)
    rows, columns = CONFIG.feature_size
    for y, x, z in np.argwhere(batch.lift_index[0].numpy() >= 0)[::37]:
        slot, pixel = divmod(int(batch.lift_index[0, y, x, z]), rows * columns)
        ray = batch.ray_directions[0, slot, pixel // columns, pixel % columns].numpy()
        sight = np.array([axis[x], axis[y], CONFIG.lift_heights_m[z]]) - batch.ray_origins_m[0, slot].numpy()
        # Half the diagonal of a feature of 8 pixels at a focal length of 34 is 0.17 rad.
        assert ray @ sight / np.linalg.norm(sight) > np.cos(0.18)


@pytest.mark.parametrize("transform", TURNED)
def test_lidar_and_radar_move_with_the_frame(ticks: list[TickSample], transform: BevTransform) -> None:
    # A range so large that no point leaves the grid, voxels so small that none is thinned.
    config = CONFIG.model_copy(update={"range_m": 100.0, "lidar_voxel_m": 0.01})
    plain, moved = collate(ticks[:1], config), collate(ticks[:1], config, [transform])
    for before, after in ((plain.lidar_points, moved.lidar_points), (plain.radar_points, moved.radar_points)):
        expected = transform.vectors(before.numpy())
        if before.shape[1] == 9:
            expected[:, 6:8] = transform.vectors(before[:, 6:8].numpy())
        order, other = np.argsort(expected[:, 3], kind="stable"), np.argsort(after[:, 3].numpy(), kind="stable")
        assert after.numpy()[other] == pytest.approx(expected[order], abs=1e-4)


def test_of_two_overlapping_cameras_a_cell_takes_the_one_that_sees_it_nearest_to_its_centre(
    ticks: list[TickSample],
) -> None:
    front = ticks[0].cameras[1]
    twin = dataclasses.replace(front, channel="TWIN")
    batch = collate([dataclasses.replace(ticks[0], cameras=(front, twin))], CONFIG)
    rows, columns = CONFIG.feature_size
    assert set((batch.lift_index[batch.lift_index >= 0] // (rows * columns)).tolist()) == {0}


def test_absent_sensors_have_no_rows(ticks: list[TickSample]) -> None:
    blind = dataclasses.replace(ticks[0], cameras=(), lidar=None, radar=None)
    batch = collate([blind, ticks[1]], CONFIG)
    assert batch.present.tolist() == [[False, False, False], [True, True, True]]
    assert batch.camera_mask.tolist() == [[False] * 4, [True] * 4]
    assert set(batch.lidar_sample.tolist()) == {1}
    assert batch.with_lidar.tolist() == [1]
    assert (batch.lift_index[0] == -1).all()
    alone = collate([blind], CONFIG)
    assert alone.images.shape == (0, 3, 32, 64)
    assert alone.camera_mask.shape == (1, 0)


def test_an_empty_cloud_is_a_lidar_that_is_there(ticks: list[TickSample]) -> None:
    batch = collate([dataclasses.replace(ticks[0], lidar=np.zeros((0, 5), np.float32))], CONFIG)
    assert batch.present.tolist() == [[True, True, True]]
    assert len(batch.lidar_points) == 0


def test_a_picture_that_does_not_decode_is_a_camera_that_did_not_deliver(ticks: list[TickSample]) -> None:
    broken = CameraFrame(channel="BACK", timestamp_ns=0, received_ns=0, encoding="jpeg", data=b"\xff\xd8")
    cameras = (dataclasses.replace(ticks[0].cameras[0], image=broken), *ticks[0].cameras[1:])
    batch = collate([dataclasses.replace(ticks[0], cameras=cameras)], CONFIG)
    without = collate([dataclasses.replace(ticks[0], cameras=ticks[0].cameras[1:])], CONFIG)
    for name, value in vars(batch).items():
        assert torch.equal(value, getattr(without, name)), name


def test_pictures_of_another_size_are_resized(ticks: list[TickSample]) -> None:
    camera = ticks[0].cameras[0]
    large = CameraFrame.from_pixels("BACK", 0, np.full((64, 128, 3), 7, np.uint8))
    bigger = dataclasses.replace(camera, image=large, lens=camera.lens.scaled(128, 64))
    batch = collate([dataclasses.replace(ticks[0], cameras=(bigger,))], CONFIG)
    plain = collate([dataclasses.replace(ticks[0], cameras=(camera,))], CONFIG)
    assert batch.images.shape == (1, 3, 32, 64)
    assert (batch.images == 7).all()
    assert torch.equal(batch.lift_index, plain.lift_index)


def test_of_a_voxel_one_return_of_each_age_is_kept(ticks: list[TickSample]) -> None:
    rows = np.array([[5, 5, 1, 0.5, 0.0], [5.01, 5, 1, 0.5, 0.0], [5, 5, 1, 0.5, 0.2], [9, 5, 1, 0.5, 0.0]], np.float32)
    batch = collate([dataclasses.replace(ticks[0], lidar=rows)], CONFIG)
    assert sorted(map(tuple, batch.lidar_points[:, [0, 4]].tolist())) == [
        (5.0, 0.0),
        (5.0, pytest.approx(0.2)),
        (9.0, 0.0),
    ]


def test_padding_needs_room(ticks: list[TickSample]) -> None:
    batch = collate(ticks[:1], CONFIG)
    padded = batch.padded(1000, 100)
    assert len(padded.lidar_points) == 1000
    assert padded.lidar_sample[-1] == 1
    with pytest.raises(ValueError, match="do not fit"):
        batch.padded(10, 100)


def test_depth_bins_are_spaced_by_logarithm() -> None:
    config = CONFIG.model_copy(update={"depth_bins": 4, "depth_range_m": (2.0, 32.0)})
    assert depth_bins_of(np.array([0.0, 2.1, 4.1, 15.9, 16.1, 500.0]), config).tolist() == [0, 0, 1, 2, 3, 3]


def test_returns_come_in_the_order_of_the_cells_in_which_the_network_puts_them() -> None:
    """Also those on the borders of cells, to the bit, in every frame."""
    config, rng = BatchConfig(), np.random.default_rng(0)
    place = rng.integers(-500, 500, (4000, 2)) * 0.1
    rows = np.column_stack([place, rng.uniform(0, 2, 4000), np.ones(4000), np.zeros(4000)]).astype(np.float32)
    sample = TickSample(timestamp_ns=0, cameras=(), lidar=rows, radar=None)
    for transform in (BevTransform(), BevTransform(yaw_rad=0.3), BevTransform(flip_x=True, yaw_rad=-0.4)):
        batch = collate([sample, sample], config, [transform, BevTransform()])
        cell, _ = cells_of(batch.lidar_points, batch.lidar_sample, 2, config.heatmap_cells, config.range_m)
        assert (cell.diff() >= 0).all()


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
    assert _thinned(rows, CONFIG).tolist() == [first[voxel] for voxel in in_order]
    assert _thinned(rows[:0], CONFIG).shape == (0,)


def test_pictures_decoded_beside_each_other_are_the_same(ticks: list[TickSample]) -> None:
    broken = CameraFrame(channel="FRONT", timestamp_ns=0, received_ns=0, encoding="jpeg", data=b"no picture")
    cameras = list(ticks[0].cameras)
    cameras[1] = dataclasses.replace(cameras[1], image=broken)
    tick = dataclasses.replace(ticks[0], cameras=tuple(cameras))
    with ThreadPoolExecutor(3) as pool:
        beside, alone = collate([tick], CONFIG, pool=pool), collate([tick], CONFIG)
    for field in dataclasses.fields(alone):
        assert torch.equal(getattr(beside, field.name), getattr(alone, field.name)), field.name
    assert len(alone.images) == 3


def test_a_batch_without_a_modality_is_that_of_samples_without_it(ticks: list[TickSample]) -> None:
    whole = collate(ticks, CONFIG)
    for modality, change in (("camera", {"cameras": ()}), ("lidar", {"lidar": None}), ("radar", {"radar": None})):
        expected = collate([dataclasses.replace(tick, **change) for tick in ticks], CONFIG)
        for name, value in vars(whole.without(modality)).items():
            assert torch.equal(value, getattr(expected, name)), f"{name} without {modality}"
    assert whole.present.all()
