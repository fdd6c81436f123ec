"""`tricast convert`: any readable log into a Tricast log."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tricast.sensors.log.stream import DrivingLog


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("log", type=Path, help="a log to read")
    parser.add_argument("--out", type=Path, required=True, help="log to write (.mcap)")
    parser.add_argument("--faults", metavar="F", help="packaged faults or path to a YAML file, laid over the log")


def run(args: argparse.Namespace) -> int:
    """Convert; returns the exit code."""
    from tricast.sensors.faults.fault_config import load_faults
    from tricast.sensors.faults.faulty_log import FaultyLog
    from tricast.sensors.log.convert import convert
    from tricast.sensors.log.open_log import open_log

    log: DrivingLog = open_log(args.log)
    if args.faults is not None:
        log = FaultyLog(log, load_faults(args.faults))
    count = convert(log, args.out)
    for detail in log.losses.details[:5]:
        print(f"tricast: warning: {detail}", file=sys.stderr)
    print(f"{count} messages in {args.out}")
    return 0
