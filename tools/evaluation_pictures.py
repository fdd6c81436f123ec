"""Pictures of an evaluation's worst samples, for its report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tricast.perception.config import PipelineConfig
from tricast.perception.evaluation.detection import in_class_range
from tricast.perception.evaluation.evaluation import Evaluation
from tricast.perception.evaluation.report import Picture
from tricast.perception.evaluation.run_log import log_names
from tricast.perception.evaluation.scores import class_ranges
from tricast.perception.evaluation.worst_samples import SampleScore, worst_samples
from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.streaming.replay import select_channels
from tricast.perception.streaming.tick_source import ticks
from tricast.perception.viewing.recorder import compose
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import DrivingLog
from tricast.sensors.synchronization import Synchronizer

NUM_PICTURES = 4
LEAD_NS = 2_000_000_000
"""A picture's tracks come from a replay that begins this long before."""
TRAIL_NS = 200_000_000


def worst_pictures(
    evaluation: Evaluation, paths: Sequence[Path], config: PipelineConfig, sensors: tuple[str, ...] | None
) -> list[Picture]:
    """Draw the samples with the lowest F1, at most one of each scene.

    Args:
        evaluation: Tables that are looked at, those of its first choice of sensors.
        paths: Logs, in the order in which they were evaluated.
        config: Settings of the pipeline.
        sensors: The choice of sensors.

    """
    ranges = class_ranges(evaluation.summary["max_range_m"])
    boxes = in_class_range(next(iter(evaluation.results.values())).detections, ranges)
    truth = in_class_range(evaluation.truth.boxes, ranges)
    by_name = dict(zip(log_names(paths), paths, strict=True))
    pictures = []
    for score in worst_samples(boxes, truth, NUM_PICTURES):
        name = truth.sample_tokens[score.sample].rpartition("/")[0]
        now_ns = int(truth.sample_time_ns[score.sample])
        log = open_log(by_name[name])
        image = _drawn(log, config, sensors, now_ns)
        if image is not None:
            caption = _caption(name, (now_ns - log.start_ns) / 1e9, score)
            pictures.append(Picture(caption=caption, png=_png(image)))
    return pictures


def _drawn(
    log: DrivingLog, config: PipelineConfig, sensors: tuple[str, ...] | None, now_ns: int
) -> NDArray[np.uint8] | None:
    """Replay the seconds before a tick and draw it; None where the log does not give that tick by itself."""
    channels = select_channels(log.rig, sensors)
    synchronizer = Synchronizer(log.rig, config.synchronizer, origin_ns=log.start_ns, channels=channels)
    pipeline = Pipeline(config)
    messages = log.messages(start_ns=now_ns - LEAD_NS, end_ns=now_ns + TRAIL_NS)
    for frame, truth in ticks(messages, synchronizer):
        result = pipeline.step(frame)
        if frame.timestamp_ns == now_ns:
            return compose(frame, result, truth, since_ns=log.start_ns)
    return None


def _caption(name: str, since_s: float, score: SampleScore) -> str:
    return (
        f"{name} after {since_s:.1f} s: {score.found} objects found within 2 m, {score.missed} missed, "
        f"{score.false_boxes} false boxes. White outlines: truth."
    )


def _png(image: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, format="PNG", optimize=True)
    return file.getvalue()
