"""Long things that follow the road: a profile drawn along it, and one body many times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.materials import MATT
from tricast.sensors.synthetic.motorway.road import MotorwayRoad
from tricast.sensors.synthetic.scenery import Mesh

Float64 = NDArray[np.float64]


def rectangle(width_m: float, low_m: float, high_m: float) -> Float64:
    """A profile (4, 2) about its middle."""
    half = width_m / 2
    return np.array([[-half, low_m], [half, low_m], [half, high_m], [-half, high_m]])


def extruded(
    road: MotorwayRoad, along_m: Float64, across_m: float, profile_m: Float64, color: Float64, material: int = MATT
) -> Mesh:
    """A convex profile along the road, closed at both ends.

    Args:
        road: The road.
        along_m: (N,) rising places of the profile.
        across_m: Where it stands across the middle of the road.
        profile_m: (K, 2) corners to the left of that place and above the ground there, counter-clockwise as seen
            against the direction in which `along_m` rises.
        color: (3,) of all of it, or (N - 1, 3) from place to place.
        material: As in `materials`.

    """
    foot, yaw = road.centreline.at(along_m, across_m)
    left = np.stack([-np.sin(yaw), np.cos(yaw)], axis=1)
    corners = np.empty((len(along_m), len(profile_m), 3))
    corners[..., :2] = foot[:, None] + left[:, None] * profile_m[None, :, :1]
    corners[..., 2] = road.height_m(foot)[:, None] + profile_m[None, :, 1]
    a, b = corners[:-1], np.roll(corners, -1, axis=1)[:-1]
    c, d = np.roll(corners, -1, axis=1)[1:], corners[1:]
    sides = np.stack([np.stack([a, b, c], axis=2), np.stack([a, c, d], axis=2)], axis=2)
    rim = np.arange(1, len(profile_m) - 1)
    first, last = corners[0], corners[-1]
    begin = np.stack([np.broadcast_to(first[0], (len(rim), 3)), first[rim + 1], first[rim]], axis=1)
    end = np.stack([np.broadcast_to(last[0], (len(rim), 3)), last[rim], last[rim + 1]], axis=1)
    per_step = 2 * len(profile_m)
    shades = np.repeat(np.broadcast_to(color, (len(along_m) - 1, 3)), per_step, axis=0)
    triangles = np.concatenate([sides.reshape(-1, 3, 3), begin, end])
    colors = np.concatenate([shades, np.tile(shades[0], (len(rim), 1)), np.tile(shades[-1], (len(rim), 1))])
    return triangles, colors, np.full(len(triangles), material, np.int8)


def repeated(
    road: MotorwayRoad,
    body: Mesh,
    along_m: Float64,
    across_m: float,
    height_m: float,
    *,
    turned_rad: float = 0.0,
    sink_m: float = 0.0,
) -> Mesh:
    """A body of a height at many places (N,) beside the road, turned against its direction."""
    foot, yaw = road.centreline.at(along_m, across_m)
    cos, sin = np.cos(yaw + turned_rad)[:, None, None], np.sin(yaw + turned_rad)[:, None, None]
    x, y, z = np.moveaxis(body[0][None], -1, 0)
    heights = (road.height_m(foot) + height_m / 2 - sink_m)[:, None, None]
    placed = np.stack(
        [x * cos - y * sin + foot[:, None, None, 0], x * sin + y * cos + foot[:, None, None, 1], z + heights], axis=-1
    )
    count = len(along_m)
    return placed.reshape(-1, 3, 3), np.tile(body[1], (count, 1)), np.tile(body[2], count)


def joined(meshes: Sequence[Mesh]) -> Mesh:
    """Meshes as one."""
    triangles, colors, materials = zip(*meshes, strict=True)
    return np.concatenate(triangles), np.concatenate(colors), np.concatenate(materials)
