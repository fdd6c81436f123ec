"""A real graph between processes: commands under test run as programs, the test listens and drives sensors by rclpy."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tricast.sensors.frames import EgoPose
from tricast.sensors.log import messages as ros
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.schema import deserialize, serialize
from tricast.sensors.log.stream import SensorMessage
from tricast.sensors.log.writer import ros_messages
from tricast.sensors.ros.installation import message_type, ros_module
from tricast.sensors.ros.qos import LATCHED, Qos
from tricast.sensors.ros.session import ros_session, spin
from tricast.tools.demo import demo_log_path

ENVIRONMENT = {
    "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    "ROS_DOMAIN_ID": str(10 + os.getpid() % 90),
    "OMP_NUM_THREADS": "1",
}
WITHIN_S = 10.0
"""What a live node must have said and done by; a benchmark reports how much faster it is."""
START_S = 60.0
HAS_ROS = importlib.util.find_spec("rclpy") is not None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.ros)
            if not HAS_ROS:
                item.add_marker(pytest.mark.skip(reason="no rclpy here; make test-ros installs it"))


@contextmanager
def running(*arguments: str, errors: Path) -> Iterator[subprocess.Popen[str]]:
    """`tricast` with these arguments, killed at the end if it did not end by itself."""
    command = [sys.executable, "-m", "tricast.tools.cli", *arguments]
    with errors.open("w") as file:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=file, text=True, env={**os.environ, **ENVIRONMENT}
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            assert process.stdout is not None
            process.stdout.close()


class Ear:
    """Hears topics in a thread, with the time each message came."""

    def __init__(self) -> None:
        self.node = ros_module("rclpy.node").Node("ear")
        self.heard: dict[str, list[tuple[float, Any]]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=spin, args=([self.node], self._stop), daemon=True)
        self._thread.start()

    def listen(self, topic: str, type_name: str, *, latched: bool = False) -> list[tuple[float, Any]]:
        """The list that grows with what is heard on a topic."""
        if topic not in self.heard:
            self.heard[topic] = found = []
            kind, qos = message_type(type_name), LATCHED if latched else Qos(depth=100)
            assert kind is not None

            def hear(data: bytes) -> None:
                found.append((time.monotonic(), deserialize(data, type_name)))

            self.node.create_subscription(kind, topic, hear, qos.profile(), raw=True)
        return self.heard[topic]

    def results(self) -> list[tuple[float, Any]]:
        return self.listen("/tricast/result", "tricast_msgs/msg/TickResult")

    def status(self, name: str) -> Any | None:
        """The newest diagnostic status of this name, if it came within the last second."""
        for heard_s, message in reversed(self.listen("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")):
            if time.monotonic() - heard_s > 1.0:
                return None
            for status in message.status:
                if status.name == f"tricast: {name}":
                    return status
        return None

    def value(self, name: str, key: str) -> str:
        """One value of a status; empty where there is none."""
        status = self.status(name)
        return next((v.value for v in status.values if v.key == key), "") if status is not None else ""

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=5)
        self.node.destroy_node()


SECONDS = 2.0
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
    """Sends until closed; `faults` may be changed at any time."""

    def __init__(
        self, channels: tuple[str, ...] = CHANNELS, *, qos: Qos | None = None, topics: dict[str, str] | None = None
    ) -> None:
        self.channels = channels
        self.faults = {channel: Fault() for channel in channels}
        self.node = ros_module("rclpy.node").Node("vehicle")
        self._qos, self._topics = qos or Qos(), topics or {}
        log = open_log(demo_log_path())
        self._rig = log.rig
        end_ns = log.start_ns + round(SECONDS * 1e9)
        self._messages: list[Any] = [
            m for m in log.messages(end_ns=end_ns) if isinstance(m, EgoPose) or getattr(m, "channel", None) in channels
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
        self._stop.set()
        self._thread.join(timeout=5)
        self.node.destroy_node()

    def sent_for(self, seconds: float) -> Callable[[], bool]:
        """A condition that holds once the vehicle has been sending for so much longer."""
        end_s = time.monotonic() + seconds
        return lambda: time.monotonic() > end_s

    def _drive(self) -> None:
        begin_ns = time.time_ns()
        while not self._stop.is_set():
            for message in self._messages:
                due_ns = begin_ns + message.received_ns - self._first_ns
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


class Graph:
    """What a test does on the graph; everything that it starts is ended with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._ear: Ear | None = None
        self._started = 0

    @property
    def ear(self) -> Ear:
        if self._ear is None:
            self._ear = Ear()
            self._stack.callback(self._ear.close)
        return self._ear

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `tricast` with these arguments."""
        self._started += 1
        return self._stack.enter_context(running(*arguments, errors=self.folder / f"errors{self._started}.txt"))

    def errors(self, number: int = 1) -> str:
        """What the program started as this one wrote to stderr."""
        return (self.folder / f"errors{number}.txt").read_text()

    def live(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the live node with the classical detector, and wait until it publishes diagnostics."""
        self.ear.results()
        self.ear.status("pipeline")
        process = self.start("live", "--detector", "cluster", *arguments)
        self.wait_for(lambda: self.ear.status("pipeline"), within_s=START_S, what="first diagnostics")
        return process

    def vehicle(self, *arguments: Any, **settings: Any) -> Vehicle:
        """A vehicle that drives until the test ends."""
        vehicle = Vehicle(*arguments, **settings)
        self._stack.callback(vehicle.close)
        return vehicle

    def end(self, process: subprocess.Popen[str], *, number: int = signal.SIGINT, within_s: float = 30.0) -> Any:
        """Exit code and last line (JSON or text) of a program that a signal asks to end; 0 only waits."""
        if number:
            process.send_signal(number)
        text, _ = process.communicate(timeout=within_s)
        last = text.strip().splitlines()[-1] if text.strip() else ""
        return process.returncode, json.loads(last) if last.startswith("{") else last

    def wait_for(self, true: Callable[[], Any], *, within_s: float = WITHIN_S, what: str) -> Any:
        """What a condition gives once it holds; fails the test if it never does."""
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s:
            if value := true():
                return value
            time.sleep(0.02)
        return pytest.fail(f"not within {within_s:g} s: {what}")

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="session", autouse=True)
def session() -> Iterator[None]:
    """rclpy in this process, on a domain of this test run's own."""
    if not HAS_ROS:
        yield
        return
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    with warnings.catch_warnings():
        # Its parser library imports a module that Python 3.11 deprecates.
        warnings.simplefilter("ignore")
        ros_module("rosidl_generator_py")
    with ros_session():
        yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name)
        else:
            os.environ[name] = value


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    graph = Graph(tmp_path)
    yield graph
    graph.close()
