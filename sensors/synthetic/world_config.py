"""Settings of a synthetic world, with disjoint seeds for training, validation and test."""

from __future__ import annotations

from itertools import pairwise

from pydantic import Field, model_validator

from tricast.configs.strict import StrictConfig, load_config


class SeedRanges(StrictConfig):
    """Half-open ranges of seeds that share nothing."""

    train: tuple[int, int] = (0, 100_000)
    validation: tuple[int, int] = (100_000, 110_000)
    test: tuple[int, int] = (110_000, 120_000)

    @model_validator(mode="after")
    def _disjoint(self) -> SeedRanges:
        ranges = sorted([self.train, self.validation, self.test])
        if any(low >= high for low, high in ranges) or any(a[1] > b[0] for a, b in pairwise(ranges)):
            raise ValueError("the ranges of seeds must be non-empty and must not overlap")
        return self


class TownConfig(StrictConfig):
    """What stands, drives and walks in the town, as means per scene."""

    num_driving: int = Field(default=16, ge=0, le=60)
    num_cycling: int = Field(default=5, ge=0, le=40)
    num_walking: int = Field(default=36, ge=0, le=80)
    num_parked: int = Field(default=42, ge=0, le=80)
    num_work_zones: int = Field(default=2, ge=0, le=6)
    num_lookalikes: int = Field(default=34, ge=0, le=120)
    """Things of a road user's size, on the road and beside it, that are none."""
    num_trees: int = Field(default=30, ge=0, le=200)
    num_railings: int = Field(default=45, ge=0, le=60)
    ground_wave_m: float = Field(default=0.12, ge=0, le=1)
    """Amplitude of each of the ground's three waves."""
    curb_m: float = Field(default=0.12, ge=0, le=0.5)
    clear_speed_mps: float = Field(default=9.0, gt=0, le=30)
    truth_range_m: float = Field(default=60.0, gt=0)


class LightConfig(StrictConfig):
    """How often it is day, dusk and night."""

    day: float = Field(default=0.5, ge=0)
    dusk: float = Field(default=0.25, ge=0)
    night: float = Field(default=0.25, ge=0)


class RigConfig(StrictConfig):
    """How rigs differ, and how far a log's calibration is off from the sensors' true poses."""

    position_spread_m: float = Field(default=0.15, ge=0, le=1)
    angle_spread_rad: float = Field(default=0.04, ge=0, le=0.3)
    focal_spread: float = Field(default=0.06, ge=0, le=0.3)
    calibration_error_m: float = Field(default=0.01, ge=0, le=0.2)
    calibration_error_rad: float = Field(default=0.002, ge=0, le=0.05)


class LidarConfig(StrictConfig):
    """A spinning LiDAR."""

    num_beams: int = Field(default=32, ge=1, le=128)
    num_columns: int = Field(default=1024, ge=8, le=4096)
    lowest_rad: float = -0.45
    highest_rad: float = 0.12
    max_range_m: float = Field(default=80, gt=0)
    range_noise_m: float = Field(default=0.02, ge=0)
    drop_out: float = Field(default=0.05, ge=0, le=1)
    period_ms: int = Field(default=100, ge=10)
    num_slices: int = Field(default=4, ge=1)
    """Poses per revolution: road users stand still within a slice, the vehicle moves within it."""


class CameraConfig(StrictConfig):
    """Cameras of the rig."""

    width_px: int = Field(default=320, ge=16)
    height_px: int = Field(default=192, ge=16)
    focal_px: float = Field(default=180, gt=0)
    jpeg_quality: int = Field(default=80, ge=10, le=100)
    noise: float = Field(default=0.012, ge=0, le=0.2)
    """Standard deviation by day, of full scale; three times as much at night."""
    period_ms: int = Field(default=100, ge=10)


class RadarConfig(StrictConfig):
    """Radars of the rig."""

    max_range_m: float = Field(default=80, gt=0)
    half_view_rad: float = Field(default=1.5, gt=0)
    period_ms: int = Field(default=77, ge=10)
    range_noise_m: float = Field(default=0.25, ge=0)
    azimuth_noise_rad: float = Field(default=0.012, ge=0)
    doppler_noise_mps: float = Field(default=0.1, ge=0)
    detection_rate: float = Field(default=0.6, ge=0, le=1)
    num_structure_rays: int = Field(default=24, ge=0)
    """Rays at walls, poles and ground that may come back as standing returns."""
    clutter_share: float = Field(default=0.25, ge=0, lt=1)
    """Share of a scan's returns that belong to nothing."""
    ghost_rate: float = Field(default=0.12, ge=0, le=1)
    """How often a return is repeated behind itself with a multiplied Doppler."""


class WorldConfig(StrictConfig):
    """A world: its seeds, its town, its light and its sensors."""

    version: int = 1
    seeds: SeedRanges = SeedRanges()
    town: TownConfig = TownConfig()
    light: LightConfig = LightConfig()
    rig: RigConfig = RigConfig()
    lidar: LidarConfig = LidarConfig()
    camera: CameraConfig = CameraConfig()
    radar: RadarConfig = RadarConfig()


def load_world(name: str = "standard") -> WorldConfig:
    """Read a packaged world by its bare name, or the user's own file by its path.

    Raises:
        ConfigError: It is missing or does not fit.

    """
    return load_config(WorldConfig, name, folder="worlds")
