"""`tricast info`: topics, rates, gaps, duration, calibration and frame tree of a log."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tricast.tools.calibrated_log import add_calibration, calibrated_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("log", type=Path, help="a log to read")
    add_calibration(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Describe the log; returns the exit code."""
    from tricast.sensors.log.summary import format_summary, summarize

    summary = summarize(calibrated_log(args))
    print(json.dumps(summary) if args.json else format_summary(summary))
    return 0
