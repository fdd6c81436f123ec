"""Which rays of a LiDAR give a return in version 2 of the world, from where, and how bright."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.casting import Float32
from tricast.sensors.synthetic.materials import GLASS, LACQUER, LEAF, METAL, MIRROR, NUM_MATERIALS
from tricast.sensors.synthetic.rig_ranges import LidarOptics

HORIZON_RAD = 0.07
DARK = np.float32(0.1)
BRIGHTNESS: Float32 = np.ones(NUM_MATERIALS, np.float32)
BRIGHTNESS[[LACQUER, METAL, LEAF, MIRROR]] = 0.7, 0.8, 2.0, 6.0
"""Infrared light that comes back, in shares of what the eye sees: leaves are bright, lacquer sends much elsewhere."""


def elevations_rad(lowest: float, highest: float, num_beams: int, density: float) -> NDArray[np.float64]:
    """Elevations (B,) of beams from the lowest up, `density` times as dense at the horizon as at the ends."""
    fine = np.linspace(lowest, highest, 2001)
    weight = 1 + (density - 1) * np.exp(-np.square(fine / HORIZON_RAD))
    below: NDArray[np.float64] = np.concatenate([[0.0], np.cumsum((weight[1:] + weight[:-1]) / 2)])
    even: NDArray[np.float64] = np.linspace(0, float(below[-1]), num_beams)
    return np.interp(even, below, fine)


def detected(
    ranges_m: Float32,
    albedo: Float32,
    incidence: Float32,
    materials: NDArray[np.int8],
    optics: LidarOptics,
    drop_out: float,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Which rays (...) come back: the light falls with the square of the range, and panes send most of it elsewhere.

    Args:
        ranges_m: (...) to what is hit, infinity for nothing.
        albedo: (...) colour's mean.
        incidence: (...) cosine to the normal.
        materials: (...) as in `materials`.
        optics: What the LiDAR can see.
        drop_out: Share that is lost anyhow.
        rng: Draws them.

    """
    light = albedo * BRIGHTNESS[materials] * (np.float32(0.12) + np.float32(0.88) * incidence)
    light *= np.square(np.float32(optics.dark_range_m) / np.maximum(ranges_m, np.float32(0.5))) / DARK
    squared = np.square(light)
    chance = squared / (1 + squared) * np.float32(1 - drop_out)
    chance[materials == GLASS] *= np.float32(1 - optics.glass_loss)
    return rng.random(ranges_m.shape, np.float32) < chance


def depths_m(materials: NDArray[np.int8], optics: LidarOptics, rng: np.random.Generator) -> Float32:
    """How far behind the surface (N,) light comes back: leaves let some of it in."""
    depth = np.zeros(len(materials), np.float32)
    leaves = np.flatnonzero(materials == LEAF)
    depth[leaves] = np.float32(optics.foliage_depth_m) * rng.standard_exponential(len(leaves), np.float32)
    return depth


def intensities(
    albedo: Float32, incidence: Float32, materials: NDArray[np.int8], optics: LidarOptics, rng: np.random.Generator
) -> Float32:
    """Intensities (N,) in 0 .. 1 as the sensor gives them, through its own gain and gamma."""
    glow = albedo * BRIGHTNESS[materials] * (np.float32(0.2) + np.float32(0.8) * incidence)
    glow *= np.exp(np.float32(0.25) * rng.standard_normal(len(glow), np.float32))
    seen = np.float32(optics.gain) * np.power(glow, np.float32(optics.gamma))
    seen[rng.random(len(seen), np.float32) < optics.zero_share] = 0
    return np.clip(seen, 0, 1)
