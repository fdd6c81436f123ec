"""Query outputs into detections: scores, duplicates taken out, boxes and futures in ego axes. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tricast.configs.strict import StrictConfig
from tricast.perception.nearness import near_along
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
    told = [last.velocities_mps, last.axis_sin_cos, outputs.mode_logits, outputs.mode_points_m]
    numbers = [centers, sizes, *(_numbers(values[row]).reshape(len(centers), -1) for values in told)]
    usable = _array(outputs.query_mask, row).astype(bool)
    for values in numbers:
        usable &= np.isfinite(values).all(axis=1)
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
    better, worse = _hiding_pairs(places_m, own_radii_m, other_radii_m, classes)
    alive = np.ones(len(places_m), bool)
    # A box is hidden by better ones that are alive themselves: true of the best at once, and of one more link of every
    # chain in each round, so that this ends, and with what going through the boxes one by one gives.
    while True:
        after = np.ones(len(places_m), bool)
        after[worse[alive[better]]] = False
        if np.array_equal(after, alive):
            return np.flatnonzero(alive)
        alive = after


def _hiding_pairs(
    places_m: Float64, own_radii_m: Float64, other_radii_m: Float64, classes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (K,), (K,) of a box and a worse one within its radius; only boxes near in x are looked at."""
    x, y = places_m.T
    better, worse = near_along(x, np.maximum(own_radii_m, other_radii_m), x)
    later = worse > better
    better, worse = better[later], worse[later]
    radii = np.where(classes[better] == classes[worse], own_radii_m[better], other_radii_m[better])
    hides = np.sqrt((x[better] - x[worse]) ** 2 + (y[better] - y[worse]) ** 2) < radii
    return better[hides], worse[hides]


def _scored(
    outputs: QueryOutputs, row: int, config: DecodingConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64], Float64]:
    """Queries, classes and scores (Q * classes per query): the heat of a peak counts for any class."""
    probabilities = _sigmoid(_array(outputs.layers[-1].class_logits, row))
    classes = np.argsort(-probabilities, axis=1, kind="stable")[:, : config.classes_per_query]
    queries = np.repeat(np.arange(len(classes)), classes.shape[1])
    heatmap = outputs.heatmap[row].detach().flatten(1)
    started = outputs.query_classes[row].long(), outputs.query_cells[row].long()
    heat = _sigmoid(_numbers(heatmap[started]).astype(np.float64))
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
    logits = _array(outputs.mode_logits, row)[chosen]
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = weights / weights.sum(axis=1, keepdims=True)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    modes = chosen[:, None], order
    offsets = _numbers(outputs.mode_points_m[row])[modes].astype(np.float64)
    cosine, sine = (f(boxes.yaws_rad)[:, None, None] for f in (np.cos, np.sin))
    centers = boxes.centers_m[:, None, None]
    points = np.empty_like(offsets)
    points[..., 0] = cosine * offsets[..., 0] - sine * offsets[..., 1] + centers[..., 0]
    points[..., 1] = sine * offsets[..., 0] + cosine * offsets[..., 1] + centers[..., 1]
    scales = np.clip(_numbers(outputs.mode_log_scales[row])[modes].astype(np.float64), *LOG_SCALE_LIMITS)
    return Trajectories(
        probabilities=np.take_along_axis(probabilities, order, axis=1),
        points_m=points,
        scales_m=np.exp(scales, out=scales),
    )


def _array(tensor: Tensor, row: int) -> Float64:
    return _numbers(tensor[row]).astype(np.float64)


def _numbers(tensor: Tensor) -> NDArray[Any]:
    return tensor.detach().cpu().numpy()


def _sigmoid(logits: Float64) -> Float64:
    return 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
