"""Results in the official formats: nuScenes submissions as JSON, Argoverse 2 detections as a feather file.

Formats: the READMEs of `nuscenes-devkit` (eval/detection, eval/tracking, eval/prediction) and of `av2` (3D detection).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tricast.configs.errors import InputError
from tricast.perception.config import PipelineConfig
from tricast.perception.evaluation.attributes import attributes_of
from tricast.perception.evaluation.box_table import ATTRIBUTES, NO_ATTRIBUTE
from tricast.perception.evaluation.devkit_files import TRACKING_CLASSES
from tricast.perception.evaluation.run_log import no_truth
from tricast.perception.evaluation.table_recorder import MAX_BOXES, SampleNames
from tricast.perception.outputs import TickResult
from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.streaming.replay import select_channels
from tricast.perception.streaming.tick_source import ticks
from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import MODALITIES, Rig
from tricast.sensors.class_ladder import CLASSES_TO
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.log.stream import DrivingLog
from tricast.sensors.synchronization import Synchronizer

MATCH_M = 2.0
MAX_MODES = 25
ARGOVERSE2_NAMES = CLASSES_TO["argoverse2"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One tick that is submitted.

    Args:
        token: Its name in the benchmark.
        result: What the pipeline gave.
        truth: Annotations at the tick, which only forecasts need: they are asked for by annotated object.

    """

    token: str
    result: TickResult
    truth: Annotations | None = None


def collect_samples(
    log: DrivingLog,
    config: PipelineConfig,
    *,
    sensors: tuple[str, ...] | None = None,
    token_of: Callable[[int], str] = str,
) -> list[Sample]:
    """Run a pipeline over a log and keep what is submitted: the ticks at annotation stamps.

    Args:
        log: A log with truth, even if it is empty as in a benchmark's test set.
        config: Settings of the pipeline.
        sensors: Modalities or channels; None uses all.
        token_of: Name of the sample at a time in nanoseconds; of a time that comes again, `#1` is put behind it.

    Raises:
        InputError: A sensor does not fit, or the log has no annotation stamps.

    """
    pipeline = Pipeline(config)
    channels = select_channels(log.rig, sensors)
    synchronizer = Synchronizer(log.rig, config.synchronizer, origin_ns=log.start_ns, channels=channels)
    samples, names = [], SampleNames()
    for frame, truth in ticks(log.messages(), synchronizer):
        result = pipeline.step(frame)
        if truth is not None:
            token = names.once(token_of(frame.timestamp_ns))
            samples.append(Sample(token=token, result=result, truth=truth))
    if not samples:
        raise no_truth(log)
    return samples


def used_modalities(rig: Rig, sensors: tuple[str, ...] | None, config: PipelineConfig) -> frozenset[str]:
    """Kinds of sensors, of those chosen, that the detector looks at: submissions state them."""
    channels = select_channels(rig, sensors)
    chosen = frozenset(s.modality for c, s in rig.sensors.items() if channels is None or c in channels)
    return chosen & frozenset(Pipeline(config).detector.modalities)


def nuscenes_detection(samples: Sequence[Sample], modalities: Collection[str]) -> dict[str, Any]:
    """A submission to the detection task: the boxes of the ticks, the best 500 a sample, in the map's frame."""
    results = {}
    for sample in samples:
        detections = sample.result.detections
        best = np.sort(np.argsort(-detections.scores, kind="stable")[:MAX_BOXES])
        boxes, names = detections.boxes[best], [detections.class_names[i] for i in best]
        attributes = attributes_of(detections.class_indices[best], boxes.velocities_mps, unknown_rests=True)
        results[sample.token] = [
            {
                **box,
                "detection_name": name,
                "detection_score": float(score),
                "attribute_name": "" if attribute == NO_ATTRIBUTE else ATTRIBUTES[attribute],
            }
            for box, name, score, attribute in zip(
                _boxes_of(sample, boxes), names, detections.scores[best], attributes, strict=True
            )
        ]
    return {"meta": _meta(modalities), "results": results}


def nuscenes_tracking(samples: Sequence[Sample], modalities: Collection[str]) -> dict[str, Any]:
    """A submission to the tracking task: tracks of its seven classes, the best 500 a sample, in the map's frame."""
    results = {}
    for sample in samples:
        tracks = sample.result.tracks
        asked = [i for i, name in enumerate(tracks.class_names) if name in TRACKING_CLASSES]
        best = np.sort(np.array(sorted(asked, key=lambda i: -tracks.scores[i])[:MAX_BOXES], np.int64))
        results[sample.token] = [
            {
                **box,
                "tracking_id": str(tracks.track_ids[i]),
                "tracking_name": tracks.class_names[i],
                "tracking_score": float(tracks.scores[i]),
            }
            for box, i in zip(_boxes_of(sample, tracks.boxes[best]), best, strict=True)
        ]
    return {"meta": _meta(modalities), "results": results}


def nuscenes_prediction(samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """A submission to the prediction task: futures of the tracks within 2 m of annotated objects, in the map's frame.

    Raises:
        InputError: A sample has no truth.

    """
    entries = []
    for sample in samples:
        if sample.truth is None:
            raise InputError(
                where=f"sample {sample.token}",
                got="no annotations",
                expected="annotated objects, by which forecasts are asked for",
                remedy="submit detections or tracks, or take a log with truth",
            )
        result = sample.result
        tracks, objects = _paired(result.tracks.boxes.centers_m, sample.truth.boxes.centers_m)
        for track, annotated in zip(tracks, objects, strict=True):
            points = result.trajectories.points_m[track, :MAX_MODES]
            heights = np.full((*points.shape[:2], 1), result.tracks.boxes.centers_m[track, 2])
            placed = result.odom_from_ego.apply(np.concatenate([points, heights], axis=2).reshape(-1, 3))
            entries.append(
                {
                    "instance": sample.truth.instance_ids[annotated],
                    "sample": sample.token,
                    "prediction": placed.reshape(*points.shape[:2], 3)[..., :2].tolist(),
                    "probabilities": result.trajectories.probabilities[track, :MAX_MODES].tolist(),
                }
            )
    return entries


def argoverse2_detections(samples: Sequence[Sample], log_id: str) -> dict[str, NDArray[Any]]:
    """Columns of a submission to 3D detection: the boxes of the ticks in the vehicle's frame, one row each."""
    rows: list[tuple[Any, ...]] = []
    for sample in samples:
        detections = sample.result.detections
        for i, name in enumerate(detections.class_names):
            if name in ARGOVERSE2_NAMES:
                half_rad = detections.boxes.yaws_rad[i] / 2
                quaternion = (np.cos(half_rad), 0.0, 0.0, np.sin(half_rad))
                place = (*detections.boxes.centers_m[i], *detections.boxes.sizes_m[i], *quaternion)
                stamp_ns = sample.result.timestamp_ns
                rows.append((*place, detections.scores[i], log_id, stamp_ns, ARGOVERSE2_NAMES[name]))
    names = ("tx_m", "ty_m", "tz_m", "length_m", "width_m", "height_m", "qw", "qx", "qy", "qz", "score")
    columns: dict[str, NDArray[Any]] = {n: np.array([row[k] for row in rows], np.float64) for k, n in enumerate(names)}
    columns["log_id"] = np.array([row[-3] for row in rows], np.str_)
    columns["timestamp_ns"] = np.array([row[-2] for row in rows], np.int64)
    columns["category"] = np.array([row[-1] for row in rows], np.str_)
    return columns


def check_feather() -> None:
    """Say that feather files cannot be written, before the work that would end in one.

    Raises:
        InputError: `pyarrow`, which writes such files, is not installed.

    """
    if importlib.util.find_spec("pyarrow") is None:
        raise InputError(
            where="feather files",
            got="no pyarrow",
            expected="the package that writes them",
            remedy='pip install "tricast[argoverse2]"',
        )


def write_feather(columns: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write columns as a feather file.

    Raises:
        InputError: `pyarrow`, which writes such files, is not installed.

    """
    check_feather()
    import pyarrow
    from pyarrow import feather

    arrays = {n: pyarrow.array(c.tolist() if c.dtype.kind == "U" else c) for n, c in columns.items()}
    strings = {name for name, column in columns.items() if column.dtype.kind == "U"}
    # An empty list of strings has no type of its own.
    typed = {name: array.cast(pyarrow.string()) if name in strings else array for name, array in arrays.items()}
    feather.write_feather(pyarrow.table(typed), str(path), compression="lz4")


def _boxes_of(sample: Sample, boxes: Boxes) -> list[dict[str, Any]]:
    """What detection and tracking say alike; a velocity that is not known counts as standing still."""
    placed = boxes.transformed(sample.result.odom_from_ego)
    half_rad = placed.yaws_rad / 2
    from_ego_m = placed.centers_m - sample.result.odom_from_ego.translation
    return [
        {
            "sample_token": sample.token,
            "translation": placed.centers_m[i].tolist(),
            "size": placed.sizes_m[i, [1, 0, 2]].tolist(),
            "rotation": [float(np.cos(half_rad[i])), 0.0, 0.0, float(np.sin(half_rad[i]))],
            "velocity": np.nan_to_num(placed.velocities_mps[i]).tolist(),
            "ego_translation": from_ego_m[i].tolist(),
        }
        for i in range(len(placed))
    ]


def _meta(modalities: Collection[str]) -> dict[str, bool]:
    uses = {f"use_{modality}": modality in modalities for modality in MODALITIES}
    return {**uses, "use_map": False, "use_external": False}


def _paired(tracks_m: NDArray[np.float64], objects_m: NDArray[np.float64]) -> tuple[list[int], list[int]]:
    """Rows of tracks and objects within 2 m of each other on the ground, one to one, nearest in sum."""
    distances = np.linalg.norm(tracks_m[:, None, :2] - objects_m[None, :, :2], axis=2)
    rows, columns = linear_sum_assignment(np.where(distances <= MATCH_M, distances, 1e6))
    near = [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if distances[r, c] <= MATCH_M]
    return [r for r, _ in near], [c for _, c in near]
