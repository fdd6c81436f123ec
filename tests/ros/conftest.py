"""A real graph between processes: commands under test run as programs, the test listens and drives sensors by rclpy."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tricast.sensors.ros.installation import ros_module
from tricast.sensors.ros.listener import Listener
from tricast.sensors.ros.session import ros_session
from tricast.tools.live_vehicle import Vehicle

ENVIRONMENT = {
    "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    "ROS_DOMAIN_ID": str(10 + os.getpid() % 90),
    "OMP_NUM_THREADS": "1",
}
WITHIN_S = 10.0
"""What a live node must have said and done by; a benchmark reports how much faster it is."""
START_S = 60.0
PATIENCE = float(os.environ.get("TRICAST_TEST_PATIENCE", "1"))
"""By what to multiply all waiting, on a machine that is busy with other work."""
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


class Graph:
    """What a test does on the graph; everything that it starts is ended with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()
        self._ear: Listener | None = None
        self._started = 0

    @property
    def ear(self) -> Listener:
        if self._ear is None:
            self._ear = Listener()
            self._stack.callback(self._ear.close)
        return self._ear

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `tricast` with these arguments."""
        self._started += 1
        return self._stack.enter_context(running(*arguments, errors=self.folder / f"errors{self._started}.txt"))

    def errors(self, number: int = 1) -> str:
        """What the program started as this one wrote to stderr."""
        return (self.folder / f"errors{number}.txt").read_text()

    def live(self, *arguments: str, detector: str = "cluster") -> subprocess.Popen[str]:
        """Start the live node, and wait until it publishes diagnostics; `network` is its own default."""
        self.ear.results()
        self.ear.status("pipeline")
        chosen = () if detector == "network" else ("--detector", detector)
        process = self.start("live", *chosen, *arguments)
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
        text, _ = process.communicate(timeout=PATIENCE * within_s)
        last = text.strip().splitlines()[-1] if text.strip() else ""
        return process.returncode, json.loads(last) if last.startswith("{") else last

    def wait_for(self, true: Callable[[], Any], *, within_s: float = WITHIN_S, what: str) -> Any:
        """What a condition gives once it holds; fails the test if it never does."""
        end_s = time.monotonic() + PATIENCE * within_s
        while time.monotonic() < end_s:
            if value := true():
                return value
            time.sleep(0.02)
        return pytest.fail(f"not within {PATIENCE * within_s:g} s: {what}{self._last_said()}")

    def _last_said(self) -> str:
        """The newest diagnostics, where a test listens to them: which sensor was heard, how late, with what QoS."""
        heard = self._ear.heard.get("/diagnostics") if self._ear is not None else None
        lines = [
            f"{status.name}: {status.message} ({', '.join(f'{v.key} {v.value}' for v in status.values)})"
            for _, message in (heard or [])[-1:]
            for status in message.status
        ]
        return "".join(f"\n{line}" for line in lines)

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
