"""Futures of tracks: the detector's own where it saw the object at this tick, physics elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tricast.perception.outputs import Detections, Tracks, Trajectories


def futures_of_tracks(tracks: Tracks, detections: Detections, physics: Trajectories) -> Trajectories:
    """Give every track the futures of the detection that updated it, moved to the track's place.

    Args:
        tracks: N tracks of this tick.
        detections: This tick's detections; without trajectories every track keeps its physics.
        physics: N futures by physics, for tracks that coast.

    Returns:
        As many modes a track as the richer of both; the poorer repeats its last mode with probability 0.

    """
    learned = detections.trajectories
    seen = np.flatnonzero(tracks.detection_indices >= 0)
    if learned is None or not len(seen):
        return physics
    modes = max(learned.probabilities.shape[1], physics.probabilities.shape[1])
    probabilities, points = _widened(physics, modes)
    rows = tracks.detection_indices[seen]
    learned_probabilities, learned_points = _widened(learned, modes)
    moved = tracks.boxes.centers_m[seen, :2] - detections.boxes.centers_m[rows, :2]
    probabilities[seen] = learned_probabilities[rows]
    points[seen] = learned_points[rows] + moved[:, None, None]
    return Trajectories(probabilities=probabilities, points_m=points)


def _widened(trajectories: Trajectories, modes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    missing = modes - trajectories.probabilities.shape[1]
    probabilities = np.pad(trajectories.probabilities, ((0, 0), (0, missing)))
    return probabilities, np.pad(trajectories.points_m, ((0, 0), (0, missing), (0, 0), (0, 0)), mode="edge")
