"""What a fault does to one radar scan; pure functions of the scan and a generator."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.faults.fault_config import DopplerNoise, RadarAngleNoise, RadarFault, RadarGhosts, RadarLoss
from tricast.sensors.frames import RadarScan

FIELDS = ("points_m", "rcs_dbsm", "radial_velocities_mps", "compensated_velocities_mps")
GHOST_FADING_DB = np.float32(6.0)
GHOST_FACTORS = (1.4, 2.2)


def faulty_scan(scan: RadarScan, fault: RadarFault, rng: np.random.Generator) -> RadarScan:
    """The scan after a fault."""
    match fault:
        case RadarGhosts():
            return _ghostly(scan, fault.per_return, rng)
        case RadarLoss():
            return _chosen(scan, rng.random(len(scan)) >= fault.share)
        case DopplerNoise():
            noise = rng.normal(0, fault.sigma_mps, len(scan)).astype(np.float32)
            return replace(
                scan,
                radial_velocities_mps=scan.radial_velocities_mps + noise,
                compensated_velocities_mps=scan.compensated_velocities_mps + noise,
            )
        case RadarAngleNoise():
            return _turned(scan, rng.normal(0, fault.sigma_rad, len(scan)))
    assert_never(fault)


def _ghostly(scan: RadarScan, per_return: float, rng: np.random.Generator) -> RadarScan:
    """With ghosts: returns that went to and fro once more."""
    count = int(rng.poisson(per_return * len(scan)))
    if not len(scan) or not count:
        return scan
    chosen = rng.integers(len(scan), size=count)
    factor = rng.uniform(*GHOST_FACTORS, count).astype(np.float32)
    measured = scan.radial_velocities_mps[chosen]
    parts = {
        "points_m": scan.points_m[chosen] * factor[:, None],
        "rcs_dbsm": scan.rcs_dbsm[chosen] - GHOST_FADING_DB,
        "radial_velocities_mps": measured * factor,
        # Own motion is in what was measured, and is not more for a longer way.
        "compensated_velocities_mps": scan.compensated_velocities_mps[chosen] + (factor - 1) * measured,
    }
    return replace(scan, **{name: np.concatenate([getattr(scan, name), part]) for name, part in parts.items()})


def _turned(scan: RadarScan, angles_rad: NDArray[np.float64]) -> RadarScan:
    cos, sin = np.cos(angles_rad), np.sin(angles_rad)
    x, y, z = scan.points_m.T
    turned = np.stack([cos * x - sin * y, sin * x + cos * y, z], axis=1)
    return replace(scan, points_m=turned.astype(np.float32))


def _chosen(scan: RadarScan, keep: NDArray[np.bool_]) -> RadarScan:
    return replace(scan, **{name: getattr(scan, name)[keep] for name in FIELDS})
