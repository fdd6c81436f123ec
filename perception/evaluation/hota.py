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
    def num_boxes(self) -> float:
        """True boxes and predictions, matched ones once."""
        return float(self.true_positives[0] + self.false_negatives[0] + self.false_positives[0])

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


@dataclass(frozen=True, kw_only=True, eq=False)
class HotaTotals:
    """Sums of one class per scene, of which `score_hota` makes figures for any choice of scenes.

    Args:
        num_truth: (S,) true boxes.
        num_predictions: (S,) predictions.
        hits: (S, 19) matches at each of `ALPHAS`.
        located: (S, 19) sum of their similarity.
        association: (3, S, 19) sums over matches of the shares that AssA, AssRe and AssPr are means of.

    """

    num_truth: Float64
    num_predictions: Float64
    hits: Float64
    located: Float64
    association: Float64


def evaluate_hota(tracks: SimilarTracks) -> dict[str, HotaMetrics]:
    """Score tracks by HOTA, per class that has any true box or prediction, over all scenes.

    Source: Luiten et al. 2021, HOTA; TrackEval 1.3.0, sequences combined as it does.
    """
    return score_hota(hota_totals(tracks))


def hota_totals(tracks: SimilarTracks) -> dict[str, HotaTotals]:
    """Match once; `score_hota` makes figures of it."""
    classes = np.unique(np.concatenate([tracks.truth.class_index, tracks.predictions.class_index]))
    matched = _matched_pairs(tracks)
    return {DETECTION_CLASSES[row]: _totals(tracks, matched, int(row)) for row in classes}


def score_hota(
    totals: Mapping[str, HotaTotals], scene_counts: NDArray[np.int64] | None = None
) -> dict[str, HotaMetrics]:
    """Figures per class over all scenes, or over scenes taken as often as `scene_counts` (S,) says.

    A class with neither a true box nor a prediction in those scenes is left out.
    """
    figures = {name: _score(part, scene_counts) for name, part in totals.items()}
    return {name: part for name, part in figures.items() if part.num_boxes}


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


def _totals(tracks: SimilarTracks, matched: NDArray[np.int64], row: int) -> HotaTotals:
    truth, predictions = tracks.truth, tracks.predictions
    scenes = int(truth.sample_scene.max(initial=-1)) + 1
    pairs = matched[truth.class_index[tracks.true_box[matched]] == row]
    similarity = tracks.similarity[pairs]
    scene = truth.sample_scene[truth.sample_index[tracks.true_box[pairs]]]
    objects, ours = tracks.object_of[tracks.true_box[pairs]], tracks.track_of[tracks.prediction[pairs]]
    _, first, place = np.unique(
        objects * (tracks.track_of.max(initial=0) + 1) + ours, return_index=True, return_inverse=True
    )
    object_length = np.bincount(tracks.object_of)[objects[first]] if len(first) else np.zeros(0)
    track_length = np.bincount(tracks.track_of)[ours[first]] if len(first) else np.zeros(0)
    hits, located = np.zeros((2, scenes, len(ALPHAS)))
    association = np.zeros((3, scenes, len(ALPHAS)))
    for step, alpha in enumerate(ALPHAS):
        close = similarity >= alpha - EPS
        together = np.bincount(place[close], minlength=len(first))
        hits[:, step] = np.bincount(scene[close], minlength=scenes)
        located[:, step] = np.bincount(scene[close], similarity[close], scenes)
        for part, whole in enumerate((object_length + track_length - together, object_length, track_length)):
            shares = together * (together / np.maximum(1, whole))
            association[part, :, step] = np.bincount(scene[first], shares, scenes)
    counts = [
        np.bincount(table.sample_scene[table.sample_index[table.class_index == row]], minlength=scenes)
        for table in (truth, predictions)
    ]
    return HotaTotals(
        num_truth=counts[0].astype(np.float64),
        num_predictions=counts[1].astype(np.float64),
        hits=hits,
        located=located,
        association=association,
    )


def _score(totals: HotaTotals, scene_counts: NDArray[np.int64] | None) -> HotaMetrics:
    weights = np.ones(len(totals.hits)) if scene_counts is None else scene_counts.astype(np.float64)
    hits, located = weights @ totals.hits, weights @ totals.located
    association = np.einsum("s,psa->pa", weights, totals.association) / np.maximum(1, hits)
    return HotaMetrics(
        true_positives=hits,
        false_negatives=weights @ totals.num_truth - hits,
        false_positives=weights @ totals.num_predictions - hits,
        association_accuracy=association[0],
        association_recall=association[1],
        association_precision=association[2],
        localization_accuracy=np.maximum(1e-10, located) / np.maximum(1e-10, hits),
    )
