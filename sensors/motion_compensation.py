"""Ego motion between two times, and sensor data moved by it to the time of a tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.calibration import SensorCalibration
from tricast.sensors.frames import EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.se3 import SE3


class EgoMotion:
    """Ego poses known so far, answering for any time: interpolated between poses, extrapolated by twist after the last.

    Args:
        poses: Poses sorted by `timestamp_ns`; may be empty, then the vehicle is taken as standing still at the origin.
    """

    def __init__(self, poses: Sequence[EgoPose] = ()) -> None:
        raise NotImplementedError

    def odom_from_ego(self, timestamp_ns: int) -> SE3:
        """Pose of the ego frame at a time."""
        raise NotImplementedError

    def ego_from_ego(self, destination_ns: int, source_ns: int) -> SE3:
        """Ego axes at `destination_ns` from ego axes at `source_ns`."""
        raise NotImplementedError

    def velocity_mps(self, timestamp_ns: int) -> NDArray[np.float64]:
        """Ego velocity over ground (3,), along the ego axes at that time."""
        raise NotImplementedError

    def angular_velocity_radps(self, timestamp_ns: int) -> NDArray[np.float64]:
        """Ego angular velocity (3,) about the ego axes at that time."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True, eq=False)
class LidarPoints:
    """LiDAR returns in ego axes at one time.

    Args:
        points_m: (N, 3) float32, each moved by the ego motion between its own time and `timestamp_ns`.
        intensity: (N,) float32.
        ages_s: (N,) float32, `timestamp_ns` minus the point's own time.
        rings: (N,) uint16.
    """

    timestamp_ns: int
    points_m: NDArray[np.float32]
    intensity: NDArray[np.float32]
    ages_s: NDArray[np.float32]
    rings: NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True, eq=False)
class RadarPoints:
    """Radar returns in ego axes at one time.

    Args:
        points_m: (N, 3) float32.
        rcs_dbsm: (N,) float32.
        radial_velocities_mps: (N,) float32 over ground (own motion taken out), positive away from the sensor;
            NaN where unknown.
        directions: (N, 2) float32 unit line of sight in ego x and y, from sensor to return.
        ages_s: (N,) float32.
    """

    timestamp_ns: int
    points_m: NDArray[np.float32]
    rcs_dbsm: NDArray[np.float32]
    radial_velocities_mps: NDArray[np.float32]
    directions: NDArray[np.float32]
    ages_s: NDArray[np.float32]


def lidar_in_ego(
    sweeps: Sequence[LidarSweep], calibration: SensorCalibration, motion: EgoMotion, timestamp_ns: int
) -> LidarPoints:
    """De-skew sweeps point by point and join them in ego axes at `timestamp_ns`; invalid points are left out."""
    raise NotImplementedError


def radar_in_ego(
    scans: Sequence[RadarScan], calibration: SensorCalibration, motion: EgoMotion, timestamp_ns: int
) -> RadarPoints:
    """Move scans into ego axes at `timestamp_ns` and take the ego motion out of the Doppler; invalid points are left out."""
    raise NotImplementedError
