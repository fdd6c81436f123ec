"""Truth: annotated boxes with class, identity, velocity, visibility and future."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.arrays import checked_array
from tricast.sensors.errors import SensorDataError
from tricast.sensors.geometry.boxes import Boxes

DETECTION_CLASSES = (
    "car",
    "truck",
    "bus",
    "trailer",
    "construction_vehicle",
    "pedestrian",
    "motorcycle",
    "bicycle",
    "traffic_cone",
    "barrier",
)
"""The nuScenes detection names, in the devkit's order; every class in Tricast is one of these."""

NUM_FUTURE_STEPS = 12
FUTURE_STEP_S = 0.5
UNKNOWN_COUNT = -1


@dataclass(frozen=True, kw_only=True, eq=False)
class Annotations:
    """Every annotated road user at one time, in ego axes at that time.

    Args:
        timestamp_ns: Time of the annotation.
        received_ns: Place in the log; truth never enters a detector.
        boxes: N boxes; velocities over ground, NaN where unknown.
        class_names: N detection names.
        instance_ids: N identities, constant over a log.
        num_lidar_points: (N,) int32 returns inside the box at this time, -1 where unknown.
        num_radar_points: (N,) int32, likewise.
        num_visible_pixels: (N,) int32 over all cameras, -1 where unknown.
        occlusion: (N,) float32 share of the object's own LiDAR rays that something else blocks; NaN where unknown.
        futures_m: (N, 12, 2) float64 positions 0.5 s to 6 s ahead, in ego axes at `timestamp_ns`;
            NaN where unknown.

    Raises:
        SensorDataError: Lengths, types or names do not fit.

    """

    timestamp_ns: int
    received_ns: int
    boxes: Boxes
    class_names: tuple[str, ...]
    instance_ids: tuple[str, ...]
    num_lidar_points: NDArray[np.int32]
    num_radar_points: NDArray[np.int32]
    num_visible_pixels: NDArray[np.int32]
    occlusion: NDArray[np.float32]
    futures_m: NDArray[np.float64]

    def __post_init__(self) -> None:
        count, name = len(self.boxes), f"annotations at {self.timestamp_ns} ns"
        for field in ("num_lidar_points", "num_radar_points", "num_visible_pixels", "occlusion"):
            dtype = np.float32 if field == "occlusion" else np.int32
            array = checked_array(getattr(self, field), name=f"{name}: {field}", shape=(count,), dtype=dtype)
            object.__setattr__(self, field, array)
        shape = (count, NUM_FUTURE_STEPS, 2)
        futures = checked_array(self.futures_m, name=f"{name}: futures_m", shape=shape, dtype=np.float64)
        object.__setattr__(self, "futures_m", futures)
        unknown = sorted(set(self.class_names) - set(DETECTION_CLASSES))
        if unknown or len(self.class_names) != count or len(self.instance_ids) != count:
            raise SensorDataError(
                where=name,
                got=f"{count} boxes, {len(self.class_names)} classes, {len(self.instance_ids)} ids, unknown {unknown}",
                expected=f"equal counts and classes among {', '.join(DETECTION_CLASSES)}",
                remedy="map the dataset's classes in its reader",
            )

    @staticmethod
    def from_boxes(
        timestamp_ns: int,
        boxes: Boxes,
        class_names: tuple[str, ...],
        instance_ids: tuple[str, ...],
        *,
        num_lidar_points: NDArray[np.int32] | None = None,
        num_radar_points: NDArray[np.int32] | None = None,
        received_ns: int | None = None,
    ) -> Annotations:
        """Truth of a recording; what the recording does not state is unknown."""
        count = len(boxes)
        unknown = np.full(count, UNKNOWN_COUNT, np.int32)
        return Annotations(
            timestamp_ns=timestamp_ns,
            received_ns=timestamp_ns if received_ns is None else received_ns,
            boxes=boxes,
            class_names=class_names,
            instance_ids=instance_ids,
            num_lidar_points=unknown if num_lidar_points is None else num_lidar_points,
            num_radar_points=unknown if num_radar_points is None else num_radar_points,
            num_visible_pixels=unknown,
            occlusion=np.full(count, np.nan, np.float32),
            futures_m=np.full((count, NUM_FUTURE_STEPS, 2), np.nan),
        )

    def __len__(self) -> int:
        return len(self.boxes)
