"""Writing Tricast logs: any stream of messages and its rig into one MCAP file."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig
from tricast.sensors.errors import SensorDataError
from tricast.sensors.frames import CameraFrame, EgoPose
from tricast.sensors.log import messages as ros
from tricast.sensors.log.cloud_messages import cloud_message
from tricast.sensors.log.ros2_mcap import Ros2McapWriter
from tricast.sensors.log.stream import ForeignMessage, Message

TRUTH_TOPIC = "/tricast/annotations"
ODOMETRY_TOPIC = "/odometry"
END_OF_TIME_NS = (1 << 31) * 1_000_000_000
"""Seconds of a header are 32 bits with a sign."""


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
        """Append one message; its arrival becomes the log time, its stamp the header's.

        Raises:
            SensorDataError: One of them is none that ROS 2 can tell.
            InputError: The disk is full, or takes no more for another reason.

        """
        now_ns = message.received_ns
        _check_time(message)
        if not self._begun:
            self._begun = True
            static = ros.transform_message(now_ns, ros.rig_transforms(self._rig))
            self._mcap.write("/tf_static", static, now_ns)
        for topic, content in ros_messages(message, self._rig):
            self._mcap.write(topic, content, now_ns)

    def copy(self, message: ForeignMessage) -> None:
        """Append a message of a topic that Tricast does not read, byte for byte."""
        self._mcap.copy(message)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._mcap.__exit__(kind, error, traceback)


def _check_time(message: Message) -> None:
    earliest_ns, latest_ns = sorted((message.timestamp_ns, message.received_ns))
    if earliest_ns < 0 or latest_ns >= END_OF_TIME_NS:
        raise SensorDataError(
            where=getattr(message, "channel", type(message).__name__),
            got=f"a message stamped {message.timestamp_ns} ns that arrived at {message.received_ns} ns",
            expected=f"times from 0 to {END_OF_TIME_NS - 1} ns, which a ROS 2 header can hold",
            remedy="stamp it in nanoseconds since 1970, or leave it out",
        )


def ros_messages(message: Message, rig: Rig) -> list[tuple[str, Any]]:
    """What a message is on a ROS 2 graph: topics with messages of the type store."""
    if isinstance(message, EgoPose):
        frames = [(ros.ODOM_FRAME, ros.EGO_FRAME, message.odom_from_ego)]
        transform = ros.transform_message(message.timestamp_ns, frames)
        return [(ODOMETRY_TOPIC, ros.odometry_message(message)), ("/tf", transform)]
    if isinstance(message, Annotations):
        return [(TRUTH_TOPIC, ros.annotations_message(message))]
    base = f"/sensors/{message.channel}"
    if not isinstance(message, CameraFrame):
        return [(f"{base}/points", cloud_message(message))]
    lens = rig[message.channel].lens
    assert lens is not None
    info = ros.camera_info_message(lens, message.channel, message.timestamp_ns)
    suffix = "image_raw" if message.encoding == "rgb8" else "image"
    return [(f"{base}/camera_info", info), (f"{base}/{suffix}", ros.image_message(message))]
