"""Attributes from speed: the one table that gives truth and predictions their nuScenes attribute."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tricast.perception.evaluation.box_table import ATTRIBUTES, NO_ATTRIBUTE
from tricast.sensors.annotations import DETECTION_CLASSES

MOVING_MPS = 0.5

# Class: attribute above `MOVING_MPS`, attribute at or below it; cones and barriers have none. Speed alone cannot tell
# a parked vehicle from a stopped one: buses stop, others park, as most do in nuScenes.
MOVING_AND_RESTING = {
    "car": ("vehicle.moving", "vehicle.parked"),
    "truck": ("vehicle.moving", "vehicle.parked"),
    "bus": ("vehicle.moving", "vehicle.stopped"),
    "trailer": ("vehicle.moving", "vehicle.parked"),
    "construction_vehicle": ("vehicle.moving", "vehicle.parked"),
    "pedestrian": ("pedestrian.moving", "pedestrian.standing"),
    "motorcycle": ("cycle.with_rider", "cycle.without_rider"),
    "bicycle": ("cycle.with_rider", "cycle.without_rider"),
}


def _indices(column: int) -> NDArray[np.int64]:
    pairs = [MOVING_AND_RESTING.get(name) for name in DETECTION_CLASSES]
    return np.array([NO_ATTRIBUTE if pair is None else ATTRIBUTES.index(pair[column]) for pair in pairs], np.int64)


MOVING, RESTING = _indices(0), _indices(1)


def attributes_of(
    class_index: NDArray[np.int64], velocities_mps: NDArray[np.float64], *, unknown_rests: bool
) -> NDArray[np.int64]:
    """Rows (N,) of `ATTRIBUTES` for classes (N,) at velocities (N, 2).

    Args:
        class_index: Into `DETECTION_CLASSES`.
        velocities_mps: NaN where unknown.
        unknown_rests: An unknown velocity counts as standing still, so that nobody gains by leaving it out; else, of
            truth, it has no attribute, and nobody is judged by it.

    """
    speeds = np.linalg.norm(np.nan_to_num(velocities_mps), axis=1)
    attributes = np.where(speeds > MOVING_MPS, MOVING[class_index], RESTING[class_index])
    unknown = np.isnan(velocities_mps).any(axis=1)
    return attributes if unknown_rests else np.where(unknown, NO_ATTRIBUTE, attributes)
