"""The machine's own jitter: work that is always the same, and a process that notices when it was not let run."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType

STALL_MS = 5.0
NAP_S = 0.001
CALIBRATION_ROUNDS = 20_000


@dataclass(frozen=True)
class SpinControl:
    """Counting to a fixed number: what varies in its time is the machine's doing.

    Args:
        rounds: How far to count.

    """

    rounds: int

    @staticmethod
    def lasting(milliseconds: float) -> SpinControl:
        """A control that takes about so long on this machine."""
        fastest_ms = min(SpinControl(CALIBRATION_ROUNDS).run_ms() for _ in range(5))
        return SpinControl(max(1, round(CALIBRATION_ROUNDS * milliseconds / fastest_ms)))

    def run_ms(self) -> float:
        """Milliseconds that it took this time."""
        begin_ns = time.perf_counter_ns()
        for _ in range(self.rounds):
            pass
        return (time.perf_counter_ns() - begin_ns) / 1e6


class StallMonitor:
    """A process that naps for a millisecond over and over: waking 5 ms late means that the machine stalled.

    A context manager; `stalls` are known after it was left. It takes a hundredth of a core.
    """

    def __init__(self) -> None:
        self.stalls: list[tuple[int, int]] = []
        """Begin and end in nanoseconds of `time.monotonic_ns`."""
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_watch, args=(theirs,), daemon=True)

    def __enter__(self) -> StallMonitor:
        self._process.start()
        self._ours.recv()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ours.send(None)
        self.stalls = self._ours.recv()
        self._process.join()

    def overlaps(self, begin_ns: int, end_ns: int) -> bool:
        """Whether the machine stalled between two times."""
        return any(first < end_ns and begin_ns < last for first, last in self.stalls)


def _watch(connection: Connection) -> None:
    stalls: list[tuple[int, int]] = []
    connection.send(None)
    before_ns = time.monotonic_ns()
    while not connection.poll():
        time.sleep(NAP_S)
        now_ns = time.monotonic_ns()
        if now_ns - before_ns > (NAP_S * 1e3 + STALL_MS) * 1e6:
            stalls.append((before_ns, now_ns))
        before_ns = now_ns
    connection.send(stalls)
