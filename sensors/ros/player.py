"""A log onto a live ROS 2 graph, with `/clock`: paced, paused, moved and looped."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tricast.configs.errors import InputError
from tricast.sensors.log import messages as ros
from tricast.sensors.log.schema import serialize, stamp
from tricast.sensors.log.stream import DrivingLog, ForeignMessage, Losses, Message, foreign_messages, offered_qos
from tricast.sensors.log.writer import TRUTH_TOPIC, ros_messages
from tricast.sensors.ros.installation import message_type, ros_module
from tricast.sensors.ros.qos import LATCHED, Qos, of_recorded

SECOND_NS = 1_000_000_000
LOOK_AHEAD_NS = SECOND_NS
"""Topics of the first second are announced before anything is sent, so that subscribers hear the first message."""
DEPTH = 100
"""Messages held for slow subscribers; more than a driver holds, as a log is not to be played in vain."""
PAUSED_S = 0.1
DELIVERY_S = 1.0
OWN_RESULTS = ("/tricast/", "/diagnostics")


@dataclass(frozen=True, kw_only=True)
class PlayOptions:
    """How a log is played.

    Args:
        rate: Multiple of real time.
        loop: Begin again at the end; time then jumps back.
        start_s: Seconds after the log's first message at which to begin.
        duration_s: Seconds to play; None goes to the end.
        delay_s: Pause between announcing the topics and the first message.
        wait_s: How long to wait beyond that for a subscriber of every topic.
        clock_hz: How often `/clock` is sent between messages.
        results: Whether recorded results and diagnostics are sent too.

    """

    rate: float = 1.0
    loop: bool = False
    start_s: float = 0.0
    duration_s: float | None = None
    delay_s: float = 1.0
    wait_s: float = 0.0
    clock_hz: float = 100.0
    results: bool = False


@dataclass
class Played:
    """What was sent: messages by topic, rounds, and types whose packages are not installed."""

    messages: dict[str, int] = field(default_factory=dict[str, int])
    rounds: int = 0
    not_installed: dict[str, str] = field(default_factory=dict[str, str])


class LogPlayer:
    """Plays a log; its controls may be called from any thread.

    Args:
        node: A node to publish with; gets the parameters `rate`, `paused` and `position_s` (setting that one seeks).
        log: The log.
        options: How to play it.

    """

    def __init__(self, node: Any, log: DrivingLog, options: PlayOptions) -> None:
        self._node, self._log, self._options = node, log, options
        self._qos = offered_qos(log)
        self._publishers: dict[str, Any] = {}
        self._control = threading.Condition()
        self._rate, self._paused = options.rate, False
        self._seek_ns: int | None = None
        self._now_ns, self._told_s = self._first_ns, 0.0
        self._static, self._static_listeners = b"", 0
        self.played = Played()
        self.losses = Losses()
        """What the log could not deliver, in any round."""
        qos = ros_module("rclpy.qos")
        self._clock = node.create_publisher(ros_module("rosgraph_msgs.msg").Clock, "/clock", qos.QoSProfile(depth=10))
        self._declare({"rate": float(options.rate), "paused": False, "position_s": float(options.start_s)})
        node.add_on_set_parameters_callback(self._set_parameters)

    @property
    def position_s(self) -> float:
        """Seconds since the log's first message."""
        return (self._now_ns - self._log.start_ns) / SECOND_NS

    @property
    def rate(self) -> float:
        """Multiple of real time."""
        return self._rate

    def pause(self, paused: bool) -> None:
        """Hold time, or let it run."""
        with self._control:
            self._paused = paused
            self._control.notify_all()

    def toggle_pause(self) -> None:
        """The other of held and running; the parameter follows."""
        self._set_parameter("paused", not self._paused)

    def scale_rate(self, factor: float) -> None:
        """Play so many times as fast as now; the parameter follows."""
        self._set_parameter("rate", self._rate * factor)

    def seek(self, position_s: float) -> None:
        """Go on at so many seconds after the log's first message, at most at its last."""
        with self._control:
            self._seek_ns = min(self._log.start_ns + max(0, round(position_s * SECOND_NS)), self._log.end_ns)
            self._control.notify_all()

    def set_rate(self, rate: float) -> None:
        """Play at another multiple of real time."""
        with self._control:
            self._rate = rate
            self._control.notify_all()

    def run(self, stop: threading.Event) -> Played:
        """Play to the end or `stop`; sends `/tf_static` at the start, after a seek, at each round and to who joins."""
        self._announce()
        stop.wait(self._options.delay_s)
        self._wait_for_subscribers(stop)
        begin_ns: int | None = self._first_ns
        while begin_ns is not None and not stop.is_set():
            begin_ns = self._play_from(begin_ns, stop)
            self._keep_losses()
            if begin_ns is None and self._options.loop:
                self.played.rounds += 1
                begin_ns = self._first_ns
        self._wait_for_delivery()
        return self.played

    def _keep_losses(self) -> None:
        """The log counts anew in each round, and one that is broken off has not met all damage."""
        lost = self.losses.messages
        lost.update({channel: max(n, lost.get(channel, 0)) for channel, n in self._log.losses.messages.items()})
        for detail in self._log.losses.details:
            self.losses.tell(detail)

    @property
    def _first_ns(self) -> int:
        return self._log.start_ns + round(self._options.start_s * SECOND_NS)

    def _last_ns(self) -> int | None:
        duration_s = self._options.duration_s
        return None if duration_s is None else self._first_ns + round(duration_s * SECOND_NS)

    def _wait_for_subscribers(self, stop: threading.Event) -> None:
        end_s = time.monotonic() + self._options.wait_s
        publishers = [p for p in self._publishers.values() if p is not None]
        while time.monotonic() < end_s and not all(p.get_subscription_count() for p in publishers):
            if stop.wait(PAUSED_S):
                return

    def _wait_for_delivery(self) -> None:
        """Publishers that vanish take along what slow subscribers have not yet got."""
        timeout = ros_module("rclpy.duration").Duration(seconds=DELIVERY_S)
        for publisher in self._publishers.values():
            if publisher is not None:
                publisher.wait_for_all_acked(timeout)

    def _play_from(self, begin_ns: int, stop: threading.Event) -> int | None:
        """Send what arrives from a time on; gives the time to go on at after a seek, None at the end."""
        self._tell_time(begin_ns)
        self._static = serialize(ros.transform_message(begin_ns, ros.rig_transforms(self._log.rig)))
        self._tell_static()
        pace = _Pace(begin_ns, self._rate)
        for message in self._arrivals(begin_ns):
            due_ns = _arrival_ns(message)
            target_ns = self._wait(due_ns, pace, stop)
            if target_ns is not None or stop.is_set():
                return target_ns
            self._now_ns = max(self._now_ns, due_ns)
            self._tell_time_if_due()
            if isinstance(message, ForeignMessage):
                assert message.schema is not None
                self._publish(message.topic, message.schema[0], message.data)
            else:
                for topic, content in ros_messages(message, self._log.rig):
                    self._publish(topic, content.__msgtype__, serialize(content))
        return None

    def _wait(self, due_ns: int, pace: _Pace, stop: threading.Event) -> int | None:
        """Let time pass until a message is due; gives the target of a seek that came meanwhile."""
        while not stop.is_set():
            with self._control:
                if self._seek_ns is not None:
                    target_ns, self._seek_ns = self._seek_ns, None
                    return target_ns
                if self._paused:
                    self._control.wait(PAUSED_S)
                    pace.restart(self._now_ns, self._rate)
                elif self._rate != pace.rate:
                    pace.restart(self._now_ns, self._rate)
                wait_s = pace.wait_s(due_ns)
                if not self._paused and wait_s <= 0:
                    return None
                if not self._paused:
                    self._control.wait(min(wait_s, 1 / self._options.clock_hz))
                    self._now_ns = max(self._now_ns, min(due_ns, pace.now_ns()))
            self._tell_time_if_due()
        return None

    def _arrivals(self, begin_ns: int) -> Iterator[Message | ForeignMessage]:
        last_ns = self._last_ns()
        stream = self._log.messages(start_ns=begin_ns, end_ns=last_ns)
        others = (m for m in foreign_messages(self._log) if self._wanted(m) and m.log_time_ns >= begin_ns)
        for message in heapq.merge(stream, others, key=_arrival_ns):
            if last_ns is not None and _arrival_ns(message) > last_ns:
                return
            yield message

    def _wanted(self, message: ForeignMessage) -> bool:
        own = message.topic.startswith(OWN_RESULTS) and message.topic != TRUTH_TOPIC
        return message.schema is not None and message.encoding == "cdr" and (self._options.results or not own)

    def _announce(self) -> None:
        """Make the publishers of everything that the first second holds."""
        self._publisher("/tf_static", "tf2_msgs/msg/TFMessage")
        for message in self._arrivals(self._first_ns):
            if _arrival_ns(message) > self._first_ns + LOOK_AHEAD_NS:
                break
            if isinstance(message, ForeignMessage):
                assert message.schema is not None
                self._publisher(message.topic, message.schema[0])
            else:
                for topic, content in ros_messages(message, self._log.rig):
                    self._publisher(topic, content.__msgtype__)

    def _publisher(self, topic: str, type_name: str) -> Any | None:
        if topic not in self._publishers:
            kind = message_type(type_name)
            if kind is None:
                self.played.not_installed[topic] = type_name
                self._node.get_logger().warning(f"{topic} is not played: {type_name} is not installed (docs/ros2.md)")
            recorded = of_recorded(self._qos[topic]) if topic in self._qos else Qos()
            qos = LATCHED if topic == "/tf_static" else replace(recorded, depth=max(recorded.depth, DEPTH))
            self._publishers[topic] = None if kind is None else self._node.create_publisher(kind, topic, qos.profile())
        return self._publishers[topic]

    def _publish(self, topic: str, type_name: str, data: bytes) -> None:
        publisher = self._publisher(topic, type_name)
        if publisher is not None:
            publisher.publish(data)
            self.played.messages[topic] = self.played.messages.get(topic, 0) + 1

    def _tell_static(self) -> None:
        self._static_listeners = self._listeners_of("/tf_static")
        self._publish("/tf_static", "tf2_msgs/msg/TFMessage", self._static)

    def _listeners_of(self, topic: str) -> int:
        publisher = self._publishers[topic]
        return 0 if publisher is None else publisher.get_subscription_count()

    def _tell_time_if_due(self) -> None:
        if time.monotonic() - self._told_s >= 1 / self._options.clock_hz:
            self._tell_time(self._now_ns)
            # What is latched has been seen not to reach one that joined late.
            if (listeners := self._listeners_of("/tf_static")) > self._static_listeners:
                self._tell_static()
            self._static_listeners = min(self._static_listeners, listeners)

    def _tell_time(self, now_ns: int) -> None:
        self._now_ns, self._told_s = now_ns, time.monotonic()
        clock = ros.message_class("rosgraph_msgs/msg/Clock")
        self._clock.publish(serialize(clock(clock=stamp(now_ns))))

    def _declare(self, defaults: dict[str, Any]) -> None:
        """Declare parameters, and begin with what the command line sets them to."""
        for name, default in defaults.items():
            try:
                parameter = self._node.declare_parameter(name, default)
                refused = "" if parameter.value == default else self._set_parameters([parameter]).reason
            except Exception as error:  # rclpy has several kinds for values of another type
                refused = str(error)
            if refused:
                raise InputError(
                    where=f"parameter {name}",
                    got=refused,
                    expected=f"a value such as {str(default).lower()}",
                    remedy="correct -p after --ros-args",
                )

    def _set_parameter(self, name: str, value: bool | float) -> None:
        """As `ros2 param set` would, by the node's callback."""
        self._node.set_parameters([ros_module("rclpy.parameter").Parameter(name, value=value)])

    def _set_parameters(self, parameters: list[Any]) -> Any:
        result = ros_module("rcl_interfaces.msg").SetParametersResult
        setters: dict[str, Callable[[Any], None]] = {
            "rate": self.set_rate,
            "paused": self.pause,
            "position_s": self.seek,
        }
        length_s = (self._log.end_ns - self._log.start_ns) / SECOND_NS
        for parameter in parameters:
            if parameter.name == "rate" and not parameter.value > 0:
                return result(successful=False, reason="rate: must be more than 0")
            if parameter.name == "position_s" and not 0 <= parameter.value <= length_s:
                return result(successful=False, reason=f"position_s: must lie between 0 and {length_s:.3f}")
        for parameter in parameters:
            if parameter.name in setters:
                setters[parameter.name](parameter.value)
        return result(successful=True)


class _Pace:
    """Log time against the monotonic clock."""

    def __init__(self, log_ns: int, rate: float) -> None:
        self.restart(log_ns, rate)

    def restart(self, log_ns: int, rate: float) -> None:
        """From now on, so much log time has passed, and it runs at this rate."""
        self._log_ns, self.rate, self._begin_s = log_ns, rate, time.monotonic()

    def now_ns(self) -> int:
        return self._log_ns + round((time.monotonic() - self._begin_s) * self.rate * SECOND_NS)

    def wait_s(self, due_ns: int) -> float:
        return self._begin_s + (due_ns - self._log_ns) / SECOND_NS / self.rate - time.monotonic()


def _arrival_ns(message: Message | ForeignMessage) -> int:
    return message.log_time_ns if isinstance(message, ForeignMessage) else message.received_ns
