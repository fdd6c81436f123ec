"""Matching of tracks to true tracks over time at many score thresholds at once, as py-motmetrics does it for one.

In each sample a true object first keeps the track it was last matched to, if that is near enough; the rest is assigned
at the least sum of distances (CLEAR MOT, Bernardin and Stiefelhagen 2008). All scenes, classes and thresholds advance
together, one sample at a time; only samples in which boxes compete need a solver.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tricast.perception.evaluation.box_table import BoxTable
from tricast.perception.evaluation.matching import Pairs, near_pairs
from tricast.perception.evaluation.track_tables import rows_of_class, track_keys
from tricast.sensors.annotations import DETECTION_CLASSES

MISS, MATCH, SWITCH = 0, 1, 2


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackProblem:
    """What matching needs, prepared once for all thresholds.

    Args:
        predictions: Tracks in time order.
        truth: True tracks over the same samples.
        object_of: (G,) int64 number of each true box's object; one that changes class is one object per class.
        track_of: (P,) int64 number of each prediction's track.
        pairs: Near pairs of equal class, sorted by the sample's place in its scene.
        steps: (T + 1,) int64 bounds of those places in `pairs`.

    """

    predictions: BoxTable
    truth: BoxTable
    object_of: NDArray[np.int64]
    track_of: NDArray[np.int64]
    pairs: Pairs
    steps: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackEvents:
    """What became of every true box at each of K thresholds.

    Args:
        kind: (K, G) int8 `MISS`, `MATCH` or `SWITCH`.
        taken: (K, G) int32 row of the matched prediction, -1 for none.
        distance_sums_m: (K, 10) float64 sum of the distances of matches and switches per class.

    """

    kind: NDArray[np.int8]
    taken: NDArray[np.int32]
    distance_sums_m: NDArray[np.float64]


def track_problem(predictions: BoxTable, truth: BoxTable, max_distance_m: float) -> TrackProblem:
    """Pair tracks with true tracks; both tables must hold the same samples in time order."""
    keys = track_keys(truth) * len(DETECTION_CLASSES) + truth.class_index
    pairs = near_pairs(predictions, truth, max_distance_m)
    first = np.searchsorted(truth.sample_scene, truth.sample_scene, "left")
    place = (np.arange(len(first)) - first)[truth.sample_index[pairs.truth]]
    order = np.argsort(place, kind="stable")
    return TrackProblem(
        predictions=predictions,
        truth=truth,
        object_of=np.unique(keys, return_inverse=True)[1].reshape(-1).astype(np.int64),
        track_of=track_keys(predictions),
        pairs=Pairs(prediction=pairs.prediction[order], truth=pairs.truth[order], distance_m=pairs.distance_m[order]),
        steps=np.searchsorted(place[order], np.arange(int(place.max(initial=-1)) + 2)),
    )


def match_tracks(problem: TrackProblem, thresholds: NDArray[np.float64]) -> TrackEvents:
    """Match with the predictions that score at least a threshold.

    Args:
        problem: The tracks.
        thresholds: (K, 10) float64 per class; NaN lets nothing through.

    """
    count, classes = thresholds.shape
    predictions, pairs = problem.predictions, problem.pairs
    kind = np.zeros((count, len(problem.truth)), np.int8)
    taken = np.full((count, len(problem.truth)), -1, np.int32)
    last = np.full((count, int(problem.object_of.max(initial=-1)) + 1), -1, np.int64)
    sums = np.zeros((count, classes))
    for start, stop in zip(problem.steps[:-1], problem.steps[1:], strict=True):
        ours, theirs = pairs.prediction[start:stop], pairs.truth[start:stop]
        class_index = predictions.class_index[ours]
        with np.errstate(invalid="ignore"):
            allowed = predictions.scores[ours] >= thresholds[:, class_index]
        before = last[:, problem.object_of[theirs]]
        track = problem.track_of[ours]
        kept = _one_per_prediction(allowed & (before == track), ours, theirs)
        free = allowed & ~_touched(kept, ours) & ~_touched(kept, theirs)
        chosen = kept | _assigned(problem, thresholds, free, slice(start, stop))
        row, pair = np.nonzero(chosen)
        old = before[row, pair]
        kind[row, theirs[pair]] = np.where((old >= 0) & (old != track[pair]), SWITCH, MATCH)
        taken[row, theirs[pair]] = ours[pair]
        last[row, problem.object_of[theirs[pair]]] = track[pair]
        cells = row * classes + class_index[pair]
        distances = pairs.distance_m[start:stop][pair]
        sums += np.bincount(cells, distances, minlength=count * classes).reshape(count, classes)
    return TrackEvents(kind=kind, taken=taken, distance_sums_m=sums)


def _touched(chosen: NDArray[np.bool_], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(K, E) whether the box of each pair is in any chosen pair."""
    _, local = np.unique(rows, return_inverse=True)
    hit = np.zeros((len(chosen), int(local.max(initial=-1)) + 1), bool)
    row, pair = np.nonzero(chosen)
    hit[row, local[pair]] = True
    return hit[:, local]


def _degrees(free: NDArray[np.bool_], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """(K, E) in how many free pairs the box of each pair is."""
    _, local = np.unique(rows, return_inverse=True)
    width = int(local.max(initial=-1)) + 1
    row, pair = np.nonzero(free)
    counts = np.bincount(row * width + local[pair], minlength=len(free) * width)
    return counts.reshape(len(free), width)[:, local]


def _one_per_prediction(
    kept: NDArray[np.bool_], ours: NDArray[np.int64], theirs: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Two objects may have had the same track last; the one that stands first in the truth keeps it."""
    crowded = kept & (_degrees(kept, ours) > 1)
    if not crowded.any():
        return kept
    kept = kept.copy()
    seen: set[tuple[int, int]] = set()
    for row, pair in sorted(np.argwhere(crowded).tolist(), key=lambda cell: (cell[0], theirs[cell[1]])):
        if (row, int(ours[pair])) in seen:
            kept[row, pair] = False
        seen.add((row, int(ours[pair])))
    return kept


def _assigned(
    problem: TrackProblem, thresholds: NDArray[np.float64], free: NDArray[np.bool_], step: slice
) -> NDArray[np.bool_]:
    """Choose among free pairs: pairs without rivals at once, samples with rivals by the solver."""
    ours, theirs = problem.pairs.prediction[step], problem.pairs.truth[step]
    lone = free & (_degrees(free, ours) == 1) & (_degrees(free, theirs) == 1)
    chosen = lone.copy()
    cell = problem.truth.sample_index[theirs] * len(DETECTION_CLASSES) + problem.truth.class_index[theirs]
    rivals = free & ~lone
    for row in np.flatnonzero(rivals.any(axis=1)):
        for number in np.unique(cell[rivals[row]]):
            members = np.flatnonzero(free[row] & (cell == number))
            chosen[row, members] = False
            chosen[row, _solved(problem, thresholds[row], members + step.start) - step.start] = True
    return chosen


def _solved(problem: TrackProblem, thresholds: NDArray[np.float64], members: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of least total distance among those of one sample and class.

    The matrix has a row and a column for every box of the sample, also for those already matched, and pairs that are
    not allowed cost as much as py-motmetrics lets them: among equally good answers the solver then picks the same.
    """
    predictions, truth, pairs = problem.predictions, problem.truth, problem.pairs
    row = int(pairs.truth[members[0]])
    sample, kind = int(truth.sample_index[row]), int(truth.class_index[row])
    columns = rows_of_class(predictions, sample, kind)
    columns = columns[predictions.scores[columns] >= thresholds[kind]]
    rows = rows_of_class(truth, sample, kind)
    distance = pairs.distance_m[members]
    dear = 2 * min(len(rows), len(columns)) * (distance.max() + 1) + 1
    costs = np.full((len(rows), len(columns)), dear)
    pair_of = np.full(costs.shape, -1)
    place = np.searchsorted(rows, pairs.truth[members]), np.searchsorted(columns, pairs.prediction[members])
    costs[place], pair_of[place] = distance, members
    found = pair_of[linear_sum_assignment(costs)]
    return found[found >= 0]
