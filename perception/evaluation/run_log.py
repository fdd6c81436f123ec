"""One log through the pipeline, once per choice of sensors but decoded once, into tables that the metrics take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from threadpoolctl import threadpool_limits

from tricast.configs.errors import InputError
from tricast.perception.config import PipelineConfig
from tricast.perception.evaluation.run_tables import LogTables
from tricast.perception.evaluation.table_recorder import ResultRecorder, TruthRecorder
from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.streaming.replay import select_channels, ticks
from tricast.sensors.errors import LogError
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import DrivingLog
from tricast.sensors.synchronization import Synchronizer

Subsets = Mapping[str, tuple[str, ...] | None]
"""Choices of sensors by name: modalities or channels, None for all."""


def run_log(log: DrivingLog, config: PipelineConfig, subsets: Subsets, *, name: str) -> LogTables:
    """Step a pipeline per choice of sensors through a log and keep what is scored: the ticks at annotation stamps.

    A new scene begins where time jumps. Frames are let go tick by tick, so memory holds boxes only.

    Args:
        log: Any log with truth.
        config: Settings of the pipelines.
        subsets: Choices of sensors.
        name: What sample names begin with; different for every log of an evaluation.

    Raises:
        InputError: A choice names a sensor that the log lacks.
        LogError: The log holds no truth.

    """
    channels = {key: select_channels(log.rig, sensors) for key, sensors in subsets.items()}
    pipelines = {key: Pipeline(config) for key in subsets}
    recorders = {key: ResultRecorder() for key in subsets}
    truth_recorder = TruthRecorder(name)
    synchronizer = Synchronizer(log.rig, config.synchronizer, origin_ns=log.start_ns)
    count = 0
    for frame, truth in ticks(log.messages(), synchronizer):
        count += 1
        truth_recorder.tick(frame, truth)
        for key, pipeline in pipelines.items():
            chosen = channels[key]
            result = pipeline.step(frame if chosen is None else frame.restricted_to(chosen))
            recorders[key].tick(result, scored=truth is not None, discontinuity=frame.discontinuity)
    if not truth_recorder.tokens:
        raise no_truth(log)
    samples = truth_recorder.samples()
    return LogTables(
        truth=truth_recorder.tables(),
        results={key: recorders[key].tables(samples, count, pipelines[key].latency.samples_ms()) for key in pipelines},
        late_truth=synchronizer.counts.late.get("annotations", 0),
        lost_messages=log.losses.total,
    )


def run_logs(
    paths: Sequence[Path],
    config: PipelineConfig,
    subsets: Subsets,
    *,
    workers: int = 1,
    on_log: Callable[[int], None] = lambda done: None,
) -> list[LogTables]:
    """Tables of several logs, in the order of their paths, the same for any number of processes.

    Args:
        paths: Logs, each opened by `open_log`.
        config: Settings of the pipelines.
        subsets: Choices of sensors.
        workers: Processes, one thread each.
        on_log: Told how many logs are done, after each.

    Raises:
        InputError: As for `run_log`, or a log cannot be opened.

    """
    jobs = list(zip(paths, log_names(paths), strict=True))
    tables: list[LogTables] = []
    if min(workers, len(jobs)) <= 1:
        for path, name in jobs:
            tables.append(_run_path(path, config, subsets, name))
            on_log(len(tables))
        return tables
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=threadpool_limits, initargs=(1,)
    ) as pool:
        for future in [pool.submit(_run_path, path, config, subsets, name) for path, name in jobs]:
            tables.append(future.result())
            on_log(len(tables))
    return tables


def no_truth(log: DrivingLog) -> LogError:
    """The error about a log that cannot be scored."""
    return LogError(
        where=str(log.path),
        got="no annotations",
        expected="a log with truth",
        remedy="'tricast replay' works without truth; 'tricast synth' makes logs that hold it",
    )


def log_names(paths: Sequence[Path]) -> list[str]:
    """A short name per log, different for each: the file's, with its folder where that is not enough.

    Raises:
        InputError: One log is named twice.

    """
    resolved = [path.resolve() for path in paths]
    for path in resolved:
        if resolved.count(path) > 1:
            raise InputError(where=str(path), got="the same log twice", expected="each once", remedy="leave one out")
    stems = [path.stem for path in resolved]
    return [
        stem if stems.count(stem) == 1 else path.with_suffix("").as_posix().lstrip("/")
        for stem, path in zip(stems, resolved, strict=True)
    ]


def _run_path(path: Path, config: PipelineConfig, subsets: Subsets, name: str) -> LogTables:
    return run_log(open_log(path), config, subsets, name=name)
