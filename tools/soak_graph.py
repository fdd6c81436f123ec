"""Soak test through a real ROS 2 graph: `tricast play` in a loop into `tricast live`, each a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from tricast.configs.errors import InputError
from tricast.perception.streaming.results_mcap import RESULT_TOPIC, RESULT_TYPE
from tricast.sensors.log.schema import deserialize
from tricast.sensors.ros.installation import message_type, ros_module
from tricast.sensors.ros.qos import Qos
from tricast.sensors.ros.session import ros_session, spin
from tricast.tools.process_gauge import Gauge, figures

START_S = 180.0
END_S = 30.0


class ResultCounter:
    """Hears results and keeps nothing of them but counts.

    Args:
        node: A node to subscribe with.
        pid: The process of the live node.
        length_s: How long to count, from the first result that used a sensor on.

    """

    def __init__(self, node: Any, pid: int, length_s: float) -> None:
        self._pid, self._length_s = pid, length_s
        self.gauge: Gauge | None = None
        self.ticks = self.dropped = self.not_heard = 0
        self._sequence: int | None = None
        kind = message_type(RESULT_TYPE)
        if kind is None:
            raise InputError(
                where="--ros",
                got="no tricast_msgs in this Python",
                expected="the package compiled",
                remedy="python -m tricast.tools.build_ros_messages, or make ros-env in a clone (docs/ros2.md)",
            )
        node.create_subscription(kind, RESULT_TOPIC, self._take, Qos(depth=100).profile(), raw=True)

    @property
    def done(self) -> bool:
        """Whether it has counted for long enough."""
        return self.gauge is not None and self.gauge.elapsed_s >= self._length_s

    def _take(self, data: bytes) -> None:
        result = deserialize(data, RESULT_TYPE)
        if self.gauge is None and not result.inputs:
            return
        gauge = self.gauge = self.gauge or Gauge(self._pid, self._length_s)
        delivery = result.delivery
        self.ticks += 1
        self.dropped += delivery.dropped_ticks
        self.dropped += sum(int(text.split()[-1]) for text in delivery.not_used if text.startswith("inbox "))
        if self._sequence is not None:
            self.not_heard += max(delivery.sequence - self._sequence - 1 - delivery.dropped_ticks, 0)
        self._sequence = delivery.sequence
        # Where the log began anew while a tick was processed, the result was sent before its own stamps.
        if result.inputs and result.since_newest_input_ns >= 0:
            gauge.add(result.since_newest_input_ns / 1e6)


def soak_on_graph(log: Path, detector: str, minutes: float, rate: float, stop: Event) -> dict[str, Any]:
    """Play a log in a loop into the live node for so many minutes, or until `stop`; gives the node's figures.

    Raises:
        InputError: rclpy or tricast_msgs is not installed, or a program ended by itself.

    """
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(10 + os.getpid() % 90))
    with ros_session(), tempfile.TemporaryDirectory() as folder:
        node = ros_module("rclpy.node").Node("tricast_soak")
        errors = Path(folder)
        with (
            _program(errors / "live", "live", "--use-sim-time", "--detector", detector) as live,
            _program(errors / "play", "play", str(log), "--loop", "--rate", str(rate), "--wait", "120") as play,
        ):
            counter = ResultCounter(node, live.pid, minutes * 60)
            ended, begin_s = Event(), time.monotonic()

            def look() -> None:
                silent = counter.gauge is None and time.monotonic() - begin_s > START_S
                dead = any(p.poll() is not None for p in (live, play))
                if counter.done or stop.is_set() or silent or dead:
                    ended.set()

            spin([node], ended, each=look)
            node.destroy_node()
            if counter.gauge is None or live.poll() is not None or play.poll() is not None:
                raise _failed(errors, live, play)
            elapsed_s = counter.gauge.elapsed_s
            codes = [_ended(p, number) for p, number in ((play, signal.SIGINT), (live, signal.SIGTERM))]
    return {
        "policy": "latest",
        "detector": detector,
        "rate": rate,
        "ticks": counter.ticks,
        "dropped": counter.dropped,
        "not_heard": counter.not_heard,
        "ticks_per_s": round(counter.ticks / elapsed_s, 2),
        "minutes": round(elapsed_s / 60, 2),
        "exit_codes": codes,
        **figures(counter.gauge.samples),
    }


@contextmanager
def _program(errors: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`tricast` with these arguments; killed at the end if it did not end before."""
    with errors.open("wb") as file:
        command = [sys.executable, "-m", "tricast.tools.cli", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file, stdin=subprocess.DEVNULL)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _ended(process: subprocess.Popen[bytes], number: int) -> int:
    """Exit code of a program that a signal asks to end."""
    process.send_signal(number)
    try:
        return process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _failed(errors: Path, live: subprocess.Popen[bytes], play: subprocess.Popen[bytes]) -> InputError:
    said = {"live": live, "play": play}
    words = [
        f"{name}: {'running' if p.poll() is None else f'ended with {p.returncode}'}, "
        f"{((errors / name).read_text(errors='replace').strip().splitlines() or ['silent'])[-1]}"
        for name, p in said.items()
    ]
    return InputError(
        where="the graph",
        got="; ".join(words),
        expected=f"results within {START_S:g} s, and both programs to run until they are asked to end",
        remedy="try tricast live and tricast play by hand (docs/ros2.md)",
    )
