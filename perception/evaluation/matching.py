"""Greedy matching of scored boxes to truth by distance, of all samples at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tricast.perception.evaluation.box_table import BoxTable, matching_samples
from tricast.sensors.annotations import DETECTION_CLASSES

PAIRS_AT_ONCE = 2_000_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Pairs:
    """Pairs of a prediction and a true box of the same sample and class, sorted by prediction, then distance.

    Args:
        prediction: (P,) int64 rows of the predictions.
        truth: (P,) int64 rows of the truth.
        distance_m: (P,) float64 between centres in the ground plane.

    """

    prediction: NDArray[np.int64]
    truth: NDArray[np.int64]
    distance_m: NDArray[np.float64]

    def within(self, distance_m: float) -> Pairs:
        """Only the pairs strictly closer than a distance."""
        keep = self.distance_m < distance_m
        return Pairs(prediction=self.prediction[keep], truth=self.truth[keep], distance_m=self.distance_m[keep])


def near_pairs(predictions: BoxTable, truth: BoxTable, max_distance_m: float, *, same_class: bool = True) -> Pairs:
    """Every pair within a sample whose centres are closer than a distance in the ground plane.

    Among equal distances of one prediction the truth's own order decides.

    Raises:
        SensorDataError: The two tables do not hold the same samples.

    """
    classes = len(DETECTION_CLASSES) if same_class else 1
    sample_of = matching_samples(predictions, truth)
    group = predictions.sample_index * classes + (predictions.class_index if same_class else 0)
    truth_group = sample_of[truth.sample_index] * classes + (truth.class_index if same_class else 0)
    truth_order = np.argsort(truth_group, kind="stable")
    sorted_groups = truth_group[truth_order]
    first = np.searchsorted(sorted_groups, group, "left")
    counts = np.searchsorted(sorted_groups, group, "right") - first
    parts = []
    for start, stop in _chunks(counts):
        parts.append(_near_in(predictions, truth, truth_order, first, counts, start, stop, max_distance_m))
    row, other, distance = (np.concatenate([part[i] for part in parts]) for i in range(3))
    order = np.lexsort((other, distance, row))
    return Pairs(prediction=row[order], truth=other[order], distance_m=distance[order])


def _chunks(counts: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ranges of predictions with about `PAIRS_AT_ONCE` candidates each, which bounds the memory."""
    if not len(counts):
        return [(0, 0)]
    ends = np.cumsum(counts)
    marks = np.searchsorted(ends, np.arange(PAIRS_AT_ONCE, ends[-1], PAIRS_AT_ONCE)) + 1
    edges = np.unique([0, *marks.tolist(), len(counts)])
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def _near_in(
    predictions: BoxTable,
    truth: BoxTable,
    truth_order: NDArray[np.int64],
    first: NDArray[np.int64],
    counts: NDArray[np.int64],
    start: int,
    stop: int,
    max_distance_m: float,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    count = counts[start:stop]
    row = np.repeat(np.arange(start, stop), count)
    within = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    other = truth_order[first[row] + within]
    delta_x = predictions.centers_m[row, 0] - truth.centers_m[other, 0]
    delta_y = predictions.centers_m[row, 1] - truth.centers_m[other, 1]
    distance = np.sqrt(delta_x * delta_x + delta_y * delta_y)
    keep = distance < max_distance_m
    return row[keep], other[keep], distance[keep]


def greedy_match(pairs: Pairs, rank: NDArray[np.int64], num_truth: int) -> NDArray[np.int64]:
    """Give each prediction, best rank first, the nearest true box that is still free.

    Predictions that agree on the order in which they choose make this a stable matching with one answer, which
    deferred acceptance (Gale and Shapley 1962) finds in a few rounds over whole arrays: every free prediction asks
    the nearest true box that has not refused it, and a box keeps the best ranked that asked.

    Args:
        pairs: Allowed pairs.
        rank: (N,) int64 place of each prediction in the order of choice, all different.
        num_truth: Number of true boxes.

    Returns:
        (N,) int64 row of the truth for each prediction, -1 where none.

    """
    count = len(rank)
    by_rank = np.argsort(rank)
    ends = np.searchsorted(pairs.prediction, np.arange(count), "right")
    cursor = np.searchsorted(pairs.prediction, np.arange(count), "left")
    holder = np.full(num_truth, count, np.int64)
    asking = np.flatnonzero(cursor < ends)
    while len(asking):
        wanted = pairs.truth[cursor[asking]]
        before = holder[wanted]
        np.minimum.at(holder, wanted, rank[asking])
        accepted = holder[wanted] == rank[asking]
        displaced = np.unique(before[accepted])
        refused = np.concatenate([asking[~accepted], by_rank[displaced[displaced < count]]])
        cursor[refused] += 1
        asking = refused[cursor[refused] < ends[refused]]
    matched = np.full(count, -1, np.int64)
    held = np.flatnonzero(holder < count)
    matched[by_rank[holder[held]]] = held
    return matched


def assign_nearest(
    predictions: BoxTable, truth: BoxTable, max_distance_m: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Assign predictions and true boxes of equal sample and class one to one.

    As many as possible closer than a distance, and among those choices the least sum of distances.

    Returns:
        Rows of the predictions and rows of the truth, pair by pair, sorted by the predictions.

    Raises:
        SensorDataError: The two tables do not hold the same samples.

    """
    pairs = near_pairs(predictions, truth, max_distance_m)
    alone = np.bincount(pairs.prediction, minlength=len(predictions))[pairs.prediction] == 1
    alone &= np.bincount(pairs.truth, minlength=len(truth))[pairs.truth] == 1
    chosen = alone.copy()
    rivals = np.flatnonzero(~alone)
    cells = truth.sample_index[pairs.truth[rivals]] * len(DETECTION_CLASSES) + truth.class_index[pairs.truth[rivals]]
    order = np.argsort(cells, kind="stable")
    for members in np.split(rivals[order], np.flatnonzero(np.diff(cells[order])) + 1):
        rows, row = np.unique(pairs.prediction[members], return_inverse=True)
        columns, column = np.unique(pairs.truth[members], return_inverse=True)
        # More than any sum of allowed distances, so that one pair more is worth any detour.
        costs = np.full((len(rows), len(columns)), 2 * max_distance_m * (min(len(rows), len(columns)) + 1))
        pair_of = np.full(costs.shape, -1)
        costs[row, column], pair_of[row, column] = pairs.distance_m[members], members
        found = pair_of[linear_sum_assignment(costs)]
        chosen[found[found >= 0]] = True
    return pairs.prediction[chosen], pairs.truth[chosen]
