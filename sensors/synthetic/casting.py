"""Ray casting against a scene: open3d's RaycastingScene, or `embreex` where open3d cannot load; both are Embree."""

from __future__ import annotations

import ctypes
import importlib
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.ground import Float32
from tricast.sensors.synthetic.materials import MATT
from tricast.sensors.synthetic.scene import Scene

STATIC = -1
NOTHING = -2
Backend = Literal["open3d", "embreex"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Hits:
    """First hits of R rays.

    Args:
        distances_m: (R,) float32, infinity where nothing is hit.
        triangles: (R,) index into the caster's arrays by triangle, -1 where nothing is hit.
        owners: (R,) index of the actor, `STATIC` or `NOTHING`.

    """

    distances_m: Float32
    triangles: NDArray[np.int64]
    owners: NDArray[np.int32]


class TriangleCaster(Protocol):
    """Triangles (T, 3, 3) ready for rays."""

    def cast(self, rays: Float32) -> tuple[Float32, NDArray[np.int64]]:
        """First hits of rays (R, 6), origin and direction.

        Returns:
            Distances (R,), infinity for a miss, and indices (R,) of the triangles, -1 for a miss; both the
            caller's own.

        """
        ...


class EmbreexCaster:
    """Casting by `embreex`, which needs nothing of the system."""

    def __init__(self, triangles_m: NDArray[Any]) -> None:
        # Extension modules without types.
        meshes: Any = importlib.import_module("embreex.mesh_construction")
        scenes: Any = importlib.import_module("embreex.rtcore_scene")
        self._scene: Any = scenes.EmbreeScene()
        meshes.TriangleMesh(self._scene, np.ascontiguousarray(triangles_m, dtype=np.float32))

    def cast(self, rays: Float32) -> tuple[Float32, NDArray[np.int64]]:
        """See `TriangleCaster.cast`."""
        origins, directions = np.ascontiguousarray(rays[:, :3]), np.ascontiguousarray(rays[:, 3:])
        out: dict[str, NDArray[Any]] = self._scene.run(origins, directions, output=1)
        triangles: NDArray[np.int64] = out["primID"].astype(np.int64)
        return np.where(triangles >= 0, out["tfar"], np.inf).astype(np.float32), triangles


class Open3dCaster:
    """Casting by open3d, on one thread: drives are recorded by several processes."""

    def __init__(self, triangles_m: NDArray[Any]) -> None:
        o3d = _open3d()
        assert o3d is not None
        self._o3d, self._scene = o3d, o3d.t.geometry.RaycastingScene()
        vertices = np.ascontiguousarray(triangles_m, dtype=np.float32).reshape(-1, 3)
        order = np.arange(len(vertices), dtype=np.uint32).reshape(-1, 3)
        self._scene.add_triangles(o3d.core.Tensor(vertices), o3d.core.Tensor(order))

    def cast(self, rays: Float32) -> tuple[Float32, NDArray[np.int64]]:
        """See `TriangleCaster.cast`."""
        out = self._scene.cast_rays(self._o3d.core.Tensor.from_numpy(rays), nthreads=1)
        triangles = out["primitive_ids"].numpy().astype(np.int64)
        distances = out["t_hit"].numpy()
        triangles[np.isinf(distances)] = -1
        return distances, triangles


def rays_from(origins_m: NDArray[Any], directions: NDArray[Any]) -> Float32:
    """Rays (R, 6) from origins (R, 3), or one (3,) for all, along directions (R, 3)."""
    rays = np.empty((len(directions), 6), np.float32)
    rays[:, :3], rays[:, 3:] = origins_m, directions
    return rays


@cache
def _open3d() -> Any:
    """The module, or None where it or a library that it needs is missing."""
    # The wheel of libusb stands in for the system's, which open3d links to and a bare machine may lack.
    with suppress(ImportError, OSError):
        ctypes.CDLL(str(importlib.import_module("libusb_package").get_library_path()), mode=ctypes.RTLD_GLOBAL)
    try:
        return importlib.import_module("open3d")
    except (ImportError, OSError):
        return None


def default_backend() -> Backend:
    """The caster that this machine can load."""
    return "embreex" if _open3d() is None else "open3d"


def make_caster(triangles_m: NDArray[Any], backend: Backend) -> TriangleCaster:
    """Triangles (T, 3, 3) for a backend."""
    return Open3dCaster(triangles_m) if backend == "open3d" else EmbreexCaster(triangles_m)


class SceneCaster:
    """A scene whose standing part is built once and whose moving road users are placed anew for each time."""

    def __init__(self, scene: Scene, backend: Backend) -> None:
        self._scene = scene
        self._backend: Backend = backend
        self._last: tuple[float, FrozenCaster] | None = None
        # Scenery first, then whoever stands for the whole scene, then whoever moves.
        numbers = [i for i, a in enumerate(scene.actors) if a.agent < 0]
        numbers += [i for i, a in enumerate(scene.actors) if a.agent >= 0]
        actors = [scene.actors[i] for i in numbers]
        self._owners = np.repeat(numbers, [len(a.triangles_m) for a in actors]).astype(np.int32)
        self._bodies = np.concatenate([np.zeros((0, 3, 3)), *(a.triangles_m for a in actors)]).astype(np.float32)
        self._body_normals = _normals(self._bodies)
        self._num_standing = sum(len(a.triangles_m) for a in actors if a.agent < 0)
        standing = self._placed(0.0, slice(0, self._num_standing))
        self._static = make_caster(np.concatenate([scene.static_triangles_m, standing[0]]), backend)
        self._static_normals = np.concatenate([_normals(scene.static_triangles_m), standing[1]])
        colors = [scene.static_colors, *(a.colors for a in actors), np.full((1, 3), np.nan)]
        self._all_colors = np.concatenate(colors).astype(np.float32)
        materials = [scene.static_materials, *(a.materials for a in actors), np.full(1, MATT, np.int8)]
        self._all_materials = np.concatenate(materials)
        scenery = np.full(len(scene.static_triangles_m), STATIC, np.int32)
        self._all_owners = np.concatenate([scenery, self._owners, np.array([NOTHING], np.int32)])

    def triangles_m(self, time_s: float) -> tuple[Float32, NDArray[np.int32]]:
        """Triangles (T, 3, 3) of all road users in the world at a time, and their owners (T,)."""
        return self._placed(time_s, slice(None))[0], self._owners

    def _placed(self, time_s: float, part: slice) -> tuple[Float32, Float32]:
        """Triangles (T, 3, 3) of a part of the bodies in the world, and their normals (T, 3)."""
        centers, yaws, _ = self._scene.states(time_s)
        owners = self._owners[part]
        cos, sin = (f(yaws).astype(np.float32)[owners] for f in (np.cos, np.sin))
        x, y, z = centers.astype(np.float32)[owners].T
        bodies, flat = self._bodies[part], self._body_normals[part]
        triangles, turned = np.empty_like(bodies), np.empty_like(flat)
        for corner in range(3):
            ahead, left, up = bodies[:, corner].T
            triangles[:, corner, 0] = ahead * cos - left * sin + x
            triangles[:, corner, 1] = ahead * sin + left * cos + y
            triangles[:, corner, 2] = up + z
        turned[:, 0] = flat[:, 0] * cos - flat[:, 1] * sin
        turned[:, 1] = flat[:, 0] * sin + flat[:, 1] * cos
        turned[:, 2] = flat[:, 2]
        return triangles, turned

    def at(self, time_s: float) -> FrozenCaster:
        """The scene standing still at a time; the last one asked for is kept."""
        if self._last is None or self._last[0] != time_s:
            self._last = (time_s, self._frozen_at(time_s))
        return self._last[1]

    def _frozen_at(self, time_s: float) -> FrozenCaster:
        triangles, turned = self._placed(time_s, slice(self._num_standing, None))
        moving = make_caster(triangles, self._backend) if len(triangles) else None
        return FrozenCaster(
            static=self._static,
            moving=moving,
            normals=np.concatenate([self._static_normals, turned, np.zeros((1, 3), np.float32)]),
            colors=self._all_colors,
            materials=self._all_materials,
            owners=self._all_owners,
            num_static=len(self._static_normals),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class FrozenCaster:
    """The scene at one time; made by `SceneCaster.at`.

    Args:
        static: What always stands.
        moving: Moving road users; None where there are none.
        normals: (T + 1, 3) float32 outward unit normals of all triangles; the last row, that of a miss, is zero.
        colors: (T + 1, 3) float32; NaN on the ground and in the last row.
        materials: (T + 1,) as in `materials`.
        owners: (T + 1,) as in `Hits`.
        num_static: How many of the triangles always stand; they come first.

    """

    static: TriangleCaster
    moving: TriangleCaster | None
    normals: Float32
    colors: Float32
    materials: NDArray[np.int8]
    owners: NDArray[np.int32]
    num_static: int

    def cast(self, rays: Float32) -> Hits:
        """First hits of rays (R, 6) in world axes: origins and directions."""
        distances, triangles = self.static.cast(rays)
        if self.moving is not None:
            nearer, bodies = self.moving.cast(rays)
            closer = np.flatnonzero(nearer < distances)
            distances[closer] = nearer[closer]
            triangles[closer] = bodies[closer] + self.num_static
        return Hits(distances_m=distances, triangles=triangles, owners=self.owners[triangles])


def _normals(triangles_m: NDArray[Any]) -> Float32:
    """Outward unit normals (T, 3) of triangles (T, 3, 3)."""
    crossed = np.cross(triangles_m[:, 1] - triangles_m[:, 0], triangles_m[:, 2] - triangles_m[:, 0])
    return (crossed / np.maximum(np.linalg.norm(crossed, axis=1, keepdims=True), 1e-12)).astype(np.float32)
