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

SECOND_NS = 1_000_000_000
WIDTH_PX = 1280
BEV_SIZE_PX = (960, 720)
SETTLED_AFTER_TICKS = 15
VIDEO_FPS = 30
"""Images of a video are as far apart as their ticks, to the nearest of so many a second: ticks at 10 and 15 Hz fit."""
LAST_S = 0.1
"""How long the last image of a video is seen, and one before time is set back."""
MAX_PAUSE_S = 2.0
"""Longer holes between ticks are cut to so much."""


class PictureRecorder:
    """Observer of a replay that writes `replay.mp4` (or `.gif`), `still.png` and `still_late.png`.

    `still.png` shows a tick with truth beside it, if any has truth, once tracks have settled; `still_late.png` a tick
    from the second half. The video runs in real time.

    Args:
        out: The run directory.
        every_nth: Draw only every nth tick.

    """

    def __init__(self, out: Path, *, every_nth: int = 1) -> None:
        assert every_nth >= 1
        self._out, self._every_nth = out, every_nth
        self._video: _RealTimeVideo | None = None
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
            self._append(image, frame.timestamp_ns)

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

    def _append(self, image: NDArray[np.uint8], at_ns: int) -> None:
        if self._video is None:
            self._video = _RealTimeVideo(open_video(self._out / "replay.mp4", fps=VIDEO_FPS))
        self._video.write(image, at_ns)
        self._drawn += 1
        # At each power of two: whenever the replay ends, the last such tick lies in its second half.
        if self._drawn == self._next_late:
            self._late_still, self._next_late = image, 2 * self._next_late


class _RealTimeVideo:
    """Repeats each image until the next one's time has come; of several within one step the newest is seen."""

    def __init__(self, sink: VideoSink) -> None:
        self._sink = sink
        self._waiting: NDArray[np.uint8] | None = None
        self._at_ns = 0
        self._due_s = 0.0
        """When the waiting image begins."""
        self._written = 0

    def write(self, image: NDArray[np.uint8], at_ns: int) -> None:
        if self._waiting is not None:
            passed_s = (at_ns - self._at_ns) / SECOND_NS
            self._show_waiting(min(passed_s, MAX_PAUSE_S) if passed_s >= 0 else LAST_S)
        self._waiting, self._at_ns = image, at_ns

    def close(self) -> None:
        if self._waiting is not None:
            self._show_waiting(LAST_S)
        self._sink.close()

    def abort(self) -> None:
        self._sink.abort()

    def _show_waiting(self, seconds: float) -> None:
        assert self._waiting is not None
        self._due_s += seconds
        while self._written < round(self._due_s * VIDEO_FPS):
            self._sink.write(self._waiting)
            self._written += 1


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
