"""Camera images of version 2 of the world: shadows, fronts of houses, reflections, clouds, a look for each rig."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synthetic.camera import HAZE_M, NOISE, headlights, looked_at
from tricast.sensors.synthetic.casting import NOTHING, Float32, FrozenCaster, Hits, rays_from
from tricast.sensors.synthetic.materials import GLASS, LACQUER, LAMP, WALL
from tricast.sensors.synthetic.random_rig import CameraLook
from tricast.sensors.synthetic.scene import Light, Scene
from tricast.sensors.synthetic.surfaces import facades, texture
from tricast.sensors.synthetic.world_config import DetailConfig

SHADOW_RANGE_M = 60.0
LEAST_SUN = 0.02
"""Sunlight below this casts no shadow worth a ray."""
LAMP_GLOW = {"day": 0.25, "dusk": 0.7, "night": 0.9}
WINDOW_GLOW = {"day": 0.0, "dusk": 0.25, "night": 0.4}
NOISE_FACTOR = {"day": 1.0, "dusk": 1.5, "night": 3.0}
GAINS = (0.7, 3.5)
"""Limits of the automatic gain."""
WHITE: Float32 = np.array([[0.97], [0.97], [1.0]], np.float32)


def render_detailed(
    scene: Scene,
    caster: FrozenCaster,
    world_from_camera: SE3,
    world_from_ego: SE3,
    rays: Float32,
    look: CameraLook,
    detail: DetailConfig,
    rng: np.random.Generator,
) -> tuple[Float32, NDArray[np.int32]]:
    """Colours (3, R) in 0 .. 1 along rays (R, 3) in optical axes, and what each shows (owners as in `Hits`)."""
    view = looked_at(caster, world_from_camera, rays)
    hits, directions, distances = view.hits, view.directions, view.distances_m
    points, nothing = view.points_m, view.nothing
    color, glow = _paint(scene, caster, hits, points, distances * np.float32(look.pixel_rad), detail.texture)
    shine = _light(scene.light, caster, hits, points, distances)
    if scene.light.headlights > 0:
        shine += headlights(scene.light.headlights, world_from_ego, points)
    color *= shine
    color += glow
    _mirror(color, caster, hits, directions, scene.light)
    clear = np.exp(distances * np.float32(-1 / HAZE_M))
    sky = scene.light.sky.astype(np.float32)[:, None]
    color *= clear
    color += sky * (np.float32(0.8) * (1 - clear))
    color[:, nothing] = _sky(scene, directions[:, nothing])
    return _developed(color, rays[:, 2], look, NOISE_FACTOR[scene.light.name], rng), hits.owners


def _paint(
    scene: Scene, caster: FrozenCaster, hits: Hits, points_m: Float32, footprints_m: Float32, strength: float
) -> tuple[Float32, Float32]:
    """Colours (3, R) of surfaces with their patterns, and light (3, R) of their own."""
    color = np.take(caster.colors.T, hits.triangles, axis=1)
    materials = caster.materials[hits.triangles]
    glow = np.zeros_like(color)
    ground = np.isnan(color[0]) & (hits.owners != NOTHING)
    color[:, ground] = scene.ground.detailed_colors(points_m[:, ground], footprints_m[ground])
    walls = np.flatnonzero(materials == WALL)
    normals = np.take(caster.normals.T, hits.triangles[walls], axis=1)
    color[:, walls], lit = facades(color[:, walls], points_m[:, walls], normals, footprints_m[walls])
    name = scene.light.name
    glow[:, walls] = np.float32(WINDOW_GLOW[name]) * lit * np.array([[1.0], [0.8], [0.5]], np.float32)
    lamps = np.flatnonzero(materials == LAMP)
    glow[:, lamps] = np.float32(LAMP_GLOW[name]) * color[:, lamps]
    color *= texture(points_m, materials, ground, footprints_m, strength)
    return color, glow


def _light(light: Light, caster: FrozenCaster, hits: Hits, points_m: Float32, distances_m: Float32) -> Float32:
    """Light (R,) from sky and sun at what is hit; nothing comes from a sun that something hides."""
    sun = light.sun.astype(np.float32)
    normals = np.take(caster.normals.T, hits.triangles, axis=1)
    toward = np.clip(sun @ normals, 0, 1)
    if light.direct > LEAST_SUN:
        near = np.flatnonzero((toward > 0) & (distances_m < SHADOW_RANGE_M) & (hits.owners != NOTHING))
        start = points_m[:, near] + np.float32(0.03) * normals[:, near]
        hidden = caster.cast(rays_from(start.T, np.broadcast_to(sun, (len(near), 3)))).owners != NOTHING
        toward[near[hidden]] = 0
    # What looks up sees more of the sky.
    return (
        np.float32(light.ambient) * (np.float32(0.75) + np.float32(0.25) * normals[2])
        + np.float32(light.direct) * toward
    )


def _mirror(color: Float32, caster: FrozenCaster, hits: Hits, directions: Float32, light: Light) -> None:
    """Lays the sky's reflection over panes and lacquer, stronger the flatter the look (Schlick, 1994)."""
    materials = caster.materials[hits.triangles]
    shiny = np.flatnonzero((materials == GLASS) | (materials == LACQUER))
    normals, looks = np.take(caster.normals.T, hits.triangles[shiny], axis=1), directions[:, shiny]
    cosine = (normals * looks).sum(axis=0)
    least = np.where(materials[shiny] == GLASS, np.float32(0.12), np.float32(0.04))
    share = least + (1 - least) * np.power(1 - np.minimum(np.abs(cosine), 1), 5)
    upward = looks[2] - 2 * cosine * normals[2]
    # A look thrown downward meets the street.
    seen = np.where(upward > 0, np.float32(1.0), np.float32(0.25)) * light.sky.astype(np.float32)[:, None]
    color[:, shiny] += share * (seen - color[:, shiny])


def _sky(scene: Scene, directions: Float32) -> Float32:
    """Colours (3, S) of the sky with clouds along directions (3, S)."""
    light = scene.light
    up = np.clip(directions[2], 0, 1)
    x, y = directions[:2] / (up + np.float32(0.15))
    phase = np.float32(7.0 * light.clouds + scene.ground.waves[0, 3])
    height = np.sin(1.3 * x + phase) + np.sin(1.7 * y - phase) + np.sin(2.9 * x + 2.1 * y) / 2
    height += np.sin(5.3 * y - 4.1 * x + 2 * phase) / 3 + np.sin(9.7 * x + 7.9 * y) / 5
    cover = np.clip(height / 2 + np.float32(2.6 * light.clouds - 1.2), 0, 1)
    plain = light.sky.astype(np.float32)[:, None] * (1 - np.float32(0.45) * up)
    cloud = WHITE * np.float32(1.15 * light.sky.max())
    return plain + cover * (cloud - plain)


def _developed(
    color: Float32, ahead: Float32, look: CameraLook, noise_factor: float, rng: np.random.Generator
) -> Float32:
    """A picture in 0 .. 1 of light (3, R): gain, contrast, colour, darker corners, and noise that grows with light."""
    mean = max(float(color[:, ::7].mean()), 1e-3)
    color *= np.float32(np.clip(look.exposure / mean, *GAINS))
    middle = np.float32(color[:, ::7].mean())
    color = middle + np.float32(look.contrast) * (color - middle)
    grey = color.mean(axis=0)
    color = grey + np.float32(look.colour) * (color - grey)
    color *= np.float32(0.7) + np.float32(0.3) * np.clip(ahead, 0, 1)
    first = int(rng.integers(len(NOISE) - color.size)) if color.size < len(NOISE) else 0
    noise = np.resize(NOISE[first : first + color.size], color.shape)
    strength = np.float32(look.noise * noise_factor) * np.sqrt(np.float32(0.5) + np.clip(grey, 0, 1))
    return np.clip(color + strength * noise, 0, 1)
