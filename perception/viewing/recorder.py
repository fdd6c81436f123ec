"""Pictures of a replay: one video with cameras above and the scene from above below, and a still."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tricast.perception.outputs import TickResult
from tricast.perception.viewing.bev_picture import draw_bev
from tricast.perception.viewing.camera_overlay import draw_camera
from tricast.sensors.annotations import Annotations
from tricast.sensors.synced_frame import SyncedFrame

WIDTH_PX = 960
BEV_HEIGHT_PX = 560
STILL_AT_TICK = 15


class VideoWriter:
    """H.264 in MP4 through the encoder that `imageio-ffmpeg` carries; the file has its name only once it is whole."""

    def __init__(self, path: Path, *, size_px: tuple[int, int], fps: float) -> None:
        self._path = path
        self._partial = path.with_name(path.stem + ".partial" + path.suffix)
        command = [
            imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error",
            "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size_px[0]}x{size_px[1]}", "-r", f"{fps:g}", "-i", "-",
            "-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-pix_fmt", "yuv420p", "-movflags", "+faststart",
            str(self._partial),
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE)

    def write(self, image: NDArray[np.uint8]) -> None:
        """Append one RGB image of the stated size."""
        assert self._process.stdin is not None
        self._process.stdin.write(np.ascontiguousarray(image).data)

    def close(self) -> None:
        """Finish the file."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        if self._process.wait() == 0:
            self._partial.replace(self._path)


class PictureRecorder:
    """Observer of a replay that writes `replay.mp4` and `still.png` into its run directory."""

    def __init__(self, out: Path, *, fps: float = 10.0) -> None:
        self._out, self._fps = out, fps
        self._video: VideoWriter | None = None
        self._count = 0
        self._worth = (False, 0, False)
        self._still: NDArray[np.uint8] | None = None

    def __enter__(self) -> PictureRecorder:
        return self

    def add(self, frame: SyncedFrame, result: TickResult, annotations: Annotations | None) -> None:
        """Draw one tick."""
        image = compose(frame, result, annotations)
        if self._video is None:
            self._video = VideoWriter(self._out / "replay.mp4", size_px=(image.shape[1], image.shape[0]), fps=self._fps)
        self._video.write(image)
        # The still shows a tick that has truth beside it, once tracks have settled; else whatever there is.
        worth = (annotations is not None, min(self._count, STILL_AT_TICK), len(result.tracks) > 0)
        if self._still is None or worth > self._worth:
            self._still, self._worth = image, worth
        self._count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._video is not None:
            self._video.close()
        if self._still is not None:
            Image.fromarray(self._still).save(self._out / "still.png")


def compose(frame: SyncedFrame, result: TickResult, annotations: Annotations | None) -> NDArray[np.uint8]:
    """One picture of a tick: its cameras in rows above, the scene from above below; even width and height."""
    bev = draw_bev(frame, result, annotations, size_px=(WIDTH_PX, BEV_HEIGHT_PX))
    channels = frame.rig.channels("camera")
    if not channels:
        return bev
    columns = min(len(channels), 4 if len(channels) > 3 else len(channels))
    width = WIDTH_PX // columns // 2 * 2
    rows = []
    for begin in range(0, len(channels), columns):
        row = np.zeros((width * 3 // 5 // 2 * 2, WIDTH_PX, 3), np.uint8)
        for place, channel in enumerate(channels[begin : begin + columns]):
            picture = draw_camera(frame, result, channel, size_px=(width, row.shape[0]))
            row[:, place * width : (place + 1) * width] = picture
        rows.append(row)
    return np.concatenate([*rows, bev])
