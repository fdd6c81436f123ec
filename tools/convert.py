"""`tricast convert`: any readable log into a Tricast log."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("log", type=Path, help="a log to read")
    parser.add_argument("--out", type=Path, required=True, help="log to write (.mcap)")


def run(args: argparse.Namespace) -> int:
    """Convert; returns the exit code."""
    from tricast.sensors.log.convert import convert
    from tricast.sensors.log.open_log import open_log

    log = open_log(args.log)
    count = convert(log, args.out)
    for detail in log.losses.details[:5]:
        print(f"tricast: warning: {detail}", file=sys.stderr)
    print(f"{count} messages in {args.out}")
    return 0
