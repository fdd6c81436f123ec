"""Synthetic camera images: shading, texture, light of the day, haze, noise and JPEG."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synthetic.casting import NOTHING, Float32, FrozenCaster, Hits, rays_from
from tricast.sensors.synthetic.scene import Scene

HAZE_M = 220.0
HEADLIGHT_RANGE_M = 14.0
NOISE: Float32 = np.random.default_rng(0).standard_normal(1 << 21, dtype=np.float32)
"""Drawn once: each image takes another piece of it, as drawing anew costs as much as casting the rays."""


@dataclass(frozen=True, kw_only=True, eq=False)
class View:
    """What R rays of a camera meet.

    A row per coordinate: NumPy is several times faster over long rows than over rows of three.

    Args:
        hits: Of the caster.
        directions: (3, R) of the rays, in the world's axes.
        distances_m: (R,) to what is met, 0 where that is nothing.
        points_m: (3, R) where, in the world's axes.
        nothing: (R,) bool.

    """

    hits: Hits
    directions: Float32
    distances_m: Float32
    points_m: Float32
    nothing: NDArray[np.bool_]


def looked_at(caster: FrozenCaster, world_from_camera: SE3, rays: Float32) -> View:
    """Cast the rays (R, 3) of a camera, in its optical axes."""
    directions = world_from_camera.rotation.astype(np.float32) @ rays.T
    origin = world_from_camera.translation.astype(np.float32)
    hits = caster.cast(rays_from(origin, directions.T))
    nothing = hits.owners == NOTHING
    distances = np.where(nothing, np.float32(0), hits.distances_m)
    points = directions * distances
    points += origin[:, None]
    return View(hits=hits, directions=directions, distances_m=distances, points_m=points, nothing=nothing)


def render(
    scene: Scene,
    caster: FrozenCaster,
    world_from_camera: SE3,
    world_from_ego: SE3,
    rays: Float32,
    noise: float,
    rng: np.random.Generator,
) -> tuple[Float32, NDArray[np.int32]]:
    """Colours (3, R) in 0 .. 1 along rays (R, 3) in optical axes, and what each shows (owners as in `Hits`)."""
    view = looked_at(caster, world_from_camera, rays)
    hits, directions, distances = view.hits, view.directions, view.distances_m
    points, nothing = view.points_m, view.nothing
    light, sky = scene.light, scene.light.sky.astype(np.float32)[:, None]
    toward_sun = np.clip(caster.normals @ light.sun.astype(np.float32), 0, 1)
    shine = (np.float32(light.ambient) + np.float32(light.direct) * toward_sun)[hits.triangles]
    color = np.take(caster.colors.T, hits.triangles, axis=1)
    ground = np.flatnonzero(np.isnan(color[0]) & ~nothing)
    color[:, ground] = scene.ground.colors(points[:, ground])
    if light.headlights > 0:
        shine += headlights(light.headlights, world_from_ego, points)
    shine *= _texture(points)
    clear = np.exp(distances * np.float32(-1 / HAZE_M))
    color *= shine * clear
    color += sky * (np.float32(0.8) * (1 - clear))
    color[:, nothing] = sky * (1 - np.float32(0.45) * np.clip(directions[2, nothing], 0, 1))
    strength = np.float32(noise * {"day": 1.0, "dusk": 1.7, "night": 3.0}[light.name])
    first = int(rng.integers(len(NOISE) - color.size)) if color.size < len(NOISE) else 0
    color *= _exposure(color)
    color += strength * np.resize(NOISE[first : first + color.size], color.shape)
    return np.clip(color, 0, 1, out=color), hits.owners


def headlights(strength: float, world_from_ego: SE3, points_m: Float32) -> Float32:
    """Light (P,) of the vehicle's own lamps at points (3, P)."""
    forward = world_from_ego.rotate(np.array([1.0, 0, 0])).astype(np.float32)
    toward = points_m - world_from_ego.apply(np.array([[3.0, 0, 0.7]]))[0].astype(np.float32)[:, None]
    away = np.sqrt(np.square(toward).sum(axis=0))
    beam = np.clip((forward @ toward) / np.maximum(away, np.float32(0.1)) - np.float32(0.7), 0, 0.3) / np.float32(0.3)
    return np.float32(strength) * beam * np.exp(away * np.float32(-1 / HEADLIGHT_RANGE_M))


def encode_jpeg(colors: Float32, width_px: int, height_px: int, quality: int) -> bytes:
    """Colours (3, H * W) in 0 .. 1 as a JPEG file."""
    buffer = io.BytesIO()
    pixels = np.ascontiguousarray((np.float32(255) * colors).astype(np.uint8).T).reshape(height_px, width_px, 3)
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def _texture(points_m: Float32) -> Float32:
    """Stains and grain (P,): a hash of the place, coarse and fine."""
    shade = np.ones(points_m.shape[1], np.float32)
    for cell_m, strength in ((0.9, 0.16), (0.15, 0.12)):
        x, y, z = np.floor(points_m * np.float32(1 / cell_m)).astype(np.int32)
        mixed = (x * 73856093) ^ (y * 19349663) ^ (z * 83492791)
        shade += (mixed & 1023).astype(np.float32) * np.float32(strength / 1023)
        shade -= np.float32(strength / 2)
    return shade


def _exposure(colors: Float32) -> np.float32:
    """An automatic gain towards a middle grey, within limits."""
    return np.float32(np.clip(0.42 / max(float(colors[:, ::7].mean()), 1e-3), 0.7, 2.2))
