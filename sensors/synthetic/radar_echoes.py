"""Radar scans of version 2 of the world: echoes heard by their strength, from many places of a body, and detours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synthetic.casting import STATIC, FrozenCaster, rays_from
from tricast.sensors.synthetic.materials import GLASS, LEAF, METAL, MIRROR, NUM_MATERIALS, WALL
from tricast.sensors.synthetic.radar import CLUTTER, GHOST, RadarReturns, clutter
from tricast.sensors.synthetic.scene import Scene
from tricast.sensors.synthetic.world_config import RadarConfig

REFERENCE_M = 50.0
SOFTNESS_DB = 3.0
FADING_DB = 4.0
MOST_POINTS = 25
STRUCTURE_DBSM = np.full(NUM_MATERIALS, -10.0)
STRUCTURE_DBSM[[GLASS, LEAF, METAL, MIRROR, WALL]] = -8.0, -12.0, 4.0, 2.0, -3.0
FACED_DBSM = 12.0
"""How much stronger a wall comes back that is faced squarely than one that is grazed."""
DETOUR_M, DETOUR_RAD = 4.0, 0.25
THROUGH_M = 0.1
"""Mean depth behind a body's surface at which it seems to reflect."""

Float64 = NDArray[np.float64]


def scan_echoes(
    scene: Scene,
    caster: FrozenCaster,
    world_from_radar: SE3,
    sensor_velocity_mps: Float64,
    config: RadarConfig,
    time_s: float,
    rng: np.random.Generator,
) -> RadarReturns:
    """One scan at a time; `sensor_velocity_mps` (3,) is the sensor's own over ground."""
    assert config.echoes is not None
    bodies = _bodies(scene, caster, world_from_radar, config, time_s, rng)
    structure = _structure(caster, world_from_radar, config, rng)
    # Rows: range, azimuth, elevation, cross-section, Doppler over ground; then the owners.
    rows, owners = np.concatenate([bodies[0], structure[0]]), np.concatenate([bodies[1], structure[1]])
    heard = _heard(rows, config, rng)
    rows, owners = rows[heard], owners[heard]
    own = -_sight(rows[:, 1], rows[:, 2]) @ world_from_radar.rotation.T @ sensor_velocity_mps
    rows[:, 4] += own
    detours = _detours(rows, own, world_from_radar, sensor_velocity_mps, config, rng)
    count = len(rows) + len(detours)
    count = int(np.ceil(count * config.clutter_share / (1 - config.clutter_share)))
    share = config.echoes.clutter_mover_share
    nobody = clutter(count, world_from_radar, sensor_velocity_mps, config, rng, mover_share=share)
    # Range, azimuth, Doppler, cross-section there; as heard as anything that weak.
    nobody = np.column_stack([nobody[:, :2], rng.normal(0.0, 0.05, count), nobody[:, 3], nobody[:, 2]])
    values = np.concatenate([rows, detours, nobody])
    labels = np.concatenate([owners, np.full(len(detours), GHOST), np.full(count, CLUTTER)])
    return _measured(values, labels, config, rng)


def _sight(azimuths: Float64, elevations: Float64) -> Float64:
    """Unit vectors (N, 3) in the sensor's axes."""
    flat = np.cos(elevations)
    return np.stack([flat * np.cos(azimuths), flat * np.sin(azimuths), np.sin(elevations)], axis=1)


def _bodies(
    scene: Scene,
    caster: FrozenCaster,
    world_from_radar: SE3,
    config: RadarConfig,
    time_s: float,
    rng: np.random.Generator,
) -> tuple[Float64, NDArray[np.int64]]:
    """Rows (N, 5) of echoes of road users in sight, and their owners (N,)."""
    echoes = config.echoes
    assert echoes is not None
    centers, yaws, velocities = scene.states(time_s)
    sizes = np.array([a.size_m for a in scene.actors]).reshape(-1, 3)
    near = np.linalg.norm(centers - world_from_radar.translation, axis=1) < config.max_range_m + 10
    larger: Float64 = sizes[:, :2].max(axis=1, initial=0.5)
    counts: NDArray[np.int64] = np.clip(rng.poisson(echoes.points_per_m * larger), 1, MOST_POINTS) * near
    owners = np.repeat(np.arange(len(centers)), counts)
    local = rng.uniform(-0.45, 0.45, (len(owners), 3)) * sizes[owners]
    cos, sin = np.cos(yaws)[owners], np.sin(yaws)[owners]
    turned = np.stack(
        [local[:, 0] * cos - local[:, 1] * sin, local[:, 0] * sin + local[:, 1] * cos, local[:, 2]], axis=1
    )
    sight = centers[owners] + turned - world_from_radar.translation
    sight /= np.maximum(np.linalg.norm(sight, axis=1, keepdims=True), 1e-6)
    hits = caster.cast(rays_from(world_from_radar.translation, sight))
    seen = np.flatnonzero(hits.owners == owners)
    owners, sight = owners[seen], sight[seen]
    ranges = hits.distances_m[seen] + rng.exponential(THROUGH_M, len(seen))
    in_sensor = sight @ world_from_radar.rotation
    speeds = np.column_stack([velocities, np.zeros(len(velocities))])[owners] * _gait(scene, owners, config, rng)
    # The body's cross-section is that of all its places together.
    strength = np.array([a.rcs_dbsm for a in scene.actors])[owners] - 10 * np.log10(np.maximum(counts[owners], 1))
    rows = np.stack(
        [
            ranges,
            np.arctan2(in_sensor[:, 1], in_sensor[:, 0]),
            np.arcsin(np.clip(in_sensor[:, 2], -1, 1)),
            strength + rng.normal(0, FADING_DB, len(seen)),
            (speeds * sight).sum(axis=1),
        ],
        axis=1,
    )
    return rows, owners.astype(np.int64)


def _gait(scene: Scene, owners: NDArray[np.int64], config: RadarConfig, rng: np.random.Generator) -> Float64:
    """Factors (N, 1) of the body's speed: wheels and limbs have speeds of their own."""
    echoes = config.echoes
    assert echoes is not None
    on_foot = np.array([a.class_name in ("pedestrian", "bicycle") for a in scene.actors], bool)[owners]
    limbs = 1 + rng.normal(0, echoes.limb_spread, len(owners))
    wheels = np.where(rng.random(len(owners)) < echoes.wheel_share, rng.uniform(0, 2, len(owners)), 1.0)
    return np.where(on_foot, limbs, wheels)[:, None]


def _structure(
    caster: FrozenCaster, world_from_radar: SE3, config: RadarConfig, rng: np.random.Generator
) -> tuple[Float64, NDArray[np.int64]]:
    """Rows (N, 5) of echoes of what stands and is no road user, and their owners."""
    count = config.num_structure_rays
    azimuths = rng.uniform(-config.half_view_rad, config.half_view_rad, count)
    elevations = rng.normal(0.0, 0.06, count)
    sight = _sight(azimuths, elevations) @ world_from_radar.rotation.T
    hits = caster.cast(rays_from(world_from_radar.translation, sight))
    stands = np.flatnonzero(hits.owners == STATIC)
    triangles = hits.triangles[stands]
    faced = np.abs((caster.normals[triangles] * sight[stands]).sum(axis=1))
    strength = STRUCTURE_DBSM[caster.materials[triangles]] + FACED_DBSM * (faced - 0.5)
    strength += rng.normal(0, FADING_DB, len(stands))
    ranges = hits.distances_m[stands].astype(np.float64)
    rows = np.stack([ranges, azimuths[stands], elevations[stands], strength, np.zeros(len(stands))], axis=1)
    return rows, np.full(len(stands), STATIC, np.int64)


def _heard(rows: Float64, config: RadarConfig, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which echoes (N,) stand out: strength falls with the fourth power of the range (the radar equation)."""
    assert config.echoes is not None
    loss = 40 * np.log10(np.maximum(rows[:, 0], 0.5) / REFERENCE_M)
    margin = np.clip((rows[:, 3] - config.echoes.threshold_dbsm - loss) / SOFTNESS_DB, -30, 30)
    # Towards the edges of its view an antenna hears less.
    rate = config.detection_rate * np.cos(np.clip(rows[:, 1] / config.half_view_rad, -1, 1) * 1.2)
    within = (rows[:, 0] < config.max_range_m) & (np.abs(rows[:, 1]) < config.half_view_rad)
    return within & (rng.random(len(rows)) < rate / (1 + np.exp(-margin)))


def _detours(
    rows: Float64,
    own: Float64,
    world_from_radar: SE3,
    sensor_velocity_mps: Float64,
    config: RadarConfig,
    rng: np.random.Generator,
) -> Float64:
    """Echoes (M, 5) that come again by way of something else; Doppler is that of both ways, half and half."""
    assert config.echoes is not None
    chosen = rng.random(len(rows)) < config.echoes.multipath_rate
    again = rows[chosen]
    again[:, 0] += rng.exponential(DETOUR_M, len(again))
    again[:, 1] += rng.normal(0, DETOUR_RAD, len(again))
    again[:, 3] -= rng.uniform(3, 12, len(again))
    back = -_sight(again[:, 1], again[:, 2]) @ world_from_radar.rotation.T @ sensor_velocity_mps
    again[:, 4] += (back - own[chosen]) / 2
    inside = (again[:, 0] < config.max_range_m) & (np.abs(again[:, 1]) < config.half_view_rad)
    return again[inside]


def _measured(
    values: Float64, owners: NDArray[np.int64], config: RadarConfig, rng: np.random.Generator
) -> RadarReturns:
    """Returns with the noise of the sensor; one without elevation takes everything to lie in its own plane."""
    echoes, count = config.echoes, len(values)
    assert echoes is not None
    ranges = np.maximum(values[:, 0] + rng.normal(0, config.range_noise_m, count), 0.1)
    azimuths = values[:, 1] + rng.normal(0, config.azimuth_noise_rad, count)
    elevations = np.zeros(count)
    if echoes.measures_elevation:
        elevations = values[:, 2] + rng.normal(0, echoes.elevation_noise_rad, count)
    return RadarReturns(
        points_m=ranges[:, None] * _sight(azimuths, elevations),
        rcs_dbsm=values[:, 3],
        radial_velocities_mps=values[:, 4] + rng.normal(0, config.doppler_noise_mps, count),
        owners=owners.astype(np.int64),
    )
