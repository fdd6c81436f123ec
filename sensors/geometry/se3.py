"""Rigid transforms between frames, named destination first: `ego_from_lidar`.

The ego frame is ROS `base_link` (REP 105): x forward, y left, z up (REP 103), metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.errors import CalibrationError

Float64 = NDArray[np.float64]

_NORM_TOLERANCE, _ROUNDED_TOLERANCE = 1e-6, 1e-2


@dataclass(frozen=True, kw_only=True)
class SE3:
    """A rigid transform: rotate by a unit quaternion, then translate.

    Kept as plain floats, exactly as read, so that writing and reading a log changes no bit; only a quaternion that was
    written with few decimals is brought to unit length.

    Args:
        quaternion_wxyz: Unit quaternion (w, x, y, z), to 0.01 of its length.
        translation_m: Translation (x, y, z) in metres, in the destination frame.

    Raises:
        CalibrationError: A value is not finite or the quaternion is not of unit length.

    """

    quaternion_wxyz: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    translation_m: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        values = (*self.quaternion_wxyz, *self.translation_m)
        norm = math.sqrt(sum(q * q for q in self.quaternion_wxyz))
        if len(values) != 7 or not all(math.isfinite(v) for v in values) or abs(norm - 1.0) > _ROUNDED_TOLERANCE:
            raise CalibrationError(
                where="rigid transform",
                got=f"quaternion (w, x, y, z) {self.quaternion_wxyz}, translation {self.translation_m}",
                expected="finite values and a quaternion of length 1",
                remedy="check the calibration; ROS writes quaternions as x, y, z, w",
            )
        if abs(norm - 1.0) > _NORM_TOLERANCE:
            w, x, y, z = (q / norm for q in self.quaternion_wxyz)
            object.__setattr__(self, "quaternion_wxyz", (w, x, y, z))

    @staticmethod
    def from_matrix(matrix: NDArray[Any]) -> SE3:
        """Build from a (4, 4) or (3, 4) homogeneous matrix.

        Raises:
            CalibrationError: It is of another shape, or the upper left (3, 3) block is not a rotation.

        """
        m = np.asarray(matrix, dtype=np.float64)
        rotation = m[:3, :3] if m.shape in ((4, 4), (3, 4)) else np.zeros((3, 3))
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3):
            raise CalibrationError(
                where="rigid transform",
                got=f"matrix {np.round(m, 4).tolist()}",
                expected="a (4, 4) matrix whose upper left (3, 3) block is orthonormal",
                remedy="check rows, columns and units of the calibration",
            )
        if np.linalg.det(rotation) < 0:
            raise CalibrationError(
                where="rigid transform",
                got="a reflection (determinant -1)",
                expected="a rotation (determinant +1)",
                remedy="check the axis directions of the calibration",
            )
        x, y, z = (float(v) for v in m[:3, 3])
        return SE3(quaternion_wxyz=_quaternion_from_rotation(rotation), translation_m=(x, y, z))

    @staticmethod
    def from_yaw(yaw_rad: float, translation_m: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> SE3:
        """Rotate by `yaw_rad` about +z, then translate."""
        half = 0.5 * yaw_rad
        return SE3(quaternion_wxyz=(math.cos(half), 0.0, 0.0, math.sin(half)), translation_m=translation_m)

    @staticmethod
    def from_euler(
        roll_rad: float, pitch_rad: float, yaw_rad: float, translation_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    ) -> SE3:
        """Rotate by roll about x, then pitch about y, then yaw about z (fixed axes, REP 103), then translate."""
        cr, sr = math.cos(roll_rad / 2), math.sin(roll_rad / 2)
        cp, sp = math.cos(pitch_rad / 2), math.sin(pitch_rad / 2)
        cy, sy = math.cos(yaw_rad / 2), math.sin(yaw_rad / 2)
        quaternion = (
            cr * cp * cy + sr * sp * sy,
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
        )
        return SE3(quaternion_wxyz=quaternion, translation_m=translation_m)

    @property
    def rotation(self) -> Float64:
        """The rotation as a (3, 3) matrix."""
        w, x, y, z = self.quaternion_wxyz
        s = 2.0 / (w * w + x * x + y * y + z * z)
        return np.array(
            [
                [1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)],
                [s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x)],
                [s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)],
            ]
        )

    @property
    def translation(self) -> Float64:
        """The translation as a (3,) vector in metres."""
        return np.array(self.translation_m)

    @property
    def matrix(self) -> Float64:
        """The (4, 4) homogeneous matrix."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.rotation
        matrix[:3, 3] = self.translation_m
        return matrix

    @property
    def yaw_rad(self) -> float:
        """Heading of the rotated x axis in the destination's xy plane, in (-pi, pi]."""
        rotation = self.rotation
        return math.atan2(rotation[1, 0], rotation[0, 0])

    @property
    def inverse(self) -> SE3:
        """The transform in the other direction."""
        w, x, y, z = self.quaternion_wxyz
        tx, ty, tz = -(self.rotation.T @ self.translation)
        return SE3(quaternion_wxyz=(w, -x, -y, -z), translation_m=(float(tx), float(ty), float(tz)))

    def __matmul__(self, other: SE3) -> SE3:
        """Compose: `map_from_ego @ ego_from_lidar` is `map_from_lidar`."""
        w1, x1, y1, z1 = self.quaternion_wxyz
        w2, x2, y2, z2 = other.quaternion_wxyz
        quaternion = (
            w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
            w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
            w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
            w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
        )
        norm = math.sqrt(sum(q * q for q in quaternion))
        tx, ty, tz = self.rotation @ other.translation + self.translation
        w, x, y, z = (q / norm for q in quaternion)
        return SE3(quaternion_wxyz=(w, x, y, z), translation_m=(float(tx), float(ty), float(tz)))

    def apply(self, points_m: NDArray[Any]) -> NDArray[Any]:
        """Transform points (..., 3) into the destination frame; NaN stays NaN, the dtype stays."""
        dtype = points_m.dtype if points_m.dtype == np.float32 else np.float64
        rotation = self.rotation.astype(dtype)
        return points_m @ rotation.T + self.translation.astype(dtype)

    def rotate(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """Rotate vectors (..., 3) into the destination frame, without translating."""
        return vectors @ self.rotation.T


@lru_cache(maxsize=512)
def interpolate(first: SE3, second: SE3, fraction: float) -> SE3:
    """Pose between two poses: translation linear, rotation on the shortest arc (slerp).

    The latest are kept: of the scans and sweeps of a tick most were of the tick before.

    Args:
        first: Pose at fraction 0.
        second: Pose at fraction 1.
        fraction: Place between them; outside [0, 1] extrapolates.

    """
    q1 = np.array(first.quaternion_wxyz)
    q2 = np.array(second.quaternion_wxyz)
    dot = float(q1 @ q2)
    if dot < 0:
        q2, dot = -q2, -dot
    angle = math.acos(min(1.0, dot))
    if angle < 1e-9:
        q = q1 + fraction * (q2 - q1)
    else:
        q = (math.sin((1 - fraction) * angle) * q1 + math.sin(fraction * angle) * q2) / math.sin(angle)
    w, x, y, z = (float(v) for v in q / np.linalg.norm(q))
    tx, ty, tz = (float(v) for v in (1 - fraction) * first.translation + fraction * second.translation)
    return SE3(quaternion_wxyz=(w, x, y, z), translation_m=(tx, ty, tz))


def slerp(first: Float64, second: Float64, fractions: Float64) -> Float64:
    """Unit quaternions (K, 4) between pairs (K, 4) on the shortest arc, as in `interpolate`."""
    dots = np.einsum("ki,ki->k", first, second)
    second = np.where(dots[:, None] < 0, -second, second)
    angles = np.arccos(np.minimum(1.0, np.abs(dots)))
    still = angles < 1e-9
    sines = np.where(still, 1.0, np.sin(angles))
    weight_first = np.where(still, 1 - fractions, np.sin((1 - fractions) * angles) / sines)
    weight_second = np.where(still, fractions, np.sin(fractions * angles) / sines)
    mixed = weight_first[:, None] * first + weight_second[:, None] * second
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


def rotation_matrices(quaternions_wxyz: Float64) -> Float64:
    """Rotations (K, 3, 3) of unit quaternions (K, 4)."""
    w, x, y, z = quaternions_wxyz.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


def wrap_angle(angle_rad: NDArray[Any] | float) -> Any:
    """Wrap angles into [-pi, pi)."""
    return (angle_rad + math.pi) % (2 * math.pi) - math.pi


def _quaternion_from_rotation(rotation: Float64) -> tuple[float, float, float, float]:
    """Unit quaternion (w, x, y, z) nearest to a rotation matrix (Bar-Itzhack 2000, eigenvector form)."""
    r = rotation
    k = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], r[1, 0] + r[0, 1], r[2, 0] + r[0, 2], r[2, 1] - r[1, 2]],
            [r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], r[2, 1] + r[1, 2], r[0, 2] - r[2, 0]],
            [r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]],
        ]
    )
    _, vectors = np.linalg.eigh(k / 3.0)
    x, y, z, w = vectors[:, -1]
    if w < 0:
        w, x, y, z = -w, -x, -y, -z
    return float(w), float(x), float(y), float(z)
