"""Soak test of the streaming runtime: `python -m tricast.tools.soak --minutes 30 --json`.

A log is read again and again and put into the runtime as fast as it takes messages, so that time is set back and
everything is reset once per round. After a warm-up of a tenth of the time, memory, threads, file descriptors and
latency of the first and the last tenth of what remains are set side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from tricast.perception.config import PipelineConfig, chosen_config
from tricast.perception.streaming.graceful_end import stop_on_signals
from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.streaming.runtime import StreamingRuntime
from tricast.perception.streaming.runtime_result import RuntimeResult, RuntimeStatus
from tricast.perception.streaming.streaming_config import StreamingConfig
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import DrivingLog
from tricast.sensors.synchronization import Synchronizer
from tricast.tools.demo import demo_log_path

SAMPLE_S = 1.0
KEPT_LATENCIES = 1000


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The process at one time."""

    elapsed_s: float
    rss_mb: float
    threads: int
    fds: int
    processing_ms: float


@dataclass
class Gauge:
    """Samples the process from the results that pass by; what it keeps does not grow with their number.

    Args:
        period_s: Time between samples.

    """

    period_s: float
    begin_s: float = field(default_factory=time.monotonic)
    samples: list[Sample] = field(default_factory=list[Sample])
    _since: list[float] = field(default_factory=list[float])

    def add(self, result: RuntimeResult) -> None:
        """Take one result; a sample holds the median latency of those since the one before."""
        self._since.append(result.delivery.processing_ms)
        elapsed_s = time.monotonic() - self.begin_s
        if elapsed_s < self.period_s * (len(self.samples) + 1):
            return
        self.samples.append(
            Sample(
                elapsed_s=elapsed_s,
                rss_mb=rss_mb(),
                threads=threading.active_count(),
                fds=len(os.listdir("/proc/self/fd")),  # noqa: PTH208
                processing_ms=median(self._since),
            )
        )
        self._since.clear()


def rss_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def soak(log: DrivingLog, config: PipelineConfig, minutes: float, *, workers: int = 1) -> dict[str, Any]:
    """Run for so many minutes, or until a signal ends it, and give the figures."""
    gauge = Gauge(period_s=min(SAMPLE_S, minutes * 60 / 100))
    pipeline = Pipeline(config, keep_latencies=KEPT_LATENCIES)
    former = Synchronizer(log.rig, config.synchronizer, origin_ns=log.start_ns)
    rounds = 0
    with (
        stop_on_signals() as stop,
        StreamingRuntime(pipeline, former, StreamingConfig(workers=workers), on_result=gauge.add) as runtime,
    ):
        while time.monotonic() - gauge.begin_s < minutes * 60 and not stop.is_set():
            rounds += 1
            for message in log.messages():
                if stop.is_set():
                    break
                runtime.put(message)
    return figures(gauge.samples, runtime.status(), time.monotonic() - gauge.begin_s) | {"rounds": rounds}


def figures(samples: list[Sample], status: RuntimeStatus, elapsed_s: float) -> dict[str, Any]:
    """First and last tenth of the samples, the warm-up left out, as medians."""
    steady = samples[len(samples) // 10 :]
    tenth = max(1, len(steady) // 10)
    first, last = steady[:tenth], steady[-tenth:]
    if not steady:
        return {"ticks": status.results, "dropped": status.dropped_ticks + status.dropped_messages}
    return {
        "ticks": status.results,
        "dropped": status.dropped_ticks + status.dropped_messages,
        "minutes": round(elapsed_s / 60, 2),
        "ticks_per_s": round(status.results / elapsed_s, 2),
        "rss_mb_start": round(median(s.rss_mb for s in first), 1),
        "rss_mb_end": round(median(s.rss_mb for s in last), 1),
        "threads_start": max(s.threads for s in first),
        "threads": max(s.threads for s in last),
        "fds_start": max(s.fds for s in first),
        "fds": max(s.fds for s in last),
        "p50_ms_first": round(median(s.processing_ms for s in first), 2),
        "p50_ms_last": round(median(s.processing_ms for s in last), 2),
    }


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--log", type=Path, default=demo_log_path(), help="any log (default: the demo log)")
    parser.add_argument("--detector", choices=["cluster", "network"], help="detector (default: network)")
    parser.add_argument("--workers", type=int, default=1, help="threads that prepare ticks")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    args = parser.parse_args()
    found = soak(open_log(args.log), chosen_config(None, detector=args.detector), args.minutes, workers=args.workers)
    print(json.dumps(found) if args.json else "\n".join(f"{key:>14} {value}" for key, value in found.items()))


if __name__ == "__main__":
    main()
