"""What a live node says, heard from outside: results and diagnostics."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any

from tricast.sensors.log.schema import deserialize
from tricast.sensors.ros.installation import message_type, ros_module
from tricast.sensors.ros.qos import LATCHED, Qos
from tricast.sensors.ros.session import spin


class Listener:
    """Hears topics in a thread, with the time (monotonic, s) at which each message came.

    Subscriptions are made in that thread too: an executor driven by events does not expect another to change its node.
    """

    def __init__(self) -> None:
        self.node = ros_module("rclpy.node").Node("tricast_listener")
        self.heard: dict[str, list[tuple[float, Any]]] = {}
        self._wanted: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._spin, name="tricast-listen", daemon=True)
        self._thread.start()

    def listen(self, topic: str, type_name: str, *, latched: bool = False) -> list[tuple[float, Any]]:
        """The list that grows with what is heard on a topic."""
        if topic not in self.heard:
            found: list[tuple[float, Any]] = []
            self.heard[topic] = found
            kind, qos = message_type(type_name), LATCHED if latched else Qos(depth=100)
            assert kind is not None

            def hear(data: bytes) -> None:
                found.append((time.monotonic(), deserialize(data, type_name)))

            self._wanted.put(lambda: self.node.create_subscription(kind, topic, hear, qos.profile(), raw=True))
        return self.heard[topic]

    def results(self) -> list[tuple[float, Any]]:
        """Results of a live node."""
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
        """Stop listening."""
        self._stop.set()
        self._thread.join(timeout=5)
        self.node.destroy_node()

    def _spin(self) -> None:
        spin([self.node], self._stop, each=self._subscribe)

    def _subscribe(self) -> None:
        while not self._wanted.empty():
            self._wanted.get()()
