"""Settings of a synthetic world, with disjoint seeds for training, validation and test."""

from __future__ import annotations

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
        if any(low >= high for low, high in ranges) or any(
            a[1] > b[0] for a, b in zip(ranges, ranges[1:], strict=False)
        ):
            raise ValueError("the ranges of seeds must be non-empty and must not overlap")
        return self


class LidarConfig(StrictConfig):
    """A spinning LiDAR."""

    num_beams: int = Field(default=32, ge=1, le=128)
    num_columns: int = Field(default=720, ge=8, le=4096)
    lowest_rad: float = -0.45
    highest_rad: float = 0.12
    max_range_m: float = Field(default=80, gt=0)
    range_noise_m: float = Field(default=0.02, ge=0)
    drop_out: float = Field(default=0.05, ge=0, le=1)
    period_ms: int = Field(default=100, ge=10)
    num_slices: int = Field(default=6, ge=1)
    """Poses per revolution: the scene stands still within a slice."""


class CameraConfig(StrictConfig):
    """Cameras of the rig."""

    width_px: int = Field(default=320, ge=16)
    height_px: int = Field(default=192, ge=16)
    focal_px: float = Field(default=190, gt=0)
    jpeg_quality: int = Field(default=80, ge=10, le=100)
    period_ms: int = Field(default=100, ge=10)


class RadarConfig(StrictConfig):
    """Radars of the rig."""

    max_range_m: float = Field(default=80, gt=0)
    half_view_rad: float = Field(default=1.3, gt=0)
    period_ms: int = Field(default=77, ge=10)
    range_noise_m: float = Field(default=0.25, ge=0)
    azimuth_noise_rad: float = Field(default=0.01, ge=0)
    doppler_noise_mps: float = Field(default=0.1, ge=0)
    detection_rate: float = Field(default=0.8, ge=0, le=1)
    num_clutter: int = Field(default=12, ge=0)


class StreetConfig(StrictConfig):
    """What stands and drives on the street."""

    length_m: float = Field(default=200, gt=20)
    num_moving: int = Field(default=9, ge=0)
    num_parked: int = Field(default=10, ge=0)
    num_pedestrians: int = Field(default=8, ge=0)
    num_cones: int = Field(default=4, ge=0)
    ego_speed_mps: float = Field(default=8, ge=0)


class WorldConfig(StrictConfig):
    """A world: its seeds, its street and its sensors."""

    seeds: SeedRanges = SeedRanges()
    street: StreetConfig = StreetConfig()
    lidar: LidarConfig = LidarConfig()
    camera: CameraConfig = CameraConfig()
    radar: RadarConfig = RadarConfig()


def load_world(name: str = "street") -> WorldConfig:
    """Read a packaged world by its bare name, or the user's own file by its path.

    Raises:
        ConfigError: It is missing or does not fit.

    """
    return load_config(WorldConfig, name, folder="worlds")
