"""Open loop: ticks arrive at a fixed rate whether or not the one before is done, and the newest one wins."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tricast.perception.latency.jitter import StallMonitor
from tricast.perception.latency.percentiles import percentiles_of
from tricast.perception.streaming.pipeline import Pipeline
from tricast.sensors.synced_frame import SyncedFrame

SPIN_S = 0.001
"""Before an arrival the loop stops sleeping and looks at the clock, so that waking late is no part of the latency."""


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One scheduled tick, in nanoseconds of `time.monotonic_ns`; one that was missed has neither begin nor end."""

    scheduled_ns: int
    begin_ns: int | None = None
    end_ns: int | None = None


def run_open_loop(pipeline: Pipeline, frames: Sequence[SyncedFrame], rate_hz: float, count: int) -> list[Arrival]:
    """Offer `count` ticks at a rate; of ticks that wait only the newest is run, the others are missed.

    Args:
        pipeline: Warm.
        frames: In order; passed over again as often as needed, each pass beginning with a reset pipeline.
        rate_hz: Arrivals a second.
        count: How many.

    """
    arrivals: list[Arrival] = []
    start_ns = time.monotonic_ns() + round(1e9 / rate_hz)
    pass_number = 0
    while len(arrivals) < count:
        _wait_until(_scheduled(start_ns, len(arrivals), rate_hz))
        now_ns = time.monotonic_ns()
        while len(arrivals) + 1 < count and _scheduled(start_ns, len(arrivals) + 1, rate_hz) <= now_ns:
            arrivals.append(Arrival(scheduled_ns=_scheduled(start_ns, len(arrivals), rate_hz)))
        number = len(arrivals)
        if number // len(frames) != pass_number:
            pass_number = number // len(frames)
            pipeline.reset()
        pipeline.step(frames[number % len(frames)])
        end_ns = time.monotonic_ns()
        arrivals.append(Arrival(scheduled_ns=_scheduled(start_ns, number, rate_hz), begin_ns=now_ns, end_ns=end_ns))
    return arrivals


def summed_up(arrivals: Sequence[Arrival], rate_hz: float, monitor: StallMonitor) -> dict[str, Any]:
    """Counts and latencies from scheduled arrival; ticks during which the machine stalled are counted apart."""
    run = [(a, a.begin_ns, a.end_ns) for a in arrivals if a.begin_ns is not None and a.end_ns is not None]
    latencies_ms = [(end - a.scheduled_ns) / 1e6 for a, _, end in run]
    calm_ms = [(end - a.scheduled_ns) / 1e6 for a, _, end in run if not monitor.overlaps(a.scheduled_ns, end)]
    period_ns = round(1e9 / rate_hz)
    missed = [a for a in arrivals if a.end_ns is None]
    in_stall = [a for a in missed if monitor.overlaps(a.scheduled_ns - period_ns, a.scheduled_ns + period_ns)]
    figures = percentiles_of(latencies_ms)
    return {
        "rate_hz": rate_hz,
        "ticks": len(arrivals),
        "missed": len(missed),
        "missed_in_stalls": len(in_stall),
        "queued": sum(begin - a.scheduled_ns > SPIN_S * 1e9 for a, begin, _ in run),
        **{f"{name}_ms": value for name, value in figures.items()},
        "stalls": len(monitor.stalls),
        "ticks_in_stalls": len(run) - len(calm_ms),
        "p99_ms_without_stalls": percentiles_of(calm_ms)["p99"],
    }


def _scheduled(start_ns: int, number: int, rate_hz: float) -> int:
    return start_ns + round(number * 1e9 / rate_hz)


def _wait_until(then_ns: int) -> None:
    left_s = (then_ns - time.monotonic_ns()) / 1e9
    if left_s > SPIN_S:
        time.sleep(left_s - SPIN_S)
    while time.monotonic_ns() < then_ns:
        pass
