"""A vehicle to try the live node with: sensors of the demo log, sent again and again as of now, with faults."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import Any

from tricast.sensors.frames import CameraFrame, EgoPose
from tricast.sensors.log import messages as ros
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.schema import serialize
from tricast.sensors.log.stream import SensorMessage
from tricast.sensors.log.writer import ODOMETRY_TOPIC, ros_messages
from tricast.sensors.ros.installation import message_type, ros_module
from tricast.sensors.ros.qos import LATCHED, Qos
from tricast.tools.demo import demo_log_path

SECONDS = 2.0
MAX_BEHIND_NS = 50_000_000
CHANNELS = ("CAM_FRONT", "LIDAR_TOP", "RADAR_FRONT")


@dataclass
class Fault:
    """What is wrong with one sensor.

    Args:
        dead: It has no publisher at all.
        frozen: It sends the same content, newly stamped.
        late_s: Its messages come so much later.
        times: How often each message is sent, a millisecond apart in stamp.
        malformed: It sends the first half of each message.

    """

    dead: bool = False
    frozen: bool = False
    late_s: float = 0.0
    times: int = 1
    malformed: bool = False


class Vehicle:
    """Sends until closed; `faults` may be changed at any time.

    Args:
        channels: Sensors of the demo log that it has.
        qos: What its sensors offer.
        topics: Other names for topics.
        odom_frame: In which its odometry is, by its own words.
        raw_images: Whether its cameras send `sensor_msgs/Image`, pixel by pixel, in place of JPEG.

    """

    def __init__(
        self,
        channels: tuple[str, ...] = CHANNELS,
        *,
        qos: Qos | None = None,
        topics: dict[str, str] | None = None,
        odom_frame: str = "odom",
        raw_images: bool = False,
    ) -> None:
        self.channels, self._odom_frame = channels, odom_frame
        self.faults = {channel: Fault() for channel in channels}
        self.node = ros_module("rclpy.node").Node("vehicle")
        self._qos, self._topics = qos or Qos(), topics or {}
        log = open_log(demo_log_path())
        self._rig = log.rig
        end_ns = log.start_ns + round(SECONDS * 1e9)
        self._messages: list[Any] = [
            raw(m) if raw_images and isinstance(m, CameraFrame) else m
            for m in log.messages(end_ns=end_ns)
            if isinstance(m, EgoPose) or getattr(m, "channel", None) in channels
        ]
        self._first_ns = log.start_ns
        self._publishers: dict[str, Any] = {}
        self._late: list[tuple[float, str, str, bytes]] = []
        self._frozen: dict[str, SensorMessage] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._drive, daemon=True)
        static = ros.transform_message(1, [t for t in ros.rig_transforms(self._rig) if t[1] in channels])
        self._send("/tf_static", static.__msgtype__, serialize(static))
        self._thread.start()

    def close(self) -> None:
        """Stop sending, and take everything off the graph."""
        self._stop.set()
        self._thread.join(timeout=5)
        self.node.destroy_node()

    def _drive(self) -> None:
        begin_ns = time.time_ns()
        while not self._stop.is_set():
            for message in self._messages:
                due_ns = begin_ns + message.received_ns - self._first_ns
                if time.time_ns() - due_ns > MAX_BEHIND_NS:  # a sensor does not catch up what it missed
                    begin_ns += time.time_ns() - due_ns
                    due_ns = time.time_ns()
                while (wait_ns := due_ns - time.time_ns()) > 0 and not self._stop.is_set():
                    self._send_late()
                    time.sleep(min(wait_ns / 1e9, 0.01))
                if self._stop.is_set():
                    return
                self._send_message(message, begin_ns - self._first_ns)
            begin_ns += round(SECONDS * 1e9)

    def _send_message(self, message: Any, shift_ns: int) -> None:
        stamp_ns = message.timestamp_ns + shift_ns
        if isinstance(message, EgoPose):
            for topic, content in ros_messages(replace(message, timestamp_ns=stamp_ns), self._rig):
                if topic == ODOMETRY_TOPIC:
                    content.header.frame_id = self._odom_frame
                self._send(topic, content.__msgtype__, serialize(content))
            return
        channel, fault = message.channel, self.faults[message.channel]
        if fault.dead:
            for topic in [t for t in self._publishers if t.startswith(f"/sensors/{channel}/")]:
                self.node.destroy_publisher(self._publishers.pop(topic))
            return
        source = self._frozen.setdefault(channel, message) if fault.frozen else message
        if not fault.frozen:
            self._frozen.pop(channel, None)
        for k in range(fault.times):
            stamped = replace(source, timestamp_ns=stamp_ns + k * 1_000_000)
            for topic, content in ros_messages(stamped, self._rig):
                data = serialize(content)
                data = data[: len(data) // 2] if fault.malformed and not topic.endswith("camera_info") else data
                if fault.late_s:
                    self._late.append((time.monotonic() + fault.late_s, topic, content.__msgtype__, data))
                else:
                    self._send(topic, content.__msgtype__, data)

    def _send_late(self) -> None:
        while self._late and self._late[0][0] <= time.monotonic():
            self._send(*self._late.pop(0)[1:])

    def _send(self, topic: str, type_name: str, data: bytes) -> None:
        topic = self._topics.get(topic, topic)
        if topic not in self._publishers:
            kind = message_type(type_name)
            assert kind is not None
            qos = LATCHED if topic == "/tf_static" else self._qos
            self._publishers[topic] = self.node.create_publisher(kind, topic, qos.profile())
        self._publishers[topic].publish(data)


def raw(frame: CameraFrame) -> CameraFrame:
    """The same picture as pixels, so that it travels as `sensor_msgs/Image`."""
    pixels = CameraFrame.from_pixels(frame.channel, frame.timestamp_ns, frame.pixels())
    return replace(pixels, received_ns=frame.received_ns)
