"""Settings of a motorway as the place of a world."""

from __future__ import annotations

from pydantic import Field, model_validator

from tricast.configs.strict import StrictConfig
from tricast.sensors.synthetic.rig_ranges import Counts, Limits


class MotorwayConfig(StrictConfig):
    """A motorway and its traffic: limits between which every seed draws, means, and shares of the seeds."""

    num_lanes: Counts = (2, 4)
    """Of each carriageway."""
    lane_m: Limits = (3.5, 3.75)
    least_radius_m: float = Field(default=600.0, ge=300, le=5000)
    """Of the bends."""
    spare_m: Limits = (5.0, 70.0)
    """Mean way to the next ahead beyond a safe distance, where traffic is free."""
    ego_mps: Limits = (22.0, 36.0)
    """Speed that the vehicle itself likes to go, as those below."""
    car_mps: Limits = (25.0, 40.0)
    """Cars and motorcycles."""
    lorry_mps: Limits = (21.0, 26.0)
    """Trucks, buses, construction vehicles, and whatever tows a trailer."""
    jam_mps: Limits = (0.0, 8.0)
    """Speeds between which a jam comes and goes in waves."""
    jam_share: float = Field(default=0.2, ge=0, le=1)
    """How often one of the carriageways is jammed, as the shares below."""
    work_zone_share: float = Field(default=0.25, ge=0, le=1)
    """A work zone on the shoulder, which closes the slowest lane every other time."""
    breakdown_share: float = Field(default=0.3, ge=0, le=1)
    """A vehicle that stands on the shoulder, with somebody beside it."""
    path_share: float = Field(default=0.2, ge=0, le=1)
    """A path for people and bicycles behind the guard rail."""
    bridge_share: float = Field(default=0.3, ge=0, le=1)
    """A bridge over all lanes."""
    num_trees: int = Field(default=200, ge=0, le=600)
    """Mean number per kilometre, behind the guard rails of both sides."""
    num_gantries: int = Field(default=4, ge=0, le=20)
    """Mean number of sign gantries per kilometre."""
    ground_wave_m: float = Field(default=0.5, ge=0, le=3)
    """Amplitude of each of the ground's three long waves."""
    truth_range_m: float = Field(default=60.0, gt=0)

    @model_validator(mode="after")
    def _possible(self) -> MotorwayConfig:
        limits = {
            "num_lanes": (2, 6),
            "lane_m": (3.0, 4.5),
            "spare_m": (1.0, 1000.0),
            "ego_mps": (5.0, 60.0),
            "car_mps": (5.0, 60.0),
            "lorry_mps": (5.0, 60.0),
            "jam_mps": (0.0, 15.0),
        }
        for name, (least, most) in limits.items():
            low, high = getattr(self, name)
            if low < least or high > most:
                raise ValueError(f"{name} must lie within {least:g} and {most:g}")
        return self
