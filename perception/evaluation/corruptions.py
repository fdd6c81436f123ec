"""Corruptions of sensors in three severities each, as faults over any log.

The first ten are MultiCorrupt's (Beemelmanns et al., IV 2024), with the severities of its published converters; what
each does to a measurement is written anew by `tricast.sensors.faults`. docs/robustness.md says where they differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from tricast.configs.errors import InputError
from tricast.sensors.calibration import Rig
from tricast.sensors.faults.fault_config import (
    APPLIES_TO,
    BeamThinning,
    Brightness,
    ClockOffset,
    Darkness,
    DopplerNoise,
    Fault,
    FaultsConfig,
    Fog,
    Miscalibration,
    MotionBlur,
    PointLoss,
    PointMisalignment,
    PointShake,
    RadarAngleNoise,
    RadarGhosts,
    RadarLoss,
    SensorLoss,
    Snow,
    StaleData,
)
from tricast.sensors.faults.faulty_log import FaultyLog
from tricast.sensors.log.stream import DrivingLog

SEVERITIES = (1, 2, 3)
SAMPLE_PERIOD_S = 0.5
"""Time between nuScenes keyframes, which MultiCorrupt's probabilities and stale data are counted in."""


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """One way in which sensors fail.

    Args:
        name: Its name in tables and on the command line.
        severities: Faults of severity 1, 2 and 3.

    """

    name: str
    severities: tuple[FaultsConfig, FaultsConfig, FaultsConfig]

    def concerns(self, rig: Rig, looked_at: Collection[str]) -> bool:
        """Whether a vehicle has a sensor that this can happen to, among the channels that are looked at."""
        return any(_channels(fault, rig) & set(looked_at) for fault in self.severities[0].faults)


def corrupted(log: DrivingLog, corruption: Corruption, severity: int) -> DrivingLog:
    """A log with a corruption laid over it; truth and poses stay.

    Args:
        log: Any log.
        corruption: What happens.
        severity: 1, 2 or 3.

    Raises:
        InputError: There is no such severity.

    """
    if severity not in SEVERITIES:
        raise InputError(where="severity", got=str(severity), expected="1, 2 or 3", remedy="3 is the worst")
    return FaultyLog(log, corruption.severities[severity - 1])


def _channels(fault: Fault, rig: Rig) -> set[str]:
    possible = APPLIES_TO.get(fault.kind, ("camera", "lidar", "radar"))
    named = fault.channels or possible
    return {c for modality in possible if modality in named for c in rig.channels(modality)} | {
        c for c in fault.channels if c in rig
    }


def _corruption(name: str, faults: Callable[..., Sequence[Fault]], *levels: tuple[float, ...]) -> Corruption:
    """Three severities of the same faults."""
    mild, middle, severe = (FaultsConfig(faults=tuple(faults(*level))) for level in levels)
    return Corruption(name=name, severities=(mild, middle, severe))


def _missing_camera(probability: float) -> list[Fault]:
    return [
        SensorLoss(kind="sensor_loss", channels=("camera",), probability=probability, period_s=SAMPLE_PERIOD_S),
    ]


def _temporal_misalignment(probability: float) -> list[Fault]:
    return [StaleData(kind="stale_data", probability=probability, lag_s=SAMPLE_PERIOD_S)]


def _spatial_misalignment(probability: float, angle_deg: float) -> list[Fault]:
    return [
        PointMisalignment(
            kind="point_misalignment",
            probability=probability,
            angle_rad=-math.radians(angle_deg),
            shift_m=(2.0, 0.0, 0.0),
        )
    ]


def _motion_blur(strength: float) -> list[Fault]:
    return [
        MotionBlur(kind="motion_blur", sigma_px=100 * strength),
        PointShake(kind="point_shake", sigma_m=strength),
    ]


def _dark(light: float, photons: float, noise: float) -> list[Fault]:
    return [Darkness(kind="darkness", light=light, gamma=2.0, photons=photons, noise=noise)]


def _fog(extinction_per_m: float) -> list[Fault]:
    return [Fog(kind="fog", visibility_m=math.log(20) / extinction_per_m)]


def _snow(rate_mm_per_h: float, fall_mps: float, flake_share: float, flake_px: float, veil: float) -> list[Fault]:
    # Snow of a tenth of water's density fills this share of the air.
    occupancy = rate_mm_per_h / (3.6e6 * 0.1 * fall_mps)
    return [Snow(kind="snow", occupancy=occupancy, flake_share=flake_share, flake_px=flake_px, veil=veil)]


def _radar_angle_noise(sigma_deg: float) -> list[Fault]:
    return [RadarAngleNoise(kind="radar_angle_noise", sigma_rad=math.radians(sigma_deg))]


def _miscalibration(angle_deg: float, shift_m: float) -> list[Fault]:
    return [
        Miscalibration(kind="miscalibration", rotation_sigma_rad=math.radians(angle_deg), translation_sigma_m=shift_m)
    ]


MULTICORRUPT = (
    _corruption("missing_camera", _missing_camera, (0.2,), (0.4,), (0.6,)),
    _corruption("temporal_misalignment", _temporal_misalignment, (0.2,), (0.4,), (0.6,)),
    _corruption("spatial_misalignment", _spatial_misalignment, (0.2, 1), (0.4, 2), (0.6, 3)),
    _corruption("fewer_beams", lambda n: [BeamThinning(kind="beam_thinning", one_in=n)], (2,), (4,), (8,)),
    _corruption("fewer_points", lambda share: [PointLoss(kind="point_loss", share=share)], (0.7,), (0.8,), (0.9,)),
    _corruption("motion_blur", _motion_blur, (0.06,), (0.10,), (0.13,)),
    _corruption("brightness", lambda added: [Brightness(kind="brightness", added=added)], (0.5,), (0.6,), (0.7,)),
    _corruption("dark", _dark, (0.6, 250, 0.008), (0.4, 120, 0.018), (0.3, 50, 0.026)),
    _corruption("fog", _fog, (0.02,), (0.03,), (0.06,)),
    _corruption("snow", _snow, (0.5, 1.2, 0.046, 5, 0.1), (2.5, 1.6, 0.13, 4, 0.15), (1.5, 0.4, 0.32, 3, 0.2)),
)
"""MultiCorrupt's ten."""

RADAR_CORRUPTIONS = (
    _corruption("radar_ghosts", lambda n: [RadarGhosts(kind="radar_ghosts", per_return=n)], (0.25,), (0.5,), (1.0,)),
    _corruption("radar_loss", lambda share: [RadarLoss(kind="radar_loss", share=share)], (0.5,), (0.7,), (0.9,)),
    _corruption("doppler_noise", lambda s: [DopplerNoise(kind="doppler_noise", sigma_mps=s)], (0.5,), (1.0,), (2.0,)),
    _corruption("radar_angle_noise", _radar_angle_noise, (1,), (2,), (4,)),
)
"""What happens to radar, which no published benchmark holds."""

TIMING_AND_MOUNTING = (
    _corruption(
        "clock_offset",
        lambda s: [ClockOffset(kind="clock_offset", channels=("lidar",), offset_s=s)],
        (0.05,),
        (0.1,),
        (0.2,),
    ),
    _corruption("miscalibration", _miscalibration, (0.5, 0.05), (1, 0.1), (2, 0.2)),
)
"""A LiDAR clock that runs ahead of the others, and mountings that are not what the calibration says."""

CORRUPTIONS: tuple[Corruption, ...] = MULTICORRUPT + RADAR_CORRUPTIONS + TIMING_AND_MOUNTING
