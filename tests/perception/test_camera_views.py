import dataclasses

import numpy as np
import pytest

from tricast.perception.batch import BatchConfig, BevTransform, cell_centers_m
from tricast.perception.camera_views import depth_bins_of
from tricast.perception.collation import collate
from tricast.perception.tick_sample import TickSample
from tricast.sensors.geometry.lenses import FisheyeLens, Lens, PinholeLens

CONFIG = BatchConfig(cells=32, image_size_px=(64, 32), depth_bins=8)


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


def test_of_two_overlapping_cameras_a_cell_takes_the_one_that_sees_it_nearest_to_its_centre(
    ticks: list[TickSample],
) -> None:
    front = ticks[0].cameras[1]
    twin = dataclasses.replace(front, channel="TWIN")
    batch = collate([dataclasses.replace(ticks[0], cameras=(front, twin))], CONFIG)
    rows, columns = CONFIG.feature_size
    assert set((batch.lift_index[batch.lift_index >= 0] // (rows * columns)).tolist()) == {0}


def test_depth_bins_are_spaced_by_logarithm() -> None:
    config = CONFIG.model_copy(update={"depth_bins": 4, "depth_range_m": (2.0, 32.0)})
    assert depth_bins_of(np.array([0.0, 2.1, 4.1, 15.9, 16.1, 500.0]), config).tolist() == [0, 0, 1, 2, 3, 3]


BENT = PinholeLens(
    width_px=64, height_px=32, focal_px=(34.0, 34.0), principal_px=(31.5, 15.5), distortion=(-0.3, 0.1, 0.0, 0.0, 0.0)
)
WIDE = FisheyeLens(width_px=64, height_px=32, focal_px=(16.0, 16.0), principal_px=(31.5, 15.5))


@pytest.mark.parametrize("lens", [None, BENT, WIDE])
def test_the_table_is_that_of_every_cell_projected_by_every_camera(
    ticks: list[TickSample], transform: BevTransform, lens: Lens | None
) -> None:
    cameras = [camera if lens is None else dataclasses.replace(camera, lens=lens) for camera in ticks[0].cameras]
    batch = collate([dataclasses.replace(ticks[0], cameras=tuple(cameras))], CONFIG, [transform])
    axis = cell_centers_m(CONFIG.cells, CONFIG.range_m).astype(float)
    y, x, z = np.meshgrid(axis, axis, CONFIG.lift_heights_m, indexing="ij")
    places = np.column_stack([np.stack([x.ravel(), y.ravel()], axis=1) @ transform.matrix, z.ravel()])
    best = np.full(len(places), np.inf)
    index, depth_bin = np.full(len(places), -1), np.zeros(len(places), int)
    for slot, camera in enumerate(cameras):
        in_camera = camera.tick_from_camera.inverse.apply(places)
        pixels, seen = camera.lens.project(in_camera)
        off = np.where(seen, np.abs(pixels / (64, 32) - 0.5).max(axis=1), np.inf)
        column, line = np.floor((np.where(seen[:, None], pixels, 0) + 0.5) / 8).astype(int).T
        better = off < best
        index = np.where(better, (slot * 4 + line) * 8 + column, index)
        depth_bin = np.where(better, depth_bins_of(np.linalg.norm(in_camera, axis=1), CONFIG), depth_bin)
        best = np.minimum(best, off)
    assert (index >= 0).any() and (lens is WIDE or (index < 0).any())
    assert batch.lift_index.flatten().tolist() == index.tolist()
    assert batch.lift_depth_bin.flatten().tolist() == depth_bin.tolist()
