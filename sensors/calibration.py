"""The rig: which sensors a vehicle has, where they sit, and how its cameras see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tricast.sensors.errors import CalibrationError
from tricast.sensors.frames import Modality
from tricast.sensors.geometry.lenses import Lens
from tricast.sensors.geometry.se3 import SE3

MODALITIES: tuple[Modality, ...] = ("camera", "lidar", "radar")


@dataclass(frozen=True, kw_only=True)
class SensorCalibration:
    """One sensor of a rig.

    Args:
        channel: The sensor's name, its topic's middle and its frame id: `CAM_FRONT`. It has no slash.
        modality: What it is.
        ego_from_sensor: Its extrinsics.
        lens: How a camera sees; None for LiDAR and radar.

    Raises:
        CalibrationError: The channel is no name of a topic's part, or a lens is missing or out of place.

    """

    channel: str
    modality: Modality
    ego_from_sensor: SE3
    lens: Lens | None = None

    def __post_init__(self) -> None:
        if not self.channel or "/" in self.channel:
            raise CalibrationError(
                where=f"channel {self.channel!r}",
                got="a name that cannot be one part of a topic",
                expected="a name without slashes, such as LIDAR_TOP",
                remedy="rename the sensor",
            )
        if (self.lens is not None) != (self.modality == "camera"):
            raise CalibrationError(
                where=self.channel,
                got=f"a {self.modality} {'with' if self.lens else 'without'} a lens",
                expected="a lens for every camera and for nothing else",
                remedy="add intrinsics to cameras only",
            )


@dataclass(frozen=True, kw_only=True)
class Rig:
    """Every calibrated sensor of a vehicle, by channel, in a fixed (sorted) order."""

    sensors: Mapping[str, SensorCalibration] = field(default_factory=dict[str, SensorCalibration])

    @staticmethod
    def of(sensors: Iterable[SensorCalibration]) -> Rig:
        """Build from sensors in any order.

        Raises:
            CalibrationError: Two sensors share a channel.

        """
        by_channel: dict[str, SensorCalibration] = {}
        for sensor in sorted(sensors, key=lambda s: s.channel):
            if sensor.channel in by_channel:
                raise CalibrationError(
                    where=sensor.channel,
                    got="two sensors of this name",
                    expected="one calibration per channel",
                    remedy="rename one of them",
                )
            by_channel[sensor.channel] = sensor
        return Rig(sensors=by_channel)

    def channels(self, modality: Modality | None = None) -> tuple[str, ...]:
        """Channels, of one modality or of all, sorted."""
        return tuple(c for c, s in self.sensors.items() if modality is None or s.modality == modality)

    def __contains__(self, channel: str) -> bool:
        return channel in self.sensors

    def __getitem__(self, channel: str) -> SensorCalibration:
        if channel not in self.sensors:
            raise CalibrationError(
                where=channel,
                got="no calibration for this channel",
                expected=f"one of {', '.join(self.sensors) or 'no channel at all'}",
                remedy="give its calibration with --calibration rig.yaml",
            )
        return self.sensors[channel]


def check_calibrated(rig: Rig, channels: Iterable[str], *, where: str) -> None:
    """Refuse a rig that has none of a log's sensors; a log without sensors needs none.

    Raises:
        CalibrationError: Not one of the channels is in the rig.

    """
    recorded = sorted(set(channels))
    if recorded and not any(channel in rig for channel in recorded):
        raise CalibrationError(
            where=where,
            got=f"a calibration of {', '.join(rig.channels()) or 'no sensor'}",
            expected=f"one of at least one of the log's sensors ({', '.join(recorded)})",
            remedy="give one with --calibration rig.yaml; its names are the log's channels",
        )
