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
from tricast.sensors.sweep_columns import sweep_columns

SECOND_NS = 1_000_000_000
MAX_TWIST_GAP_NS = SECOND_NS
"""Poses further apart than this say nothing about velocity."""
STANDING, LEAST_MOVING_MPS = (0.0, 0.0, 0.0), 1.0
"""A twist of exactly zero counts as not measured where neighbouring poses lie apart as at this speed."""
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
        rotations, places_m = np.tile(np.eye(3), (len(sources_ns), 1, 1)), np.zeros((len(sources_ns), 3))
        after = np.searchsorted(np.array(self._stamps, np.int64), sources_ns)
        inside = (after > 0) & (after < len(self._poses))
        if inside.any():
            rotations[inside], places_m[inside] = self._between(after[inside], sources_ns[inside])
        for index, beyond in ((0, after == 0), (len(self._poses) - 1, after == len(self._poses))):
            if self._poses and beyond.any():
                rotations[beyond], places_m[beyond] = self._beyond(index, sources_ns[beyond])
        destination = self.odom_from_ego(destination_ns)
        return destination.rotation.T @ rotations, (places_m - destination.translation) @ destination.rotation

    def _between(
        self, after: NDArray[np.int64], times_ns: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rotations and places in odometry axes at times (K,) between the poses of indices (K,) and those before."""
        low = int(after.min()) - 1
        poses = self._poses[low : int(after.max()) + 1]
        quaternions = np.array([pose.odom_from_ego.quaternion_wxyz for pose in poses])
        quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
        places_m = np.array([pose.odom_from_ego.translation_m for pose in poses])
        stamps_ns = np.array([pose.timestamp_ns for pose in poses], np.int64)
        second = after - low
        first = second - 1
        fractions = (times_ns - stamps_ns[first]) / (stamps_ns[second] - stamps_ns[first])
        rotations = rotation_matrices(slerp(quaternions[first], quaternions[second], fractions))
        return rotations, places_m[first] + fractions[:, None] * (places_m[second] - places_m[first])

    def _beyond(self, index: int, times_ns: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The same at times (K,) that lie before or after all poses: the pose of that index goes on by its twist."""
        pose = self._poses[index].odom_from_ego
        linear, angular = self._twist(index)
        dts_s = (times_ns - self._stamps[index]) / SECOND_NS
        speed = float(np.linalg.norm(angular))
        halves = np.outer(dts_s, [speed / 2, speed / 4])
        turned, half_turned = (
            rotation_matrices(np.column_stack([np.cos(half), np.outer(np.sin(half), angular / max(speed, 1e-12))]))
            for half in halves.T
        )
        moved = np.einsum("kij,kj->ki", half_turned, linear * dts_s[:, None])
        return pose.rotation @ turned, pose.apply(moved)

    def velocity_mps(self, timestamp_ns: int) -> NDArray[np.float64]:
        """Ego velocity over ground (3,), along the ego axes at that time; zeros if unknown."""
        return self.twist(timestamp_ns)[0]

    def angular_velocity_radps(self, timestamp_ns: int) -> NDArray[np.float64]:
        """Ego angular velocity (3,) about the ego axes at that time; zeros if unknown."""
        return self.twist(timestamp_ns)[1]

    def twist(self, timestamp_ns: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both: `velocity_mps` and `angular_velocity_radps`."""
        return self._twist(self._nearest(timestamp_ns)) if self._poses else (np.zeros(3), np.zeros(3))

    def _nearest(self, timestamp_ns: int) -> int:
        after = bisect.bisect_left(self._stamps, timestamp_ns)
        candidates = [i for i in (after - 1, after) if 0 <= i < len(self._poses)]
        return min(candidates, key=lambda i: abs(self._stamps[i] - timestamp_ns))

    def _twist(self, index: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Linear and angular velocity in ego axes: the pose's own, else from its neighbour, else zero.

        Odometry that measures no twist leaves it at zero: where the poses move, that is not believed.
        """
        told_linear, told_angular = self._poses[index].linear_velocity_mps, self._poses[index].angular_velocity_radps
        if told_linear is not None and told_angular is not None and (any(told_linear) or any(told_angular)):
            return np.array(told_linear), np.array(told_angular)
        linear, angular = self._difference(index)
        if told_linear == told_angular == STANDING and np.linalg.norm(linear) > LEAST_MOVING_MPS:
            return linear, angular
        return (
            linear if told_linear is None else np.array(told_linear),
            angular if told_angular is None else np.array(told_angular),
        )

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
        # The step is a chord: halfway through the turn the vehicle drives along it.
        linear = SE3.from_yaw(-step.yaw_rad / 2).rotate(step.translation / dt_s)
        return linear, np.array([0.0, 0.0, step.yaw_rad / dt_s])


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

    @staticmethod
    def empty(timestamp_ns: int) -> RadarPoints:
        """No returns."""
        nothing = np.zeros(0, np.float32)
        return RadarPoints(
            timestamp_ns=timestamp_ns,
            points_m=np.zeros((0, 3), np.float32),
            rcs_dbsm=nothing,
            radial_velocities_mps=nothing,
            directions=np.zeros((0, 2), np.float32),
            ages_s=nothing,
        )


def lidar_in_ego(
    sweeps: Sequence[LidarSweep], calibration: SensorCalibration, motion: EgoMotion, timestamp_ns: int
) -> LidarPoints:
    """De-skew sweeps point by point and join them in ego axes at `timestamp_ns`; invalid points are left out."""
    sweeps = [sweep.without_invalid()[0] for sweep in sweeps]
    columns = lidar_columns_in_ego(sweeps, calibration, motion, timestamp_ns)
    return LidarPoints(
        timestamp_ns=timestamp_ns,
        points_m=np.ascontiguousarray(columns[:3].T),
        intensity=columns[3],
        ages_s=columns[4],
        rings=np.concatenate([np.zeros(0, np.uint16), *(sweep.rings for sweep in sweeps)]),
    )


def lidar_columns_in_ego(
    sweeps: Sequence[LidarSweep], calibration: SensorCalibration, motion: EgoMotion, timestamp_ns: int
) -> NDArray[np.float32]:
    """The returns of `lidar_in_ego` column by column, which NumPy goes through many times faster than row by row.

    Returns:
        (5, N) float32: x, y, z, intensity and age in seconds.

    """
    parts = [sweep_columns(sweep, calibration.ego_from_sensor) for sweep in sweeps]
    columns = np.empty((5, sum(len(part) for part in parts)), np.float32)
    np.concatenate([np.empty((4, 0), np.float32), *(part.columns for part in parts)], axis=1, out=columns[:4])
    stamps_ns = [part.stamps_ns for part in parts]
    columns[4] = (timestamp_ns - np.concatenate([np.empty(0, np.int64), *stamps_ns])) / SECOND_NS
    if motion.known:
        _deskew(columns[:3], stamps_ns, motion, timestamp_ns)
    return columns


def radar_in_ego(
    scans: Sequence[RadarScan], calibration: SensorCalibration, motion: EgoMotion, timestamp_ns: int
) -> RadarPoints:
    """Move scans into ego axes at `timestamp_ns`, own motion taken out of the Doppler; invalid points are left out."""
    valid = [scan.without_invalid()[0] for scan in scans]
    if not valid:
        return RadarPoints.empty(timestamp_ns)
    # All returns, and all poses, at once: scans are many and short.
    counts, mount = [len(scan) for scan in valid], calibration.ego_from_sensor
    stamps_ns = np.array([scan.timestamp_ns for scan in valid], np.int64)
    rotations, places_m = motion.ego_from_egos(timestamp_ns, stamps_ns)
    turned = (rotations @ mount.rotation).astype(np.float32)
    shifts_m = (rotations @ mount.translation + places_m).astype(np.float32)
    sight = np.concatenate([scan.points_m for scan in valid]).astype(np.float64)
    sight = mount.rotate(sight / np.maximum(np.linalg.norm(sight, axis=1, keepdims=True), 1e-6))
    flat = np.einsum("nij,nj->ni", np.repeat(rotations[:, :2], counts, axis=0), sight)
    ages_s = np.array([(timestamp_ns - scan.timestamp_ns) / SECOND_NS for scan in valid], np.float32)
    return RadarPoints(
        timestamp_ns=timestamp_ns,
        points_m=np.concatenate([s.points_m @ r.T + t for s, r, t in zip(valid, turned, shifts_m, strict=True)]),
        rcs_dbsm=np.concatenate([scan.rcs_dbsm for scan in valid]),
        radial_velocities_mps=_over_ground(valid, sight, calibration, motion),
        directions=(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)).astype(np.float32),
        ages_s=np.repeat(ages_s, counts),
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


def _deskew(
    points_m: NDArray[np.float32], stamps_ns: Sequence[NDArray[np.int64]], motion: EgoMotion, timestamp_ns: int
) -> None:
    """Move points (3, N), in place, from ego axes at their own times to ego axes at one time.

    Args:
        points_m: Of all sweeps.
        stamps_ns: Times sweep by sweep, N together.
        motion: Of the vehicle.
        timestamp_ns: That one time.

    """
    buckets: list[NDArray[np.int64]] = []
    middles_ns: list[NDArray[np.int64]] = []
    known = 0
    for stamps in stamps_ns:
        if len(stamps):
            numbers = stamps // TIME_BUCKET_NS
            first, last = int(numbers.min()), int(numbers.max())
            numbers += known - first
            known += last + 1 - first
            buckets.append(numbers)
            middles_ns.append(np.arange(first, last + 1) * TIME_BUCKET_NS + TIME_BUCKET_NS // 2)
    if not buckets:
        return
    rotations, translations_m = motion.ego_from_egos(timestamp_ns, np.concatenate(middles_ns))
    bucket = np.concatenate(buckets)
    turns = np.ascontiguousarray(rotations.transpose(1, 2, 0), np.float32)  # (3, 3, K)
    shifts_m = np.ascontiguousarray(translations_m.T, np.float32)
    own, term = points_m.copy(), np.empty(len(bucket), np.float32)
    # Number by number of a point's transform: what is worked on stays in the processor's cache. Buckets are all in
    # range: `clip` only spares a check.
    for turn, shift_m, moved in zip(turns, shifts_m, points_m, strict=True):
        np.multiply(turn[0].take(bucket, out=moved, mode="clip"), own[0], out=moved)
        for factors, along in ((turn[1], own[1]), (turn[2], own[2])):
            moved += np.multiply(factors.take(bucket, out=term, mode="clip"), along, out=term)
        moved += shift_m.take(bucket, out=term, mode="clip")


def _over_ground(
    scans: Sequence[RadarScan], sight: NDArray[np.float64], calibration: SensorCalibration, motion: EgoMotion
) -> NDArray[np.float32]:
    """Radial velocity over ground: the recording's own figure where it states one, else own motion taken out.

    Args:
        scans: Their returns are N together.
        sight: (N, 3) unit lines of sight in the ego axes of each scan's time.
        calibration: Of the radar.
        motion: Of the vehicle.

    """
    stated = np.concatenate([scan.compensated_velocities_mps for scan in scans])
    if not motion.known:
        return stated
    measured = np.concatenate([scan.radial_velocities_mps for scan in scans])
    linear, angular = np.array([motion.twist(scan.timestamp_ns) for scan in scans]).transpose(1, 0, 2)
    own = np.repeat(
        linear + np.cross(angular, calibration.ego_from_sensor.translation), [len(scan) for scan in scans], axis=0
    )
    radial = (measured + np.einsum("ni,ni->n", sight, own)).astype(np.float32)
    return np.where(np.isfinite(stated), stated, radial)
