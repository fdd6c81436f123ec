import dataclasses

import numpy as np
import torch

from tricast.perception.batch import BatchConfig
from tricast.perception.collation import collate
from tricast.perception.picture_decoding import PictureDecoder
from tricast.perception.tick_sample import TickSample
from tricast.sensors.frames import CameraFrame

CONFIG = BatchConfig(cells=32, image_size_px=(64, 32), depth_bins=8)


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


def test_pictures_that_are_awaited_give_the_same_tensors(ticks: list[TickSample]) -> None:
    """Two ticks, one picture of the first broken."""
    broken = CameraFrame(channel="FRONT", timestamp_ns=0, received_ns=0, encoding="jpeg", data=b"no picture")
    cameras = list(ticks[0].cameras)
    cameras[1] = dataclasses.replace(cameras[1], image=broken)
    samples = [dataclasses.replace(ticks[0], cameras=tuple(cameras)), ticks[1]]
    decoder = PictureDecoder(3)
    awaited = [decoder.begun([camera.image for camera in s.cameras], CONFIG.image_size_px) for s in samples]
    beside, alone = collate(samples, CONFIG, awaited=awaited), collate(samples, CONFIG)
    for field in dataclasses.fields(alone):
        assert torch.equal(getattr(beside, field.name), getattr(alone, field.name)), field.name
    assert alone.camera_mask.sum(dim=1).tolist() == [3, 4]
