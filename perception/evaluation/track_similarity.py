"""How alike tracks and true tracks are, sample by sample: what HOTA and CLEAR take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tricast.perception.evaluation.box_table import BoxTable
from tricast.perception.evaluation.matching import Pairs, near_pairs
from tricast.perception.evaluation.overlap import box_ious
from tricast.perception.evaluation.track_tables import in_time_order, rows_of_class, track_keys, with_scenes_of
from tricast.sensors.annotations import DETECTION_CLASSES


@dataclass(frozen=True, kw_only=True, eq=False)
class SimilarTracks:
    """Tracks and true tracks over the same samples in time order, with every pair that is alike at all.

    Args:
        predictions: Tracks.
        truth: True tracks.
        track_of: (P,) int64 number of each prediction's track; one that changes class is one track per class.
        object_of: (G,) int64 number of each true box's object, likewise.
        prediction: (E,) int64 row of the predictions, pairs sorted by sample and class.
        true_box: (E,) int64 row of the truth.
        similarity: (E,) float64 above 0, at most 1.

    """

    predictions: BoxTable
    truth: BoxTable
    track_of: NDArray[np.int64]
    object_of: NDArray[np.int64]
    prediction: NDArray[np.int64]
    true_box: NDArray[np.int64]
    similarity: NDArray[np.float64]

    def best_of_sample(self, pairs: NDArray[np.int64], scores: NDArray[np.float64]) -> NDArray[np.int64]:
        """The pairs of greatest total score, one to one, among some of one sample and class.

        The solver sees every box of the sample, also those in no pair: among equal answers it then picks TrackEval's.
        """
        box = self.true_box[pairs[0]]
        sample, class_index = int(self.truth.sample_index[box]), int(self.truth.class_index[box])
        rows = rows_of_class(self.truth, sample, class_index)
        columns = rows_of_class(self.predictions, sample, class_index)
        costs, pair_of = np.zeros((len(rows), len(columns))), np.full((len(rows), len(columns)), -1)
        place = np.searchsorted(rows, self.true_box[pairs]), np.searchsorted(columns, self.prediction[pairs])
        costs[place], pair_of[place] = -scores, pairs
        found = pair_of[linear_sum_assignment(costs)]
        return found[found >= 0]


def similar_by_distance(predictions: BoxTable, truth: BoxTable, *, zero_distance_m: float = 2.0) -> SimilarTracks:
    """Similarity 1 - d / `zero_distance_m` of the distance between centres in the ground plane.

    TrackEval's measure for tracks in space, with its default: 0.5 stands for 1 m.

    Raises:
        InputError: A box has no identity or shares one, or the samples differ.

    """
    predictions, truth = _aligned(predictions, truth)
    pairs = near_pairs(predictions, truth, zero_distance_m)
    return _similar(predictions, truth, pairs, 1 - pairs.distance_m / zero_distance_m)


def similar_by_iou(predictions: BoxTable, truth: BoxTable) -> SimilarTracks:
    """Similarity is the boxes' intersection over union in space.

    Raises:
        InputError: As for `similar_by_distance`.

    """
    predictions, truth = _aligned(predictions, truth)
    reach = sum(float(np.hypot(*table.sizes_m[:, :2].T).max(initial=0)) / 2 for table in (predictions, truth))
    pairs = near_pairs(predictions, truth, reach)
    ours = (column[pairs.prediction] for column in (predictions.centers_m, predictions.sizes_m, predictions.yaws_rad))
    theirs = (column[pairs.truth] for column in (truth.centers_m, truth.sizes_m, truth.yaws_rad))
    _, ious = box_ious(*ours, *theirs)
    return _similar(predictions, truth, pairs, ious)


def _aligned(predictions: BoxTable, truth: BoxTable) -> tuple[BoxTable, BoxTable]:
    return in_time_order(with_scenes_of(truth, predictions)), in_time_order(truth)


def _similar(predictions: BoxTable, truth: BoxTable, pairs: Pairs, similarity: NDArray[np.float64]) -> SimilarTracks:
    alike = np.flatnonzero(similarity > 0)
    ours, theirs = pairs.prediction[alike], pairs.truth[alike]
    order = np.lexsort((theirs, truth.class_index[theirs], truth.sample_index[theirs]))
    return SimilarTracks(
        predictions=predictions,
        truth=truth,
        track_of=_per_class(predictions),
        object_of=_per_class(truth),
        prediction=ours[order],
        true_box=theirs[order],
        similarity=similarity[alike][order],
    )


def _per_class(table: BoxTable) -> NDArray[np.int64]:
    keys = track_keys(table) * len(DETECTION_CLASSES) + table.class_index
    return np.unique(keys, return_inverse=True)[1].reshape(-1).astype(np.int64)
