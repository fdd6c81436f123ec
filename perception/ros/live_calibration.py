"""The rig as it becomes known on a live graph: from transforms, camera infos and the first message of each sensor."""

from __future__ import annotations

from typing import Any

from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.errors import SensorDataError
from tricast.sensors.frames import Modality
from tricast.sensors.geometry.lenses import Lens
from tricast.sensors.log.messages import lens_of
from tricast.sensors.log.transform_buffer import TransformBuffer, frame_named


class LiveCalibration:
    """Collects what calibrates each channel.

    Args:
        transforms: The frames; extrinsics are looked up in it.
        base_frame: The ego frame.
        fixed: Calibration of some or all channels that is known beforehand and not looked up.

    """

    def __init__(self, transforms: TransformBuffer, base_frame: str, fixed: Rig | None) -> None:
        self._transforms, self._base_frame = transforms, base_frame
        self._fixed = fixed or Rig()
        self._frames: dict[str, str] = {}
        self._modalities: dict[str, Modality] = {}
        self._lenses: dict[str, Lens] = {}
        self.missing: dict[str, str] = {}
        """By channel that sends but is not calibrated: what it lacks."""
        self.rig = self._fixed

    def add_sensor(self, channel: str, modality: Modality, frame_id: str) -> bool:
        """A message of a channel, in this frame; gives whether the rig changed.

        Raises:
            SensorDataError: The channel is another kind of sensor's.

        """
        known = self._fixed[channel].modality if channel in self._fixed else self._modalities.get(channel, modality)
        if known != modality:
            raise SensorDataError(
                where=channel,
                got=f"{modality} data",
                expected=f"a {known}'s, as before or as calibrated",
                remedy=f"give the {modality} a channel of its own",
            )
        frame_id = frame_named(frame_id, channel)
        if self._frames.get(channel) == frame_id and self._modalities.get(channel) == modality:
            return False
        self._frames[channel], self._modalities[channel] = frame_id, modality
        return self.look_up()

    def add_camera_info(self, channel: str, message: Any) -> bool:
        """A camera info; gives whether the rig changed.

        Raises:
            CalibrationError: Its lens is none that is known.

        """
        lens = lens_of(message, channel)
        if self._lenses.get(channel) == lens:
            return False
        self._lenses[channel] = lens
        return self.look_up()

    def look_up(self) -> bool:
        """Build the rig anew, after transforms changed too; gives whether it differs."""
        sensors = dict(self._fixed.sensors)
        self.missing = {}
        for channel, modality in self._modalities.items():
            if channel in self._fixed:
                continue
            lens = self._lenses.get(channel) if modality == "camera" else None
            pose = self._transforms.lookup(self._base_frame, self._frames[channel])
            if pose is None:
                self.missing[channel] = f"no transform {self._base_frame} > {self._frames[channel]}"
            elif modality == "camera" and lens is None:
                self.missing[channel] = "no camera info"
            else:
                sensors[channel] = SensorCalibration(
                    channel=channel, modality=modality, ego_from_sensor=pose, lens=lens
                )
        if sensors == dict(self.rig.sensors):
            return False
        self.rig = Rig.of(sensors.values())
        return True
