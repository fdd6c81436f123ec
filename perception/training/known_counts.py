"""Who sees what, for truth that does not say so: recordings state few of the counts that training asks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tricast.perception.evaluation.truth_rules import lidar_returns_inside, radar_returns_inside
from tricast.perception.tick_sample import TickSample
from tricast.perception.training.tick_truth import MIN_VISIBLE_PIXELS, TickTruth, with_counts
from tricast.sensors.annotations import UNKNOWN_COUNT
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.synced_frame import SyncedFrame


def with_known_counts(truth: TickTruth, frame: SyncedFrame, sample: TickSample) -> TickTruth:
    """The same objects with counts of the tick in place of unknown ones.

    Returns are those of the newest sweeps and scans inside the box. Pixels, which nothing counts, are just enough where
    a camera has the object's centre in its picture and no sensor says that nothing of it is to be seen, else none.
    Of a kind of sensor that did not deliver nothing becomes known.
    """
    boxes = Boxes(
        centers_m=truth.centers_m.astype(np.float64),
        sizes_m=truth.sizes_m.astype(np.float64),
        yaws_rad=truth.yaws_rad.astype(np.float64),
        velocities_mps=truth.velocities_mps.astype(np.float64),
    )
    lidar, radar, pixels = truth.num_lidar_points, truth.num_radar_points, truth.num_visible_pixels
    if frame.lidars and (lidar == UNKNOWN_COUNT).any():
        lidar = _known(lidar, lidar_returns_inside(boxes, frame))
    if frame.radars and (radar == UNKNOWN_COUNT).any():
        radar = _known(radar, radar_returns_inside(boxes, frame))
    if sample.cameras and (pixels == UNKNOWN_COUNT).any():
        in_picture = np.zeros(len(truth), bool)
        for camera in sample.cameras:
            in_picture |= camera.lens.project(camera.tick_from_camera.inverse.apply(boxes.centers_m))[1]
        nothing = (np.maximum(lidar, radar) == 0) & (np.minimum(lidar, radar) <= 0)
        pixels = _known(pixels, np.where(in_picture & ~nothing, MIN_VISIBLE_PIXELS, 0))
    return with_counts(truth, num_lidar_points=lidar, num_radar_points=radar, num_visible_pixels=pixels)


def _known(stated: NDArray[np.int32], counted: NDArray[np.int64]) -> NDArray[np.int32]:
    return np.where(stated == UNKNOWN_COUNT, counted, stated).astype(np.int32)
