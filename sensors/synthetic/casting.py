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

from tricast.sensors.synthetic.scene import Scene

STATIC = -1
NOTHING = -2
Backend = Literal["open3d", "embreex"]
Float32 = NDArray[np.float32]


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

    def cast(self, origins_m: Float32, directions: Float32) -> tuple[Float32, NDArray[np.int64]]:
        """Distances (R,), infinity for a miss, and indices (R,) of the triangles, -1 for a miss."""
        ...


class EmbreexCaster:
    """Casting by `embreex`, which needs nothing of the system."""

    def __init__(self, triangles_m: NDArray[Any]) -> None:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self._scene = EmbreeScene()
        TriangleMesh(self._scene, np.ascontiguousarray(triangles_m, dtype=np.float32))

    def cast(self, origins_m: Float32, directions: Float32) -> tuple[Float32, NDArray[np.int64]]:
        """See `TriangleCaster.cast`."""
        out = self._scene.run(origins_m, directions, output=1)
        triangles = out["primID"].astype(np.int64)
        return np.where(triangles >= 0, out["tfar"], np.inf).astype(np.float32), triangles


class Open3dCaster:
    """Casting by open3d, which also uses every core."""

    def __init__(self, triangles_m: NDArray[Any]) -> None:
        o3d = _open3d()
        assert o3d is not None
        self._o3d, self._scene = o3d, o3d.t.geometry.RaycastingScene()
        vertices = np.ascontiguousarray(triangles_m, dtype=np.float32).reshape(-1, 3)
        order = np.arange(len(vertices), dtype=np.uint32).reshape(-1, 3)
        self._scene.add_triangles(o3d.core.Tensor(vertices), o3d.core.Tensor(order))

    def cast(self, origins_m: Float32, directions: Float32) -> tuple[Float32, NDArray[np.int64]]:
        """See `TriangleCaster.cast`."""
        out = self._scene.cast_rays(self._o3d.core.Tensor(np.concatenate([origins_m, directions], axis=1)))
        triangles = out["primitive_ids"].numpy().astype(np.int64)
        distances = out["t_hit"].numpy()
        return distances, np.where(np.isfinite(distances), triangles, -1)


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
    """A scene whose standing part is built once and whose road users are placed anew for each time."""

    def __init__(self, scene: Scene, backend: Backend) -> None:
        self._scene = scene
        self._backend: Backend = backend
        self._last: tuple[float, FrozenCaster] | None = None
        self._static = make_caster(scene.static_triangles_m, backend)
        self._static_normals = _normals(scene.static_triangles_m)
        counts = [len(a.triangles_m) for a in scene.actors]
        self._owners = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
        empty = np.zeros((0, 3, 3))
        self._bodies = np.concatenate([empty, *(a.triangles_m for a in scene.actors)])
        colors = [scene.static_colors, *(a.colors for a in scene.actors), np.full((1, 3), np.nan)]
        self._all_colors = np.concatenate(colors).astype(np.float32)
        standing = np.full(len(scene.static_triangles_m), STATIC, np.int32)
        self._all_owners = np.concatenate([standing, self._owners, np.array([NOTHING], np.int32)])

    def triangles_m(self, time_s: float) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
        """Triangles (T, 3, 3) of all road users in the world at a time, and their owners (T,)."""
        centers, yaws, _ = self._scene.states(time_s)
        cos, sin = np.cos(yaws)[self._owners, None], np.sin(yaws)[self._owners, None]
        x, y = self._bodies[..., 0], self._bodies[..., 1]
        turned = np.stack([x * cos - y * sin, x * sin + y * cos, self._bodies[..., 2]], axis=-1)
        return turned + centers[self._owners][:, None], self._owners

    def at(self, time_s: float) -> FrozenCaster:
        """The scene standing still at a time; the last one asked for is kept."""
        if self._last is None or self._last[0] != time_s:
            self._last = (time_s, self._frozen_at(time_s))
        return self._last[1]

    def _frozen_at(self, time_s: float) -> FrozenCaster:
        triangles, _ = self.triangles_m(time_s)
        moving = make_caster(triangles, self._backend) if len(triangles) else None
        return FrozenCaster(
            static=self._static,
            moving=moving,
            normals=np.concatenate([self._static_normals, _normals(triangles), np.zeros((1, 3), np.float32)]),
            colors=self._all_colors,
            owners=self._all_owners,
            num_static=len(self._static_normals),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class FrozenCaster:
    """The scene at one time; made by `SceneCaster.at`.

    Args:
        static: What always stands.
        moving: Road users; None where there are none.
        normals: (T + 1, 3) float32 outward unit normals of all triangles; the last row, that of a miss, is zero.
        colors: (T + 1, 3) float32; NaN on the ground and in the last row.
        owners: (T + 1,) as in `Hits`.
        num_static: How many of the triangles always stand; they come first.

    """

    static: TriangleCaster
    moving: TriangleCaster | None
    normals: Float32
    colors: Float32
    owners: NDArray[np.int32]
    num_static: int

    def cast(self, origins_m: NDArray[Any], directions: NDArray[Any]) -> Hits:
        """First hits of rays (R, 3), (R, 3) in world axes."""
        origins = np.ascontiguousarray(origins_m, dtype=np.float32)
        rays = np.ascontiguousarray(directions, dtype=np.float32)
        distances, triangles = self.static.cast(origins, rays)
        if self.moving is not None:
            nearer, bodies = self.moving.cast(origins, rays)
            closer = np.flatnonzero(nearer < distances)
            distances, triangles = distances.copy(), triangles.copy()
            distances[closer] = nearer[closer]
            triangles[closer] = bodies[closer] + self.num_static
        return Hits(distances_m=distances, triangles=triangles, owners=self.owners[triangles])


def _normals(triangles_m: NDArray[Any]) -> Float32:
    normals = np.cross(triangles_m[:, 1] - triangles_m[:, 0], triangles_m[:, 2] - triangles_m[:, 0])
    return (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)).astype(np.float32)
