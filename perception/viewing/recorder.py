"""Pictures of a replay: one video with cameras above and the scene from above below, and stills."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tricast.configs.disk import writing
from tricast.perception.outputs import TickResult
from tricast.perception.viewing.bev_picture import draw_bev
from tricast.perception.viewing.camera_overlay import draw_cameras
from tricast.perception.viewing.status_panel import draw_panel
from tricast.perception.viewing.video import VideoSink, open_video
from tricast.sensors.annotations import Annotations
from tricast.sensors.synced_frame import SyncedFrame

WIDTH_PX = 1280
BEV_SIZE_PX = (960, 720)
SETTLED_AFTER_TICKS = 15


class PictureRecorder:
    """Observer of a replay that writes `replay.mp4` (or `.gif`), `still.png` and `still_late.png`.

    `still.png` shows a tick with truth beside it, if any has truth, once tracks have settled; `still_late.png` a tick
    from the second half.

    Args:
        out: The run directory.
        fps: Images per second of the video.
        every_nth: Draw only every nth tick; the video then runs that much faster.

    """

    def __init__(self, out: Path, *, fps: float = 10.0, every_nth: int = 1) -> None:
        assert every_nth >= 1
        self._out, self._fps, self._every_nth = out, fps, every_nth
        self._video: VideoSink | None = None
        self._first_ns: int | None = None
        self._ticks = self._drawn = 0
        self._still: NDArray[np.uint8] | None = None
        self._worth = (False, -1, False)
        self._late_still: NDArray[np.uint8] | None = None
        self._next_late = 1

    def __enter__(self) -> PictureRecorder:
        return self

    def add(self, frame: SyncedFrame, result: TickResult, annotations: Annotations | None) -> None:
        """Draw one tick, if it is its turn or makes a better still."""
        self._first_ns = frame.timestamp_ns if self._first_ns is None else self._first_ns
        due = self._ticks % self._every_nth == 0
        worth = (annotations is not None, min(self._ticks, SETTLED_AFTER_TICKS), len(result.tracks) > 0)
        self._ticks += 1
        if not (due or worth > self._worth):
            return
        image = compose(frame, result, annotations, since_ns=self._first_ns)
        if worth > self._worth:
            self._still, self._worth = image, worth
        if due:
            self._append(image)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            for name, still in (("still.png", self._still), ("still_late.png", self._late_still)):
                if still is not None:
                    partial = self._out / f"{name}.partial"
                    with writing(self._out / name):
                        Image.fromarray(still).save(partial, format="PNG")
                        partial.replace(self._out / name)
        finally:
            # Whatever became of the stills: the encoder is a process of its own, which would go on.
            if self._video is not None and kind is None:
                self._video.close()
            elif self._video is not None:
                self._video.abort()

    def _append(self, image: NDArray[np.uint8]) -> None:
        if self._video is None:
            self._video = open_video(self._out / "replay.mp4", fps=self._fps)
        self._video.write(image)
        self._drawn += 1
        # At each power of two: whenever the replay ends, the last such tick lies in its second half.
        if self._drawn == self._next_late:
            self._late_still, self._next_late = image, 2 * self._next_late


class NullRecorder:
    """Takes ticks and draws nothing: stands where no pictures are wanted."""

    def __enter__(self) -> NullRecorder:
        return self

    def add(self, frame: SyncedFrame, result: TickResult, annotations: Annotations | None) -> None:
        """Do nothing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None


def compose(
    frame: SyncedFrame, result: TickResult, annotations: Annotations | None, *, since_ns: int | None = None
) -> NDArray[np.uint8]:
    """One picture of a tick: its cameras in rows above, below them the scene from above and a panel; even sides.

    Args:
        frame: What the tick had.
        result: Its result.
        annotations: Truth at the tick, if any.
        since_ns: Time that the panel counts from; None counts from the tick.

    """
    bev = draw_bev(frame, result, annotations, size_px=BEV_SIZE_PX)
    panel = draw_panel(
        frame,
        result,
        since_ns=frame.timestamp_ns if since_ns is None else since_ns,
        size_px=(WIDTH_PX - BEV_SIZE_PX[0], BEV_SIZE_PX[1]),
    )
    return np.concatenate([draw_cameras(frame, result, width_px=WIDTH_PX), np.concatenate([bev, panel], axis=1)])
