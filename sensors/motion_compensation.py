"""Ego motion between two times, and sensor data moved by it to the time of a tick."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.calibration import SensorCalibration
from tricast.sensors.frames import EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.se3 import SE3, interpolate, rotation_matrices, slerp

SECOND_NS = 1_000_000_000
MAX_TWIST_GAP_NS = SECOND_NS
"""Poses further apart than this say nothing about velocity."""
TIME_BUCKET_NS = 1_000_000
"""Points are de-skewed by the pose at the middle of their millisecond: under 2 cm at 30 m/s."""


class EgoMotion:
    """Ego poses known so far, answering for any time: interpolated between poses, extrapolated by twist after the last.

    Args:
        poses: Poses sorted by `timestamp_ns`, the first of equal stamps counts; may be empty, then the vehicle is
            taken as standing still at the origin.

    """

    def __init__(self, poses: Sequence[EgoPose] = ()) -> None:
        self._poses = tuple({pose.timestamp_ns: pose for pose in reversed(poses)}.values())[::-1]
        self._stamps = [pose.timestamp_ns for pose in self._poses]

    @property
    def known(self) -> bool:
        """Whether the log has told any pose by now."""
        return bool(self._poses)

    @property
    def stamps_ns(self) -> tuple[int, ...]:
        """Times of the poses, sorted."""
        return tuple(self._stamps)

    def odom_from_ego(self, timestamp_ns: int) -> SE3:
        """Pose of the ego frame at a time."""
        if not self._poses:
            return SE3()
        after = bisect.bisect_left(self._stamps, timestamp_ns)
        if 0 < after < len(self._poses):
            first, second = self._poses[after - 1], self._poses[after]
            span_ns = second.timestamp_ns - first.timestamp_ns
            fraction = (timestamp_ns - first.timestamp_ns) / span_ns
            return interpolate(first.odom_from_ego, second.odom_from_ego, fraction)
        index = 0 if after == 0 else len(self._poses) - 1
        pose = self._poses[index]
        dt_s = (timestamp_ns - pose.timestamp_ns) / SECOND_NS
        linear, angular = self._twist(index)
        return pose.odom_from_ego @ _twisted(linear, angular, dt_s)

    def ego_from_ego(self, destination_ns: int, source_ns: int) -> SE3:
        """Ego axes at `destination_ns` from ego axes at `source_ns`."""
        return self.odom_from_ego(destination_ns).inverse @ self.odom_from_ego(source_ns)

    def ego_from_egos(
        self, destination_ns: int, sources_ns: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """`ego_from_ego` from many times (K,) at once, as rotations (K, 3, 3) and translations (K, 3)."""
        stamps = np.array(self._stamps, np.int64)
        after = np.searchsorted(stamps, sources_ns)
        inside = (after > 0) & (after < len(stamps))
        rotations, translations = np.empty((len(sources_ns), 3, 3)), np.empty((len(sources_ns), 3))
        ego_from_odom = self.odom_from_ego(destination_ns).inverse
        for row in np.flatnonzero(~inside):
            pose = ego_from_odom @ self.odom_from_ego(int(sources_ns[row]))
            rotations[row], translations[row] = pose.rotation, pose.translation
        if inside.any():
            after = after[inside]
            knots = np.unique([after - 1, after])
            poses = [ego_from_odom @ self._poses[int(knot)].odom_from_ego for knot in knots]
            first, second = np.searchsorted(knots, after - 1), np.searchsorted(knots, after)
            spans_ns = stamps[after] - stamps[after - 1]
            fractions = (sources_ns[inside] - stamps[after - 1]) / spans_ns
            quaternions = np.array([pose.quaternion_wxyz for pose in poses])
            rotations[inside] = rotation_matrices(slerp(quaternions[first], quaternions[second], fractions))
            places = np.array([pose.translation_m for pose in poses])
            translations[inside] = places[first] + fractions[:, None] * (places[second] - places[first])
        return rotations, translations

    def velocity_mps(self, timestamp_ns: int) -> NDArray[np.float64]:
        """Ego velocity over ground (3,), along the ego axes at that time; zeros if unknown."""
        return self._twist(self._nearest(timestamp_ns))[0] if self._poses else np.zeros(3)

    def angular_velocity_radps(self, timestamp_ns: int) -> NDArray[np.float64]:
        """Ego angular velocity (3,) about the ego axes at that time; zeros if unknown."""
        return self._twist(self._nearest(timestamp_ns))[1] if self._poses else np.zeros(3)

    def _nearest(self, timestamp_ns: int) -> int:
        after = bisect.bisect_left(self._stamps, timestamp_ns)
        candidates = [i for i in (after - 1, after) if 0 <= i < len(self._poses)]
        return min(candidates, key=lambda i: abs(self._stamps[i] - timestamp_ns))

    def _twist(self, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Linear and angular velocity in ego axes: the pose's own, else from its neighbour, else zero."""
        pose = self._poses[index]
        linear, angular = self._difference(index)
        if pose.linear_velocity_mps is not None:
            linear = np.array(pose.linear_velocity_mps)
        if pose.angular_velocity_radps is not None:
            angular = np.array(pose.angular_velocity_radps)
        return linear, angular

    def _difference(self, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Linear and angular velocity between a pose and its neighbour; zero where there is none near in time."""
        other = index - 1 if index > 0 else index + 1
        if other >= len(self._poses):
            return np.zeros(3), np.zeros(3)
        first, second = sorted((index, other))
        dt_ns = self._stamps[second] - self._stamps[first]
        if not 0 < dt_ns <= MAX_TWIST_GAP_NS:
            return np.zeros(3), np.zeros(3)
        step = self._poses[first].odom_from_ego.inverse @ self._poses[second].odom_from_ego
        dt_s = dt_ns / SECOND_NS
        return step.translation / dt_s, np.array([0.0, 0.0, step.yaw_rad / dt_s])


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
    points = [np.zeros((0, 3), np.float32)]
    intensity, ages = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)]
    rings = [np.zeros(0, np.uint16)]
    for sweep in sweeps:
        valid = sweep.without_invalid()[0]
        in_own_ego = calibration.ego_from_sensor.apply(valid.points_m)
        stamps_ns = valid.timestamp_ns + valid.time_offsets_ns.astype(np.int64)
        points.append(_deskewed(in_own_ego, stamps_ns, motion, timestamp_ns))
        intensity.append(valid.intensity)
        ages.append(((timestamp_ns - stamps_ns) / SECOND_NS).astype(np.float32))
        rings.append(valid.rings)
    return LidarPoints(
        timestamp_ns=timestamp_ns,
        points_m=np.concatenate(points),
        intensity=np.concatenate(intensity),
        ages_s=np.concatenate(ages),
        rings=np.concatenate(rings),
    )


def radar_in_ego(
    scans: Sequence[RadarScan], calibration: SensorCalibration, motion: EgoMotion, timestamp_ns: int
) -> RadarPoints:
    """Move scans into ego axes at `timestamp_ns`, own motion taken out of the Doppler; invalid points are left out."""
    points = [np.zeros((0, 3), np.float32)]
    rcs, radial, ages = ([np.zeros(0, np.float32)] for _ in range(3))
    directions = [np.zeros((0, 2), np.float32)]
    for scan in scans:
        valid = scan.without_invalid()[0]
        tick_from_ego = motion.ego_from_ego(timestamp_ns, valid.timestamp_ns)
        sight = valid.points_m.astype(np.float64)
        ranges = np.linalg.norm(sight, axis=1, keepdims=True)
        sight = calibration.ego_from_sensor.rotate(sight / np.maximum(ranges, 1e-6))
        points.append((tick_from_ego @ calibration.ego_from_sensor).apply(valid.points_m).astype(np.float32))
        rcs.append(valid.rcs_dbsm)
        radial.append(_over_ground(valid, sight, calibration, motion))
        flat = tick_from_ego.rotate(sight)[:, :2]
        length = np.linalg.norm(flat, axis=1, keepdims=True)
        directions.append((flat / np.maximum(length, 1e-6)).astype(np.float32))
        ages.append(np.full(len(valid), (timestamp_ns - valid.timestamp_ns) / SECOND_NS, np.float32))
    return RadarPoints(
        timestamp_ns=timestamp_ns,
        points_m=np.concatenate(points),
        rcs_dbsm=np.concatenate(rcs),
        radial_velocities_mps=np.concatenate(radial),
        directions=np.concatenate(directions),
        ages_s=np.concatenate(ages),
    )


def _twisted(linear: NDArray[np.float64], angular: NDArray[np.float64], dt_s: float) -> SE3:
    """Motion under a constant twist for a short time; half the rotation turns the translation (midpoint rule)."""
    angle = float(np.linalg.norm(angular)) * dt_s
    axis = angular / max(float(np.linalg.norm(angular)), 1e-12)

    def turned(angle_rad: float) -> SE3:
        w, (x, y, z) = math.cos(angle_rad / 2), (float(a) * math.sin(angle_rad / 2) for a in axis)
        return SE3(quaternion_wxyz=(w, x, y, z))

    x, y, z = (float(v) for v in turned(angle / 2).rotate(linear * dt_s))
    return SE3(quaternion_wxyz=turned(angle).quaternion_wxyz, translation_m=(x, y, z))


def _deskewed(
    points_m: NDArray[np.float32], stamps_ns: NDArray[np.int64], motion: EgoMotion, timestamp_ns: int
) -> NDArray[np.float32]:
    if not len(points_m) or not motion.known:
        return points_m
    buckets, index = np.unique(stamps_ns // TIME_BUCKET_NS, return_inverse=True)
    rotations, translations = motion.ego_from_egos(timestamp_ns, buckets * TIME_BUCKET_NS + TIME_BUCKET_NS // 2)
    rotated = np.einsum("nij,nj->ni", rotations.astype(np.float32)[index], points_m)
    return rotated + translations.astype(np.float32)[index]


def _over_ground(
    scan: RadarScan, sight: NDArray[np.float64], calibration: SensorCalibration, motion: EgoMotion
) -> NDArray[np.float32]:
    """Radial velocity over ground: the recording's own figure where it states one, else own motion taken out."""
    stated = scan.compensated_velocities_mps
    if not motion.known:
        return stated
    lever = calibration.ego_from_sensor.translation
    omega = motion.angular_velocity_radps(scan.timestamp_ns)
    own = motion.velocity_mps(scan.timestamp_ns) + np.cross(omega, lever)
    radial = (scan.radial_velocities_mps + sight @ own).astype(np.float32)
    return np.where(np.isfinite(stated), stated, radial)
