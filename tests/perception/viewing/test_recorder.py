"""Videos and stills of a replay."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image, ImageSequence

from tricast.configs.errors import InputError
from tricast.perception.viewing import recorder as recorder_module
from tricast.perception.viewing.recorder import NullRecorder, PictureRecorder, compose
from tricast.perception.viewing.video import GifWriter, VideoWriter, open_video
from tricast.sensors.calibration import Rig
from tricast.sensors.synced_frame import SyncedFrame


def shades(count: int, size_px: tuple[int, int] = (64, 48)) -> list[np.ndarray]:
    return [np.full((size_px[1], size_px[0], 3), 20 + 180 * i // count, np.uint8) for i in range(count)]


def read_back(path: Path, size_px: tuple[int, int]) -> np.ndarray:
    """Every image of a video, decoded by the program that `imageio-ffmpeg` carries."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert f"{size_px[0]}x{size_px[1]}" in done.stderr.decode()
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, size_px[1], size_px[0], 3)


def test_a_video_reads_back_with_every_image(tmp_path: Path) -> None:
    images = shades(12)
    with VideoWriter(tmp_path / "a.mp4", fps=10) as video:
        for image in images:
            video.write(image)
    assert imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "a.mp4")) == (12, pytest.approx(1.2))
    frames = read_back(tmp_path / "a.mp4", (64, 48))
    assert all(abs(int(f.mean()) - int(i.mean())) < 6 for f, i in zip(frames, images, strict=True))
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    # +faststart: the index lies before the images.
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_odd_sizes_lose_their_last_row_and_column(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", fps=5) as video:
        video.write(np.zeros((49, 65, 3), np.uint8))
    assert len(read_back(tmp_path / "a.mp4", (64, 48))) == 1


def test_an_interrupted_video_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "a.mp4", fps=5) as video:
        video.write(shades(1)[0])
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


INTERRUPTED = """
import os, signal, sys, time
import numpy as np
from pathlib import Path
from tricast.perception.viewing.video import VideoWriter
signal.signal(signal.SIGINT, lambda *_: None)  # as a command does that ends its work before it ends
with VideoWriter(Path(sys.argv[1]), fps=10) as video:
    video.write(np.zeros((48, 64, 3), np.uint8))
    os.killpg(0, signal.SIGINT)
    time.sleep(0.5)
    for _ in range(5):
        video.write(np.zeros((48, 64, 3), np.uint8))
"""


def test_an_interrupt_from_the_terminal_is_not_the_encoders(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "a.mp4")]
    subprocess.run(command, check=True, start_new_session=True, timeout=120)
    assert imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "a.mp4"))[0] == 6


def test_a_video_without_images_is_no_file(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", fps=5):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_cannot_write_is_a_clear_error(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"a\.mp4: got .*--no-pictures"),
        VideoWriter(tmp_path / "missing" / "a.mp4", fps=5) as video,
    ):
        for image in shades(200, (640, 480)):
            video.write(image)


def test_without_an_encoder_a_gif_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_encoder() -> str:
        raise RuntimeError("No ffmpeg exe could be found")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", no_encoder)
    video = open_video(tmp_path / "a.mp4", fps=10)
    for image in shades(7):
        video.write(image)
    video.close()
    with Image.open(tmp_path / "a.gif") as gif:
        assert (getattr(gif, "n_frames", 1), gif.info["duration"]) == (7, 100)


def test_a_long_gif_is_thinned_out(tmp_path: Path) -> None:
    video = GifWriter(tmp_path / "a.gif", fps=10)
    for image in shades(600, (16, 12)):
        video.write(image)
    video.close()
    with Image.open(tmp_path / "a.gif") as gif:
        assert getattr(gif, "n_frames", 1) <= 240
        assert gif.info["duration"] == 400


def test_a_gif_keeps_time_where_pauses_are_no_hundredths(tmp_path: Path) -> None:
    video = GifWriter(tmp_path / "a.gif", fps=30)
    for image in shades(60, (16, 12)):
        video.write(image)
    video.close()
    with Image.open(tmp_path / "a.gif") as gif:
        assert sum(image.info["duration"] for image in ImageSequence.Iterator(gif)) == 2000


def at(frame: SyncedFrame, milliseconds: int) -> SyncedFrame:
    return replace(frame, timestamp_ns=frame.timestamp_ns + milliseconds * 1_000_000)


def pictures_of(path: Path) -> list[int]:
    """How many images of a video, at 30 a second, show one after the other picture."""
    images = read_back(path, (1280, 912)).astype(np.int16)
    starts = [0] + [i for i in range(1, len(images)) if np.abs(images[i] - images[i - 1]).mean() > 2]
    return [end - begin for begin, end in pairwise([*starts, len(images)])]


def test_a_replay_becomes_a_video_and_stills(tmp_path: Path, frame, make_result, truth) -> None:
    with PictureRecorder(tmp_path) as recorder:
        for tick in range(5):
            recorder.add(at(frame, 100 * tick), make_result(), truth if tick == 2 else None)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["replay.mp4", "still.png", "still_late.png"]
    assert imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "replay.mp4")) == (15, pytest.approx(0.5))
    with Image.open(tmp_path / "still_late.png") as still:
        assert still.size == (1280, 912)


@pytest.mark.parametrize(
    ("ticks_ms", "images"),
    [
        # Ticks at 10 Hz with truth at 15 Hz between them.
        ((0, 67, 100, 133, 200), [2, 1, 1, 2, 3]),
        ((0, 50, 100, 150), [2, 1, 2, 3]),
        ((0, 1000, 1100), [30, 3, 3]),
        # Of two within a thirtieth of a second the newer one is seen; a hole is cut to 2 s.
        ((0, 100, 105, 600_000), [3, 60, 3]),
        # Time is set back.
        ((5000, 5100, 0, 100), [3, 3, 3, 3]),
        ((0,), [3]),
    ],
)
def test_a_video_runs_in_real_time(
    tmp_path: Path, frame, make_result, monkeypatch: pytest.MonkeyPatch, ticks_ms: tuple[int, ...], images: list[int]
) -> None:
    shown = iter(shades(len(ticks_ms), (1280, 912)))
    monkeypatch.setattr(recorder_module, "compose", lambda *_, **__: next(shown))
    with PictureRecorder(tmp_path) as recorder:
        for milliseconds in ticks_ms:
            recorder.add(at(frame, milliseconds), make_result(), None)
    assert pictures_of(tmp_path / "replay.mp4") == images


def test_a_still_that_cannot_be_written_does_not_stop_the_video(tmp_path: Path, frame, make_result) -> None:
    (tmp_path / "still.png").mkdir()
    with pytest.raises(InputError, match="directory"), PictureRecorder(tmp_path) as recorder:
        recorder.add(frame, make_result(), None)
    assert len(read_back(tmp_path / "replay.mp4", (1280, 912))) == 3


def test_a_still_that_breaks_off_leaves_the_one_before(
    tmp_path: Path, frame, make_result, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Image.Image, path: Path, **options: object) -> None:
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    (tmp_path / "still.png").write_bytes(b"whole")
    with pytest.raises(InputError, match="No space"), PictureRecorder(tmp_path) as recorder:
        recorder.add(frame, make_result(), None)
        monkeypatch.setattr(Image.Image, "save", full)
    assert (tmp_path / "still.png").read_bytes() == b"whole"


def test_the_still_shows_the_tick_that_has_truth(tmp_path: Path, frame, make_result, truth) -> None:
    with PictureRecorder(tmp_path, every_nth=4) as recorder:
        for tick in range(6):
            recorder.add(frame, make_result(()), truth if tick == 2 else None)
    with Image.open(tmp_path / "still.png") as still:
        picture = np.asarray(still)
    assert (picture == compose(frame, make_result(()), truth)).all()
    assert (picture != compose(frame, make_result(()), None)).any()


def test_every_nth_draws_fewer_ticks(tmp_path: Path, frame, make_result, truth) -> None:
    with PictureRecorder(tmp_path, every_nth=3) as recorder:
        for tick in range(7):
            recorder.add(at(frame, 100 * tick), make_result(), truth if tick == 1 else None)
    # Ticks 0, 3 and 6: as long as their times say.
    assert len(read_back(tmp_path / "replay.mp4", (1280, 912))) == 9 + 9 + 3


def test_a_replay_of_nothing_leaves_no_pictures(tmp_path: Path) -> None:
    with PictureRecorder(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_empty_ticks_and_rigs_without_cameras_are_drawn(bare_frame, make_result) -> None:
    assert compose(bare_frame, make_result(()), None).shape == (912, 1280, 3)
    assert compose(SyncedFrame.of(Rig(), 5, []), make_result(()), None).shape == (720, 1280, 3)


def test_a_null_recorder_takes_ticks_and_writes_nothing(tmp_path: Path, frame, make_result) -> None:
    with NullRecorder() as recorder:
        recorder.add(frame, make_result(), None)
    assert list(tmp_path.iterdir()) == []
