"""`tricast play`: any readable log onto a live ROS 2 graph, with `/clock`."""

from __future__ import annotations

import argparse
import json
import math
import os
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from tricast.configs.errors import InputError
from tricast.tools.calibrated_log import add_calibration, calibrated_log
from tricast.tools.user_input import positive_float

if TYPE_CHECKING:
    from tricast.sensors.ros.player import LogPlayer, Played

KEYS = "space: pause, left/right: 5 s back/on, up/down: rate, q: quit"
SEEK_S = 5.0
ARROWS = {"\x1b[C": "right", "\x1b[D": "left", "\x1b[A": "up", "\x1b[B": "down"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("log", type=Path, help="a log to read")
    parser.add_argument("--rate", type=positive_float, default=1.0, metavar="X", help="multiple of real time")
    parser.add_argument("--loop", action="store_true", help="begin again at the end")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="seconds to skip at the beginning")
    parser.add_argument("--duration", type=positive_float, metavar="D", help="seconds to play")
    parser.add_argument("--delay", type=float, default=1.0, metavar="S", help="pause before the first message")
    parser.add_argument(
        "--wait", type=float, default=0.0, metavar="S", help="wait so long for subscribers of all topics"
    )
    parser.add_argument("--clock", type=positive_float, default=100.0, metavar="HZ", help="how often /clock is sent")
    parser.add_argument("--results", action="store_true", help="send recorded results and diagnostics too")
    parser.add_argument("--faults", metavar="F", help="packaged faults or path to a YAML file, laid over the log")
    add_calibration(parser)
    parser.add_argument("--json", action="store_true", help="print what was sent as one JSON object")
    parser.add_argument("--ros-args", nargs=argparse.REMAINDER, default=[], help="arguments for ROS 2, last of all")


def run(args: argparse.Namespace) -> int:
    """Play; returns the exit code."""
    from tricast.perception.streaming.graceful_end import stop_on_signals
    from tricast.sensors.faults.fault_config import load_faults
    from tricast.sensors.faults.faulty_log import FaultyLog
    from tricast.sensors.ros.installation import ros_module
    from tricast.sensors.ros.player import LogPlayer, PlayOptions
    from tricast.sensors.ros.session import ros_session, spinning

    _check(args)
    log = calibrated_log(args)
    if args.faults is not None:
        log = FaultyLog(log, load_faults(args.faults))
    length_s = (log.end_ns - log.start_ns) / 1e9
    if not 0 <= args.start <= length_s:
        raise _wrong("--start", f"{args.start:g} s", f"between 0 and {length_s:.3f} s, the log's length")
    options = PlayOptions(
        rate=args.rate,
        loop=args.loop,
        start_s=args.start,
        duration_s=args.duration,
        delay_s=args.delay,
        wait_s=args.wait,
        clock_hz=args.clock,
        results=args.results,
    )
    with stop_on_signals() as stop, ros_session(args.ros_args):
        node = ros_module("rclpy.node").Node("tricast_play")
        player = LogPlayer(node, log, options)
        with spinning([node]), _keys(player, stop):
            played = player.run(stop)
    _tell(args, player, played)
    return 0


def _tell(args: argparse.Namespace, player: LogPlayer, played: Played) -> None:
    """Print what was sent, and warn of what the log could not deliver."""
    losses = player.losses
    for detail in losses.details[:5]:
        print(f"tricast: warning: {detail}", file=sys.stderr)
    summary = {
        "log": str(args.log),
        **asdict(played),
        "position_s": round(player.position_s, 3),
        "lost_messages": losses.total,
        "losses": {"by_channel": losses.messages, "details": losses.details},
    }
    if args.json:
        print(json.dumps(summary))
    else:
        count = sum(played.messages.values())
        print(f"{count} messages on {len(played.messages)} topics, up to {player.position_s:.1f} s")


def _check(args: argparse.Namespace) -> None:
    for name, value in (("--delay", args.delay), ("--wait", args.wait)):
        if not (math.isfinite(value) and value >= 0):
            raise _wrong(name, f"{value:g}", "0 or more")


def _wrong(name: str, got: str, expected: str) -> InputError:
    return InputError(where=name, got=got, expected=expected, remedy="correct this value")


@contextmanager
def _keys(player: LogPlayer, stop: threading.Event) -> Iterator[None]:
    """Keys of a terminal as controls, while the block runs; without a terminal nothing."""
    if not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    print(KEYS, file=sys.stderr)
    ended = threading.Event()
    thread = threading.Thread(target=_listen, args=(player, stop, ended), name="tricast-keys", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=1)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _listen(player: LogPlayer, stop: threading.Event, ended: threading.Event) -> None:
    while not (ended.is_set() or stop.is_set()):
        if not select.select([sys.stdin], [], [], 0.1)[0]:
            continue
        key = ARROWS.get(pressed := os.read(sys.stdin.fileno(), 16).decode(errors="replace"), pressed)
        if key == " ":
            player.toggle_pause()
        elif key in ("right", "left"):
            player.seek(player.position_s + (SEEK_S if key == "right" else -SEEK_S))
        elif key in ("up", "down"):
            player.scale_rate(1.25 if key == "up" else 0.8)
        elif key == "q":
            stop.set()
