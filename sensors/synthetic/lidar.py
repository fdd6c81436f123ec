"""Synthetic LiDAR sweeps: rolling shutter, intensity, range noise, drop-out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synthetic.casting import NOTHING, Float32, FrozenCaster, Hits, SceneCaster, rays_from
from tricast.sensors.synthetic.lidar_optics import depths_m, detected, elevations_rad, intensities
from tricast.sensors.synthetic.scene import Scene
from tricast.sensors.synthetic.world_config import LidarConfig

FADING_M = np.float32(60.0)
LEAST_STRENGTH = np.float32(0.025)


@dataclass(frozen=True, kw_only=True, eq=False)
class LidarReturns:
    """N returns of one revolution, in the sensor's axes at each return's own time.

    Args:
        points_m: (N, 3).
        intensity: (N,) in 0 .. 1.
        offsets_s: (N,) time since the end of the revolution, not positive.
        rings: (N,) beam, 0 the lowest.
        owners: (N,) as in `Hits`.

    """

    points_m: NDArray[np.floating]
    intensity: NDArray[np.floating]
    offsets_s: NDArray[np.float64]
    rings: NDArray[np.int64]
    owners: NDArray[np.int32]


def sweep(
    scene: Scene, caster: SceneCaster, ego_from_lidar: SE3, config: LidarConfig, time_s: float, rng: np.random.Generator
) -> LidarReturns:
    """The revolution that ends at a time."""
    local, offsets_s = _beams(config)  # pyright: ignore[reportArgumentType] - a frozen pydantic model has a hash
    ranges, albedo, incidence = (np.empty(offsets_s.shape, np.float32) for _ in range(3))
    owners, materials = np.empty(offsets_s.shape, np.int32), np.empty(offsets_s.shape, np.int8)
    for columns in np.array_split(np.arange(config.num_columns), config.num_slices):
        within = slice(columns[0], columns[-1] + 1)
        times_s = time_s + offsets_s[0, within]
        origins, directions = _moved(scene, ego_from_lidar, local[:, :, within], times_s)
        frozen = caster.at(float(times_s.mean()))
        hits = frozen.cast(rays_from(origins.reshape(3, -1).T, directions.reshape(3, -1).T))
        shape = (config.num_beams, len(columns))
        light, angle = _reflection(scene, frozen, origins.reshape(3, -1), directions.reshape(3, -1), hits)
        ranges[:, within], owners[:, within] = hits.distances_m.reshape(shape), hits.owners.reshape(shape)
        albedo[:, within], incidence[:, within] = light.reshape(shape), angle.reshape(shape)
        materials[:, within] = frozen.materials[hits.triangles].reshape(shape)
    optics = config.optics
    if optics is None:
        seen = _seen(ranges, albedo, incidence, config, rng)
        range_noise, glow_noise = rng.standard_normal((2, int(seen.sum())), dtype=np.float32)
        glow = albedo[seen] * (0.2 + 0.8 * incidence[seen]) + np.float32(0.02) * glow_noise
    else:
        seen = detected(ranges, albedo, incidence, materials, optics, config.drop_out, rng)
        seen &= ranges < config.max_range_m
        ranges[seen] += depths_m(materials[seen], optics, rng)
        range_noise = rng.standard_normal(int(seen.sum()), dtype=np.float32)
        glow = intensities(albedo[seen], incidence[seen], materials[seen], optics, rng)
    noisy = ranges[seen] + np.float32(config.range_noise_m) * range_noise
    return LidarReturns(
        points_m=(local[:, seen] * noisy).T,
        intensity=np.clip(glow, 0, 1),
        offsets_s=offsets_s[seen],
        rings=np.nonzero(seen)[0],
        owners=owners[seen],
    )


def _seen(
    ranges: Float32, albedo: Float32, incidence: Float32, config: LidarConfig, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Which rays come back in version 1 of the world: dark, grazed and distant surfaces give too little light."""
    strength = albedo * (0.15 + 0.85 * incidence) * np.exp(-np.minimum(ranges, np.float32(1e4)) / FADING_M)
    chance = np.clip(strength / LEAST_STRENGTH, 0, 1) * np.float32(1 - config.drop_out)
    return (ranges < config.max_range_m) & (rng.random(ranges.shape, np.float32) < chance)


@lru_cache(maxsize=4)
def _beams(config: LidarConfig) -> tuple[Float32, NDArray[np.float64]]:
    """Directions (3, beams, columns) in the sensor's axes, and times (beams, columns) since the revolution's end."""
    limits = config.lowest_rad, config.highest_rad, config.num_beams
    optics = config.optics
    elevations = np.linspace(*limits) if optics is None else elevations_rad(*limits, optics.horizon_density)
    elevations = elevations[:, None]
    azimuths = -2 * np.pi * np.arange(config.num_columns)[None] / config.num_columns
    parts = np.cos(elevations) * np.cos(azimuths), np.cos(elevations) * np.sin(azimuths), np.sin(elevations)
    local = np.stack(np.broadcast_arrays(*parts)).astype(np.float32)
    offsets_s = config.period_ms / 1000 * (np.arange(1, config.num_columns + 1) / config.num_columns - 1)
    return local, np.tile(offsets_s, (config.num_beams, 1))


def _moved(scene: Scene, ego_from_lidar: SE3, local: Float32, times_s: NDArray[np.float64]) -> tuple[Float32, Float32]:
    """Origins and directions (3, beams, columns) in the world: the vehicle moves on from column to column."""
    first, last = (scene.world_from_ego(float(t)) @ ego_from_lidar for t in times_s[[0, -1]])
    share = np.linspace(0, 1, len(times_s), dtype=np.float32)
    begin, end = (np.tensordot(p.rotation.astype(np.float32), local, axes=1) for p in (first, last))
    directions = begin + (end - begin) * share
    directions /= np.sqrt(np.square(directions).sum(axis=0))
    start, way = first.translation[:, None, None], (last.translation - first.translation)[:, None, None]
    return np.broadcast_to((start + way * share).astype(np.float32), local.shape), directions


def _reflection(
    scene: Scene, frozen: FrozenCaster, origins_m: Float32, directions: Float32, hits: Hits
) -> tuple[Float32, Float32]:
    """Share of light that comes back (R,), and the cosine of incidence (R,); 0 where nothing is hit."""
    incidence = np.abs((np.take(frozen.normals.T, hits.triangles, axis=1) * directions).sum(axis=0))
    albedo = frozen.colors.mean(axis=1)[hits.triangles]
    bare = np.flatnonzero(np.isnan(albedo) & (hits.owners != NOTHING))
    points = origins_m[:, bare] + directions[:, bare] * hits.distances_m[bare]
    albedo[bare] = scene.ground.colors(points).mean(axis=0)
    return np.nan_to_num(albedo), incidence
