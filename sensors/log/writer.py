"""Writing Tricast logs: any stream of messages and its rig into one MCAP file."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig
from tricast.sensors.frames import CameraFrame, EgoPose
from tricast.sensors.log import messages as ros
from tricast.sensors.log.ros2_mcap import Ros2McapWriter
from tricast.sensors.log.stream import ForeignMessage, Message

TRUTH_TOPIC = "/tricast/annotations"
ODOMETRY_TOPIC = "/odometry"


class LogWriter:
    """Writes messages in the order given; use as a context manager.

    Args:
        path: The file to write; it has its name only once it is whole.
        rig: Calibration, written as `/tf_static` before the first message and as a camera info with every image.

    """

    def __init__(self, path: Path, rig: Rig) -> None:
        self._rig = rig
        self._mcap = Ros2McapWriter(path)
        self._begun = False

    def __enter__(self) -> LogWriter:
        return self

    def write(self, message: Message) -> None:
        """Append one message; its arrival becomes the log time, its stamp the header's."""
        now_ns = message.received_ns
        if not self._begun:
            self._begun = True
            static = ros.transform_message(now_ns, ros.rig_transforms(self._rig))
            self._mcap.write("/tf_static", static, now_ns)
        if isinstance(message, EgoPose):
            self._mcap.write(ODOMETRY_TOPIC, ros.odometry_message(message), now_ns)
            frames = [(ros.ODOM_FRAME, ros.EGO_FRAME, message.odom_from_ego)]
            self._mcap.write("/tf", ros.transform_message(message.timestamp_ns, frames), now_ns)
        elif isinstance(message, Annotations):
            self._mcap.write(TRUTH_TOPIC, ros.annotations_message(message), now_ns)
        elif isinstance(message, CameraFrame):
            base = f"/sensors/{message.channel}"
            lens = self._rig[message.channel].lens
            assert lens is not None
            info = ros.camera_info_message(lens, message.channel, message.timestamp_ns)
            self._mcap.write(f"{base}/camera_info", info, now_ns)
            suffix = "image_raw" if message.encoding == "rgb8" else "image"
            self._mcap.write(f"{base}/{suffix}", ros.image_message(message), now_ns)
        else:
            self._mcap.write(f"/sensors/{message.channel}/points", ros.cloud_message(message), now_ns)

    def copy(self, message: ForeignMessage) -> None:
        """Append a message of a topic that Tricast does not read, byte for byte."""
        self._mcap.copy(message)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._mcap.__exit__(kind, error, traceback)
