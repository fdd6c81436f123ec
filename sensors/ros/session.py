"""One ROS 2 context per command: started without signal handlers of its own, spun until something says stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from tricast.configs.errors import InputError
from tricast.sensors.ros.installation import ros_module

SPIN_S = 0.05


@contextmanager
def ros_session(ros_arguments: Sequence[str] = ()) -> Generator[None]:
    """`rclpy` between init and shutdown; signals stay with the command, which ends its work before this does.

    Args:
        ros_arguments: What follows `--ros-args` on the command line.

    Raises:
        InputError: `rclpy` is not installed, or takes no such arguments.

    """
    rclpy = ros_module("rclpy")
    options = ros_module("rclpy.signals").SignalHandlerOptions.NO
    arguments = ["tricast", *(["--ros-args", *ros_arguments] if ros_arguments else [])]
    try:
        rclpy.init(args=arguments, signal_handler_options=options)
    except Exception as error:  # of several kinds, by what is wrong with the arguments
        if not ros_arguments:
            raise
        raise InputError(
            where=f"--ros-args {' '.join(ros_arguments)}",
            got=" ".join(str(error).split()),
            expected="arguments for ROS 2, such as -p NAME:=VALUE or --params-file FILE",
            remedy="correct them",
        ) from error
    try:
        yield
    finally:
        rclpy.try_shutdown()


def spin(
    nodes: Sequence[Any], stop: threading.Event, *, each: Callable[[], None] | None = None, drain_s: float = 0.0
) -> None:
    """Serve nodes in this thread until `stop` is set; calls `each` between rounds.

    Args:
        nodes: The nodes.
        stop: Ends it.
        each: Called between rounds.
        drain_s: How long to go on after `stop` with what has already arrived.

    """
    executor = _executor()
    for node in nodes:
        executor.add_node(node)
    try:
        while not stop.is_set():
            executor.spin_once(timeout_sec=SPIN_S)
            if each is not None:
                each()
        end_s = time.monotonic() + drain_s
        while time.monotonic() < end_s:
            executor.spin_once(timeout_sec=SPIN_S)
    finally:
        with suppress(Exception):  # what is left to do when this fails is to exit
            executor.shutdown()


@contextmanager
def spinning(nodes: Sequence[Any]) -> Generator[None]:
    """Serve nodes in a thread of their own while the block runs."""
    stop = threading.Event()
    thread = threading.Thread(target=spin, args=(nodes, stop), name="tricast-ros", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)


def _executor() -> Any:
    """The executor driven by events where rclpy has it, which costs less than one that polls."""
    try:
        return ros_module("rclpy.experimental").EventsExecutor()
    except (ImportError, AttributeError, ValueError):
        return ros_module("rclpy.executors").SingleThreadedExecutor()
