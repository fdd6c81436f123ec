"""Which truth is asked for: what any sensor of the log can have seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.annotations import UNKNOWN_COUNT, Annotations
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.motion_compensation import lidar_in_ego, radar_in_ego
from tricast.sensors.synced_frame import SyncedFrame

MIN_RETURNS = 1
MIN_PIXELS = 20


def counted_truth(truth: Annotations, frame: SyncedFrame) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which of N annotated objects count, and the returns (N,) on each; unknown where pixels alone have shown it.

    An object counts with at least one LiDAR or radar return or 20 visible pixels at the tick. Where the log states
    neither LiDAR nor radar returns, those of the tick's newest sweeps and scans inside the box are counted.

    Args:
        truth: Annotations at the tick.
        frame: The tick with all sensors of the log, whatever a detector is given.

    """
    lidar, radar = truth.num_lidar_points.astype(np.int64), truth.num_radar_points.astype(np.int64)
    stated = (lidar >= 0) | (radar >= 0)
    returns = np.maximum(lidar, 0) + np.maximum(radar, 0)
    if not stated.all():
        returns = np.where(stated, returns, returns_inside(truth.boxes, frame))
    counted = (returns >= MIN_RETURNS) | (truth.num_visible_pixels >= MIN_PIXELS)
    # Protocols drop boxes that are known to hold no return, which must not happen to what a camera has seen.
    return counted, np.where(counted & (returns == 0), UNKNOWN_COUNT, returns)


def returns_inside(boxes: Boxes, frame: SyncedFrame) -> NDArray[np.int64]:
    """LiDAR and radar returns (N,) of the newest sweep and scan per channel inside boxes in ego axes at the tick."""
    return lidar_returns_inside(boxes, frame) + radar_returns_inside(boxes, frame)


def lidar_returns_inside(boxes: Boxes, frame: SyncedFrame) -> NDArray[np.int64]:
    """LiDAR returns (N,) of the newest sweep per channel inside boxes in ego axes at the tick."""
    motion, now_ns = frame.ego_motion, frame.timestamp_ns
    sweeps = frame.lidars.items()
    return _inside(boxes, [lidar_in_ego(s[:1], frame.rig[c], motion, now_ns).points_m for c, s in sweeps])


def radar_returns_inside(boxes: Boxes, frame: SyncedFrame) -> NDArray[np.int64]:
    """Radar returns (N,) of the newest scan per channel inside boxes in ego axes at the tick."""
    motion, now_ns = frame.ego_motion, frame.timestamp_ns
    scans = frame.radars.items()
    return _inside(boxes, [radar_in_ego(s[:1], frame.rig[c], motion, now_ns).points_m for c, s in scans])


def _inside(boxes: Boxes, clouds: Sequence[NDArray[np.floating]]) -> NDArray[np.int64]:
    count = np.zeros(len(boxes), np.int64)
    for points in clouds:
        # One box at a time: all at once would need N times the memory of a cloud.
        count += [int(boxes[i : i + 1].contains(points).sum()) for i in range(len(boxes))]
    return count
