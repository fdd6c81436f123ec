"""`tricast info`: topics, rates, gaps, duration, calibration and frame tree of a log."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("log", type=Path, help="a log to read")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Describe the log; returns the exit code."""
    from tricast.sensors.log.open_log import open_log
    from tricast.sensors.log.summary import format_summary, summarize

    summary = summarize(open_log(args.log))
    print(json.dumps(summary) if args.json else format_summary(summary))
    return 0
