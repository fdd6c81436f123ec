"""What the rigs and sensors of a world are drawn from, from its version 2 on."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from tricast.configs.strict import StrictConfig


def _rising(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError("the first limit of a range must not exceed the second")
    return limits


Limits = Annotated[tuple[float, float], AfterValidator(_rising)]
"""Both ends of an even distribution; equal ends fix the value."""
Counts = Annotated[tuple[int, int], AfterValidator(_rising)]


class LidarOptics(StrictConfig):
    """How much light comes back to a LiDAR, and what it makes of it."""

    dark_range_m: float = Field(default=70.0, gt=0)
    """A surface that returns a tenth of the light, faced squarely, is seen half of the time at this range."""
    glass_loss: float = Field(default=0.8, ge=0, le=1)
    """Share of the rays at glass of which nothing comes back."""
    foliage_depth_m: float = Field(default=0.25, ge=0, le=2)
    """Mean depth in leaves from which light comes back."""
    horizon_density: float = Field(default=1.0, ge=1, le=12)
    """How much denser beams are around the horizon than at the ends."""
    gain: float = Field(default=1.0, gt=0)
    gamma: float = Field(default=1.0, gt=0)
    zero_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the returns whose intensity the sensor gives as 0."""


class BeamPattern(StrictConfig):
    """Beams of one kind of LiDAR, and how often it is drawn."""

    num_beams: int = Field(ge=1, le=128)
    num_columns: int = Field(ge=8, le=4096)
    lowest_rad: float = Field(ge=-1.57, le=1.57)
    highest_rad: float = Field(ge=-1.57, le=1.57)
    horizon_density: float = Field(default=1.0, ge=1, le=12)
    weight: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _upward(self) -> BeamPattern:
        if self.lowest_rad >= self.highest_rad:
            raise ValueError("lowest_rad must lie below highest_rad")
        return self


class RadarEchoes(StrictConfig):
    """Which echoes a radar hears, and which of them mislead."""

    threshold_dbsm: float = -2.0
    """Cross-section heard half of the time at 50 m; 40 dB per decade of range more or less elsewhere."""
    points_per_m: float = Field(default=1.2, gt=0, le=20)
    """Reflecting places per metre of a road user's larger side; the cross-section is shared among them."""
    clutter_mover_share: float = Field(default=0.1, ge=0, le=1)
    multipath_rate: float = Field(default=0.06, ge=0, le=1)
    """How often an echo comes again by a detour over something else, later and from another direction."""
    wheel_share: float = Field(default=0.12, ge=0, le=1)
    """Share of a vehicle's echoes that come from its wheels, between standing and twice its speed."""
    limb_spread: float = Field(default=0.35, ge=0, le=2)
    """Spread of the Doppler of people's limbs, in shares of their speed."""
    measures_elevation: bool = False
    elevation_noise_rad: float = Field(default=0.02, ge=0)


class RadarKind(StrictConfig):
    """One kind of radar, and how often it is drawn."""

    threshold_dbsm: float
    points_per_m: float = Field(gt=0, le=20)
    num_structure_rays: int = Field(ge=0, le=2000)
    max_range_m: float = Field(gt=0)
    half_view_rad: float = Field(gt=0, le=math.pi)
    azimuth_noise_rad: float = Field(ge=0)
    range_noise_m: float = Field(ge=0)
    measures_elevation: bool = False
    weight: float = Field(default=1.0, gt=0)


class RigRanges(StrictConfig):
    """Rigs of a world: each seed draws its own, evenly between limits."""

    num_cameras: Counts = (1, 8)
    camera_height_m: Limits = (1.3, 2.0)
    camera_view_rad: Limits = (1.15, 2.0)
    """Horizontal field of view of pinholes."""
    fisheye_share: float = Field(default=0.2, ge=0, le=1)
    """Share of the rigs whose cameras are fisheyes."""
    fisheye_view_rad: Limits = (2.4, 3.1)
    camera_yaw_rad: Limits = (-0.15, 0.15)
    """Off the even spread around the vehicle, whose first camera looks ahead."""
    camera_pitch_rad: Limits = (-0.06, 0.16)
    """Downward is positive."""
    camera_colour: Limits = (0.15, 0.9)
    """Saturation, as a factor."""
    camera_contrast: Limits = (0.9, 1.5)
    camera_exposure: Limits = (0.36, 0.55)
    """Mean brightness that the automatic gain aims at."""
    camera_noise: Limits = (0.012, 0.03)
    num_lidars: Counts = (1, 2)
    lidar_height_m: Limits = (1.6, 2.3)
    lidar_gain: Limits = (0.7, 1.5)
    lidar_gamma: Limits = (0.6, 1.4)
    lidar_zero_share: Limits = (0.0, 0.25)
    lidar_patterns: tuple[BeamPattern, ...] = Field(
        default=(BeamPattern(num_beams=32, num_columns=1024, lowest_rad=-0.45, highest_rad=0.12),), min_length=1
    )
    num_radars: Counts = (1, 6)
    radar_height_m: Limits = (0.4, 0.9)
    radar_kinds: tuple[RadarKind, ...] = Field(
        default=(
            RadarKind(
                threshold_dbsm=-2.0,
                points_per_m=1.2,
                num_structure_rays=60,
                max_range_m=80.0,
                half_view_rad=1.2,
                azimuth_noise_rad=0.012,
                range_noise_m=0.25,
            ),
        ),
        min_length=1,
    )

    @model_validator(mode="after")
    def _possible(self) -> RigRanges:
        limits = {
            "num_cameras": (1, 8),
            "num_lidars": (1, 2),
            "num_radars": (1, 6),
            "camera_height_m": (0.3, 4.0),
            "lidar_height_m": (0.3, 4.0),
            "radar_height_m": (0.2, 4.0),
            "camera_view_rad": (0.3, 2.6),
            "fisheye_view_rad": (1.5, 3.6),
            "camera_noise": (0.0, 0.2),
            "camera_colour": (0.0, 2.0),
            "camera_contrast": (0.2, 3.0),
            "camera_exposure": (0.1, 0.9),
            "lidar_gain": (0.1, 10.0),
            "lidar_gamma": (0.1, 10.0),
            "lidar_zero_share": (0.0, 1.0),
        }
        for name, (least, most) in limits.items():
            low, high = getattr(self, name)
            if low < least or high > most:
                raise ValueError(f"{name} must lie within {least:g} and {most:g}")
        return self
