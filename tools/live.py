"""`tricast live`: the node that runs the pipeline in a ROS 2 stack."""

from __future__ import annotations

import argparse
import importlib.resources
import sys
from pathlib import Path
from typing import Any

from tricast.perception.backends.names import AUTO, BACKENDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--config", help="packaged configuration or path to a YAML file (default: network)")
    parser.add_argument("--detector", choices=["cluster", "network"], help="detector in place of the configured one")
    parser.add_argument("--weights", metavar="W", help="weights of the network, which is then the detector")
    parser.add_argument("--backend", choices=(AUTO, *BACKENDS), help="what runs the network (default: as configured)")
    parser.add_argument(
        "--calibration", type=Path, metavar="RIG", help="YAML rig in place of /tf_static and camera infos"
    )
    parser.add_argument("--out", type=Path, help="run directory that also gets the results")
    parser.add_argument("--use-sim-time", action="store_true", help="take time from /clock")
    parser.add_argument("--print-launch-file", action="store_true", help="say where the launch file lies, and end")
    parser.add_argument(
        "--ros-args",
        nargs=argparse.REMAINDER,
        default=[],
        help="arguments for ROS 2, last of all: -r FROM:=TO, -p NAME:=VALUE, --params-file FILE",
    )


def run(args: argparse.Namespace) -> int:
    """Run the node until a signal or its shutdown; returns the exit code."""
    from tricast.perception.streaming.graceful_end import stop_on_signals
    from tricast.sensors.ros.session import ros_session, spin

    if args.print_launch_file:
        print(importlib.resources.files("tricast.configs").joinpath("ros", "tricast.launch.xml"))
        return 0
    with stop_on_signals() as stop, ros_session(args.ros_args):
        # Only here: the node's classes need rclpy, and the message above all says what to install.
        from tricast.perception.ros.live_node import make_node

        node = make_node(_overrides(args))
        try:
            if _wants_start(node):
                node.trigger_configure()
                _check(node)
                node.trigger_activate()
                _check(node)
            print("tricast: live; end with Ctrl-C", file=sys.stderr, flush=True)
            spin([node], stop, each=lambda: stop.set() if _is_finalized(node) else None)
        finally:
            node.live.clean_up()
            node.destroy_node()
    return 0


def _overrides(args: argparse.Namespace) -> list[Any]:
    from tricast.sensors.ros.installation import ros_module

    parameter = ros_module("rclpy.parameter").Parameter
    names = ("config", "detector", "weights", "backend", "calibration", "out")
    given = {name: str(getattr(args, name)) for name in names if getattr(args, name) is not None}
    overrides = [parameter(name, value=value) for name, value in given.items()]
    return [*overrides, parameter("use_sim_time", value=True)] if args.use_sim_time else overrides


def _wants_start(node: Any) -> bool:
    # What is no truth value is for the configuration to refuse.
    return not node.has_parameter("autostart") or node.get_parameter("autostart").value is not False


def _check(node: Any) -> None:
    """Raise what a transition failed by.

    Raises:
        InputError: The parameters or what they name are at fault.
        Exception: Whatever else went wrong.

    """
    refusal: Exception | None = node.live.refusal
    if refusal is not None:
        raise refusal


def _is_finalized(node: Any) -> bool:
    return node.live.finalized
