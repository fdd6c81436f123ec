"""Synthetic radar scans: Doppler, cross-section, misses, ghosts, clutter and standing structure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synthetic.casting import NOTHING, STATIC, FrozenCaster, rays_from
from tricast.sensors.synthetic.scene import Scene
from tricast.sensors.synthetic.world_config import RadarConfig

CLUTTER = -3
GHOST = -4
RETURNS_PER_ACTOR = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class RadarReturns:
    """N returns of one scan, in the sensor's axes.

    Args:
        points_m: (N, 3), in the plane of the sensor unless it measures elevation.
        rcs_dbsm: (N,).
        radial_velocities_mps: (N,) raw: the vehicle's own motion is in them.
        owners: (N,) actor, `STATIC`, `CLUTTER` or `GHOST`.

    """

    points_m: NDArray[np.float64]
    rcs_dbsm: NDArray[np.float64]
    radial_velocities_mps: NDArray[np.float64]
    owners: NDArray[np.int64]


def scan(
    scene: Scene,
    caster: FrozenCaster,
    world_from_radar: SE3,
    sensor_velocity_mps: NDArray[np.float64],
    config: RadarConfig,
    time_s: float,
    rng: np.random.Generator,
) -> RadarReturns:
    """One scan at a time; `sensor_velocity_mps` (3,) is the sensor's own over ground."""
    targets, owners, velocity = _targets(scene, world_from_radar, config, time_s, rng)
    sight = targets - world_from_radar.translation
    far = np.maximum(np.linalg.norm(sight, axis=1), 1e-6)
    sight = sight / far[:, None]
    hits = caster.cast(rays_from(world_from_radar.translation, sight))
    # A ray at a standing thing takes whatever standing thing it meets.
    structure = owners == STATIC
    ranges = np.where(structure, hits.distances_m, far)
    wanted = np.where(structure, STATIC, owners)
    heard: NDArray[np.bool_] = (hits.owners == wanted) & (hits.owners != NOTHING)
    rates = np.where(structure, 0.6, config.detection_rate * np.exp(-far / 120))
    local = sight @ world_from_radar.rotation
    azimuths = np.arctan2(local[:, 1], local[:, 0])
    heard &= (rng.random(len(far)) < rates) & (ranges < config.max_range_m) & (np.abs(azimuths) < config.half_view_rad)
    doppler = ((velocity - sensor_velocity_mps) * sight).sum(axis=1)
    rcs = np.array([a.rcs_dbsm for a in scene.actors] + [4.0])[owners] + rng.normal(0, 3, len(far))
    columns = [np.stack([ranges, azimuths, doppler, rcs], axis=1)[heard]]
    labels = [owners[heard]]
    ghosts = columns[0][(labels[0] >= 0) & (rng.random(len(labels[0])) < config.ghost_rate)]
    # Twice there and back between the target and the own bumper, or by a wall beside the way.
    ghosts = ghosts * (rng.uniform(1.3, 2.0, (len(ghosts), 1)) ** np.array([1, 0, 1, 0])) - np.array([0, 0, 0, 6.0])
    columns.append(ghosts[ghosts[:, 0] < config.max_range_m].reshape(-1, 4))
    labels.append(np.full(len(columns[1]), GHOST))
    real = len(columns[0]) + len(columns[1])
    count = int(np.ceil(real * config.clutter_share / (1 - config.clutter_share))) + int(rng.integers(0, 5))
    columns.append(clutter(count if config.clutter_share else 0, world_from_radar, sensor_velocity_mps, config, rng))
    labels.append(np.full(len(columns[2]), CLUTTER))
    values, label = np.concatenate(columns), np.concatenate(labels)
    ranges = np.maximum(values[:, 0] + rng.normal(0, config.range_noise_m, len(values)), 0.1)
    azimuths = values[:, 1] + rng.normal(0, config.azimuth_noise_rad, len(values))
    return RadarReturns(
        points_m=np.stack([ranges * np.cos(azimuths), ranges * np.sin(azimuths), np.zeros(len(values))], axis=1),
        rcs_dbsm=values[:, 3],
        radial_velocities_mps=values[:, 2] + rng.normal(0, config.doppler_noise_mps, len(values)),
        owners=label.astype(np.int64),
    )


def _targets(
    scene: Scene, world_from_radar: SE3, config: RadarConfig, time_s: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Points (N, 3) to look at, their owners (N,) and velocities (N, 3): road users, then standing structure."""
    centers, yaws, velocities = scene.states(time_s)
    count = len(centers) * RETURNS_PER_ACTOR
    owners = np.repeat(np.arange(len(centers)), RETURNS_PER_ACTOR)
    sizes = np.array([a.size_m for a in scene.actors]).reshape(-1, 3)[owners]
    local = rng.uniform(-0.35, 0.35, (count, 3)) * sizes
    # Small things give one return or none, large ones up to four.
    wanted = np.tile(np.arange(RETURNS_PER_ACTOR), len(centers)) < np.clip(sizes[:, :2].max(axis=1), 1, 4)
    cos, sin = np.cos(yaws)[owners], np.sin(yaws)[owners]
    offset = np.stack(
        [local[:, 0] * cos - local[:, 1] * sin, local[:, 0] * sin + local[:, 1] * cos, local[:, 2]], axis=1
    )
    velocity = np.column_stack([velocities, np.zeros(len(velocities))])[owners]
    targets, owners, velocity = (centers[owners] + offset)[wanted], owners[wanted], velocity[wanted]
    angles = rng.uniform(-config.half_view_rad, config.half_view_rad, config.num_structure_rays)
    upward = rng.uniform(-0.03, 0.06, len(angles))
    rays = np.stack([np.cos(angles), np.sin(angles), upward], axis=1) * 20.0
    return (
        np.concatenate([targets, world_from_radar.apply(rays)]),
        np.concatenate([owners, np.full(len(rays), STATIC)]),
        np.concatenate([velocity, np.zeros((len(rays), 3))]),
    )


def clutter(
    count: int,
    world_from_radar: SE3,
    velocity: NDArray[np.float64],
    config: RadarConfig,
    rng: np.random.Generator,
    *,
    mover_share: float = 0.33,
) -> NDArray[np.float64]:
    """Rows (N, 4) of range, azimuth, Doppler and cross-section that belong to nothing; a share of them seem to move."""
    azimuths = rng.uniform(-config.half_view_rad, config.half_view_rad, count)
    local = np.stack([np.cos(azimuths), np.sin(azimuths), np.zeros(count)], axis=1)
    doppler = -(world_from_radar.rotate(local) @ velocity)
    doppler = doppler + np.where(rng.random(count) < mover_share, rng.normal(0, 4, count), 0.0)
    ranges = config.max_range_m * np.sqrt(rng.uniform(0.002, 1, count))
    return np.stack([ranges, azimuths, doppler, rng.normal(-8, 5, count)], axis=1)
