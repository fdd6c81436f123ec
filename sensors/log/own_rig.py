"""The calibration that a log's own messages tell: places, lenses and kinds of its sensors."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Any

from tricast.configs.errors import InputError
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.errors import CalibrationError
from tricast.sensors.frames import Modality
from tricast.sensors.geometry.lenses import Lens
from tricast.sensors.log import messages as ros
from tricast.sensors.log.cloud_layouts import is_radar_layout
from tricast.sensors.log.radar_scan_messages import RADAR_SCAN
from tricast.sensors.log.sensor_topics import CAMERA_INFO, CLOUD, sensor_of
from tricast.sensors.log.transform_buffer import TransformBuffer, frame_named

STATIC_TOPIC = "/tf_static"


class OwnRig:
    """What is known so far; messages are taken in one by one, in any order.

    Args:
        where: The log, for errors.

    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._frames = TransformBuffer()
        self._frame_of: dict[str, str] = {}
        self._lenses: dict[str, Lens] = {}
        self._modalities: dict[str, Modality] = {}

    def wants(self, topic: str, type_name: str) -> bool:
        """Whether a message of that topic and type would tell something new."""
        name = sensor_of(topic, type_name)
        if name is None:
            return topic == STATIC_TOPIC
        known = self._lenses if type_name == CAMERA_INFO else self._modalities
        return name not in known and type_name in (CAMERA_INFO, CLOUD, RADAR_SCAN)

    def add(self, topic: str, type_name: str, message: Any) -> None:
        """Take in a message that is wanted.

        Raises:
            CalibrationError: A camera info is none of a possible camera.

        """
        if topic == STATIC_TOPIC:
            self._frames.add_message(message, static=True, keep_broken=True)
            return
        name = sensor_of(topic, type_name)
        assert name is not None
        if type_name == CAMERA_INFO:
            try:
                self._lenses[name] = ros.lens_of(message, name)
            except InputError as error:
                raise self._error(f"{topic}: {error.where}", error) from error
        elif type_name == CLOUD:
            self._modalities[name] = "radar" if is_radar_layout({f.name for f in message.fields}) else "lidar"
        else:
            self._modalities[name] = "radar"
        self._frame_of[name] = frame_named(message.header.frame_id, name)

    def complete(self, sensors: AbstractSet[str]) -> bool:
        """Whether all is known of these sensors, and of whatever others were met."""
        seen = set(self._lenses) | set(self._modalities)
        return sensors <= seen and all(self._frames.lookup(ros.EGO_FRAME, self._frame_of[name]) for name in seen)

    def rig(self) -> Rig:
        """The sensors whose place is known.

        Raises:
            CalibrationError: The way from a sensor to the ego frame leads over a transform that is not rigid.

        """
        sensors: list[SensorCalibration] = []
        for name, frame in self._frame_of.items():
            pose, modality = self._frames.lookup(ros.EGO_FRAME, frame), self._modalities.get(name, "camera")
            if pose is not None:
                lens = self._lenses.get(name) if modality == "camera" else None
                sensors.append(SensorCalibration(channel=name, modality=modality, ego_from_sensor=pose, lens=lens))
            elif (error := self._frames.broken_below(frame, ros.EGO_FRAME)) is not None:
                raise self._error(f"{STATIC_TOPIC}: {error.where}", error)
        return Rig.of(sensors)

    def oddities(self) -> list[str]:
        """What is wrong with transforms that no sensor needs."""
        return [
            f"{self._where}: {STATIC_TOPIC}: {error.where}: got {error.got}, expected {error.expected}; "
            "the transform is left out"
            for error in self._frames.broken.values()
        ]

    def _error(self, what: str, error: InputError) -> CalibrationError:
        return CalibrationError(
            where=f"{self._where}: {what}", got=error.got, expected=error.expected, remedy=error.remedy
        )
