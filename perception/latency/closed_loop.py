"""Closed loop: the next tick begins when the one before is done; and ratios of backends pair by pair."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from tricast.perception.latency.cores_control import CoresControl
from tricast.perception.latency.jitter import SpinControl
from tricast.perception.latency.stage_clock import StageClock
from tricast.perception.streaming.pipeline import Pipeline
from tricast.sensors.synced_frame import SyncedFrame

CALIBRATION_TICKS = 10
"""After so many ticks the jitter control is set to take as long as a tick; ticks after that count."""

MOST_CONTROL_MS = 100.0
CORES_CONTROL_MS = 10.0


@dataclass(kw_only=True)
class ClosedLoop:
    """Milliseconds tick by tick.

    Args:
        first_ms: The first tick, with all that is done once.
        totals_ms: From raw buffers to tracked trajectories, of the ticks that count.
        stages_ms: Per stage one value a tick; they sum to the totals.
        control_ms: The jitter control after each tick that counts.
        cores_control_ms: The same for all threads at once.
        objects: Tracks over all ticks that count.

    """

    first_ms: float = 0.0
    totals_ms: list[float] = field(default_factory=list)
    stages_ms: dict[str, list[float]] = field(default_factory=dict)
    control_ms: list[float] = field(default_factory=list)
    cores_control_ms: list[float] = field(default_factory=list)
    objects: int = 0


def run_closed_loop(
    pipeline: Pipeline, frames: Iterable[SyncedFrame], clock: StageClock, count: int, *, threads: int
) -> ClosedLoop:
    """Step a pipeline through consecutive ticks.

    Args:
        pipeline: Its detector books stages at the clock.
        frames: At least `count` and `CALIBRATION_TICKS` more; what making them takes is not measured.
        clock: The clock.
        count: Ticks that count.
        threads: Of the network, and of the control that keeps as many cores busy.

    """
    measured, control, warm_ms, cores = ClosedLoop(), None, [], CoresControl(threads).lasting(CORES_CONTROL_MS)
    for number, frame in enumerate(frames):
        clock.take()
        begin_ns = time.perf_counter_ns()
        result = pipeline.step(frame)
        took_ms = (time.perf_counter_ns() - begin_ns) / 1e6
        if number == 0:
            measured.first_ms = took_ms
            continue
        if number <= CALIBRATION_TICKS:
            warm_ms.append(took_ms)
            continue
        if control is None:
            control = SpinControl.lasting(min(*warm_ms, MOST_CONTROL_MS))
        stages = clock.take()
        samples = pipeline.latency.samples_ms()
        stages |= {name: samples[name][-1] for name in ("tracking", "forecast")}
        stages["other"] = took_ms - sum(stages.values())
        for name, value in stages.items():
            measured.stages_ms.setdefault(name, [0.0] * len(measured.totals_ms)).append(value)
        for values in measured.stages_ms.values():
            values.extend([0.0] * (len(measured.totals_ms) + 1 - len(values)))
        measured.totals_ms.append(took_ms)
        measured.objects += len(result.tracks)
        measured.control_ms.append(control.run_ms())
        measured.cores_control_ms.append(cores.run_ms())
        if len(measured.totals_ms) == count:
            break
    return measured


def ratios_to(baseline: str, samples_ms: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """How many times faster than a baseline each other backend is: the quartiles of the ratio pair by pair."""
    ratios: dict[str, dict[str, float]] = {}
    for name, values in samples_ms.items():
        if name == baseline:
            continue
        pairs = [slow / fast for slow, fast in zip(samples_ms[baseline], values, strict=True)]
        low, middle, high = statistics.quantiles(pairs, n=4, method="inclusive") if len(pairs) > 1 else pairs * 3
        ratios[name] = {"median": round(middle, 3), "quartile_1": round(low, 3), "quartile_3": round(high, 3)}
    return ratios
