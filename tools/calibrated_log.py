"""The option `--calibration` of commands that read one log."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tricast.sensors.log.stream import DrivingLog


def add_calibration(parser: argparse.ArgumentParser) -> None:
    """Declare the option."""
    parser.add_argument("--calibration", type=Path, metavar="RIG", help="YAML rig used in place of the log's own")


def calibrated_log(args: argparse.Namespace) -> DrivingLog:
    """The log that the arguments name, with the rig that they name.

    Raises:
        InputError: Either cannot be read.

    """
    from tricast.sensors.log.open_log import open_log
    from tricast.sensors.log.rig_file import load_rig

    return open_log(args.log, rig=None if args.calibration is None else load_rig(args.calibration))
