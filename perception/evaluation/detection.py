"""nuScenes detection: mAP, true positive errors and NDS, equal to the official devkit's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tricast.configs.strict import StrictConfig
from tricast.perception.evaluation.box_table import BoxTable, check_box_counts, counts_by_scene, scenes_of
from tricast.perception.evaluation.matching import greedy_match, near_pairs
from tricast.sensors.annotations import DETECTION_CLASSES

NUM_RECALLS = 101
TP_ERRORS = ("ATE", "ASE", "AOE", "AVE", "AAE")
"""Errors of true positives: translation m, scale 1 - IoU, orientation rad, velocity m/s, attribute 1 - accuracy."""

UNDEFINED_ERRORS = {"traffic_cone": ("AOE", "AVE", "AAE"), "barrier": ("AVE", "AAE")}
"""Errors that a class does not have: cones look the same from all sides, neither moves."""

CLASS_RANGES_M = {
    "car": 50.0,
    "truck": 50.0,
    "bus": 50.0,
    "trailer": 50.0,
    "construction_vehicle": 50.0,
    "pedestrian": 40.0,
    "motorcycle": 40.0,
    "bicycle": 40.0,
    "traffic_cone": 30.0,
    "barrier": 30.0,
}


class DetectionConfig(StrictConfig):
    """Settings of the nuScenes detection protocol (`detection_cvpr_2019`); the defaults are the official ones."""

    class_ranges_m: dict[str, float] = Field(default_factory=lambda: dict(CLASS_RANGES_M))
    match_distances_m: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    error_distance_m: float = 2.0
    min_recall: float = 0.1
    min_precision: float = 0.1
    max_boxes_per_sample: int = 500
    mean_ap_weight: float = 5.0


@dataclass(frozen=True, kw_only=True, eq=False)
class DetectionMatches:
    """What matching found, enough to score any choice of scenes without matching again; N boxes best score first.

    Args:
        class_index: (N,) int64.
        scene: (N,) int64.
        scores: (N,) float64, descending.
        matched: (T, N) bool, whether each box found a true one at each of T distances.
        errors: (N, 5) float64 in the order of `TP_ERRORS` at the distance for errors; NaN where unmatched or unknown.
        truth_counts: (num_scenes, 10) int64 true boxes per scene and class.

    """

    class_index: NDArray[np.int64]
    scene: NDArray[np.int64]
    scores: NDArray[np.float64]
    matched: NDArray[np.bool_]
    errors: NDArray[np.float64]
    truth_counts: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class DetectionMetrics:
    """Figures of the nuScenes detection protocol; C = 10 classes, T match distances, 101 recalls from 0 to 1.

    Args:
        config: Settings they were made with.
        average_precisions: (C, T) float64.
        class_errors: (C, 5) float64 in the order of `TP_ERRORS`; NaN where a class does not have that error.
        precisions: (C, T, 101) float64 precision at each recall, 0 beyond the recall reached.
        confidences: (C, T, 101) float64 score at which each recall is reached, 0 beyond.
        error_curves: (C, 5, 101) float64 mean error of the matches up to each recall.
        truth_counts: (C,) int64 true boxes; a class without any has AP 0 and error 1, as in the devkit.

    """

    config: DetectionConfig
    average_precisions: NDArray[np.float64]
    class_errors: NDArray[np.float64]
    precisions: NDArray[np.float64]
    confidences: NDArray[np.float64]
    error_curves: NDArray[np.float64]
    truth_counts: NDArray[np.int64]

    @property
    def mean_ap(self) -> float:
        """MAP: mean over classes and match distances."""
        return float(self.average_precisions.mean())

    @property
    def mean_errors(self) -> dict[str, float]:
        """Each error of `TP_ERRORS`, averaged over the classes that have it."""
        return dict(zip(TP_ERRORS, np.nanmean(self.class_errors, axis=0).tolist(), strict=True))

    @property
    def nds(self) -> float:
        """NuScenes detection score: weighted mean of mAP and of 1 minus each mean error, not below 0."""
        rewards = [max(0.0, 1.0 - error) for error in self.mean_errors.values()]
        weight = self.config.mean_ap_weight
        return (weight * self.mean_ap + sum(rewards)) / (weight + len(rewards))


def evaluate_detection(
    predictions: BoxTable, truth: BoxTable, config: DetectionConfig | None = None
) -> DetectionMetrics:
    """Score boxes by the nuScenes detection protocol.

    Both tables are cut to the class ranges by their `ego_distance_m`, and boxes with `num_points` 0 leave.

    Raises:
        InputError: A sample has more predictions than the protocol allows, or the samples differ.

    Source: Caesar et al. 2020, nuScenes; nuscenes-devkit 1.2.0 `eval/detection`.

    """
    config = config or DetectionConfig()
    return score_matches(match_detections(predictions, truth, config), config)


def in_class_range(table: BoxTable, class_ranges_m: dict[str, float]) -> BoxTable:
    """Only the boxes that count."""
    return table.where(rows_in_class_range(table, class_ranges_m))


def rows_in_class_range(table: BoxTable, class_ranges_m: dict[str, float]) -> NDArray[np.bool_]:
    """Which boxes (N,) count: nearer than their class's range (one without leaves), not known to be empty."""
    ranges = np.array([class_ranges_m.get(name, -np.inf) for name in DETECTION_CLASSES])
    return (table.ego_distance_m < ranges[table.class_index]) & (table.num_points != 0)


def match_detections(predictions: BoxTable, truth: BoxTable, config: DetectionConfig) -> DetectionMatches:
    """Match at every distance once; `score_matches` makes figures of it for any choice of scenes.

    Raises:
        InputError: As for `evaluate_detection`.

    """
    check_box_counts(predictions, config.max_boxes_per_sample)
    predictions = in_class_range(predictions, config.class_ranges_m)
    truth = in_class_range(truth, config.class_ranges_m)
    # Among equal scores the devkit takes the later box first.
    order = np.lexsort((np.arange(len(predictions)), predictions.scores))[::-1]
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    distances = (*config.match_distances_m, config.error_distance_m)
    pairs = near_pairs(predictions, truth, max(distances))
    found = {d: greedy_match(pairs.within(d), rank, len(truth)) for d in distances}
    return DetectionMatches(
        class_index=predictions.class_index[order],
        scene=scenes_of(predictions, truth)[order],
        scores=predictions.scores[order],
        matched=np.stack([found[d][order] >= 0 for d in config.match_distances_m]),
        errors=_true_positive_errors(predictions, truth, found[config.error_distance_m])[order],
        truth_counts=counts_by_scene(truth),
    )


def _true_positive_errors(predictions: BoxTable, truth: BoxTable, matched: NDArray[np.int64]) -> NDArray[np.float64]:
    """Errors (N, 5) of each prediction against its true box, NaN where it has none."""
    rows = np.flatnonzero(matched >= 0)
    other = matched[rows]
    ours, theirs = predictions.sizes_m[rows], truth.sizes_m[other]
    overlap = np.minimum(ours, theirs).prod(axis=1)
    iou = overlap / (ours.prod(axis=1) + theirs.prod(axis=1) - overlap)
    barrier = truth.class_index[other] == DETECTION_CLASSES.index("barrier")
    period = np.where(barrier, np.pi, 2 * np.pi)  # a barrier has no front
    turn = (truth.yaws_rad[other] - predictions.yaws_rad[rows] + period / 2) % period - period / 2
    stated = truth.attribute_index[other]
    wrong = np.where(stated < 0, np.nan, stated != predictions.attribute_index[rows])
    errors = np.full((len(predictions), len(TP_ERRORS)), np.nan)
    errors[rows, 0] = np.hypot(*(predictions.centers_m[rows, :2] - truth.centers_m[other, :2]).T)
    errors[rows, 1] = 1 - iou
    errors[rows, 2] = np.abs(turn)
    errors[rows, 3] = np.hypot(*(predictions.velocities_mps[rows] - truth.velocities_mps[other]).T)
    errors[rows, 4] = wrong
    return errors


def score_matches(
    matches: DetectionMatches, config: DetectionConfig, scene_counts: NDArray[Any] | None = None
) -> DetectionMetrics:
    """Figures over all scenes, or over scenes taken as often as `scene_counts` (num_scenes,) says."""
    shape = (len(DETECTION_CLASSES), len(config.match_distances_m), NUM_RECALLS)
    precisions, confidences = np.zeros(shape), np.zeros(shape)
    curves = np.ones((shape[0], len(TP_ERRORS), NUM_RECALLS))
    class_errors = np.ones((shape[0], len(TP_ERRORS)))
    truth_counts = matches.truth_counts.sum(axis=0)
    if scene_counts is not None:
        truth_counts = (matches.truth_counts * scene_counts[:, None]).sum(axis=0)
    for index, name in enumerate(DETECTION_CLASSES):
        rows = np.flatnonzero(matches.class_index == index)
        if scene_counts is not None:
            rows = np.repeat(rows, scene_counts[matches.scene[rows]])
        for place in range(shape[1]):
            hit = matches.matched[place, rows]
            if truth_counts[index] and hit.any():
                curve = _recall_curve(hit, matches.scores[rows], int(truth_counts[index]))
                precisions[index, place], confidences[index, place] = curve
        errors, scores = matches.errors[rows], matches.scores[rows]
        hit = ~np.isnan(errors[:, 0])
        if truth_counts[index] and hit.any():
            confidence = _recall_curve(hit, scores, int(truth_counts[index]))[1]
            curves[index] = [_error_curve(column, scores[hit], confidence) for column in errors[hit].T]
            class_errors[index] = _mean_errors(curves[index], confidence, config.min_recall)
        for error in UNDEFINED_ERRORS.get(name, ()):
            class_errors[index, TP_ERRORS.index(error)] = np.nan
    return DetectionMetrics(
        config=config,
        average_precisions=_average_precision(precisions, config),
        class_errors=class_errors,
        precisions=precisions,
        confidences=confidences,
        error_curves=curves,
        truth_counts=truth_counts,
    )


def _recall_curve(
    hit: NDArray[np.bool_], scores: NDArray[np.float64], num_truth: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision and score at each of 101 recalls, 0 beyond the highest reached."""
    hits = np.cumsum(hit).astype(np.float64)
    precision, recall = hits / np.arange(1.0, len(hits) + 1), hits / num_truth
    recalls = np.linspace(0, 1, NUM_RECALLS)
    return np.interp(recalls, recall, precision, right=0), np.interp(recalls, recall, scores, right=0)


def _error_curve(
    errors: NDArray[np.float64], scores: NDArray[np.float64], confidence: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean error of the matches with at least each confidence; 1 where no match knows its error."""
    known = ~np.isnan(errors)
    if not known.any():
        return np.ones(NUM_RECALLS)
    counts = np.cumsum(known)
    means = np.divide(np.nancumsum(errors), counts, out=np.zeros(len(errors)), where=counts > 0)
    return np.interp(confidence[::-1], scores[::-1], means[::-1])[::-1]


def _mean_errors(
    curves: NDArray[np.float64], confidence: NDArray[np.float64], min_recall: float
) -> NDArray[np.float64]:
    """Mean of each curve (5, 101) from above the lowest recall to the highest reached; 1 where that is nothing."""
    reached = np.flatnonzero(confidence)
    first, last = round(100 * min_recall) + 1, int(reached[-1]) if len(reached) else 0
    return curves[:, first : last + 1].mean(axis=1) if last >= first else np.ones(len(curves))


def _average_precision(precisions: NDArray[np.float64], config: DetectionConfig) -> NDArray[np.float64]:
    """Normalised area under the curve above the lowest recall and precision."""
    first = round(100 * config.min_recall) + 1
    above = np.maximum(precisions[..., first:] - config.min_precision, 0)
    return above.mean(axis=-1) / (1.0 - config.min_precision)
