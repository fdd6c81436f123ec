"""`tricast demo`: replay the packaged demo log; works from an installed wheel, without a clone."""

from __future__ import annotations

import argparse
import importlib.resources
from pathlib import Path

from tricast.tools import replay


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="run directory to write")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Replay the demo log with all defaults; returns the exit code."""
    parser = argparse.ArgumentParser()
    replay.add_arguments(parser)
    command = [str(demo_log_path()), "--out", str(args.out)]
    return replay.run(parser.parse_args([*command, "--json"] if args.json else command))


def demo_log_path() -> Path:
    """Where the packaged demo log lies: a short synthetic drive of a test seed."""
    return Path(str(importlib.resources.files("tricast.tools"))) / "demo_log" / "demo.mcap"
