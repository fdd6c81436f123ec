"""Query outputs into detections: scores, duplicates taken out, boxes and futures in ego axes. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tricast.configs.strict import StrictConfig
from tricast.perception.outputs import Detections, Trajectories
from tricast.perception.score_calibration import ScoreScale, SubsetName, subset_name
from tricast.sensors.annotations import DETECTION_CLASSES
from tricast.sensors.geometry.boxes import Boxes

if TYPE_CHECKING:
    from torch import Tensor

    from tricast.perception.query_outputs import QueryOutputs

Float64 = NDArray[np.float64]

LARGEST_SIZE_M, LARGEST_SPEED_MPS = 40.0, 80.0
"""Beyond these an output is no road user's; it is cut, so that an unlucky one stays a legal box."""

LOG_SCALE_LIMITS = (-2.5, 2.5)
"""Of futures: beyond these, training does not teach scales, and none are told."""


class DecodingConfig(StrictConfig):
    """How scores come about and which boxes are kept; to be tuned on validation seeds."""

    heat_share: float = Field(default=0.1, ge=0, le=1)
    """Score: heat ** share * class ** (1 - share) * quality ** quality_power."""
    quality_power: float = Field(default=0.2, ge=0, le=4)
    min_score: float = Field(default=0.03, ge=0, le=1)
    duplicate_share: float = Field(default=0.8, ge=0, le=4)
    """Of two boxes of a class nearer than this share of the better one's shorter side, the worse one is left out."""
    other_class_share: float = Field(default=0.0, ge=0, le=4)
    """The same for two boxes of different classes; 0 keeps both, which average precision likes best."""
    classes_per_query: int = Field(default=3, ge=1, le=len(DETECTION_CLASSES))
    """A query's likeliest classes are a detection each: where it is in doubt, average precision counts every guess by
    its score (Carion et al., DETR; Liu et al., PETR, take the best pairs of query and class likewise)."""
    max_detections: int = Field(default=300, ge=1, le=500)
    calibration: dict[SubsetName, ScoreScale] | None = None
    """How scores become probabilities, by the sensors that are present; the settings above are of scores before that.
    None takes what the file of weights says (`tricast calibrate`), an empty mapping leaves scores as they are."""


def decode(
    outputs: QueryOutputs,
    timestamp_ns: int,
    config: DecodingConfig,
    *,
    row: int = 0,
    present: Sequence[bool] | None = None,
) -> Detections:
    """Detections of one sample, best score first, with futures.

    Args:
        outputs: Of a batch.
        timestamp_ns: The sample's tick.
        config: Settings.
        row: Which sample of the batch.
        present: Whether camera, LiDAR and radar were there, which chooses the scores' calibration; None has none.

    """
    last = outputs.layers[-1]
    chosen, classes, scores = decoded_queries(outputs, config, row=row)
    likeliest = _array(last.class_logits, row).argmax(axis=1)
    centers, sizes = _array(last.centers_m, row), _sizes_m(outputs, row)
    sine, cosine = _array(last.headings, row)[chosen].T
    boxes = Boxes(
        centers_m=centers[chosen],
        sizes_m=sizes[chosen],
        yaws_rad=np.arctan2(sine, cosine),
        velocities_mps=np.clip(_array(last.velocities_mps, row)[chosen], -LARGEST_SPEED_MPS, LARGEST_SPEED_MPS),
    )
    return Detections(
        timestamp_ns=timestamp_ns,
        boxes=boxes,
        class_names=tuple(DETECTION_CLASSES[c] for c in classes),
        scores=_calibrated(scores, present, config),
        trajectories=_futures(outputs, row, chosen, boxes),
        alternative=classes != likeliest[chosen],
    )


def decoded_queries(
    outputs: QueryOutputs, config: DecodingConfig, *, row: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float64]:
    """Queries (N,) that become boxes, best score first, with their classes (N,) and scores (N,) before calibration.

    A query is there once for each of its classes.
    """
    last = outputs.layers[-1]
    queries, classes, scores = _scored(outputs, row, config)
    centers, sizes = _array(last.centers_m, row), _sizes_m(outputs, row)
    numbers = np.concatenate([centers, sizes, _array(last.velocities_mps, row)], axis=1)
    usable = np.asarray(np.isfinite(numbers).all(axis=1)) & _array(outputs.query_mask, row).astype(bool)
    order = np.argsort(-scores, kind="stable")
    order = order[usable[queries[order]] & (scores[order] >= config.min_score)]
    queries, classes, scores = queries[order], classes[order], scores[order]
    shorter = sizes[queries, :2].min(axis=1)
    kept = distinct(
        centers[queries, :2], shorter * config.duplicate_share, shorter * config.other_class_share, classes
    )[: config.max_detections]
    return queries[kept], classes[kept], scores[kept]


def distinct(
    places_m: Float64, own_radii_m: Float64, other_radii_m: Float64, classes: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Indices of boxes that no better box has within its radius.

    Args:
        places_m: (N, 2), best first.
        own_radii_m: (N,), for boxes of the same class.
        other_radii_m: (N,), for boxes of other classes.
        classes: (N,).

    """
    apart = np.linalg.norm(places_m[:, None] - places_m[None], axis=2)
    alike = classes[:, None] == classes[None]
    hides = apart < np.where(alike, own_radii_m[:, None], other_radii_m[:, None])
    alive = np.ones(len(places_m), bool)
    for i in range(len(places_m)):
        if alive[i]:
            alive[i + 1 :] &= ~hides[i, i + 1 :]
    return np.flatnonzero(alive)


def _scored(
    outputs: QueryOutputs, row: int, config: DecodingConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float64]:
    """Queries, classes and scores (Q * classes per query): the heat of a peak counts for any class."""
    probabilities = _sigmoid(_array(outputs.layers[-1].class_logits, row))
    classes = np.argsort(-probabilities, axis=1, kind="stable")[:, : config.classes_per_query]
    queries = np.repeat(np.arange(len(classes)), classes.shape[1])
    heatmap = _array(outputs.heatmap, row).reshape(len(DETECTION_CLASSES), -1)
    cells, started = _array(outputs.query_cells, row), _array(outputs.query_classes, row)
    heat = _sigmoid(heatmap[started.astype(np.int64), cells.astype(np.int64)])
    quality = _sigmoid(_array(outputs.layers[-1].quality_logits, row))
    told = np.take_along_axis(probabilities, classes, axis=1).flatten()
    heat = heat if outputs.from_peaks else np.ones_like(heat)
    whole = heat**config.heat_share * quality**config.quality_power
    return queries, classes.flatten(), np.nan_to_num(whole[queries] * told ** (1 - config.heat_share))


def _calibrated(scores: Float64, present: Sequence[bool] | None, config: DecodingConfig) -> Float64:
    if present is None or not config.calibration:
        return scores
    scale = config.calibration.get(subset_name(present))
    return scores if scale is None else scale.apply(scores)


def _sizes_m(outputs: QueryOutputs, row: int) -> Float64:
    """(Q, 3) in metres, cut to what road users measure."""
    return np.clip(np.exp(np.minimum(_array(outputs.layers[-1].log_sizes, row), 10)), 0.05, LARGEST_SIZE_M)


def _futures(outputs: QueryOutputs, row: int, chosen: NDArray[np.int64], boxes: Boxes) -> Trajectories:
    offsets, logits = _array(outputs.mode_points_m, row)[chosen], _array(outputs.mode_logits, row)[chosen]
    logits = logits - logits.max(axis=1, keepdims=True)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    cosine, sine = (f(boxes.yaws_rad)[:, None, None] for f in (np.cos, np.sin))
    x = cosine * offsets[..., 0] - sine * offsets[..., 1]
    y = sine * offsets[..., 0] + cosine * offsets[..., 1]
    points = np.stack([x, y], axis=3) + boxes.centers_m[:, None, None, :2]
    scales = np.exp(np.clip(_array(outputs.mode_log_scales, row)[chosen], *LOG_SCALE_LIMITS))
    order = np.argsort(-probabilities, axis=1, kind="stable")
    return Trajectories(
        probabilities=np.take_along_axis(probabilities, order, axis=1),
        points_m=np.take_along_axis(points, order[:, :, None, None], axis=1),
        scales_m=np.take_along_axis(scales, order[:, :, None, None], axis=1),
    )


def _array(tensor: Tensor, row: int) -> NDArray[np.float64]:
    return tensor[row].detach().cpu().numpy().astype(np.float64)


def _sigmoid(logits: Float64) -> Float64:
    return 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
