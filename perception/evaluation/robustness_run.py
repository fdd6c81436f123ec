"""The robustness table of a detector on logs, scored by NDS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tricast.perception.config import PipelineConfig
from tricast.perception.evaluation.detection import DetectionConfig, evaluate_detection
from tricast.perception.evaluation.robustness import NUM_SCENES, RobustnessTable, robustness_table
from tricast.perception.evaluation.run_log import looked_at, run_log
from tricast.perception.evaluation.run_tables import LogTables, joined_results, joined_truth
from tricast.perception.evaluation.scores import class_ranges
from tricast.perception.streaming.pipeline import Pipeline
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import DrivingLog


def detector_robustness(
    paths: Sequence[Path],
    config: PipelineConfig,
    *,
    sensors: tuple[str, ...] | None = None,
    max_range_m: float | None = None,
    workers: int = 1,
    on_scene: Callable[[int], None] = lambda done: None,
) -> RobustnessTable:
    """NDS of the first seconds of the first logs under every corruption, relative to the clean one.

    Raises:
        InputError: As for `robustness_table` and `run_log`.

    """
    return robustness_table(
        [partial(open_log, path) for path in paths[:NUM_SCENES]],
        partial(_run, config=config, sensors=sensors),
        partial(_nds, max_range_m=max_range_m),
        looked_at=partial(looked_at, modalities=Pipeline(config).detector.modalities, sensors=sensors),
        workers=workers,
        on_scene=on_scene,
    )


def _run(log: DrivingLog, *, config: PipelineConfig, sensors: tuple[str, ...] | None) -> LogTables:
    return run_log(log, config, {"chosen": sensors}, name=str(log.path))


def _nds(runs: Sequence[LogTables], clean: Sequence[LogTables], *, max_range_m: float | None) -> float:
    results = joined_results([run.results["chosen"] for run in runs])
    truth = joined_truth([run.truth for run in clean])
    config = DetectionConfig(class_ranges_m=class_ranges(max_range_m))
    return evaluate_detection(results.detections, truth.boxes, config).nds
