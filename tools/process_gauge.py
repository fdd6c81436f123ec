"""What a process takes while it works: memory, threads, file descriptors, latency; at the beginning and the end."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

WARM_UP_SHARE = 0.1
MAX_GROWTH = 0.02
"""Of resident memory, from the first to the last tenth after the warm-up."""
MAX_DRIFT = 0.1
"""Of the median latency, likewise."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A process at one time; `latency_ms` is the median since the sample before."""

    elapsed_s: float
    rss_mb: float
    threads: int
    fds: int
    latency_ms: float


@dataclass
class Gauge:
    """Samples a process whenever something that it made passes by; what it keeps does not grow with their number.

    Args:
        pid: The process.
        length_s: How long it will be watched: a hundred samples at least, and at most one a second.

    """

    pid: int
    length_s: float
    begin_s: float = field(default_factory=time.monotonic)
    samples: list[Sample] = field(default_factory=list[Sample])
    _since: list[float] = field(default_factory=list[float])

    @property
    def elapsed_s(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.begin_s

    def add(self, latency_ms: float) -> None:
        """Take note of one result."""
        self._since.append(latency_ms)
        elapsed_s = self.elapsed_s
        if elapsed_s < min(1.0, self.length_s / 100) * (len(self.samples) + 1):
            return
        self.samples.append(
            Sample(
                elapsed_s=elapsed_s,
                rss_mb=rss_mb(self.pid),
                threads=_entries(self.pid, "task"),
                fds=_entries(self.pid, "fd"),
                latency_ms=median(self._since),
            )
        )
        self._since.clear()


def rss_mb(pid: int) -> float:
    """Resident memory of a process, in 10^6 bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def figures(samples: list[Sample]) -> dict[str, Any]:
    """First and last tenth of what follows the warm-up (the first tenth), and what grew between them.

    Medians of memory and latency, the most of threads and descriptors. `growth` has a sentence for memory that grew by
    more than 2 %, latency by more than 10 %, and for any thread or descriptor more; empty: all stayed as it was.
    """
    steady = samples[round(WARM_UP_SHARE * len(samples)) :]
    if len(steady) < 2:
        return {"growth": ["too short to tell"]}
    tenth = max(1, len(steady) // 10)
    first, last = steady[:tenth], steady[-tenth:]
    found: dict[str, Any] = {
        "warm_up_s": round(steady[0].elapsed_s, 1),
        "rss_mb_start": round(median(s.rss_mb for s in first), 1),
        "rss_mb_end": round(median(s.rss_mb for s in last), 1),
        "threads_start": max(s.threads for s in first),
        "threads": max(s.threads for s in last),
        "fds_start": max(s.fds for s in first),
        "fds": max(s.fds for s in last),
        "p50_ms_first": round(median(s.latency_ms for s in first), 2),
        "p50_ms_last": round(median(s.latency_ms for s in last), 2),
    }
    return found | {"growth": _growth(found)}


def _growth(found: dict[str, Any]) -> list[str]:
    limits = {
        "resident memory": ("rss_mb_start", "rss_mb_end", 1 + MAX_GROWTH),
        "threads": ("threads_start", "threads", 1.0),
        "file descriptors": ("fds_start", "fds", 1.0),
        "latency": ("p50_ms_first", "p50_ms_last", 1 + MAX_DRIFT),
    }
    return [
        f"{name}: {found[begin]} to {found[end]}"
        for name, (begin, end, factor) in limits.items()
        if found[end] > factor * found[begin]
    ]


def _entries(pid: int, folder: str) -> int:
    return len(os.listdir(f"/proc/{pid}/{folder}"))  # noqa: PTH208
