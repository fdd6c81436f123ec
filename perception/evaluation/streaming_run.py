"""Logs through a pipeline against the clock, and the table of streaming scores."""

from __future__ import annotations

import math
import time
import zlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tricast.configs.errors import InputError
from tricast.perception.config import PipelineConfig
from tricast.perception.evaluation.run_log import log_names, no_truth
from tricast.perception.evaluation.run_tables import ResultTables, TruthTables, joined_results, joined_truth
from tricast.perception.evaluation.scores import score_detections
from tricast.perception.evaluation.streaming import (
    STRATEGIES,
    Answer,
    Latency,
    StreamClock,
    StreamTick,
    predicted,
)
from tricast.perception.evaluation.table_recorder import ResultRecorder, TruthRecorder
from tricast.perception.outputs import Detections, TickResult, Tracks, Trajectories
from tricast.perception.streaming.latency import percentiles
from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.streaming.replay import select_channels
from tricast.perception.streaming.tick_source import ticks
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import DrivingLog
from tricast.sensors.synced_frame import SyncedFrame
from tricast.sensors.synchronization import Synchronizer
from tricast.sensors.worker_pool import each_done

INPUT_RATES_HZ = (2, 10, 20)
OFFLINE = "offline"
QUARTILE_DISTANCE = 1.349
"""Between the quartiles of a normal distribution, in standard deviations."""


@dataclass(frozen=True, kw_only=True)
class StreamCounts:
    """What happened to the inputs and answers of one rate, summed over logs.

    Args:
        latencies_ns: Of the inputs processed.
        measured_ns: Time that they took by the clock, whatever latency was given.
        processor_ns: Time that all threads of the process spent on them.
        skipped: Inputs that came while the pipeline was busy.
        answers: Times at which an output was asked for.
        unanswered: How many of them came before the first output.
        age_s: Sum over the answers.

    """

    latencies_ns: tuple[int, ...]
    measured_ns: int
    processor_ns: int
    skipped: int
    answers: int
    unanswered: int
    age_s: float


@dataclass(frozen=True, kw_only=True, eq=False)
class StreamTables:
    """One log against the clock.

    Args:
        truth: What should have been known at each annotation.
        results: What was, by row of the table, as detections.
        counts: By input rate in hertz.

    """

    truth: TruthTables
    results: dict[str, ResultTables]
    counts: dict[int, StreamCounts]


def row_name(rate_hz: int, strategy: str) -> str:
    """Name of a row of the table: `10_hz_copy`."""
    return f"{rate_hz}_hz_{strategy}"


def stream_log(
    log: DrivingLog,
    config: PipelineConfig,
    latency: Latency,
    *,
    name: str,
    rates_hz: Sequence[int] = INPUT_RATES_HZ,
    sensors: tuple[str, ...] | None = None,
) -> StreamTables:
    """Run a log once without a clock and once per input rate against it.

    A rate is that of the pipeline's ticks: each takes the newest of every sensor, which measure at their own rates.

    Args:
        log: Any log with truth.
        config: Settings of the pipeline; its ticks are replaced by those of the rates.
        latency: How long an input takes.
        name: What sample names begin with.
        rates_hz: Input rates, divisors of 1000.
        sensors: Modalities or channels; None uses all.

    Raises:
        InputError: A rate or a sensor does not fit.

    """
    truth, offline = _offline(log, config, name, sensors)
    results, counts = {OFFLINE: offline}, {}
    for rate_hz in rates_hz:
        step = _TimedStep(_at_rate(config, rate_hz), latency, [zlib.crc32(name.encode()), rate_hz])
        clock = StreamClock(step=step)
        samples, recorders = truth.samples(), {strategy: ResultRecorder() for strategy in STRATEGIES}
        answers = answers_at(clock.run(_stream_ticks(log, config, rate_hz, sensors)), samples.times_ns.tolist())
        ages_s = list(_recorded(answers, recorders))
        for strategy, recorder in recorders.items():
            results[row_name(rate_hz, strategy)] = recorder.tables(samples, len(clock.latencies_ns), {})
        known_ages_s = [age for age in ages_s if age is not None]
        counts[rate_hz] = StreamCounts(
            latencies_ns=tuple(clock.latencies_ns),
            measured_ns=step.measured_ns,
            processor_ns=step.processor_ns,
            skipped=clock.skipped,
            answers=len(ages_s),
            unanswered=len(ages_s) - len(known_ages_s),
            age_s=sum(known_ages_s),
        )
    return StreamTables(truth=truth.tables(), results=results, counts=counts)


def stream_logs(
    paths: Sequence[Path],
    config: PipelineConfig,
    latency: Latency,
    *,
    sensors: tuple[str, ...] | None = None,
    workers: int = 1,
    on_log: Callable[[int], None] = lambda done: None,
) -> list[StreamTables]:
    """`stream_log` over several logs, in the order of their paths.

    Measured latencies are those of this machine under its load: take one worker where they shall be those of a
    pipeline that has it for itself.
    """
    jobs = [(path, config, latency, name, sensors) for path, name in zip(paths, log_names(paths), strict=True)]
    tables: list[StreamTables] = []
    for table in each_done(_stream_path, jobs, workers, in_order=True):
        tables.append(table)
        on_log(len(tables))
    return tables


def streaming_summary(
    logs: Sequence[StreamTables], latency: Latency, *, max_range_m: float | None = None
) -> dict[str, Any]:
    """`latency`: what the steps took; `rows`: the offline score and one per input rate and strategy.

    All rows score tracks, with their scores, because only tracks can be moved; the boxes of the ticks are scored
    elsewhere.
    """
    truth = joined_truth([log.truth for log in logs])
    scored: dict[str, tuple[float, float]] = {}
    for row in logs[0].results:
        metrics = score_detections(joined_results([log.results[row] for log in logs]), truth, max_range_m).metrics
        scored[row] = metrics.mean_ap, metrics.nds
    rows: dict[str, dict[str, float | int | None]] = {}
    for row, (mean_ap, nds) in scored.items():
        rate = next((r for r in logs[0].counts if row.startswith(row_name(r, ""))), None)
        clock = _clock_figures([log.counts[rate] for log in logs]) if rate is not None else {}
        kept = nds / scored[OFFLINE][1] if scored[OFFLINE][1] > 0 else None
        rows[row] = {"mAP": mean_ap, "NDS": nds, "NDS_kept": kept, **clock}
    return {"latency": _latency_figures([c for log in logs for c in log.counts.values()], latency), "rows": rows}


def _clock_figures(counts: Sequence[StreamCounts]) -> Mapping[str, float | int | None]:
    latencies_ns = [took for c in counts for took in c.latencies_ns]
    answered = sum(c.answers - c.unanswered for c in counts)
    return {
        "latency_ms": float(np.mean(latencies_ns)) / 1e6 if latencies_ns else None,
        "age_ms": 1e3 * sum(c.age_s for c in counts) / answered if answered else None,
        "processed": len(latencies_ns),
        "skipped": sum(c.skipped for c in counts),
        "unanswered": sum(c.unanswered for c in counts),
    }


def _latency_figures(counts: Sequence[StreamCounts], latency: Latency) -> dict[str, Any]:
    """Percentiles; of measured ones also the processor's share, and the distribution that is most like them."""
    took_ms = np.array([took for c in counts for took in c.latencies_ns]) / 1e6
    figures: dict[str, Any] = {"ms": percentiles(took_ms.tolist())}
    if latency.is_measured and len(took_ms):
        # By quartiles: an input with nothing in it takes no time, and a start-up takes long.
        low, middle, high = np.quantile(np.log(np.maximum(took_ms, 1e-3)), [0.25, 0.5, 0.75])
        figures["processor_share"] = sum(c.processor_ns for c in counts) / sum(c.measured_ns for c in counts)
        figures["repeat_with"] = f"lognormal:{math.exp(middle):.1f}:{(high - low) / QUARTILE_DISTANCE:.2f}"
    return figures


def _stream_path(
    path: Path, config: PipelineConfig, latency: Latency, name: str, sensors: tuple[str, ...] | None
) -> StreamTables:
    return stream_log(open_log(path), config, latency, name=name, sensors=sensors)


def _at_rate(config: PipelineConfig, rate_hz: int) -> PipelineConfig:
    if rate_hz < 1 or 1000 % rate_hz:
        raise InputError(
            where="input rate", got=f"{rate_hz} Hz", expected="a divisor of 1000", remedy="choose 2, 10 or 20 Hz"
        )
    timing = config.synchronizer.model_copy(update={"tick_period_ms": 1000 // rate_hz})
    return config.model_copy(update={"synchronizer": timing})


class _TimedStep:
    """A pipeline's step that says how long it took, by the machine's clock or a given latency.

    Attributes:
        measured_ns: Time that all steps together took by the clock.
        processor_ns: Time that the process's threads spent in them.

    """

    def __init__(self, config: PipelineConfig, latency: Latency, seed: list[int]) -> None:
        self._pipeline, self._latency, self._rng = Pipeline(config), latency, np.random.default_rng(seed)
        self.measured_ns = self.processor_ns = 0

    def __call__(self, frame: SyncedFrame) -> tuple[TickResult, int]:
        begin_ns, processor_begin_ns = time.perf_counter_ns(), time.process_time_ns()
        result = self._pipeline.step(frame)
        took_ns, processor_ns = time.perf_counter_ns() - begin_ns, time.process_time_ns() - processor_begin_ns
        self.measured_ns += took_ns
        self.processor_ns += processor_ns
        return result, self._latency.nanoseconds(took_ns, processor_ns, self._rng)


def _stream_ticks(
    log: DrivingLog, config: PipelineConfig, rate_hz: int, sensors: tuple[str, ...] | None
) -> Iterator[StreamTick]:
    timing = _at_rate(config, rate_hz).synchronizer
    channels = select_channels(log.rig, sensors)
    synchronizer = Synchronizer(log.rig, timing, origin_ns=log.start_ns, channels=channels)
    period_ns = timing.tick_period_ms * 1_000_000
    for frame, truth in ticks(log.messages(), synchronizer):
        on_grid = (frame.timestamp_ns - log.start_ns) % period_ns == 0
        yield StreamTick(frame=frame, is_input=on_grid, scored=truth is not None)


def answers_at(answers: Iterable[Answer], times_ns: Sequence[int]) -> list[Answer]:
    """One answer at each of the times, in their order.

    Truth that arrives late misses its tick at one rate and meets it at another. Answers at other times are left out,
    and where none was asked for there is one without an output.
    """
    by_time: dict[int, deque[Answer]] = defaultdict(deque)
    for answer in answers:
        by_time[answer.timestamp_ns].append(answer)
    return [
        by_time[time_ns].popleft()
        if by_time[time_ns]
        else Answer(timestamp_ns=time_ns, odom_from_ego=SE3(), output=None)
        for time_ns in times_ns
    ]


def _recorded(answers: Iterable[Answer], recorders: Mapping[str, ResultRecorder]) -> Iterator[float | None]:
    """Record every answer by every strategy; gives their ages in seconds."""
    for answer in answers:
        for strategy in STRATEGIES:
            boxes = predicted(answer, strategy)
            recorders[strategy].tick(_as_result(boxes, answer), scored=True, discontinuity=False)
        yield answer.age_s


def _as_result(boxes: Detections, answer: Answer) -> TickResult:
    return TickResult(
        timestamp_ns=answer.timestamp_ns,
        odom_from_ego=answer.odom_from_ego,
        detections=boxes,
        tracks=Tracks.empty(answer.timestamp_ns),
        trajectories=Trajectories(probabilities=np.zeros((0, 1)), points_m=np.zeros((0, 1, 12, 2))),
        inputs=(),
        health={},
    )


def _offline(
    log: DrivingLog, config: PipelineConfig, name: str, sensors: tuple[str, ...] | None
) -> tuple[TruthRecorder, ResultTables]:
    """Truth, and tracks at its times by a pipeline that takes no time and sees every tick."""
    pipeline, truth_recorder, recorder = Pipeline(config), TruthRecorder(name), ResultRecorder()
    channels = select_channels(log.rig, sensors)
    count = 0
    for frame, truth in ticks(log.messages(), Synchronizer(log.rig, config.synchronizer, origin_ns=log.start_ns)):
        truth_recorder.tick(frame, truth)
        result = pipeline.step(frame if channels is None else frame.restricted_to(channels))
        count += 1
        tracks = result.tracks
        as_detections = Detections(
            timestamp_ns=tracks.timestamp_ns, boxes=tracks.boxes, class_names=tracks.class_names, scores=tracks.scores
        )
        scored = replace(result, detections=as_detections)
        recorder.tick(scored, scored=truth is not None, discontinuity=frame.discontinuity)
    if not truth_recorder.tokens:
        raise no_truth(log)
    return truth_recorder, recorder.tables(truth_recorder.samples(), count, {})
