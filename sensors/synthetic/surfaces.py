"""Patterns of surfaces in version 2 of the world: by place alone, so that nothing has to be stored."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.ground import Float32
from tricast.sensors.synthetic.materials import GLASS, LACQUER, LAMP, LEAF, METAL, MIRROR, NUM_MATERIALS, WALL

GRAINS = ((0.6, 0.22), (0.15, 0.3), (0.04, 0.3))
"""Size in metres and strength of each grain; one finer than a pixel is averaged away."""
ROUGHNESS: Float32 = np.ones(NUM_MATERIALS, np.float32)
ROUGHNESS[[LACQUER, GLASS, METAL, LEAF, WALL, LAMP, MIRROR]] = 0.2, 0.1, 0.4, 2.2, 0.9, 0.0, 0.3
STOREY_M, BAY_M = 3.0, 2.3
PANE: Float32 = np.array([[0.13], [0.15], [0.18]], np.float32)


def texture(
    points_m: Float32, materials: NDArray[np.int8], ground: NDArray[np.bool_], footprints_m: Float32, strength: float
) -> Float32:
    """Stains and grain (R,) as factors of the light.

    Args:
        points_m: (3, R).
        materials: (R,).
        ground: (R,) which are ground.
        footprints_m: (R,) width of a pixel there.
        strength: 0 for none.

    """
    rough = np.where(ground, np.float32(1.2), ROUGHNESS[materials]) * np.float32(strength)
    shade = np.zeros(points_m.shape[1], np.float32)
    for cell_m, share in GRAINS:
        visible = np.minimum(np.float32(cell_m) / np.maximum(footprints_m, np.float32(1e-3)), 1)
        shade += (cell_hash(*(points_m * np.float32(1 / cell_m))) - np.float32(0.5)) * visible * np.float32(share)
    return np.maximum(1 + shade * rough, np.float32(0.05))


def cell_hash(*places: NDArray[Any]) -> Float32:
    """A number in 0 .. 1 (R,) of the cell in which places (R,) lie."""
    mixed = np.zeros(places[0].shape, np.int32)
    for place, factor in zip(places, (73856093, 19349663, 83492791), strict=False):
        mixed ^= np.floor(place).astype(np.int32) * np.int32(factor)
    mixed ^= mixed >> 13
    return (mixed & 1023).astype(np.float32) * np.float32(1 / 1023)


def facades(
    colors: Float32, points_m: Float32, normals: Float32, footprints_m: Float32
) -> tuple[Float32, NDArray[np.float32]]:
    """Windows, doors, ledges and courses of bricks on walls.

    Args:
        colors: (3, W) of the houses.
        points_m: (3, W).
        normals: (3, W).
        footprints_m: (W,) width of a pixel there.

    Returns:
        Colours (3, W), and which panes are lit from inside (W,), as 0 or 1.

    """
    faces_x = np.abs(normals[0]) > np.abs(normals[1])
    along = points_m[0].copy()
    along[faces_x] = points_m[1, faces_x]
    bay, storey = along / np.float32(BAY_M), points_m[2] / np.float32(STOREY_M)
    u, v = bay % 1, storey % 1
    upright = np.abs(normals[2]) < 0.5
    chance = cell_hash(bay, storey, colors[0] * 50)
    fine = np.clip(np.float32(0.2) / np.maximum(footprints_m, np.float32(1e-3)), 0, 1)
    course = ((points_m[2] % 0.24) < 0.04) | ((along % 0.5) < 0.04)
    shade = np.where(course, 1 - np.float32(0.25) * fine, np.float32(1.0))
    shade = np.where(v < 0.05, np.float32(1.25), shade)
    shade = np.where(upright, shade, np.where((along % 0.4) < 0.06, np.float32(0.45), np.float32(0.6)))
    painted = colors * shade
    door = upright & (storey < 1) & (chance < 0.25) & (np.abs(u - 0.5) < 0.22) & (v < 0.72)
    frame = upright & (np.abs(u - 0.5) < 0.28) & (np.abs(v - 0.55) < 0.27) & ~door & (chance < 0.92)
    pane = frame & (np.abs(u - 0.5) < 0.24) & (np.abs(v - 0.55) < 0.235) & (np.abs(u - 0.5) > 0.02)
    painted[:, door] = colors[:, door][::-1] * np.float32(0.45)
    painted[:, frame] = np.minimum(colors[:, frame] * np.float32(1.5), np.float32(0.9))
    curtain = np.where(v[pane] > 0.55 + 0.2 * (chance[pane] - 0.5), 1 + 2.5 * chance[pane], np.float32(1.0))
    painted[:, pane] = PANE * curtain.astype(np.float32)
    return painted, (pane & (chance < 0.3)).astype(np.float32)
