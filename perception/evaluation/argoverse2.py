"""Argoverse 2 detection: average precision, errors and the composite detection score, equal to the `av2` package's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from tricast.configs.strict import StrictConfig
from tricast.perception.evaluation.box_table import BoxTable, counts_by_scene, matching_samples, scenes_of
from tricast.sensors.annotations import DETECTION_CLASSES

Float64 = NDArray[np.float64]

NUM_RECALLS = 101
ERRORS = ("ATE", "ASE", "AOE")
EPS = np.finfo(np.float64).eps


class Argoverse2Config(StrictConfig):
    """Settings of the Argoverse 2 detection protocol; the defaults are the official ones."""

    match_distances_m: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    error_distance_m: float = 2.0
    max_range_m: float = 150.0
    max_boxes_per_class: int = 100


@dataclass(frozen=True, kw_only=True, eq=False)
class Argoverse2Metrics:
    """Figures per class of `DETECTION_CLASSES`; C = 10, T match distances.

    Args:
        average_precisions: (C, T) float64.
        errors: (C, 3) float64 mean of `ERRORS` over true positives: metres, 1 - IoU, radians.
        scores: (C,) float64 composite detection score.
        truth_counts: (C,) int64 true boxes; a class without any has AP 0, CDS 0 and the worst errors.

    """

    average_precisions: Float64
    errors: Float64
    scores: Float64
    truth_counts: NDArray[np.int64]

    @property
    def present(self) -> tuple[str, ...]:
        """Classes that the truth has."""
        return tuple(name for name, count in zip(DETECTION_CLASSES, self.truth_counts, strict=True) if count)

    def mean_score(self, classes: tuple[str, ...] = DETECTION_CLASSES) -> float:
        """Composite detection score averaged over classes; NaN over none."""
        return float(np.mean([self.scores[DETECTION_CLASSES.index(name)] for name in classes])) if classes else np.nan

    def mean_ap(self, classes: tuple[str, ...] = DETECTION_CLASSES) -> float:
        """Average precision averaged over match distances and classes; NaN over none."""
        rows = [DETECTION_CLASSES.index(name) for name in classes]
        return float(self.average_precisions[rows].mean()) if rows else np.nan


@dataclass(frozen=True, kw_only=True, eq=False)
class Argoverse2Matches:
    """Counted boxes of all scenes, the best score first, and what each found; N boxes, S scenes, C = 10 classes.

    Args:
        class_index: (N,) int64 index into `DETECTION_CLASSES`.
        scene: (N,) int64.
        distance_m: (N,) float64 to the true box that it took, infinite where it took none.
        errors: (N, 3) float64 `ERRORS`, NaN where it took none within the error distance.
        truth_counts: (S, C) int64 true boxes.

    """

    class_index: NDArray[np.int64]
    scene: NDArray[np.int64]
    distance_m: Float64
    errors: Float64
    truth_counts: NDArray[np.int64]


def evaluate_argoverse2(
    predictions: BoxTable, truth: BoxTable, config: Argoverse2Config | None = None
) -> Argoverse2Metrics:
    """Score boxes by the Argoverse 2 detection protocol, for the project's own classes and without its map.

    Truth counts with at least one point where the number is known. The range is taken in the ground plane, where
    `av2` takes it in space. Among equal scores the earlier sample and the earlier box come first.

    Raises:
        SensorDataError: The two tables do not hold the same samples.

    Source: Wilson et al. 2021, Argoverse 2; av2 0.3.6 `evaluation/detection`, `eval_only_roi_instances=False`.

    """
    config = config or Argoverse2Config()
    return score_argoverse2_matches(match_argoverse2(predictions, truth, config), config)


def match_argoverse2(predictions: BoxTable, truth: BoxTable, config: Argoverse2Config) -> Argoverse2Matches:
    """Match once; `score_argoverse2_matches` makes figures of it for any choice of scenes.

    Raises:
        SensorDataError: As for `evaluate_argoverse2`.

    """
    truth = truth.where((truth.ego_distance_m < config.max_range_m) & (truth.num_points != 0))
    kept = np.flatnonzero(predictions.ego_distance_m < config.max_range_m)
    distance, matched = np.full(len(predictions), np.inf), np.full(len(predictions), -1)
    counted = np.zeros(len(predictions), bool)
    for ours, theirs in _samples_by_class(predictions.where(kept), truth):
        rows = kept[ours]
        rows = rows[np.argsort(-predictions.scores[rows], kind="stable")][: config.max_boxes_per_class]
        counted[rows] = True
        if len(theirs):
            apart = cdist(predictions.centers_m[rows], truth.centers_m[theirs])
            # A true box goes to the best scored that has it nearest, even if another one is closer to it.
            nearest, first = np.unique(apart.argmin(axis=1), return_index=True)
            matched[rows[first]], distance[rows[first]] = theirs[nearest], apart[first, nearest]
    order = np.argsort(-predictions.scores, kind="stable")
    order = order[counted[order]]
    matched, distance = matched[order], distance[order]
    found = distance < config.error_distance_m
    errors = np.full((len(order), len(ERRORS)), np.nan)
    errors[found] = _errors(predictions, truth, order[found], matched[found], distance[found])
    return Argoverse2Matches(
        class_index=predictions.class_index[order],
        scene=scenes_of(predictions, truth)[order],
        distance_m=distance,
        errors=errors,
        truth_counts=counts_by_scene(truth),
    )


def _samples_by_class(predictions: BoxTable, truth: BoxTable) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows of predictions and of truth for every sample and class that has predictions."""
    classes = len(DETECTION_CLASSES)
    sample_of = matching_samples(predictions, truth)
    cells = predictions.sample_index * classes + predictions.class_index
    true_cells = sample_of[truth.sample_index] * classes + truth.class_index
    order, true_order = np.argsort(cells, kind="stable"), np.argsort(true_cells, kind="stable")
    present, starts = np.unique(cells[order], return_index=True)
    lefts = np.searchsorted(true_cells[true_order], present, "left")
    rights = np.searchsorted(true_cells[true_order], present, "right")
    for rows, left, right in zip(np.split(order, starts[1:]), lefts, rights, strict=False):
        yield rows, true_order[left:right]


def score_argoverse2_matches(
    matches: Argoverse2Matches, config: Argoverse2Config, scene_counts: NDArray[Any] | None = None
) -> Argoverse2Metrics:
    """Figures over all scenes, or over scenes taken as often as `scene_counts` (S,) says."""
    classes = len(DETECTION_CLASSES)
    worst = np.array([config.error_distance_m, 1.0, np.pi])
    times = np.ones(len(matches.truth_counts), np.int64) if scene_counts is None else scene_counts
    counts = times @ matches.truth_counts
    precisions = np.zeros((classes, len(config.match_distances_m)))
    errors, scores = np.tile(worst, (classes, 1)), np.zeros(classes)
    for row in np.flatnonzero(counts):
        own = np.flatnonzero(matches.class_index == row)
        own = np.repeat(own, times[matches.scene[own]])
        distance = matches.distance_m[own]
        precisions[row] = [_average_precision(distance < d, counts[row]) for d in config.match_distances_m]
        right = own[distance < config.error_distance_m]
        if len(right):
            errors[row] = matches.errors[right].mean(axis=0)
        scores[row] = precisions[row].mean() * np.mean(1 - errors[row] / worst)
    return Argoverse2Metrics(
        average_precisions=precisions,
        errors=errors,
        scores=scores,
        truth_counts=counts,
    )


def _average_precision(hit: NDArray[np.bool_], num_truth: int) -> float:
    """Mean over 101 recalls of the best precision at that recall or beyond."""
    if not len(hit):
        return 0.0
    hits = np.cumsum(hit)
    precision = hits / (np.arange(1, len(hits) + 1) + EPS)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.interp(np.linspace(0, 1, NUM_RECALLS), hits / num_truth, precision, right=0).mean())


def _errors(
    predictions: BoxTable, truth: BoxTable, ours: NDArray[np.int64], theirs: NDArray[np.int64], distance: Float64
) -> Float64:
    """(N, 3) `ERRORS` of true positives."""
    sizes, true_sizes = predictions.sizes_m[ours], truth.sizes_m[theirs]
    iou = np.minimum(sizes, true_sizes).prod(axis=1) / np.maximum(sizes, true_sizes).prod(axis=1)
    turn = predictions.yaws_rad[ours] - truth.yaws_rad[theirs]
    turn = np.abs((turn + np.pi) % (2 * np.pi) - np.pi)
    return np.stack([distance, 1 - iou, turn], axis=1)
