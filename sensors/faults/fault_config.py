"""Which faults happen to which sensors, when and how badly."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from tricast.configs.strict import StrictConfig, load_config

Modality = Literal["camera", "lidar", "radar"]


class SensorFault(StrictConfig):
    """What all faults share: the sensors (channels or modalities; none named means all that can have it)."""

    channels: tuple[str, ...] = ()


class TimedFault(SensorFault):
    """A fault that lasts from `start_s` to `stop_s` after the log's first message."""

    start_s: float = Field(default=0.0, ge=0)
    stop_s: float | None = Field(default=None, ge=0)


class SensorLoss(TimedFault):
    """Messages are lost, each with this probability."""

    kind: Literal["sensor_loss"]
    probability: float = Field(default=1.0, gt=0, le=1)


class Freeze(TimedFault):
    """The sensor repeats its first measurement of the interval under new stamps."""

    kind: Literal["freeze"]


class Delay(TimedFault):
    """Messages arrive later than they did."""

    kind: Literal["delay"]
    delay_s: float = Field(gt=0, le=10)


class Jitter(TimedFault):
    """Stamps scatter, at most three standard deviations; arrival is never before the stamp."""

    kind: Literal["jitter"]
    sigma_s: float = Field(gt=0, le=1)


class ClockOffset(TimedFault):
    """The sensor's clock is ahead (positive) or behind."""

    kind: Literal["clock_offset"]
    offset_s: float = Field(ge=-10, le=10)


class BeamLoss(TimedFault):
    """Beams of a LiDAR fail, the same ones all the time; by elevation where the log has no rings."""

    kind: Literal["beam_loss"]
    share: float = Field(gt=0, le=1)


class Fog(TimedFault):
    """Fog of a meteorological visibility: contrast in images falls to 5 % over it (Koschmieder).

    LiDAR returns fade with twice the way and some come back from the fog itself; radar is spared.
    """

    kind: Literal["fog"]
    visibility_m: float = Field(gt=5, le=2000)


class Darkness(TimedFault):
    """Less light into the cameras, and more noise for it."""

    kind: Literal["darkness"]
    light: float = Field(gt=0, lt=1)
    noise: float = Field(default=0.03, ge=0, le=0.5)


class Blur(TimedFault):
    """Images out of focus."""

    kind: Literal["blur"]
    sigma_px: float = Field(gt=0, le=50)


class RadarGhosts(TimedFault):
    """Returns repeated farther away with a multiplied Doppler, so many for each real one."""

    kind: Literal["radar_ghosts"]
    per_return: float = Field(gt=0, le=10)


class Miscalibration(SensorFault):
    """The stated mounting is off by this, in the sensor's own axes, over the whole log."""

    kind: Literal["miscalibration"]
    rotation_rad: tuple[float, float, float] = (0.0, 0.0, 0.0)
    translation_m: tuple[float, float, float] = (0.0, 0.0, 0.0)


MessageFault: TypeAlias = (
    SensorLoss | Freeze | Delay | Jitter | ClockOffset | BeamLoss | Fog | Darkness | Blur | RadarGhosts
)
Fault: TypeAlias = Annotated[MessageFault | Miscalibration, Field(discriminator="kind")]
APPLIES_TO: dict[str, tuple[Modality, ...]] = {
    "beam_loss": ("lidar",),
    "fog": ("camera", "lidar"),
    "darkness": ("camera",),
    "blur": ("camera",),
    "radar_ghosts": ("radar",),
}
"""The sensors that a fault can happen to; all of them where it is not named here."""


class FaultsConfig(StrictConfig):
    """Faults in the order in which they happen to a message."""

    seed: int = Field(default=0, ge=0)
    faults: tuple[Fault, ...] = ()


def load_faults(name: str) -> FaultsConfig:
    """Read packaged faults by their bare name, or the user's own file by its path.

    Raises:
        ConfigError: It is missing or does not fit.

    """
    return load_config(FaultsConfig, name, folder="faults")
