"""Settings of a synthetic world, with disjoint seeds for training, validation and test."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

from pydantic import Field, model_validator

from tricast.configs.strict import StrictConfig, load_config
from tricast.sensors.synthetic.motorway_config import MotorwayConfig
from tricast.sensors.synthetic.rig_ranges import LidarOptics, Limits, RadarEchoes, RigRanges


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


class CityConfig(StrictConfig):
    """What makes a city of a town: road users have their true sizes, and every seed draws its streets within limits."""

    lane_m: Limits = (2.7, 3.6)
    parking_m: Limits = (2.0, 2.5)
    front_m: Limits = (2.2, 9.0)
    """From the curb to the nearest fronts of houses; everything between follows."""
    house_height_m: Limits = (6.0, 16.0)
    closed_fronts: float = Field(default=0.8, ge=0, le=1)
    """Share of houses that stand next to each other."""
    num_bicycle_rows: int = Field(default=8, ge=0, le=40)
    """Rows of parked bicycles on the pavements."""

    @model_validator(mode="after")
    def _possible(self) -> CityConfig:
        limits = {"lane_m": (2.6, 5.0), "parking_m": (1.9, 4.0), "front_m": (2.0, 30.0), "house_height_m": (3.0, 60.0)}
        for name, (least, most) in limits.items():
            low, high = getattr(self, name)
            if low < least or high > most:
                raise ValueError(f"{name} must lie within {least:g} and {most:g}")
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
    city: CityConfig | None = None


class LightConfig(StrictConfig):
    """How often it is day, dusk and night."""

    day: float = Field(default=0.5, ge=0)
    dusk: float = Field(default=0.25, ge=0)
    night: float = Field(default=0.25, ge=0)

    @model_validator(mode="after")
    def _some(self) -> LightConfig:
        if self.day + self.dusk + self.night <= 0:
            raise ValueError("one of day, dusk and night above 0, not none")
        return self


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
    optics: LidarOptics | None = None

    @model_validator(mode="after")
    def _whole_slices(self) -> LidarConfig:
        if self.num_slices > self.num_columns:
            raise ValueError(f"num_slices of at most num_columns {self.num_columns}, not {self.num_slices}")
        return self


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
    echoes: RadarEchoes | None = None


class DetailConfig(StrictConfig):
    """What surfaces and bodies show beyond plain paint, and how much of what else stands beside the roads.

    The numbers are of a town, and of a motorway's whole length in sight.
    """

    texture: float = Field(default=1.0, ge=0, le=3)
    """Strength of the fine patterns of ground, walls and leaves."""
    num_things: int = Field(default=240, ge=0, le=400)
    """Look-alikes on pavements and verges beside those of the town, most of a person's or a cone's size."""
    num_poles: int = Field(default=30, ge=0, le=200)
    """Posts of signs and lamps beside the roads."""
    num_bushes: int = Field(default=40, ge=0, le=200)
    """Shrubs of a pedestrian's to a car's size, on verges and in front of houses."""
    num_walls: int = Field(default=12, ge=0, le=100)
    """Garden walls and fences in front of houses; noise walls beside a motorway."""


class WorldConfig(StrictConfig):
    """A world: its seeds, its place, its light and its sensors.

    The place is a town unless `motorway` is stated; no world has both. What version 1 does not know is None there:
    `motorway`, and `detail`, `rigs`, `lidar.optics` and `radar.echoes`, all of which a later version must state.
    """

    version: int = Field(default=1, ge=1, le=2)
    seeds: SeedRanges = SeedRanges()
    town: TownConfig | None = None
    light: LightConfig = LightConfig()
    rig: RigConfig = RigConfig()
    lidar: LidarConfig = LidarConfig()
    camera: CameraConfig = CameraConfig()
    radar: RadarConfig = RadarConfig()
    detail: DetailConfig | None = None
    rigs: RigRanges | None = None
    motorway: MotorwayConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _placed(cls, values: Any) -> Any:
        """A world that says nothing of its place is a town."""
        if not isinstance(values, dict):
            return values
        stated = cast(dict[str, Any], values)
        unplaced = stated.get("motorway") is None and stated.get("town") is None
        return {**stated, "town": TownConfig()} if unplaced else stated

    @model_validator(mode="after")
    def _whole(self) -> WorldConfig:
        parts = {
            "detail": self.detail,
            "rigs": self.rigs,
            "lidar.optics": self.lidar.optics,
            "radar.echoes": self.radar.echoes,
        }
        stated = [name for name, part in parts.items() if part is not None]
        if self.motorway is not None and self.town is not None:
            raise ValueError("a world is a town or a motorway: leave one of the two out")
        if self.version == 1 and self.motorway is not None:
            raise ValueError("version 1 of the world has no motorway: write version: 2")
        if self.version == 1 and self.town is not None and self.town.city is not None:
            raise ValueError("version 1 of the world has no town.city: write version: 2")
        if self.version == 1 and stated:
            raise ValueError(f"version 1 of the world has no {' and no '.join(stated)}: write version: 2")
        if self.version > 1 and len(stated) < len(parts):
            missing = [name for name in parts if name not in stated]
            raise ValueError(f"version {self.version} of the world needs {' and '.join(missing)}, which may be {{}}")
        return self

    @property
    def place(self) -> TownConfig | MotorwayConfig:
        """What kind of place the world's scenes are, with its settings."""
        place = self.motorway or self.town
        assert place is not None
        return place

    def recipe(self) -> str:
        """The settings as text, by which made things are known: settings that a version lacks are not in its text."""
        return self.model_dump_json(exclude_none=True)


def load_world(name: str = "standard") -> WorldConfig:
    """Read a packaged world by its bare name, or the user's own file by its path.

    Raises:
        ConfigError: It is missing or does not fit.

    """
    return load_config(WorldConfig, name, folder="worlds")
