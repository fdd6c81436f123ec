"""Replay of a driving log through the pipeline into a run directory."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import yaml

from tricast.configs.disk import partial_of, writing
from tricast.configs.errors import InputError
from tricast.perception.config import PipelineConfig
from tricast.perception.outputs import TickResult
from tricast.perception.streaming.latency import percentiles
from tricast.perception.streaming.manifest import (
    HISTORY_NS,
    PATIENCE_NS,
    ManifestFollower,
    TickManifest,
    read_manifests,
)
from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.streaming.results_json import ResultsJsonWriter
from tricast.perception.streaming.results_mcap import ResultsMcapWriter
from tricast.perception.streaming.runtime import StreamingRuntime
from tricast.perception.streaming.runtime_result import RuntimeResult
from tricast.perception.streaming.streaming_config import StreamingConfig
from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import MODALITIES, Rig
from tricast.sensors.errors import LogError, SensorDataError
from tricast.sensors.frames import LidarSweep, RadarScan
from tricast.sensors.health import ChannelReport
from tricast.sensors.log.log_part import LogPart
from tricast.sensors.log.stream import DrivingLog, Message
from tricast.sensors.synced_frame import SyncedFrame
from tricast.sensors.synchronization import SyncCounts, Synchronizer

SECOND_NS = 1_000_000_000
SUMMARY_SCHEMA_VERSION = 1

Window: TypeAlias = tuple[int | None, int | None]
"""First and last time of arrival; None is the log's own."""


class Observer(Protocol):
    """Something that watches each tick go by: pictures, a viewer, an evaluation."""

    def add(self, frame: SyncedFrame, result: TickResult, annotations: Annotations | None) -> None:
        """Take one tick, with the truth stamped at it if the log has any."""
        ...


@dataclass(frozen=True, kw_only=True)
class ReplayOptions:
    """What part of a log is replayed, and how fast.

    Args:
        rate: Multiple of real time; None replays as fast as possible. Results do not depend on it.
        start_s: Seconds after the log's first message at which to begin.
        duration_s: Seconds to replay; None goes to the end.
        sensors: Modalities or channels to use; None uses all.
        workers: Threads that prepare ticks while the network runs; 0 uses no thread. Results do not depend on it.
        origin_ns: Ticks are multiples of the period from here; None begins at the log's first message. A live
            vehicle's ticks begin at 0.
        follow: Results whose ticks are repeated: each takes exactly the messages that its manifest names.

    """

    rate: float | None = None
    start_s: float = 0.0
    duration_s: float | None = None
    sensors: tuple[str, ...] | None = None
    workers: int = 1
    origin_ns: int | None = None
    follow: Path | None = None


@dataclass
class _Counts:
    ticks: int = 0
    objects: int = 0
    first_ns: int | None = None
    last_ns: int = 0
    invalid_points: dict[str, int] = field(default_factory=dict)
    channels: Mapping[str, ChannelReport] = field(default_factory=dict)

    def add(self, result: RuntimeResult) -> None:
        """Count one tick."""
        self.ticks += 1
        self.objects += len(result.tick.tracks)
        self.first_ns = result.tick.timestamp_ns if self.first_ns is None else self.first_ns
        self.last_ns = result.tick.timestamp_ns
        self.channels = result.channels


def replay(
    log: DrivingLog,
    config: PipelineConfig,
    out: Path,
    *,
    options: ReplayOptions | None = None,
    observers: Iterable[Observer] = (),
    stopped: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Replay a log and write `config.yaml`, `results.mcap`, `results.jsonl` and `summary.json` into `out`.

    Each file gets its name only when it is whole. Nothing but `summary.json` depends on the clock of the machine.

    Args:
        log: Any log.
        config: All settings.
        out: Folder to write.
        options: What part of the log, and how.
        observers: Watch each tick, from one thread that need not be the caller's.
        stopped: Asked before each message: whether to end early, with whole files.

    Returns:
        The summary, as written.

    Raises:
        InputError: An option does not fit the log, or the log delivers nothing.

    """
    options = options or ReplayOptions()
    channels = select_channels(log.rig, options.sensors)
    start_ns, end_ns = window_ns = LogPart(start_s=options.start_s, duration_s=options.duration_s).window_ns(log)
    pipeline = Pipeline(config)
    if options.follow is None:
        origin_ns = log.start_ns if options.origin_ns is None else options.origin_ns
        former = Synchronizer(log.rig, config.synchronizer, origin_ns=origin_ns, channels=channels)
    else:
        former = ManifestFollower(log.rig, _within(read_manifests(options.follow), window_ns), channels=channels)
        # The first ticks name what came before the part, the last ones what came late.
        start_ns = None if start_ns is None else start_ns - HISTORY_NS
        end_ns = None if end_ns is None else end_ns + PATIENCE_NS
    counts = _Counts()
    out.mkdir(parents=True, exist_ok=True)
    (out / "summary.json").unlink(missing_ok=True)
    _write_config(out, config, options, log)
    with ExitStack() as stack:
        writers = (
            stack.enter_context(ResultsJsonWriter(out / "results.jsonl")),
            stack.enter_context(ResultsMcapWriter(out / "results.mcap")),
        )

        def write(result: RuntimeResult) -> None:
            counts.add(result)
            for writer in writers:
                writer.write(result.tick)
            for observer in observers:
                observer.add(result.frame, result.tick, result.annotations)

        messages = _paced(log.messages(start_ns=start_ns, end_ns=end_ns), options.rate, stopped)
        with StreamingRuntime(pipeline, former, StreamingConfig(workers=options.workers), on_result=write) as runtime:
            for message in _counted(messages, counts, window_ns):
                runtime.put(message)
        if counts.ticks == 0 and not stopped():
            raise _nothing_delivered(log)
    summary = _summary(log, pipeline, former, counts, undecoded=runtime.all_malformed())
    if isinstance(former, ManifestFollower):
        told = {"missing": former.missing, "dropped_ticks": former.dropped_ticks}
        summary["followed"] = {"results": str(options.follow), **told}
    if stopped():
        summary["stopped_early"] = True
    write_whole(out / "summary.json", json.dumps(summary, indent=2) + "\n")
    return summary


def select_channels(rig: Rig, sensors: tuple[str, ...] | None) -> frozenset[str] | None:
    """Channels named by modality or by name; None stands for all.

    Raises:
        InputError: A name is neither a modality nor a channel of this log.

    """
    if sensors is None:
        return None
    chosen: set[str] = set()
    for name in sensors:
        if name in MODALITIES:
            chosen.update(c for c, s in rig.sensors.items() if s.modality == name)
        elif name in rig:
            chosen.add(name)
        else:
            raise InputError(
                where="--sensors",
                got=repr(name),
                expected=f"camera, lidar, radar or a channel of this log ({', '.join(rig.channels())})",
                remedy="correct the name; 'tricast info LOG' lists the channels",
            )
    return frozenset(chosen)


def _paced(messages: Iterator[Message], rate: float | None, stopped: Callable[[], bool]) -> Iterator[Message]:
    """Hold each message back until it is due; content and order stay the same. Ends early once it is stopped."""
    begin_s, first_ns = time.monotonic(), None
    for message in messages:
        if stopped():
            return
        if rate is not None:
            first_ns = message.received_ns if first_ns is None else first_ns
            due_s = begin_s + (message.received_ns - first_ns) / SECOND_NS / rate
            while (wait_s := due_s - time.monotonic()) > 0 and not stopped():
                time.sleep(min(wait_s, 0.2))
        yield message


def _within(manifests: Iterator[TickManifest], window_ns: Window) -> Iterator[TickManifest]:
    start_ns, end_ns = window_ns
    begun = (m for m in manifests if start_ns is None or m.timestamp_ns >= start_ns)
    return begun if end_ns is None else takewhile(lambda m: m.timestamp_ns <= end_ns, begun)


def _counted(messages: Iterator[Message], counts: _Counts, window_ns: Window) -> Iterator[Message]:
    """Count what is odd in the part that is replayed; more may be read than that."""
    start_ns, end_ns = window_ns
    for message in messages:
        begun = start_ns is None or message.received_ns >= start_ns
        within = begun and (end_ns is None or message.received_ns <= end_ns)
        if within and isinstance(message, LidarSweep | RadarScan):
            _, invalid = message.without_invalid()
            if invalid:
                counts.invalid_points[message.channel] = counts.invalid_points.get(message.channel, 0) + invalid
        yield message


def _nothing_delivered(log: DrivingLog) -> LogError:
    return LogError(
        where=str(log.path),
        got=f"no message that a tick could use ({log.losses.total} lost)",
        expected="at least one sensor message or pose in the chosen part of the log",
        remedy="see 'tricast info' for what the log holds, or choose another part",
    )


def _not_used(former: Synchronizer | ManifestFollower) -> Mapping[str, Mapping[str, int]] | None:
    """Messages that no tick used as they came; None where the results that are followed do not tell."""
    if isinstance(former, Synchronizer):
        return former.counts.as_dict()
    return None if former.not_used is None else {**SyncCounts().as_dict(), **former.not_used}


def _summary(
    log: DrivingLog,
    pipeline: Pipeline,
    former: Synchronizer | ManifestFollower,
    counts: _Counts,
    *,
    undecoded: Mapping[str, int],
) -> dict[str, Any]:
    losses = log.losses.with_undecoded(undecoded)
    stages = pipeline.latency.percentiles()
    drops = _not_used(former)
    return {
        "schema_version": SUMMARY_SCHEMA_VERSION,
        "log": str(log.path),
        "log_kind": log.kind,
        "detector": pipeline.detector.name,
        "ran_by": _ran_by(pipeline),
        "ticks": counts.ticks,
        "duration_s": round((counts.last_ns - (counts.first_ns or 0)) / SECOND_NS, 6),
        "objects_per_tick": round(counts.objects / max(counts.ticks, 1), 3),
        "latency_ms": {**stages.get("total", percentiles([])), "stages": stages},
        "drops": None if drops is None else {cause: sum(by_channel.values()) for cause, by_channel in drops.items()},
        "drops_by_channel": drops,
        "invalid_points": counts.invalid_points,
        "channels": {channel: _report(report) for channel, report in sorted(counts.channels.items())},
        "lost_messages": losses.total,
        "losses": {"by_channel": losses.messages, "details": losses.details},
    }


def _ran_by(pipeline: Pipeline) -> dict[str, Any]:
    if pipeline.config.detector == "network":
        # Only here: the classical detector does without torch.
        from tricast.perception.detectors.network import NetworkDetector

        if isinstance(pipeline.detector, NetworkDetector):
            return pipeline.detector.ran_by
    return {"backend": "numpy", "threads": _numpy_threads()}


def _report(report: ChannelReport) -> dict[str, Any]:
    return {
        "state": report.state,
        "reasons": list(report.reasons),
        "rate_hz": None if report.rate_hz is None else round(report.rate_hz, 3),
        "gaps": report.gaps,
        "delay_ms": None if report.delay_ns is None else round(report.delay_ns / 1e6, 3),
    }


def _write_config(out: Path, config: PipelineConfig, options: ReplayOptions, log: DrivingLog) -> None:
    resolved = {
        "log": str(log.path),
        "backend": config.network.backend if config.detector == "network" else "numpy",
        "threads": config.network.threads if config.detector == "network" else _numpy_threads(),
        "workers": options.workers,
        "follow": None if options.follow is None else str(options.follow),
        "origin_ns": options.origin_ns,
        "sensors": list(options.sensors) if options.sensors is not None else None,
        "start_s": options.start_s,
        "duration_s": options.duration_s,
        "pipeline": config.model_dump(mode="json"),
    }
    write_whole(out / "config.yaml", yaml.safe_dump(resolved, sort_keys=False))


def _numpy_threads() -> int:
    """Those of the outermost level, where the variable lists several; without a number, the processors."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return (int(first) if first.isdecimal() else 0) or os.cpu_count() or 1


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that its name only ever stands for a whole one.

    Raises:
        InputError: The disk is full, or takes no more for another reason.

    """
    partial = partial_of(path)
    with writing(path):
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)


def check_writable(folder: Path, option: str = "--out") -> None:
    """Refuse an output folder, named by an option, that is a file or cannot be written.

    Raises:
        InputError: The folder or its parent is not usable as one.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".partial"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise SensorDataError(
            where=f"{option} {folder}",
            got=error.strerror or str(error),
            expected="a folder that can be written",
            remedy="choose another folder",
        ) from error
