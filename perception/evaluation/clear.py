"""CLEAR MOT at one similarity: MOTA, MOTP, identity switches, fragments, equal to TrackEval's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tricast.perception.evaluation.track_similarity import SimilarTracks
from tricast.sensors.annotations import DETECTION_CLASSES

EPS = np.finfo(np.float64).eps
CONTINUITY = 1000.0
"""What keeping the previous sample's match outweighs."""


@dataclass(frozen=True, kw_only=True)
class ClearMetrics:
    """CLEAR MOT of one class over all scenes.

    Args:
        true_positives: Matched boxes.
        false_negatives: True boxes without a match.
        false_positives: Predictions without a match.
        identity_switches: Matches to another track than the object's last.
        fragmentations: Times that an object is matched again after it was not.
        mostly_tracked: Objects matched in more than 80 % of their samples.
        mostly_lost: Objects matched in less than 20 %.
        similarity_sum: Sum of the similarity of matches.

    """

    true_positives: int
    false_negatives: int
    false_positives: int
    identity_switches: int
    fragmentations: int
    mostly_tracked: int
    mostly_lost: int
    similarity_sum: float

    @property
    def mota(self) -> float:
        """Multi-object tracking accuracy; below 0 when errors outnumber the true boxes."""
        good = self.true_positives - self.false_positives - self.identity_switches
        return good / max(1, self.true_positives + self.false_negatives)

    @property
    def motp(self) -> float:
        """Mean similarity of the matches."""
        return self.similarity_sum / max(1, self.true_positives)


def evaluate_clear(tracks: SimilarTracks, *, threshold: float = 0.5) -> dict[str, ClearMetrics]:
    """Score tracks by CLEAR MOT, per class that has any true box or prediction, over all scenes.

    A pair may match from similarity `threshold` on. All predictions count whatever their score.

    Source: Bernardin and Stiefelhagen 2008; TrackEval 1.3.0, sequences combined as it does.
    """
    classes = np.unique(np.concatenate([tracks.truth.class_index, tracks.predictions.class_index]))
    return {DETECTION_CLASSES[row]: _of_class(tracks, int(row), threshold) for row in classes}


def _of_class(tracks: SimilarTracks, row: int, threshold: float) -> ClearMetrics:
    own = np.flatnonzero(tracks.truth.class_index[tracks.true_box] == row)
    matched = np.full(len(tracks.truth), -1, np.int64)
    similarity_sum, switches, fragments = 0.0, 0, 0
    last: dict[int, int] = {}
    current: dict[int, int] = {}
    scene_before = -1
    samples = tracks.truth.sample_index[tracks.true_box[own]]
    both = np.intersect1d(
        tracks.truth.sample_index[tracks.truth.class_index == row],
        tracks.predictions.sample_index[tracks.predictions.class_index == row],
    )
    for sample in both.tolist():
        scene = int(tracks.truth.sample_scene[sample])
        if scene != scene_before:
            current, scene_before = {}, scene
        start, stop = np.searchsorted(samples, [sample, sample + 1])
        chosen = _matches(tracks, own[start:stop], current, threshold)
        before, current = current, {}
        for pair in chosen.tolist():
            box, prediction = int(tracks.true_box[pair]), int(tracks.prediction[pair])
            obj, track = int(tracks.object_of[box]), int(tracks.track_of[prediction])
            matched[box] = prediction
            similarity_sum += float(tracks.similarity[pair])
            switches += obj in last and last[obj] != track
            fragments += obj in last and obj not in before
            current[obj] = last[obj] = track
    return _summary(tracks, row, matched, similarity_sum, switches, fragments)


def _matches(
    tracks: SimilarTracks, pairs: NDArray[np.int64], current: dict[int, int], threshold: float
) -> NDArray[np.int64]:
    """Pairs of one sample that keep the most matches of the sample before, then are the most alike."""
    pairs = pairs[tracks.similarity[pairs] >= threshold - EPS]
    if not len(pairs):
        return pairs
    objects, numbers = tracks.object_of[tracks.true_box[pairs]], tracks.track_of[tracks.prediction[pairs]]
    kept = [current.get(obj) == track for obj, track in zip(objects.tolist(), numbers.tolist(), strict=True)]
    return tracks.best_of_sample(pairs, CONTINUITY * np.array(kept) + tracks.similarity[pairs])


def _summary(
    tracks: SimilarTracks,
    row: int,
    matched: NDArray[np.int64],
    similarity_sum: float,
    switches: int,
    fragments: int,
) -> ClearMetrics:
    own = tracks.truth.class_index == row
    _, objects = np.unique(tracks.object_of[own], return_inverse=True)
    hits = matched[own] >= 0
    ratio = np.bincount(objects, hits) / np.bincount(objects) if len(objects) else np.zeros(0)
    true_positives = int(hits.sum())
    return ClearMetrics(
        true_positives=true_positives,
        false_negatives=int(own.sum()) - true_positives,
        false_positives=int((tracks.predictions.class_index == row).sum()) - true_positives,
        identity_switches=switches,
        fragmentations=fragments,
        mostly_tracked=int((ratio > 0.8).sum()),
        mostly_lost=int((ratio < 0.2).sum()),
        similarity_sum=similarity_sum,
    )
