"""One progress line on a terminal for long replays."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

UPDATE_PERIOD_S = 0.2


class ProgressLine:
    """Observer that shows how far a replay has come; clears its line at the end."""

    def __init__(self, start_ns: int, end_ns: int) -> None:
        self._start_ns, self._length_ns = start_ns, max(end_ns - start_ns, 1)
        self._next_s = 0.0

    def __enter__(self) -> ProgressLine:
        return self

    def add(self, frame: Any, result: Any, annotations: Any) -> None:
        """Show the tick's place in the log, a few times a second."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + UPDATE_PERIOD_S
        share = min(1.0, max(0.0, (frame.timestamp_ns - self._start_ns) / self._length_ns))
        bar = "#" * int(30 * share)
        print(f"\r[{bar:<30}] {share:4.0%}  {len(result.tracks)} objects ", end="", file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
