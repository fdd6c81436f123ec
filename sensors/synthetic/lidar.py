"""Synthetic LiDAR sweeps: rolling shutter, intensity, range noise, drop-out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synthetic.camera import ground_colors
from tricast.sensors.synthetic.casting import NOTHING, SceneCaster
from tricast.sensors.synthetic.scene import Scene
from tricast.sensors.synthetic.world_config import LidarConfig


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

    points_m: NDArray[np.float64]
    intensity: NDArray[np.float64]
    offsets_s: NDArray[np.float64]
    rings: NDArray[np.int64]
    owners: NDArray[np.int32]


def sweep(
    scene: Scene, caster: SceneCaster, ego_from_lidar: SE3, config: LidarConfig, time_s: float, rng: np.random.Generator
) -> LidarReturns:
    """The revolution that ends at a time."""
    elevations = np.linspace(config.lowest_rad, config.highest_rad, config.num_beams)
    parts = []
    for columns in np.array_split(np.arange(config.num_columns), config.num_slices):
        azimuths = -2 * np.pi * columns / config.num_columns
        local = np.stack(
            [
                np.outer(np.cos(elevations), np.cos(azimuths)),
                np.outer(np.cos(elevations), np.sin(azimuths)),
                np.outer(np.sin(elevations), np.ones(len(columns))),
            ],
            axis=-1,
        )
        offsets = config.period_ms / 1000 * ((columns + 1) / config.num_columns - 1)
        # The vehicle moves on within the slice: from the poses at its ends, column by column.
        first, last = (scene.world_from_ego(time_s + float(t)) @ ego_from_lidar for t in offsets[[0, -1]])
        share = np.linspace(0, 1, len(columns))[None, :, None]
        directions = (local @ first.rotation.T) * (1 - share) + (local @ last.rotation.T) * share
        directions = directions.reshape(-1, 3) / np.linalg.norm(directions.reshape(-1, 3), axis=1, keepdims=True)
        origins = np.broadcast_to(first.translation * (1 - share) + last.translation * share, local.shape).reshape(
            -1, 3
        )
        frozen = caster.at(time_s + float(offsets.mean()))
        hits = frozen.cast(origins, directions)
        incidence = np.abs((frozen.normals[hits.triangles] * directions).sum(axis=1))
        colors = frozen.colors[hits.triangles]
        bare = np.isnan(colors[:, 0]) & (hits.owners != NOTHING)
        colors[bare] = ground_colors(scene, origins[bare] + directions[bare] * hits.distances_m[bare, None])
        albedo = np.nan_to_num(colors.mean(axis=1))
        # Dark, grazed and distant surfaces give too little light back.
        strength = (
            albedo
            * (0.15 + 0.85 * incidence)
            * np.exp(-np.where(np.isfinite(hits.distances_m), hits.distances_m, 0) / 60)
        )
        seen = (hits.distances_m < config.max_range_m) & (rng.random(len(albedo)) > config.drop_out)
        seen &= rng.random(len(albedo)) < np.clip(strength / 0.025, 0, 1)
        ranges = hits.distances_m + rng.normal(0, config.range_noise_m, len(albedo))
        intensity = np.clip(albedo * (0.2 + 0.8 * incidence) + rng.normal(0, 0.02, len(albedo)), 0, 1)
        points = local.reshape(-1, 3)[seen] * ranges[seen, None]
        times = np.tile(offsets, config.num_beams)[seen]
        rings = np.repeat(np.arange(config.num_beams), len(columns))[seen]
        parts.append((points, intensity[seen], times, rings, hits.owners[seen]))
    points, intensity, offsets_s, rings, owners = (np.concatenate(column) for column in zip(*parts, strict=True))
    return LidarReturns(points_m=points, intensity=intensity, offsets_s=offsets_s, rings=rings, owners=owners)
