import dataclasses
import io
import threading
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image

from tricast.perception.config import chosen_config
from tricast.perception.detectors.network import NetworkDetector
from tricast.perception.detectors.network_config import NetworkConfig
from tricast.perception.model import ModelConfig, Network
from tricast.perception.picture_decoding import PictureDecoder, decoded
from tricast.sensors.frames import CameraFrame
from tricast.sensors.synced_frame import SyncedFrame
from tricast.tools.benchmark_load import log_ticks
from tricast.tools.demo import demo_log_path

SIZE_PX = (64, 32)


def _frames() -> list[CameraFrame]:
    """JPEGs of several sizes, the third of which is broken, and other encodings."""
    rng = np.random.default_rng(0)
    made = []
    for number, size in enumerate(((64, 32), (64, 33), (80, 45), (160, 90), (320, 180), (63, 31))):
        picture = Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))
        for kind in ("JPEG", "PNG"):
            buffer = io.BytesIO()
            (picture.convert("L") if number == 3 else picture).save(buffer, kind)
            made.append(_frame(kind.lower(), buffer.getvalue()))
        made.append(CameraFrame.from_pixels("CAM", 0, np.asarray(picture)))
    made[2] = dataclasses.replace(made[2], encoding="jpeg", data=b"no picture")
    return made


def _frame(encoding: str, data: bytes) -> CameraFrame:
    return CameraFrame(channel="CAM", timestamp_ns=0, received_ns=0, encoding=encoding, data=data)  # type: ignore[arg-type]


def test_pictures_are_those_that_decoding_and_then_resizing_gives() -> None:
    for number, frame in enumerate(_frames()):
        picture = decoded(frame, SIZE_PX)
        if number == 2:
            assert picture is None
            continue
        whole = Image.fromarray(frame.pixels(at_least_px=SIZE_PX))
        plain = np.asarray(whole.resize(SIZE_PX, Image.Resampling.BILINEAR))
        assert picture is not None
        assert (picture.shape, picture.dtype) == ((32, 64, 3), np.uint8)
        apart = np.abs(picture.astype(int) - plain)
        assert apart.max() <= 1  # in the last digit the two round in other ways
        assert apart.mean() < 0.05
        assert picture.flags.c_contiguous


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_pictures_come_in_order_whoever_decodes_them(threads: int) -> None:
    frames = _frames()
    taken = PictureDecoder(threads).begun(frames, SIZE_PX).taken()
    assert len(taken) == len(frames)
    for frame, picture in zip(frames, taken, strict=True):
        plain = decoded(frame, SIZE_PX)
        assert (picture is None) == (plain is None)
        if picture is not None:
            np.testing.assert_array_equal(picture, plain)
    assert PictureDecoder(threads).begun([], SIZE_PX).taken() == []


@pytest.mark.parametrize("threads", [1, 3])
def test_a_broken_picture_is_counted_once_however_many_ticks_it_is_in(threads: int) -> None:
    whole = _frames()[0]
    cut = dataclasses.replace(whole, channel="CUT", data=whole.data[: len(whole.data) // 2])
    headless = dataclasses.replace(whole, channel="HEADLESS", data=b"no picture")
    decoder = PictureDecoder(threads)
    for stamp_ns in (0, 0, 1):
        decoder.begun([whole, dataclasses.replace(cut, timestamp_ns=stamp_ns), headless], SIZE_PX).taken()
    assert decoder.undecoded.by_channel() == {"CUT": 2, "HEADLESS": 1}
    assert decoder.undecoded.behind_header() == {"CUT": 2}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _ObservedFrame(CameraFrame):
    """Says where it is decoded, and may wait before it is."""

    seen: list[str]
    may_go: threading.Event | None = None

    def pixels(self, *, at_least_px: tuple[int, int] | None = None) -> np.ndarray:
        self.seen.append(threading.current_thread().name)
        if self.may_go is not None:
            assert self.may_go.wait(30)
        return super().pixels(at_least_px=at_least_px)


def _observed(count: int, **given: object) -> list[_ObservedFrame]:
    plain = CameraFrame.from_pixels("CAM", 0, np.zeros((32, 64, 3), np.uint8))
    return [_ObservedFrame(**vars(plain), seen=[], **given) for _ in range(count)]  # type: ignore[arg-type]


def test_decoding_begins_before_pictures_are_taken() -> None:
    frames, moment = _observed(1), threading.Event()
    awaited = PictureDecoder(2).begun(frames, SIZE_PX)
    for _ in range(3000):
        if frames[0].seen:
            break
        moment.wait(0.01)
    assert frames[0].seen[0].startswith("tricast-decode")
    assert awaited.taken()[0] is not None


def test_whoever_takes_pictures_decodes_those_that_no_other_thread_has_begun() -> None:
    may_go = threading.Event()
    held = _observed(1, may_go=may_go)
    decoder = PictureDecoder(2)
    decoder.begun(held, SIZE_PX)  # keeps the only other thread busy
    while not held[0].seen:
        may_go.wait(0.01)
    frames = _observed(3)
    assert len(decoder.begun(frames, SIZE_PX).taken()) == 3
    assert [frame.seen for frame in frames] == [[threading.current_thread().name]] * 3
    may_go.set()


@cache
def _tick() -> SyncedFrame:
    *_, last = log_ticks(demo_log_path(), chosen_config(detector="network"), 8)
    return last


def test_what_is_prepared_beside_decoding_is_the_same_with_a_broken_picture_too(small_model: ModelConfig) -> None:
    torch.manual_seed(0)
    network = Network(small_model).eval()
    tick = _tick()
    cameras = dict(tick.cameras)
    second = sorted(cameras)[1]
    cameras[second] = dataclasses.replace(cameras[second], encoding="jpeg", data=b"no picture")
    for frame, count in ((tick, 4), (dataclasses.replace(tick, cameras=cameras), 3)):
        alone, *beside = (
            NetworkDetector(NetworkConfig(threads=threads), network=network).prepare(frame) for threads in (1, 2, 4)
        )
        assert len(alone.images) == count
        assert len(alone.lidar_points) and len(alone.radar_points)
        for batch in beside:
            for field in dataclasses.fields(alone):
                assert torch.equal(getattr(batch, field.name), getattr(alone, field.name)), field.name
