"""`tricast compare`: two evaluations side by side, with the paired bootstrap over their scenes."""

from __future__ import annotations

import argparse
import json

from tricast.tools.user_input import positive_float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    for name in ("run_a", "run_b"):
        parser.add_argument(name, help="run directory of an evaluation; DIR:camera+lidar takes other sensors of it")
    parser.add_argument(
        "--max-range",
        type=positive_float,
        metavar="M",
        help="score nothing further away than this (default: as both runs)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Compare; returns the exit code."""
    from tricast.perception.evaluation.comparison import compare_runs, describe_comparison
    from tricast.perception.evaluation.run_directory import common_max_range_m, load_run

    run_a, run_b = load_run(args.run_a), load_run(args.run_b)
    max_range_m = common_max_range_m(run_a, run_b) if args.max_range is None else args.max_range
    comparison = compare_runs(run_a, run_b, max_range_m=max_range_m)
    print(json.dumps(comparison, allow_nan=False) if args.json else describe_comparison(comparison))
    return 0
