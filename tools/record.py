"""`tricast record`: a live ROS 2 graph into a log that replays."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from threading import Event

from tricast.configs.errors import InputError

DRAIN_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--out", type=Path, required=True, help="log to write (.mcap)")
    parser.add_argument("--topics", nargs="+", default=[], metavar="TOPIC", help="topics to record (default: all)")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="TOPIC=CHANNEL",
        help="record a sensor's topic as this channel (or 'odometry'), so that the log replays",
    )
    parser.add_argument("--duration", type=float, metavar="D", help="seconds to record (default: until Ctrl-C)")
    parser.add_argument("--use-sim-time", action="store_true", help="stamp arrivals by /clock")
    parser.add_argument("--json", action="store_true", help="print what was recorded as one JSON object")
    parser.add_argument("--ros-args", nargs=argparse.REMAINDER, default=[], help="arguments for ROS 2, last of all")


def run(args: argparse.Namespace) -> int:
    """Record; returns the exit code."""
    from tricast.perception.streaming.graceful_end import stop_on_signals
    from tricast.sensors.ros.installation import ros_module
    from tricast.sensors.ros.recorder import GraphRecorder, RecordOptions
    from tricast.sensors.ros.session import ros_session, spin

    options = RecordOptions(topics=tuple(args.topics), channels=dict(_pair(text) for text in args.map))
    ros_arguments = [*(["-p", "use_sim_time:=true"] if args.use_sim_time else []), *args.ros_args]
    with stop_on_signals() as stop, ros_session(ros_arguments):
        node = ros_module("rclpy.node").Node("tricast_record")
        end_s = time.monotonic() + args.duration if args.duration is not None else None
        with GraphRecorder(node, args.out, options) as recorder:
            print(f"tricast: recording to {args.out}; end with Ctrl-C", file=sys.stderr, flush=True)
            spin([node], stop, each=lambda: _end_after(stop, end_s), drain_s=DRAIN_S)
    recorded = recorder.recorded
    if args.json:
        print(json.dumps({"out": str(args.out), **asdict(recorded)}))
    else:
        count = sum(recorded.messages.values())
        print(f"{count} messages on {len(recorded.messages)} topics in {args.out}")
    return 0


def _end_after(stop: Event, end_s: float | None) -> None:
    if end_s is not None and time.monotonic() > end_s:
        stop.set()


def _pair(text: str) -> tuple[str, str]:
    topic, equals, channel = text.partition("=")
    if not equals or not topic.startswith("/") or not channel.replace("_", "").isalnum():
        raise InputError(
            where="--map", got=repr(text), expected="/topic=CHANNEL", remedy="for example /lidar/points=LIDAR_TOP"
        )
    return topic, channel
