"""Progress of long work on a terminal."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any

UPDATE_PERIOD_S = 0.2


class ProgressLine:
    """Shows how far work on a log has come, where stderr is a terminal; clears its line at the end."""

    def __init__(self, start_ns: int, end_ns: int) -> None:
        self._start_ns, self._length_ns = start_ns, max(end_ns - start_ns, 1)
        self._next_s = 0.0 if sys.stderr.isatty() else math.inf

    def __enter__(self) -> ProgressLine:
        return self

    def add(self, frame: Any, result: Any, annotations: Any) -> None:
        """Show a tick's place in the log: an observer of a replay."""
        self.show(frame.timestamp_ns, f"{len(result.tracks)} objects")

    def show(self, now_ns: int, note: str) -> None:
        """Show a time's place in the log and a note, a few times a second."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return
        self._next_s = now_s + UPDATE_PERIOD_S
        share = min(1.0, max(0.0, (now_ns - self._start_ns) / self._length_ns))
        bar = "#" * int(30 * share)
        print(f"\r[{bar:<30}] {share:4.0%}  {note} ", end="", file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if math.isfinite(self._next_s):
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def counted(done: Iterable[Any], total: int) -> int:
    """Take everything, and show where stderr is a terminal how many there are so far; gives how many there were."""
    count, shown = 0, sys.stderr.isatty()
    for _ in done:
        count += 1
        if shown:
            print(f"\r{count} of {total} ", end="", file=sys.stderr, flush=True)
    if shown:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return count
