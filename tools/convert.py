"""`tricast convert`: any readable log into a Tricast log."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tricast.tools.calibrated_log import add_calibration, calibrated_log


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("log", type=Path, help="a log to read")
    parser.add_argument("--out", type=Path, required=True, help="log to write (.mcap)")
    parser.add_argument("--faults", metavar="F", help="packaged faults or path to a YAML file, laid over the log")
    parser.add_argument("--strict", action="store_true", help="exit with 2 when the log is damaged")
    add_calibration(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Convert; returns the exit code."""
    from tricast.sensors.faults.fault_config import load_faults
    from tricast.sensors.faults.faulty_log import FaultyLog
    from tricast.sensors.log.convert import convert
    from tricast.tools.progress import ProgressLine

    log = calibrated_log(args)
    if args.faults is not None:
        log = FaultyLog(log, load_faults(args.faults))
    with ProgressLine(log.start_ns, log.end_ns) as line:
        copied = convert(log, args.out, progress=line.show)
    losses = log.losses
    for detail in losses.details[:5]:
        print(f"tricast: warning: {detail}", file=sys.stderr)
    summary = {
        "out": str(args.out),
        **asdict(copied),
        "bytes": args.out.stat().st_size,
        "lost_messages": losses.total,
        "losses": {"by_channel": losses.messages, "details": losses.details},
    }
    if args.json:
        print(json.dumps(summary))
    else:
        foreign = f" and {copied.foreign_messages} of other topics" if copied.foreign_messages else ""
        print(f"{copied.messages} messages{foreign}, {summary['bytes'] / 1e6:.1f} MB in {args.out}")
    return 2 if args.strict and losses.total else 0
