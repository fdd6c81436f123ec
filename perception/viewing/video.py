"""Videos without any viewer or codec installed: MP4 by the encoder that `imageio-ffmpeg` carries, or else GIF."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Protocol

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tricast.configs.disk import partial_of
from tricast.configs.errors import InputError

MAX_GIF_FRAMES = 240
"""More are thinned out, as a GIF is kept in memory until it is written."""
GIF_WIDTH_PX = 640


class VideoSink(Protocol):
    """What takes the images of a video, one by one."""

    def write(self, image: NDArray[np.uint8]) -> None:
        """Append one RGB image (height, width, 3); every image has the size of the first."""
        ...

    def close(self) -> None:
        """Finish the file and give it its name."""
        ...

    def abort(self) -> None:
        """Leave no file."""
        ...


def open_video(path: Path, *, fps: float) -> VideoSink:
    """A writer of `path` as MP4, or of its `.gif` neighbour where no encoder can be found."""
    try:
        encoder = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        return GifWriter(path.with_suffix(".gif"), fps=fps)
    return VideoWriter(path, fps=fps, encoder=encoder)


class VideoWriter:
    """Writes H.264 in MP4 (yuv420p); the file has its name only once it is whole.

    Args:
        path: The file.
        fps: Images per second.
        encoder: The ffmpeg executable; None takes the one that `imageio-ffmpeg` carries.

    """

    def __init__(self, path: Path, *, fps: float, encoder: str | None = None) -> None:
        self._path, self._fps = path, fps
        self._partial = partial_of(path)
        self._encoder = encoder or imageio_ffmpeg.get_ffmpeg_exe()
        self._process: subprocess.Popen[bytes] | None = None
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the encoder
        self._shape: tuple[int, ...] = ()

    def __enter__(self) -> VideoWriter:
        return self

    def write(self, image: NDArray[np.uint8]) -> None:
        """See `VideoSink.write`; an odd last row or column is left out, as yuv420p has none.

        Raises:
            InputError: The encoder gave up, for example on a full disk.

        """
        even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
        if self._process is None:
            self._process, self._shape = self._started(even.shape[1], even.shape[0]), even.shape
        assert even.shape == self._shape, f"image {even.shape} in a video of {self._shape}"
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(even).data)
        except OSError as error:
            raise self._failed() from error

    def close(self) -> None:
        """See `VideoSink.close`; without any image there is no file.

        Raises:
            InputError: The encoder failed.

        """
        if self._process is not None:
            assert self._process.stdin is not None
            try:
                self._process.stdin.close()
            except OSError as error:
                raise self._failed() from error
            if self._process.wait() != 0:
                raise self._failed()
            self._partial.replace(self._path)
        self._messages.close()

    def abort(self) -> None:
        """See `VideoSink.abort`."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdin is not None
            # What was buffered for the encoder has nobody left to read it.
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._partial.unlink(missing_ok=True)
        self._messages.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _started(self, width_px: int, height_px: int) -> subprocess.Popen[bytes]:
        command = [
            self._encoder, "-y", "-loglevel", "error",
            "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width_px}x{height_px}", "-r", f"{self._fps:g}", "-i", "-",
            "-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-pix_fmt", "yuv420p", "-movflags", "+faststart",
            "-f", "mp4", str(self._partial),
        ]  # fmt: skip
        try:
            # In a session of its own: Ctrl-C reaches all of a terminal's group, and pictures are still to come.
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._messages,
                start_new_session=True,
            )
        except OSError as error:
            raise self._error(str(error)) from error

    def _failed(self) -> InputError:
        """The encoder's own last words; nothing is left behind."""
        assert self._process is not None
        code = self._process.wait()
        self._messages.seek(0)
        said = self._messages.read().decode(errors="replace").strip().splitlines()
        self.abort()
        return self._error(said[-1] if said else f"the encoder's exit code {code}")

    def _error(self, got: str) -> InputError:
        return InputError(
            where=str(self._path),
            got=got,
            expected="an MP4 written by ffmpeg",
            remedy="check free disk space and permissions, or leave the pictures out with --no-pictures",
        )


class GifWriter:
    """Writes an animated GIF with Pillow alone, smaller and thinned out where it would grow too large.

    Args:
        path: The file.
        fps: Images per second.

    """

    def __init__(self, path: Path, *, fps: float) -> None:
        self._path, self._fps = path, fps
        self._frames: list[Image.Image] = []
        self._every, self._seen = 1, 0

    def write(self, image: NDArray[np.uint8]) -> None:
        """See `VideoSink.write`."""
        if self._seen % self._every == 0:
            picture = Image.fromarray(image)
            picture.thumbnail((GIF_WIDTH_PX, 2 * GIF_WIDTH_PX))
            self._frames.append(picture.quantize(128, method=Image.Quantize.FASTOCTREE))
        if len(self._frames) > MAX_GIF_FRAMES:
            self._frames, self._every = self._frames[::2], 2 * self._every
        self._seen += 1

    def close(self) -> None:
        """See `VideoSink.close`; without any image there is no file."""
        if not self._frames:
            return
        partial = partial_of(self._path)
        # A GIF counts hundredths of a second: pauses are rounded so that together they stay right.
        ends = [round(100 * self._every * image / self._fps) for image in range(len(self._frames) + 1)]
        pauses_ms = [max(20, 10 * (end - begin)) for begin, end in pairwise(ends)]
        first, *others = self._frames
        first.save(partial, format="GIF", save_all=True, append_images=others, duration=pauses_ms, loop=0)
        partial.replace(self._path)

    def abort(self) -> None:
        """See `VideoSink.abort`."""
        self._frames.clear()
