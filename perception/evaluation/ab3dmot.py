"""The tracker AB3DMOT for one class, to compare others with.

A Kalman filter of constant velocity per box, overlap in space (GIoU) as affinity, the Hungarian method, birth after
three hits and death after two misses. Source: Weng et al., "3D Multi-Object Tracking: A Baseline and New Evaluation
Metrics", IROS 2020, with the settings that its authors publish for cars from PointRCNN on KITTI.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tricast.perception.evaluation.generalized_overlap import box_gious
from tricast.sensors.geometry.se3 import wrap_angle

Float64 = NDArray[np.float64]

LEAST_GIOU = -0.2
CONFIRM_HITS = 3
MAX_MISSES = 2
NUM_MEASURED, NUM_STATES = 7, 10
TRANSITION = np.eye(NUM_STATES)
TRANSITION[:3, 7:] = np.eye(3)
OBSERVATION = np.eye(NUM_MEASURED, NUM_STATES)
BIRTH_COVARIANCE = np.diag([10.0] * 7 + [10_000.0] * 3)
PROCESS_NOISE = np.diag([1.0] * 7 + [0.01] * 3)
"""Per frame, as are the velocities; measurement noise is the unit matrix."""


@dataclass(eq=False)
class _Track:
    identity: int
    state: Float64  # x, y, z, yaw, length, width, height, and velocity per frame
    covariance: Float64
    detection_index: int
    hits: int = 1
    misses: int = 0


class Ab3dmot:
    """Carries boxes of one class from frame to frame."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next_identity = 1
        self._frames = 0

    def update(self, boxes: Float64) -> tuple[Float64, NDArray[np.int64], NDArray[np.int64]]:
        """Take the boxes of the next frame.

        Args:
            boxes: (N, 7) x, y, z of the centre, yaw, length, width, height.

        Returns:
            Boxes (M, 7) of the confirmed tracks, their identities (M,), and the row (M,) of the box that updated
            each, -1 where none did.

        """
        self._frames += 1
        for track in self._tracks:
            track.state = TRANSITION @ track.state
            track.covariance = TRANSITION @ track.covariance @ TRANSITION.T + PROCESS_NOISE
            track.misses += 1
            track.detection_index = -1
        pairs = self._associated(boxes)
        for row, column in pairs:
            _correct(self._tracks[row], boxes[column], column)
        for column in sorted(set(range(len(boxes))) - {column for _, column in pairs}):
            state = np.concatenate([boxes[column], np.zeros(3)])
            self._tracks.append(_Track(self._next_identity, state, BIRTH_COVARIANCE.copy(), column))
            self._next_identity += 1
        self._tracks = [track for track in self._tracks if track.misses < MAX_MISSES]
        shown = [t for t in self._tracks if t.hits >= CONFIRM_HITS or self._frames <= CONFIRM_HITS]
        return (
            np.array([track.state[:NUM_MEASURED] for track in shown]).reshape(-1, NUM_MEASURED),
            np.array([track.identity for track in shown], np.int64),
            np.array([track.detection_index for track in shown], np.int64),
        )

    def _associated(self, boxes: Float64) -> list[tuple[int, int]]:
        if not self._tracks or not len(boxes):
            return []
        predicted = np.array([track.state[:NUM_MEASURED] for track in self._tracks])
        rows, columns = (grid.ravel() for grid in np.indices((len(predicted), len(boxes))))
        ours, theirs = predicted[rows], boxes[columns]
        affinity = box_gious(ours[:, :3], ours[:, 4:], ours[:, 3], theirs[:, :3], theirs[:, 4:], theirs[:, 3])
        affinity = affinity.reshape(len(predicted), len(boxes))
        found = zip(*linear_sum_assignment(-affinity), strict=True)
        return [(int(row), int(column)) for row, column in found if affinity[row, column] >= LEAST_GIOU]


def _correct(track: _Track, box: Float64, column: int) -> None:
    measured = box.copy()
    # Front and rear are the detection's; the difference of angles is the short way round.
    if np.cos(measured[3] - track.state[3]) < 0:
        track.state[3] += np.pi
    measured[3] = track.state[3] + wrap_angle(measured[3] - track.state[3])
    spread = OBSERVATION @ track.covariance @ OBSERVATION.T + np.eye(NUM_MEASURED)
    gain = np.linalg.solve(spread, OBSERVATION @ track.covariance).T
    track.state = track.state + gain @ (measured - OBSERVATION @ track.state)
    track.state[3] = wrap_angle(track.state[3])
    track.covariance = (np.eye(NUM_STATES) - gain @ OBSERVATION) @ track.covariance
    track.hits += 1
    track.misses = 0
    track.detection_index = column
