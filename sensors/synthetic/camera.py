"""Synthetic camera images: shading, texture, light of the day, haze, noise and JPEG."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synthetic.casting import NOTHING, FrozenCaster
from tricast.sensors.synthetic.roads import LANE_M, ROAD_HALF_M
from tricast.sensors.synthetic.scene import Scene

HAZE_M = 220.0
HEADLIGHT_RANGE_M = 14.0
Float32 = NDArray[np.float32]
NOISE: Float32 = np.random.default_rng(0).standard_normal(1 << 21, dtype=np.float32)
"""Drawn once: each image takes another piece of it, as drawing anew costs as much as casting the rays."""


def render(
    scene: Scene,
    caster: FrozenCaster,
    world_from_camera: SE3,
    world_from_ego: SE3,
    rays: Float32,
    noise: float,
    rng: np.random.Generator,
) -> tuple[Float32, NDArray[np.int32]]:
    """Colours (R, 3) in 0 .. 1 along rays (R, 3) in optical axes, and what each shows (owners as in `Hits`)."""
    directions = (rays @ world_from_camera.rotation.T.astype(np.float32)).astype(np.float32)
    origin = world_from_camera.translation.astype(np.float32)
    hits = caster.cast(np.broadcast_to(origin, directions.shape), directions)
    light, sky = scene.light, scene.light.sky.astype(np.float32)
    toward_sun = np.clip(caster.normals @ light.sun.astype(np.float32), 0, 1)
    shine = np.float32(light.ambient) + np.float32(light.direct) * toward_sun
    lit = (caster.colors * shine[:, None])[hits.triangles]
    nothing = hits.owners == NOTHING
    distances = np.where(nothing, 0, hits.distances_m)[:, None]
    points = directions * distances
    points += origin
    ground = np.flatnonzero(np.isnan(lit[:, 0]) & ~nothing)
    lit[ground] = ground_colors(scene, points[ground]) * shine[hits.triangles[ground]][:, None]
    if light.headlights > 0:
        lit *= 1 + (_headlights(light.headlights, world_from_ego, points) / shine[hits.triangles])[:, None]
    lit *= _texture(points)[:, None]
    clear = np.exp(distances / np.float32(-HAZE_M))
    color = lit * clear
    color += sky * np.float32(0.8) * (1 - clear)
    color[nothing] = sky * (1 - np.float32(0.45) * np.clip(directions[nothing, 2:], 0, 1))
    strength = np.float32(noise * {"day": 1.0, "dusk": 1.7, "night": 3.0}[light.name])
    first = int(rng.integers(len(NOISE) - color.size)) if color.size < len(NOISE) else 0
    color *= _exposure(color)
    color += strength * np.resize(NOISE[first : first + color.size], color.shape)
    return np.clip(color, 0, 1, out=color), hits.owners


def _headlights(strength: float, world_from_ego: SE3, points_m: Float32) -> Float32:
    """Light (P,) of the vehicle's own lamps at points (P, 3)."""
    forward = world_from_ego.rotate(np.array([1.0, 0, 0])).astype(np.float32)
    toward = points_m - world_from_ego.apply(np.array([[3.0, 0, 0.7]]))[0].astype(np.float32)
    away = np.sqrt((toward * toward).sum(axis=1))
    beam = np.clip((toward @ forward) / np.maximum(away, np.float32(0.1)) - np.float32(0.7), 0, 0.3) / np.float32(0.3)
    return np.float32(strength) * beam * np.exp(away / np.float32(-HEADLIGHT_RANGE_M))


def encode_jpeg(colors: Float32, width_px: int, height_px: int, quality: int) -> bytes:
    """Colours (H * W, 3) in 0 .. 1 as a JPEG file."""
    buffer = io.BytesIO()
    pixels = (255 * colors).astype(np.uint8).reshape(height_px, width_px, 3)
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=quality)
    return buffer.getvalue()


def ground_colors(scene: Scene, points_m: NDArray[Any]) -> Float32:
    """Asphalt with markings, pavement and grass at points (P, 3)."""
    away = np.abs(points_m[:, :2] - scene.ground.junction_m).astype(np.float32)
    off = np.minimum(away[:, 0], away[:, 1]) - ROAD_HALF_M
    color = np.empty((len(points_m), 3), np.float32)
    color[:] = (0.28, 0.40, 0.20)
    color[off < 6.0] = (0.52, 0.51, 0.49)
    color[off < 0] = (0.25, 0.25, 0.27)
    across, along = np.minimum(away[:, 0], away[:, 1]), np.maximum(away[:, 0], away[:, 1])
    approach = along > ROAD_HALF_M + 5
    color[approach & (across < 0.09) & (along % 6 < 3)] = (0.85, 0.85, 0.82)
    color[approach & (np.abs(across - LANE_M) < 0.06)] = (0.8, 0.8, 0.78)
    zebra = (along > ROAD_HALF_M + 0.8) & (along < ROAD_HALF_M + 3.6) & (across < ROAD_HALF_M) & (across % 1.0 < 0.5)
    color[zebra] = (0.82, 0.82, 0.8)
    return color


def _texture(points_m: Float32) -> Float32:
    """Stains and grain: a hash of the place, coarse and fine."""
    shade = np.ones(len(points_m), np.float32)
    for cell_m, strength in ((0.9, 0.16), (0.15, 0.12)):
        cells = np.floor(points_m / np.float32(cell_m)).astype(np.int32)
        mixed = (cells[:, 0] * 73856093) ^ (cells[:, 1] * 19349663) ^ (cells[:, 2] * 83492791)
        shade += np.float32(strength) * ((mixed & 1023).astype(np.float32) / 1023 - 0.5)
    return shade


def _exposure(colors: Float32) -> float:
    """An automatic gain towards a middle grey, within limits."""
    return float(np.clip(0.42 / max(float(colors[::7].mean()), 1e-3), 0.7, 2.2))
