"""Futures of tracks: the detector's own where it saw the object at this tick, physics elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tricast.perception.outputs import Detections, Tracks, Trajectories

OTHER_VELOCITY_MPS = 4.0
"""A track's velocity so far from its detection's is another one: places contradicted the detector and its futures."""


def futures_of_tracks(tracks: Tracks, detections: Detections, physics: Trajectories) -> Trajectories:
    """Give every track the futures of the detection that updated it, moved to the track's place.

    Where the track goes at another velocity than that detection says, its futures are physics.

    Args:
        tracks: N tracks of this tick.
        detections: This tick's detections; without trajectories every track keeps its physics.
        physics: N futures by physics, for tracks that coast.

    Returns:
        As many modes a track as the richer of both; the poorer repeats its last mode with probability 0.

    """
    learned = detections.trajectories
    seen = np.flatnonzero(tracks.detection_indices >= 0)
    told_mps = detections.boxes.velocities_mps[tracks.detection_indices[seen]]
    apart_mps = np.linalg.norm(tracks.boxes.velocities_mps[seen] - told_mps, axis=1)
    seen = seen[~(apart_mps > OTHER_VELOCITY_MPS)]  # an unknown velocity contradicts nothing
    if learned is None or not len(seen):
        return physics
    modes = max(learned.probabilities.shape[1], physics.probabilities.shape[1])
    probabilities, points = _widened(physics.probabilities, modes), _repeated(physics.points_m, modes)
    rows = tracks.detection_indices[seen]
    moved = tracks.boxes.centers_m[seen, :2] - detections.boxes.centers_m[rows, :2]
    probabilities[seen] = _widened(learned.probabilities[rows], modes)
    points[seen] = _repeated(learned.points_m[rows], modes) + moved[:, None, None]
    scales = None
    if learned.scales_m is not None:
        scales = np.full(points.shape, np.nan)
        scales[seen] = _repeated(learned.scales_m[rows], modes)
    return Trajectories(probabilities=probabilities, points_m=points, scales_m=scales)


def _widened(probabilities: NDArray[np.float64], modes: int) -> NDArray[np.float64]:
    """(N, M) to (N, modes), zeros behind."""
    return np.pad(probabilities, ((0, 0), (0, modes - probabilities.shape[1])))


def _repeated(values: NDArray[np.float64], modes: int) -> NDArray[np.float64]:
    """(N, M, 12, 2) to (N, modes, 12, 2), the last mode again and again."""
    return np.pad(values, ((0, 0), (0, modes - values.shape[1]), (0, 0), (0, 0)), mode="edge")
