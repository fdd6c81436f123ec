"""One log through the pipeline, once per choice of sensors but decoded once, into tables that the metrics take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from tricast.configs.errors import InputError
from tricast.perception.config import PipelineConfig
from tricast.perception.evaluation.run_tables import LogTables, ResultTables
from tricast.perception.evaluation.table_recorder import ResultRecorder, TruthRecorder
from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.streaming.replay import select_channels
from tricast.perception.streaming.tick_source import TruthPairing, ticks
from tricast.sensors.calibration import Rig
from tricast.sensors.errors import LogError
from tricast.sensors.frames import Modality
from tricast.sensors.log.log_part import LogPart
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import DrivingLog
from tricast.sensors.synchronization import Synchronizer
from tricast.sensors.worker_pool import each_done

WHOLE = LogPart()
"""All of a log."""
Subsets = Mapping[str, tuple[str, ...] | None]
"""Choices of sensors by name: modalities or channels, None for all."""


def run_log(
    log: DrivingLog, config: PipelineConfig, subsets: Subsets, *, name: str, part: LogPart = WHOLE
) -> LogTables:
    """Step a pipeline per choice of sensors through a log and keep what is scored: the ticks at annotation stamps.

    A new scene begins where time jumps. Frames are let go tick by tick, so memory holds boxes only.

    Args:
        log: Any log with truth.
        config: Settings of the pipelines.
        subsets: Choices of sensors.
        name: What sample names begin with; different for every log of an evaluation.
        part: Of the log; nothing before it is seen, and truth right before its end does not count.

    Raises:
        InputError: A choice names a sensor that the log lacks, or the part lies outside the log.
        LogError: The log, or that part of it, holds no truth.

    """
    messages = part.messages(log)
    pipelines = _pipelines(log.rig, config, subsets)
    recorders = {channels: ResultRecorder() for channels in pipelines}
    truth_recorder = TruthRecorder(name)
    synchronizer, pairing = Synchronizer(log.rig, config.synchronizer, origin_ns=log.start_ns), TruthPairing()
    count = 0
    for frame, truth in ticks(messages, synchronizer, pairing):
        count += 1
        truth_recorder.tick(frame, truth)
        for channels, (pipeline, _) in pipelines.items():
            result = pipeline.step(frame.restricted_to(channels))
            recorders[channels].tick(result, scored=truth is not None, discontinuity=frame.discontinuity)
    if not truth_recorder.tokens:
        raise no_truth(log) if part == WHOLE else _no_truth_in_part(log)
    samples = truth_recorder.samples()
    results: dict[str, ResultTables] = {}
    for channels, (pipeline, keys) in pipelines.items():
        results |= dict.fromkeys(keys, recorders[channels].tables(samples, count, pipeline.latency.samples_ms()))
    return LogTables(
        truth=truth_recorder.tables(),
        results={key: results[key] for key in subsets},
        late_truth=pairing.taken - len(truth_recorder.tokens),
        losses=log.losses.with_undecoded(_undecoded(pipeline for pipeline, _ in pipelines.values())),
        path=log.path,
    )


def _undecoded(pipelines: Iterable[Pipeline]) -> dict[str, int]:
    """Pictures that did not decode, by channel; each pipeline that looks at one finds it out anew."""
    counts: dict[str, int] = {}
    for pipeline in pipelines:
        for channel, count in pipeline.detector.undecoded.by_channel().items():
            counts[channel] = max(count, counts.get(channel, 0))
    return counts


def looked_at(rig: Rig, modalities: Sequence[Modality], sensors: tuple[str, ...] | None) -> frozenset[str]:
    """Channels of a rig among chosen sensors (None: all) whose modality a detector looks at."""
    chosen = select_channels(rig, sensors)
    everything = rig.channels() if chosen is None else chosen
    return frozenset(c for c in everything if rig[c].modality in modalities)


def _pipelines(rig: Rig, config: PipelineConfig, subsets: Subsets) -> dict[frozenset[str], tuple[Pipeline, list[str]]]:
    """By channels: a pipeline, and the choices of sensors that it stands for.

    Choices that differ in sensors only which the detector does not look at have the same results and share one.
    """
    pipelines: dict[frozenset[str], tuple[Pipeline, list[str]]] = {}
    modalities = Pipeline(config).detector.modalities
    for key, sensors in subsets.items():
        channels = looked_at(rig, modalities, sensors)
        if channels not in pipelines:
            pipelines[channels] = (Pipeline(config), [])
        pipelines[channels][1].append(key)
    return pipelines


def run_logs(
    paths: Sequence[Path],
    config: PipelineConfig,
    subsets: Subsets,
    *,
    part: LogPart = WHOLE,
    workers: int = 1,
    on_log: Callable[[int], None] = lambda done: None,
) -> list[LogTables]:
    """Tables of several logs, in the order of their paths, the same for any number of processes.

    Args:
        paths: Logs, each opened by `open_log`.
        config: Settings of the pipelines.
        subsets: Choices of sensors.
        part: Of each log.
        workers: Processes, one thread each.
        on_log: Told how many logs are done, after each.

    Raises:
        InputError: As for `run_log`, or a log cannot be opened.

    """
    jobs = [(path, config, subsets, name, part) for path, name in zip(paths, log_names(paths), strict=True)]
    tables: list[LogTables] = []
    for table in each_done(_run_path, jobs, workers, in_order=True):
        tables.append(table)
        on_log(len(tables))
    return tables


def _no_truth_in_part(log: DrivingLog) -> LogError:
    return LogError(
        where=str(log.path),
        got="no annotations in the part that --start and --duration name",
        expected="a part with truth",
        remedy="name another; 'tricast info LOG' says how long the log is and how often it has annotations",
    )


def no_truth(log: DrivingLog) -> LogError:
    """The error about a log that cannot be scored."""
    return LogError(
        where=str(log.path),
        got="no annotations",
        expected="a log with truth",
        remedy="'tricast replay' works without truth; 'tricast synth' makes logs that hold it",
    )


def log_names(paths: Sequence[Path]) -> list[str]:
    """A short name per log, different for each: the file's, or its whole path where that is not enough.

    Raises:
        InputError: One log is named twice.

    """
    resolved = [path.resolve() for path in paths]
    for path in resolved:
        if resolved.count(path) > 1:
            raise InputError(where=str(path), got="the same log twice", expected="each once", remedy="leave one out")
    stems = [path.stem for path in resolved]
    return [
        stem if stems.count(stem) == 1 else path.as_posix().lstrip("/")
        for stem, path in zip(stems, resolved, strict=True)
    ]


def _run_path(path: Path, config: PipelineConfig, subsets: Subsets, name: str, part: LogPart) -> LogTables:
    return run_log(open_log(path), config, subsets, name=name, part=part)
