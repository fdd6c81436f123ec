"""`tricast synth`: a synthetic drive as a Tricast log."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from tricast.configs.errors import InputError
from tricast.tools.user_input import positive_int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--scenes", type=positive_int, default=1, help="number of scenes, one after another")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each scene")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first scene; the others follow it")
    parser.add_argument("--world", default="standard", help="packaged world or path to a YAML file")
    parser.add_argument("--out", type=Path, required=True, help="log to write (.mcap)")
    parser.add_argument(
        "--workers", type=positive_int, default=os.cpu_count() or 1, help="processes; the log is the same"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Write the log; returns the exit code."""
    from tricast.sensors.log.writer import LogWriter
    from tricast.sensors.synthetic.drive import SyntheticDrive
    from tricast.sensors.synthetic.world_config import load_world
    from tricast.tools.progress import ProgressLine

    if args.seed < 0:
        raise InputError(where="--seed", got=str(args.seed), expected="0 or more", remedy="choose another seed")
    seeds = range(args.seed, args.seed + args.scenes)
    drive = SyntheticDrive(load_world(args.world), seeds, args.seconds, workers=args.workers)
    count = 0
    with LogWriter(args.out, drive.rig) as writer, ProgressLine(drive.start_ns, drive.end_ns) as line:
        for message in drive.messages():
            writer.write(message)
            count += 1
            line.show(message.received_ns, f"{count} messages")
    summary = {"out": str(args.out), "messages": count, "bytes": args.out.stat().st_size}
    print(json.dumps(summary) if args.json else f"{count} messages, {summary['bytes'] / 1e6:.1f} MB in {args.out}")
    return 0
