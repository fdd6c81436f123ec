"""A live ROS 2 graph into a log: every topic's bytes as they came, with the QoS that its publisher offered."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tricast.configs.errors import InputError
from tricast.sensors.log.radar_scan_messages import RADAR_SCAN
from tricast.sensors.log.ros2_mcap import Ros2McapWriter
from tricast.sensors.log.schema import schema_text
from tricast.sensors.log.sensor_topics import CAMERA_INFO, CLOUD, COMPRESSED_IMAGE, IMAGE
from tricast.sensors.log.stream import ForeignMessage
from tricast.sensors.log.writer import ODOMETRY_TOPIC
from tricast.sensors.ros.installation import is_readable, message_type
from tricast.sensors.ros.qos import Qos, offered_on
from tricast.sensors.ros.subscription import AdaptiveSubscription

NEVER_RECORDED = ("/clock", "/rosout", "/parameter_events")
DISCOVERY_S = 0.2
DEPTH = 100
LAST_PARTS = {
    CLOUD: "points",
    COMPRESSED_IMAGE: "image",
    IMAGE: "image_raw",
    CAMERA_INFO: "camera_info",
    RADAR_SCAN: "scan",
}


@dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """What is recorded.

    Args:
        topics: Topics to record; empty records all.
        channels: By topic, the channel as which it is recorded (`LIDAR_TOP`, or `odometry`).

    """

    topics: tuple[str, ...] = ()
    channels: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass
class Recorded:
    """What was recorded: messages by topic of the log, topics of types that are not installed, and jumps of time."""

    messages: dict[str, int] = field(default_factory=dict[str, int])
    not_installed: dict[str, str] = field(default_factory=dict[str, str])
    before_time: int = 0
    """Messages left out because simulated time had not begun."""
    time_jumps: int = 0


class GraphRecorder:
    """Records from the first message on; use as a context manager around serving the node.

    Args:
        node: A node to subscribe with; its clock gives the times of arrival.
        path: The log to write; it has its name only once it is whole.
        options: What to record.

    Raises:
        LogError: The file cannot be made.

    """

    def __init__(self, node: Any, path: Path, options: RecordOptions) -> None:
        self._node, self._options = node, options
        self._writer = Ros2McapWriter(path)
        self._subscriptions: dict[str, AdaptiveSubscription] = {}
        self._last_ns = 0
        self._held: dict[str, tuple[Callable[[bytes, int], None], deque[bytes]]] = {}
        """By topic: what is latched and came before time began, with what writes it."""
        self.recorded = Recorded()
        self._timer = node.create_timer(DISCOVERY_S, self.discover, clock=_steady_clock())

    def __enter__(self) -> GraphRecorder:
        self.discover()
        return self

    def discover(self) -> None:
        """Subscribe to what is new on the graph."""
        for topic, types in self._node.get_topic_names_and_types():
            if topic in NEVER_RECORDED or (self._options.topics and topic not in self._options.topics):
                continue
            if topic not in self._subscriptions and topic not in self.recorded.not_installed:
                self._begin(topic, types[0])
        for subscription in self._subscriptions.values():
            subscription.adapt()
        self._write_held()

    def _begin(self, topic: str, type_name: str) -> None:
        if message_type(type_name) is None or not is_readable(type_name):
            self.recorded.not_installed[topic] = type_name
            self._node.get_logger().warning(f"{topic} is not recorded: {type_name} is not installed")
            return
        callback = self._written(topic, self._name(topic, type_name), type_name, len(self._subscriptions))
        self._subscriptions[topic] = AdaptiveSubscription(self._node, topic, type_name, callback, depth=DEPTH)

    def _name(self, topic: str, type_name: str) -> str:
        """The topic's name in the log.

        Raises:
            InputError: A type that no channel has was named as one.

        """
        channel = self._options.channels.get(topic)
        if channel is None:
            return topic
        if channel == "odometry" and type_name == "nav_msgs/msg/Odometry":
            return ODOMETRY_TOPIC
        if type_name not in LAST_PARTS:
            raise InputError(
                where=f"--map {topic}={channel}",
                got=f"a topic of type {type_name}",
                expected=f"one of {', '.join(LAST_PARTS)}, or nav_msgs/msg/Odometry as odometry",
                remedy="leave this topic out of --map; it is recorded under its own name",
            )
        return f"/sensors/{channel}/{LAST_PARTS[type_name]}"

    def _written(self, topic: str, name: str, type_name: str, number: int) -> Callable[[bytes], None]:
        schema = (type_name, "ros2msg", schema_text(type_name).encode())
        metadata: dict[str, str] = {}

        def write(data: bytes, now_ns: int) -> None:
            if now_ns < self._last_ns - 1_000_000_000:
                self.recorded.time_jumps += 1
                self._node.get_logger().warning("time went back: the log holds both rounds")
            self._last_ns = now_ns
            count = self.recorded.messages.get(name, 0)
            self._writer.copy(
                ForeignMessage(
                    topic=name,
                    channel_id=number,
                    schema=schema,
                    encoding="cdr",
                    metadata=metadata,
                    log_time_ns=now_ns,
                    publish_time_ns=now_ns,
                    sequence=count,
                    data=data,
                )
            )
            self.recorded.messages[name] = count + 1

        def heard(data: bytes) -> None:
            if not metadata:
                metadata["offered_qos_profiles"] = next(iter(offered_on(self._node, topic)), Qos()).as_recorded()
            self._write_held()
            if (now_ns := self._now_ns()) > 0:
                write(data, now_ns)
            else:
                self._hold(topic, write, data)

        return heard

    def _now_ns(self) -> int:
        """ROS time; 0 before simulated time began."""
        return int(self._node.get_clock().now().nanoseconds)

    def _hold(self, topic: str, write: Callable[[bytes, int], None], data: bytes) -> None:
        """Keep what is latched until time begins, as it does not come again; count what cannot be kept."""
        qos = self._subscriptions[topic].qos
        if qos is None or qos.durability != "transient_local":
            self.recorded.before_time += 1
            return
        _, held = self._held.setdefault(topic, (write, deque(maxlen=DEPTH)))
        self.recorded.before_time += len(held) == DEPTH
        held.append(data)

    def _write_held(self) -> None:
        now_ns = self._now_ns()
        while self._held and now_ns > 0:
            write, held = self._held.pop(next(iter(self._held)))
            for data in held:
                write(data, now_ns)

    def __exit__(self, *failure: Any) -> None:
        self._write_held()
        self.recorded.before_time += sum(len(held) for _, held in self._held.values())
        for subscription in self._subscriptions.values():
            subscription.close()
        self._writer.__exit__(*failure)


def _steady_clock() -> Any:
    """A clock that goes on when simulated time stands still."""
    from tricast.sensors.ros.installation import ros_module

    clock = ros_module("rclpy.clock")
    return clock.Clock(clock_type=clock.ClockType.STEADY_TIME)
