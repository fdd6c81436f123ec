"""What a fault does to one LiDAR sweep; pure functions of the sweep and generators."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.faults.fault_config import (
    BeamLoss,
    BeamThinning,
    Fog,
    LidarFault,
    PointLoss,
    PointMisalignment,
    PointShake,
    Snow,
)
from tricast.sensors.frames import UNKNOWN_RING, LidarSweep
from tricast.sensors.geometry.se3 import SE3

SCATTERED_SHARE = 0.3
FOG_BACKSCATTER_RANGE_M = 8.0
SNOW_BACKSCATTER_RANGE_M = 4.0
FLAKE_DIAMETER_M = 0.003
NUM_BEAM_NUMBERS = 1024
ELEVATION_BINS = 32
ELEVATION_SPAN_RAD = (-0.5, 0.3)
SHAKE_OF_POINTS = (0.15, 0.2, 0.12)
"""Noise of single points as a share of the sweep's, along x, y and z (MultiCorrupt)."""


def faulty_sweep(
    sweep: LidarSweep, fault: LidarFault | Fog | Snow, rng: np.random.Generator, channel_rng: np.random.Generator
) -> LidarSweep:
    """The sweep after a fault.

    Args:
        sweep: As it was.
        fault: What happens to it.
        rng: Draws that differ from sweep to sweep.
        channel_rng: Draws that are the same in all sweeps of the channel.

    """
    match fault:
        case BeamLoss():
            # One number per beam for good: a higher share loses the same beams and more.
            return _chosen(sweep, channel_rng.random(NUM_BEAM_NUMBERS)[_beams(sweep)] >= fault.share)
        case BeamThinning():
            return _chosen(sweep, _beams(sweep) % fault.one_in == 1)
        case PointLoss():
            keep = np.ones(len(sweep), bool)
            keep[rng.permutation(len(sweep))[: round(fault.share * len(sweep))]] = False
            return _chosen(sweep, keep)
        case PointShake():
            return _shaken(sweep, fault.sigma_m, rng)
        case PointMisalignment():
            if rng.random() >= fault.probability:
                return sweep
            off = SE3.from_euler(fault.angle_rad, fault.angle_rad, fault.angle_rad, fault.shift_m)
            sweep, _ = sweep.without_invalid()  # a mark of a missing return must not become one
            return replace(sweep, points_m=off.apply(sweep.points_m).astype(np.float32))
        case Fog():
            return _through_medium(sweep, math.log(20) / fault.visibility_m, FOG_BACKSCATTER_RANGE_M, rng)
        case Snow():
            return _through_medium(sweep, 3 * fault.occupancy / FLAKE_DIAMETER_M, SNOW_BACKSCATTER_RANGE_M, rng)
    assert_never(fault)


def _beams(sweep: LidarSweep) -> NDArray[np.int64]:
    """Beam number of every point: its ring, or its elevation in steps where the log has no rings."""
    beams = sweep.rings.astype(np.int64)
    if len(beams) and (beams == UNKNOWN_RING).all():
        elevations = np.arctan2(sweep.points_m[:, 2], np.hypot(sweep.points_m[:, 0], sweep.points_m[:, 1]))
        low, high = ELEVATION_SPAN_RAD
        beams = np.floor(np.nan_to_num((elevations - low) / (high - low)) * ELEVATION_BINS).astype(np.int64)
    return np.clip(beams, 0, NUM_BEAM_NUMBERS - 1)


def _shaken(sweep: LidarSweep, sigma_m: float, rng: np.random.Generator) -> LidarSweep:
    sweep, _ = sweep.without_invalid()  # a mark of a missing return must not become one
    shift = rng.normal(0, sigma_m, 3)
    single = rng.standard_normal((len(sweep), 3)) * sigma_m * np.array(SHAKE_OF_POINTS)
    return replace(sweep, points_m=(sweep.points_m + shift + single).astype(np.float32))


def _through_medium(
    sweep: LidarSweep, extinction_per_m: float, backscatter_m: float, rng: np.random.Generator
) -> LidarSweep:
    """A sweep through fog or snow: far returns fade, some are replaced by the medium's own near ones."""
    ranges = np.linalg.norm(sweep.points_m.astype(np.float64), axis=1)
    transmission = np.exp(-2 * extinction_per_m * np.nan_to_num(ranges))
    through = rng.random(len(ranges)) < transmission
    scattered = ~through & (rng.random(len(ranges)) < SCATTERED_SHARE)
    near = np.minimum(1.0 + rng.exponential(backscatter_m, len(ranges)), ranges)
    scale = np.where(scattered, near / np.maximum(ranges, 1e-3), 1.0)
    faded = replace(
        sweep,
        points_m=(sweep.points_m * scale[:, None]).astype(np.float32),
        intensity=(sweep.intensity * transmission).astype(np.float32),
    )
    return _chosen(faded, through | scattered)


def _chosen(sweep: LidarSweep, keep: NDArray[np.bool_]) -> LidarSweep:
    return replace(
        sweep,
        points_m=sweep.points_m[keep],
        intensity=sweep.intensity[keep],
        time_offsets_ns=sweep.time_offsets_ns[keep],
        rings=sweep.rings[keep],
    )
