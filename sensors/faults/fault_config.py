"""Which faults happen to which sensors, when and how badly."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from tricast.configs.strict import StrictConfig, load_config

Modality = Literal["camera", "lidar", "radar"]


class SensorFault(StrictConfig):
    """What all faults share: the sensors (channels or modalities; none named means all that can have it)."""

    channels: tuple[str, ...] = ()


class TimedFault(SensorFault):
    """A fault that lasts from `start_s` to `stop_s` after the log's first message."""

    start_s: float = Field(default=0.0, ge=0)
    stop_s: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _lasting(self) -> TimedFault:
        if self.stop_s is not None and self.stop_s <= self.start_s:
            raise ValueError(
                f"stop_s after start_s {self.start_s:g}, not {self.stop_s:g}: the fault would never happen"
            )
        return self


class SensorLoss(TimedFault):
    """Messages are lost, each with this probability; with a period, all of one period together."""

    kind: Literal["sensor_loss"]
    probability: float = Field(default=1.0, gt=0, le=1)
    period_s: float | None = Field(default=None, gt=0, le=60)
    """Periods are centred on multiples of their length after the log's first message, so that what is used there
    is lost as well."""


class Freeze(TimedFault):
    """The sensor repeats its first measurement of the interval under new stamps."""

    kind: Literal["freeze"]


class StaleData(TimedFault):
    """A message carries what was measured about this long before, each with this probability, under its new stamp.

    A channel that measured nothing between one and two such times before delivers as it was.
    """

    kind: Literal["stale_data"]
    probability: float = Field(default=1.0, gt=0, le=1)
    lag_s: float = Field(gt=0, le=10)


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


class BeamThinning(TimedFault):
    """Only every n-th beam of a LiDAR is left, the second first; by elevation where the log has no rings."""

    kind: Literal["beam_thinning"]
    one_in: int = Field(ge=2, le=64)


class PointLoss(TimedFault):
    """A share of a sweep's points is lost, chosen anew in each."""

    kind: Literal["point_loss"]
    share: float = Field(gt=0, le=1)


class PointShake(TimedFault):
    """A shaking LiDAR: each sweep is shifted by noise of this size, and its points against each other by less."""

    kind: Literal["point_shake"]
    sigma_m: float = Field(gt=0, le=5)


class PointMisalignment(TimedFault):
    """Sweeps are turned about all three axes and shifted, each with this probability, in the sensor's own axes."""

    kind: Literal["point_misalignment"]
    probability: float = Field(gt=0, le=1)
    angle_rad: float = Field(ge=-1, le=1)
    shift_m: tuple[float, float, float] = (0.0, 0.0, 0.0)


class Fog(TimedFault):
    """Fog of a meteorological visibility: contrast in images falls to 5 % over it (Koschmieder).

    LiDAR returns fade with twice the way and some come back from the fog itself; radar is spared.
    """

    kind: Literal["fog"]
    visibility_m: float = Field(gt=5, le=2000)


class Snow(TimedFault):
    """Falling snow: flakes in images, faded and false returns in LiDAR sweeps; radar is spared.

    The LiDAR part follows from the share of the air that flakes of 3 mm fill (large against the wavelength, so that
    light is lost at three times that share over the diameter, per metre).
    """

    kind: Literal["snow"]
    occupancy: float = Field(gt=0, le=1e-3)
    flake_share: float = Field(ge=0, le=1)
    """Share of an image's cells with a flake in them."""
    flake_px: float = Field(gt=0, le=100)
    """Size of a flake in an image 1600 pixels wide; scaled with the width."""
    veil: float = Field(default=0.0, ge=0, le=1)
    """How far everything is drawn towards white."""


class Darkness(TimedFault):
    """Less light into the cameras, and more noise for it."""

    kind: Literal["darkness"]
    light: float = Field(gt=0, lt=1)
    noise: float = Field(default=0.03, ge=0, le=0.5)
    gamma: float = Field(default=1.0, gt=0, le=10)
    """Above 1, dark parts lose more."""
    photons: float | None = Field(default=None, gt=0)
    """Photons of a full white, for shot noise; none without."""


class Brightness(TimedFault):
    """Too much light: this is added to the value of each pixel (HSV), 1 being full white."""

    kind: Literal["brightness"]
    added: float = Field(gt=0, le=1)


class Blur(TimedFault):
    """Images out of focus."""

    kind: Literal["blur"]
    sigma_px: float = Field(gt=0, le=50)


class MotionBlur(TimedFault):
    """Images smeared along one direction, drawn anew for each within 45 degrees of the rows."""

    kind: Literal["motion_blur"]
    sigma_px: float = Field(gt=0, le=200)
    """Half-Gaussian smear in an image 1600 pixels wide; scaled with the width."""


class RadarGhosts(TimedFault):
    """Returns repeated farther away with a multiplied Doppler, so many for each real one."""

    kind: Literal["radar_ghosts"]
    per_return: float = Field(gt=0, le=10)


class RadarLoss(TimedFault):
    """Returns are lost, each with this probability."""

    kind: Literal["radar_loss"]
    share: float = Field(gt=0, le=1)


class DopplerNoise(TimedFault):
    """Radial velocities scatter, each return by itself."""

    kind: Literal["doppler_noise"]
    sigma_mps: float = Field(gt=0, le=50)


class RadarAngleNoise(TimedFault):
    """Azimuths scatter, each return by itself; ranges stay."""

    kind: Literal["radar_angle_noise"]
    sigma_rad: float = Field(gt=0, le=1)


class Miscalibration(SensorFault):
    """The stated mounting is off, in the sensor's own axes, over the whole log: by this, and by a draw per sensor."""

    kind: Literal["miscalibration"]
    rotation_rad: tuple[float, float, float] = (0.0, 0.0, 0.0)
    translation_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation_sigma_rad: float = Field(default=0.0, ge=0, le=1)
    """Standard deviation about each axis."""
    translation_sigma_m: float = Field(default=0.0, ge=0, le=10)
    """Standard deviation along each axis."""


TimingFault: TypeAlias = SensorLoss | Freeze | StaleData | Delay | Jitter | ClockOffset
LidarFault: TypeAlias = BeamLoss | BeamThinning | PointLoss | PointShake | PointMisalignment
CameraFault: TypeAlias = Darkness | Brightness | Blur | MotionBlur
RadarFault: TypeAlias = RadarGhosts | RadarLoss | DopplerNoise | RadarAngleNoise
WeatherFault: TypeAlias = Fog | Snow
MeasurementFault: TypeAlias = LidarFault | CameraFault | RadarFault | WeatherFault
MessageFault: TypeAlias = TimingFault | MeasurementFault
Fault: TypeAlias = Annotated[MessageFault | Miscalibration, Field(discriminator="kind")]
APPLIES_TO: dict[str, tuple[Modality, ...]] = {
    "beam_loss": ("lidar",),
    "beam_thinning": ("lidar",),
    "point_loss": ("lidar",),
    "point_shake": ("lidar",),
    "point_misalignment": ("lidar",),
    "fog": ("camera", "lidar"),
    "snow": ("camera", "lidar"),
    "darkness": ("camera",),
    "brightness": ("camera",),
    "blur": ("camera",),
    "motion_blur": ("camera",),
    "radar_ghosts": ("radar",),
    "radar_loss": ("radar",),
    "doppler_noise": ("radar",),
    "radar_angle_noise": ("radar",),
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
