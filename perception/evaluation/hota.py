"""Higher order tracking accuracy, equal to TrackEval's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tricast.perception.evaluation.track_similarity import SimilarTracks
from tricast.sensors.annotations import DETECTION_CLASSES

Float64 = NDArray[np.float64]

ALPHAS = np.arange(0.05, 0.99, 0.05)
"""Similarities from which on a pair may be a match."""

EPS = np.finfo(np.float64).eps


@dataclass(frozen=True, kw_only=True, eq=False)
class HotaMetrics:
    """HOTA of one class; arrays (19,) over `ALPHAS`.

    Args:
        true_positives: Matched boxes.
        false_negatives: True boxes without a match.
        false_positives: Predictions without a match.
        association_accuracy: AssA, how well identities agree, averaged over matches.
        association_recall: AssRe.
        association_precision: AssPr.
        localization_accuracy: LocA, mean similarity of the matches.

    """

    true_positives: Float64
    false_negatives: Float64
    false_positives: Float64
    association_accuracy: Float64
    association_recall: Float64
    association_precision: Float64
    localization_accuracy: Float64

    @property
    def detection_accuracy(self) -> Float64:
        """DetA."""
        everything = self.true_positives + self.false_negatives + self.false_positives
        return self.true_positives / np.maximum(1, everything)

    @property
    def curve(self) -> Float64:
        """HOTA at each similarity: the geometric mean of DetA and AssA."""
        return np.sqrt(self.detection_accuracy * self.association_accuracy)

    @property
    def hota(self) -> float:
        """HOTA, averaged over the similarities."""
        return float(self.curve.mean())


def evaluate_hota(tracks: SimilarTracks) -> dict[str, HotaMetrics]:
    """Score tracks by HOTA, per class that has any true box or prediction, over all scenes.

    Source: Luiten et al. 2021, HOTA; TrackEval 1.3.0, sequences combined as it does.
    """
    classes = np.unique(np.concatenate([tracks.truth.class_index, tracks.predictions.class_index]))
    matched = _matched_pairs(tracks)
    return {DETECTION_CLASSES[row]: _of_class(tracks, matched, int(row)) for row in classes}


def mean_hota(classes: Mapping[str, HotaMetrics]) -> float:
    """HOTA averaged over classes, NaN for none: TrackEval's average without empty classes."""
    return float(np.mean([metrics.hota for metrics in classes.values()])) if classes else float("nan")


def _matched_pairs(tracks: SimilarTracks) -> NDArray[np.int64]:
    """Rows of the pairs that are matched, in each sample the best by similarity times alignment of whole tracks."""
    ours, theirs, similarity = tracks.prediction, tracks.true_box, tracks.similarity
    beside = _sums(ours, similarity)[ours] + _sums(theirs, similarity)[theirs] - similarity
    share = np.where(beside > EPS, similarity / beside, 0)
    combination = tracks.object_of[theirs] * (tracks.track_of.max(initial=0) + 1) + tracks.track_of[ours]
    _, place = np.unique(combination, return_inverse=True)
    potential = _sums(place, share)[place]
    object_length, track_length = np.bincount(tracks.object_of), np.bincount(tracks.track_of)
    lengths = object_length[tracks.object_of[theirs]] + track_length[tracks.track_of[ours]]
    score = potential / (lengths - potential) * similarity
    lone = (_sums(ours, np.ones(len(ours)))[ours] == 1) & (_sums(theirs, np.ones(len(theirs)))[theirs] == 1)
    cell = tracks.truth.sample_index[theirs] * len(DETECTION_CLASSES) + tracks.truth.class_index[theirs]
    chosen = lone.copy()
    for start, stop in _runs(cell):
        if not lone[start:stop].all():
            chosen[start:stop] = False
            chosen[tracks.best_of_sample(np.arange(start, stop), score[start:stop])] = True
    return np.flatnonzero(chosen)


def _sums(places: NDArray[np.int64], values: Float64) -> Float64:
    return np.bincount(places, values).astype(np.float64)


def _runs(values: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Bounds of the runs of equal values."""
    edges = np.flatnonzero(np.diff(values)) + 1
    bounds = [0, *edges.tolist(), len(values)]
    return list(pairwise(bounds)) if len(values) else []


def _of_class(tracks: SimilarTracks, matched: NDArray[np.int64], row: int) -> HotaMetrics:
    pairs = matched[tracks.truth.class_index[tracks.true_box[matched]] == row]
    similarity = tracks.similarity[pairs]
    num_truth = np.count_nonzero(tracks.truth.class_index == row)
    num_predictions = np.count_nonzero(tracks.predictions.class_index == row)
    objects, ours = tracks.object_of[tracks.true_box[pairs]], tracks.track_of[tracks.prediction[pairs]]
    _, first, place = np.unique(
        objects * (tracks.track_of.max(initial=0) + 1) + ours, return_index=True, return_inverse=True
    )
    object_length = np.bincount(tracks.object_of)[objects[first]] if len(first) else np.zeros(0)
    track_length = np.bincount(tracks.track_of)[ours[first]] if len(first) else np.zeros(0)
    hits, located, association = np.zeros(len(ALPHAS)), np.zeros(len(ALPHAS)), np.zeros((3, len(ALPHAS)))
    for step, alpha in enumerate(ALPHAS):
        close = similarity >= alpha - EPS
        together = np.bincount(place[close], minlength=len(first))
        hits[step], located[step] = close.sum(), similarity[close].sum()
        for part, whole in enumerate((object_length + track_length - together, object_length, track_length)):
            association[part, step] = (together * (together / np.maximum(1, whole))).sum()
    association /= np.maximum(1, hits)
    return HotaMetrics(
        true_positives=hits,
        false_negatives=num_truth - hits,
        false_positives=num_predictions - hits,
        association_accuracy=association[0],
        association_recall=association[1],
        association_precision=association[2],
        localization_accuracy=np.maximum(1e-10, located) / np.maximum(1e-10, hits),
    )
