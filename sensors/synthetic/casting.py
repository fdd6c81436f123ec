"""Ray casting against a scene at one time, by Embree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from tricast.sensors.geometry.boxes import CORNER_SIGNS
from tricast.sensors.synthetic.scene import Scene

GROUND = -1
NOTHING = -2
BOX_TRIANGLES = np.array(
    [
        [0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6], [0, 4, 5], [0, 5, 1],
        [1, 5, 6], [1, 6, 2], [2, 6, 7], [2, 7, 3], [3, 7, 4], [3, 4, 0],
    ]
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Hits:
    """First hits of R rays.

    Args:
        distances_m: (R,) infinity where nothing is hit.
        actors: (R,) index of the actor, `GROUND` or `NOTHING`.
        normals: (R, 3) unit normals against the ray; zeros where nothing is hit.

    """

    distances_m: NDArray[np.float64]
    actors: NDArray[np.int64]
    normals: NDArray[np.float64]


class Caster:
    """The scene frozen at one time."""

    def __init__(self, scene: Scene, time_s: float) -> None:
        vertices, owners = _triangles(scene, time_s)
        self._owners = owners
        self._embree = EmbreeScene()
        TriangleMesh(self._embree, vertices.astype(np.float32))

    def cast(self, origins_m: NDArray[np.float64], directions: NDArray[np.float64]) -> Hits:
        """First hits of rays (R, 3), (R, 3) in world axes; the ground is the plane z = 0."""
        out = self._embree.run(origins_m.astype(np.float32), directions.astype(np.float32), output=1)
        hit = out["primID"] >= 0
        distances = np.where(hit, out["tfar"].astype(np.float64), np.inf)
        actors = np.where(hit, self._owners[np.maximum(out["primID"], 0)], NOTHING)
        normals = np.where(hit[:, None], out["Ng"].astype(np.float64), 0.0)
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        normals = normals / np.maximum(length, 1e-12)
        normals *= -np.sign((normals * directions).sum(axis=1, keepdims=True))
        downward = directions[:, 2] < -1e-9
        to_ground = np.where(downward, -origins_m[:, 2] / np.where(downward, directions[:, 2], 1.0), np.inf)
        ground = to_ground < distances
        normals[ground] = (0.0, 0.0, 1.0)
        return Hits(
            distances_m=np.where(ground, to_ground, distances),
            actors=np.where(ground, GROUND, actors),
            normals=normals,
        )


def _triangles(scene: Scene, time_s: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Triangles (T, 3, 3) of all actors' parts in the world, and the actor (T,) that each belongs to."""
    corners, owners = [], []
    for index, actor in enumerate(scene.actors):
        cos, sin = np.cos(actor.yaw_rad), np.sin(actor.yaw_rad)
        rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        for offset, share in actor.parts:
            local = (np.array(offset) + 0.5 * CORNER_SIGNS * np.array(share)) * actor.size_m
            corners.append(local @ rotation.T + actor.center_m(time_s))
            owners.append(np.full(len(BOX_TRIANGLES), index))
    return np.stack(corners)[:, BOX_TRIANGLES].reshape(-1, 3, 3), np.concatenate(owners)
