"""Upright 3D boxes as arrays: centre, (length, width, height), yaw about +z, velocity."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.arrays import checked_array
from tricast.sensors.geometry.se3 import SE3, wrap_angle

Float64 = NDArray[np.float64]

CORNER_SIGNS = np.array(
    [[1, 1, -1], [1, -1, -1], [-1, -1, -1], [-1, 1, -1], [1, 1, 1], [1, -1, 1], [-1, -1, 1], [-1, 1, 1]],
    dtype=np.float64,
)
"""Corner order: bottom then top face, each front left, front right, rear right, rear left."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Boxes:
    """N upright boxes in one frame, at one time.

    Args:
        centers_m: (N, 3) centres of volume.
        sizes_m: (N, 3) length along the heading, width, height; all positive.
        yaws_rad: (N,) headings about +z, counted from +x.
        velocities_mps: (N, 2) velocity over ground, along the frame's x and y axes; NaN where unknown.

    Raises:
        SensorDataError: Shapes or types are wrong, or a centre, size or yaw is not finite.

    """

    centers_m: Float64
    sizes_m: Float64
    yaws_rad: Float64
    velocities_mps: Float64

    def __post_init__(self) -> None:
        count = len(self.centers_m)
        shapes: dict[str, tuple[int | None, ...]] = {
            "centers_m": (count, 3),
            "sizes_m": (count, 3),
            "yaws_rad": (count,),
            "velocities_mps": (count, 2),
        }
        for name, shape in shapes.items():
            array = checked_array(
                getattr(self, name),
                name=f"boxes {name}",
                shape=shape,
                dtype=np.float64,
                finite=name != "velocities_mps",
            )
            object.__setattr__(self, name, array)

    @staticmethod
    def empty() -> Boxes:
        """No boxes."""
        return Boxes(
            centers_m=np.zeros((0, 3)),
            sizes_m=np.zeros((0, 3)),
            yaws_rad=np.zeros(0),
            velocities_mps=np.zeros((0, 2)),
        )

    def __len__(self) -> int:
        return len(self.centers_m)

    def __getitem__(self, index: Any) -> Boxes:
        """Select boxes by a slice, an index array or a boolean mask."""
        return Boxes(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def corners_m(self) -> Float64:
        """Corners (N, 8, 3) in the order of `CORNER_SIGNS`."""
        local = 0.5 * self.sizes_m[:, None, :] * CORNER_SIGNS[None]
        cos, sin = np.cos(self.yaws_rad)[:, None], np.sin(self.yaws_rad)[:, None]
        x = cos * local[..., 0] - sin * local[..., 1]
        y = sin * local[..., 0] + cos * local[..., 1]
        return np.stack([x, y, local[..., 2]], axis=-1) + self.centers_m[:, None, :]

    def transformed(self, destination_from_source: SE3) -> Boxes:
        """The same boxes in another frame; roll and pitch of the transform move centres but not headings."""
        rotation = destination_from_source.rotation
        yaw = destination_from_source.yaw_rad
        velocity = np.concatenate([self.velocities_mps, np.zeros((len(self), 1))], axis=1)
        return Boxes(
            centers_m=destination_from_source.apply(self.centers_m),
            sizes_m=self.sizes_m,
            yaws_rad=wrap_angle(self.yaws_rad + yaw),
            velocities_mps=(velocity @ rotation.T)[:, :2],
        )

    def contains(self, points_m: NDArray[Any]) -> NDArray[np.bool_]:
        """Which of P points (P, 3) lie in which box, as (N, P)."""
        delta = np.asarray(points_m, dtype=np.float64)[None] - self.centers_m[:, None, :]
        cos, sin = np.cos(self.yaws_rad)[:, None], np.sin(self.yaws_rad)[:, None]
        along = cos * delta[..., 0] + sin * delta[..., 1]
        across = -sin * delta[..., 0] + cos * delta[..., 1]
        half = 0.5 * self.sizes_m[:, None, :]
        inside = (np.abs(along) <= half[..., 0]) & (np.abs(across) <= half[..., 1])
        return inside & (np.abs(delta[..., 2]) <= half[..., 2])


def concatenate_boxes(parts: list[Boxes]) -> Boxes:
    """All boxes of several sets in one, in order."""
    if not parts:
        return Boxes.empty()
    return Boxes(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Boxes)})
