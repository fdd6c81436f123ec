"""All tracks of a tick, one column per quantity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.perception.tracking.motion_filter import MotionFilter
from tricast.sensors.annotations import DETECTION_CLASSES

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
FILTERS = ("motion", "by_place", "heading")


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackTable:
    """N tracks in the odometry frame.

    Args:
        identities: (N,).
        motion: Places in the plane and velocities over ground.
        by_place: The same by the places of detections alone; of the velocities that they carry it began with the first.
        heading: Yaws and turn rates.
        fronts: (N,) evidence that a yaw points to the object's front; below 0 it points to the rear.
        z_m: (N,) heights of the centres.
        sizes_m: (N, 3) length, width, height.
        scores: (N,).
        votes: (N, C) for each of `DETECTION_CLASSES`.
        class_scores: (N, C) what detections said of each class, a mean over the last ones.
        hits: (N,) detections so far.
        unseen_s: (N,) time since the last one.
        seen_shares: (N,) share of the recent ticks with one.
        detection_indices: (N,) row of the tick's detections that updated the track, -1 where none did.

    """

    identities: Int64
    motion: MotionFilter
    by_place: MotionFilter
    heading: MotionFilter
    fronts: Float64
    z_m: Float64
    sizes_m: Float64
    scores: Float64
    votes: Float64
    class_scores: Float64
    hits: Int64
    unseen_s: Float64
    seen_shares: Float64
    detection_indices: Int64

    @staticmethod
    def empty() -> TrackTable:
        """No tracks."""
        nothing = np.zeros(0)
        return TrackTable(
            identities=np.zeros(0, np.int64),
            motion=MotionFilter.born(np.zeros((0, 2)), np.zeros((0, 2)), nothing, nothing),
            by_place=MotionFilter.born(np.zeros((0, 2)), np.zeros((0, 2)), nothing, nothing),
            heading=MotionFilter.born(np.zeros((0, 1)), np.zeros((0, 1)), nothing, nothing),
            fronts=nothing,
            z_m=nothing,
            sizes_m=np.zeros((0, 3)),
            scores=nothing,
            votes=np.zeros((0, len(DETECTION_CLASSES))),
            class_scores=np.zeros((0, len(DETECTION_CLASSES))),
            hits=np.zeros(0, np.int64),
            unseen_s=nothing,
            seen_shares=nothing,
            detection_indices=np.zeros(0, np.int64),
        )

    @staticmethod
    def joined(parts: Sequence[TrackTable]) -> TrackTable:
        """All tracks of several tables, in order."""
        columns: dict[str, Any] = {}
        for name in (f.name for f in fields(TrackTable)):
            column = [getattr(part, name) for part in parts]
            columns[name] = MotionFilter.joined(column) if name in FILTERS else np.concatenate(column)
        return TrackTable(**columns)

    def __getitem__(self, rows: Any) -> TrackTable:
        """Select tracks by an index array or a boolean mask."""
        return TrackTable(**{f.name: getattr(self, f.name)[rows] for f in fields(TrackTable)})

    def __len__(self) -> int:
        return len(self.identities)

    @property
    def class_indices(self) -> Int64:
        """(N,) the class with most votes."""
        return self.votes.argmax(axis=1)
