"""What tracks know, put back into the boxes of a tick."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tricast.configs.strict import StrictConfig
from tricast.perception.outputs import Detections, Tracks


class RefinementConfig(StrictConfig):
    """How far boxes follow their tracks, tuned on validation seeds; 0, 0 and 1 leave them as they are."""

    place_share: float = Field(default=0.5, ge=0, le=1)
    """Part of the way from a box's centre to its track's."""
    score_share: float = Field(default=0.7, ge=0, le=1)
    """Part of the way from a score to what detections of the track said of that class before."""
    unclaimed_share: float = Field(default=0.8, ge=0, le=1)
    """What is left of the score of a box that no shown track took: what stays is seen again."""


def refined(detections: Detections, tracks: Tracks, config: RefinementConfig) -> Detections:
    """Detections that know what their tracks know: where they were and as what they were seen so far.

    A box that a shown track took is moved towards the track's place, its futures with it, and its score, as every class
    that it stands there as, goes towards the mean of what the track's detections had for that class. Nothing comes from
    later ticks, and no box comes or goes.

    Args:
        detections: N of this tick in ego axes, as the tracker took them.
        tracks: What it made of them, in ego axes at the same tick.
        config: Settings.

    Returns:
        The same N boxes in the same order.

    """
    track_of_row = _track_of_row(detections, tracks)
    taken = np.flatnonzero(track_of_row >= 0)
    owners = track_of_row[taken]
    scores = config.unclaimed_share * detections.scores
    scores[taken] = detections.scores[taken] + config.score_share * (
        tracks.class_scores[owners, detections.class_indices[taken]] - detections.scores[taken]
    )
    moved_m = np.zeros((len(detections), 3))
    moved_m[taken] = config.place_share * (tracks.boxes.centers_m[owners] - detections.boxes.centers_m[taken])
    boxes = replace(detections.boxes, centers_m=detections.boxes.centers_m + moved_m)
    futures = detections.trajectories
    if futures is not None:
        futures = replace(futures, points_m=futures.points_m + moved_m[:, None, None, :2])
    return replace(detections, boxes=boxes, scores=scores, trajectories=futures)


def _track_of_row(detections: Detections, tracks: Tracks) -> NDArray[np.int64]:
    """(N,) row of the track that took the box, -1 where none did."""
    numbers = detections.box_numbers
    track_of_box = np.full(len(detections), -1, np.int64)
    updated = np.flatnonzero(tracks.detection_indices >= 0)
    track_of_box[numbers[tracks.detection_indices[updated]]] = updated
    return track_of_box[numbers]
