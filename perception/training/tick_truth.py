"""Truth of one tick as plain arrays, and which of it a sample with some sensors missing can be asked for."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.annotations import DETECTION_CLASSES, NUM_FUTURE_STEPS, UNKNOWN_COUNT, Annotations
from tricast.sensors.arrays import checked_array

MIN_RETURNS = 1
MIN_VISIBLE_PIXELS = 20
"""A true object counts with so many LiDAR or radar returns, or visible pixels."""

_FIELDS: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
    "class_indices": ((), np.int64),
    "instance_indices": ((), np.int64),
    "centers_m": ((3,), np.float32),
    "sizes_m": ((3,), np.float32),
    "yaws_rad": ((), np.float32),
    "velocities_mps": ((2,), np.float32),
    "futures_m": ((NUM_FUTURE_STEPS, 2), np.float32),
    "num_lidar_points": ((), np.int32),
    "num_radar_points": ((), np.int32),
    "num_visible_pixels": ((), np.int32),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class TickTruth:
    """T true objects in ego axes at the tick.

    Args:
        class_indices: (T,) int64 into `DETECTION_CLASSES`.
        instance_indices: (T,) int64, constant over a scene.
        centers_m: (T, 3) float32.
        sizes_m: (T, 3) float32 length, width, height.
        yaws_rad: (T,) float32.
        velocities_mps: (T, 2) float32 over ground, NaN where unknown.
        futures_m: (T, 12, 2) float32 positions 0.5 s to 6 s ahead, NaN where unknown.
        num_lidar_points: (T,) int32, -1 where unknown; likewise `num_radar_points` and `num_visible_pixels`.

    Raises:
        SensorDataError: A shape or type does not fit.

    """

    class_indices: NDArray[np.int64]
    instance_indices: NDArray[np.int64]
    centers_m: NDArray[np.float32]
    sizes_m: NDArray[np.float32]
    yaws_rad: NDArray[np.float32]
    velocities_mps: NDArray[np.float32]
    futures_m: NDArray[np.float32]
    num_lidar_points: NDArray[np.int32]
    num_radar_points: NDArray[np.int32]
    num_visible_pixels: NDArray[np.int32]

    def __post_init__(self) -> None:
        count = len(self.class_indices)
        for name, (shape, dtype) in _FIELDS.items():
            array = checked_array(getattr(self, name), name=f"truth {name}", shape=(count, *shape), dtype=dtype)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.class_indices)

    def __getitem__(self, index: Any) -> TickTruth:
        """Select objects by a slice, an index array or a boolean mask."""
        return TickTruth(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def truth_of(annotations: Annotations, instances: dict[str, int]) -> TickTruth:
    """Truth as plain arrays; identities are numbered in `instances`, which grows by the new ones."""
    numbers = [instances.setdefault(name, len(instances)) for name in annotations.instance_ids]
    boxes = annotations.boxes
    return TickTruth(
        class_indices=np.array([DETECTION_CLASSES.index(c) for c in annotations.class_names], np.int64),
        instance_indices=np.array(numbers, np.int64),
        centers_m=boxes.centers_m.astype(np.float32),
        sizes_m=boxes.sizes_m.astype(np.float32),
        yaws_rad=boxes.yaws_rad.astype(np.float32),
        velocities_mps=boxes.velocities_mps.astype(np.float32),
        futures_m=annotations.futures_m.astype(np.float32),
        num_lidar_points=np.array(annotations.num_lidar_points),
        num_radar_points=np.array(annotations.num_radar_points),
        num_visible_pixels=np.array(annotations.num_visible_pixels),
    )


def countable(truth: TickTruth, *, camera: bool = True, lidar: bool = True, radar: bool = True) -> NDArray[np.bool_]:
    """Which objects (T,) the sensors named can see at all; an object of which nothing is known counts."""
    seen = np.zeros(len(truth), bool)
    if lidar:
        seen |= truth.num_lidar_points >= MIN_RETURNS
    if radar:
        seen |= truth.num_radar_points >= MIN_RETURNS
    if camera:
        seen |= truth.num_visible_pixels >= MIN_VISIBLE_PIXELS
    known = np.stack([truth.num_lidar_points, truth.num_radar_points, truth.num_visible_pixels]) != UNKNOWN_COUNT
    return seen | ~known.any(axis=0)


def with_counts(truth: TickTruth, **counts: NDArray[np.int32]) -> TickTruth:
    """The same objects with other counts of returns or pixels."""
    return replace(truth, **counts)
