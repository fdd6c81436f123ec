"""How cells look into pictures and where pictures look: a look-up table and rays, which stand for the cameras.

Letters in shapes as in `tricast.perception.batch`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tricast.perception.batch import FEATURE_STRIDE_PX, BatchConfig, BevTransform, cell_centers_m
from tricast.perception.tick_sample import CameraInput
from tricast.sensors.geometry.lenses import Lens

Float64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class CameraViews:
    """Table and rays of one sample; shapes and meaning as in `SensorBatch`, without B."""

    lift_index: NDArray[np.int64]
    lift_depth_bin: NDArray[np.int64]
    ray_directions: NDArray[np.float32]
    ray_origins_m: NDArray[np.float32]


def camera_views(
    cameras: Sequence[CameraInput], slots: int, config: BatchConfig, transform: BevTransform
) -> CameraViews:
    """Table and rays of a sample's cameras, which take the first of so many slots."""
    rows, columns = config.feature_size
    width, height = config.image_size_px
    points = lift_points_m(config.cells, config.range_m, config.lift_heights_m, transform)
    index = np.full(len(points), -1, np.int64)
    distance_m, off_center = np.zeros(len(points)), np.full(len(points), np.inf)
    directions = np.zeros((slots, rows, columns, 3), np.float32)
    origins = np.zeros((slots, 3), np.float32)
    for slot, camera in enumerate(cameras):
        lens = camera.lens.scaled(width, height)
        places = _within_widest_angle(camera, lens, config, transform)
        in_camera = camera.tick_from_camera.inverse.apply(points.take(places, axis=0))
        pixels, seen = lens.project(in_camera)
        x, y = pixels.T
        # Where cameras overlap, a cell looks into the one that sees it nearest to its centre.
        off = np.maximum(np.abs(x / width - 0.5), np.abs(y / height - 0.5))
        better = seen & (off < off_center[places])
        places, x, y = places[better], x[better], y[better]
        line, column = (np.floor((pixel + 0.5) / FEATURE_STRIDE_PX).astype(np.int64) for pixel in (y, x))
        index[places] = (slot * rows + line) * columns + column
        distance_m[places] = _lengths(in_camera.compress(better, axis=0))
        off_center[places] = off[better]
        directions[slot] = _feature_rays(camera, config, transform)
        origins[slot] = transform.vectors(camera.tick_from_camera.translation)
    depth_bin = np.zeros(len(points), np.int64)
    looks = np.flatnonzero(index >= 0)
    depth_bin[looks] = depth_bins_of(distance_m[looks], config)
    shape = (config.cells, config.cells, len(config.lift_heights_m))
    return CameraViews(
        lift_index=index.reshape(shape),
        lift_depth_bin=depth_bin.reshape(shape),
        ray_directions=directions,
        ray_origins_m=origins,
    )


def _within_widest_angle(
    camera: CameraInput, lens: Lens, config: BatchConfig, transform: BevTransform
) -> NDArray[np.int64]:
    """Which of `lift_points_m` lie no farther from the optical axis than the lens may see.

    Distances along the axis and from the camera are sums over x, y and z, so that they take two additions a place.
    """
    origin = transform.vectors(camera.tick_from_camera.translation)
    optical = transform.vectors(camera.tick_from_camera.rotation[:, 2])
    axis = cell_centers_m(config.cells, config.range_m).astype(np.float64)
    x, y, z = axis - origin[0], axis[:, None] - origin[1], np.array(config.lift_heights_m) - origin[2]
    ahead = (optical[0] * x + optical[1] * y)[..., None] + optical[2] * z
    away = np.sqrt((x * x + y * y)[..., None] + z * z)
    return np.flatnonzero(ahead >= _lowest_cosine(lens) * away)


def _lengths(vectors: Float64) -> Float64:
    """(N,) of vectors (N, 3); NumPy's own norm is many times slower along so short rows."""
    x, y, z = vectors.T
    return np.sqrt(x * x + y * y + z * z)


@lru_cache(maxsize=2)
def lift_points_m(cells: int, range_m: float, heights_m: tuple[float, ...], transform: BevTransform) -> Float64:
    """Places (Y * X * Z, 3) in ego axes at which cells look into pictures; kept, and so not to be written to."""
    heights = np.array(heights_m)
    axis = cell_centers_m(cells, range_m).astype(np.float64)
    grid = np.stack(np.meshgrid(axis, axis, indexing="xy"), axis=-1)  # (Y, X, 2), x and y
    # Cells lie in the transformed frame, cameras in the ego frame: an orthonormal matrix is undone by itself.
    in_ego = np.broadcast_to((grid @ transform.matrix)[:, :, None], (cells, cells, len(heights), 2))
    height = np.broadcast_to(heights[:, None], (cells, cells, len(heights), 1))
    points = np.concatenate([in_ego, height], axis=-1).reshape(-1, 3)
    points.flags.writeable = False
    return points


@lru_cache(maxsize=64)
def _lowest_cosine(lens: Lens) -> float:
    """Cosine of the widest angle from the optical axis at which a lens may see: projecting the rest is in vain."""
    x, y = np.linspace(-0.5, lens.width_px - 0.5, 9), np.linspace(-0.5, lens.height_px - 0.5, 9)
    rays = lens.rays(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
    return float(rays[:, 2].min() - 0.02) if np.isfinite(rays).all() else -1.0


def depth_bins_of(distances_m: Float64, config: BatchConfig) -> NDArray[np.int64]:
    """Bins (N,) of distances (N,) from a camera; what is nearer or farther than the range goes to the end bins."""
    near, far = config.depth_range_m
    place = np.log(np.maximum(distances_m, 1e-3) / near) / math.log(far / near)
    return np.clip(np.floor(place * config.depth_bins), 0, config.depth_bins - 1).astype(np.int64)


def _feature_rays(camera: CameraInput, config: BatchConfig, transform: BevTransform) -> NDArray[np.float32]:
    rows, columns = config.feature_size
    rays = optical_rays(camera.lens, config.image_size_px)
    return transform.vectors(camera.tick_from_camera.rotate(rays)).reshape(rows, columns, 3).astype(np.float32)


@lru_cache(maxsize=64)
def optical_rays(lens: Lens, image_size_px: tuple[int, int]) -> Float64:
    """Rays (h * w, 3) in optical axes through the centres of image features, zeros where a lens has none.

    Kept while the lens is the same: for wide lenses they take iterations. Look-up tables are not kept: they follow
    from the ego motion between exposure and tick, which is another one at every tick of a vehicle that moves.
    """
    columns, rows = (size // FEATURE_STRIDE_PX for size in image_size_px)
    centers = [np.arange(n) * FEATURE_STRIDE_PX + (FEATURE_STRIDE_PX - 1) / 2 for n in (columns, rows)]
    pixels = np.stack(np.meshgrid(*centers, indexing="xy"), axis=-1).reshape(-1, 2)
    rays = lens.scaled(*image_size_px).rays(pixels)
    rays = np.where(np.isfinite(rays), rays, 0.0)
    rays.flags.writeable = False
    return rays
