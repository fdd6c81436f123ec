"""Argoverse 2 detection: average precision, errors and the composite detection score, equal to the `av2` package's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from tricast.configs.strict import StrictConfig
from tricast.perception.evaluation.box_table import BoxTable, matching_samples
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

    def mean_score(self, classes: tuple[str, ...] = DETECTION_CLASSES) -> float:
        """Composite detection score averaged over classes."""
        return float(np.mean([self.scores[DETECTION_CLASSES.index(name)] for name in classes]))

    def mean_ap(self, classes: tuple[str, ...] = DETECTION_CLASSES) -> float:
        """Average precision averaged over match distances and classes."""
        return float(np.mean([self.average_precisions[DETECTION_CLASSES.index(name)] for name in classes]))


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
    return _metrics(predictions, truth, matched[order], distance[order], order, config)


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


def _metrics(
    predictions: BoxTable,
    truth: BoxTable,
    matched: NDArray[np.int64],
    distance: Float64,
    order: NDArray[np.int64],
    config: Argoverse2Config,
) -> Argoverse2Metrics:
    classes = len(DETECTION_CLASSES)
    worst = np.array([config.error_distance_m, 1.0, np.pi])
    counts = np.bincount(truth.class_index, minlength=classes)
    precisions = np.zeros((classes, len(config.match_distances_m)))
    errors, scores = np.tile(worst, (classes, 1)), np.zeros(classes)
    for row in np.flatnonzero(counts):
        own = predictions.class_index[order] == row
        precisions[row] = [_average_precision(distance[own] < d, counts[row]) for d in config.match_distances_m]
        right = own & (distance < config.error_distance_m)
        if right.any():
            errors[row] = _errors(predictions, truth, order[right], matched[right], distance[right]).mean(axis=0)
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
