"""How simulated sensors differ from recorded ones: `python -m tricast.tools.compare_realism LOG... [--against W]`.

One column per log, beside the mean and the smallest and largest value over scenes of a world. A recorded figure outside
of what the scenes have is marked with a star; figures that no log has are in the JSON alone. Seeds must be none of the
world's training, validation or test seeds: who puts the simulator right by this table then still has untouched ones.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tricast.configs.errors import InputError
from tricast.sensors.log.open_log import open_log
from tricast.sensors.synthetic.drive import SyntheticDrive
from tricast.sensors.synthetic.world_config import WorldConfig, load_world
from tricast.tools.realism_figures import Figures, measure

SEEDS = (150_000, 150_004)


def main(arguments: list[str] | None = None) -> int:
    """Print the comparison; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path, nargs="+", metavar="LOG", help="recordings or logs")
    parser.add_argument("--against", default="standard", help="a packaged world or a world's file")
    parser.add_argument("--seeds", type=int, nargs=2, default=SEEDS, metavar=("A", "B"), help="scenes A to B - 1")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each scene")
    parser.add_argument("--log-seconds", type=float, default=None, help="read only this much of each log")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object")
    form.add_argument("--markdown", action="store_true", help="print a table in Markdown (the default is aligned text)")
    args = parser.parse_args(arguments)
    try:
        comparison = compare(args.logs, args.against, tuple(args.seeds), args.seconds, args.log_seconds)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(comparison) if args.json else table(comparison, markdown=args.markdown))
    return 0


def compare(
    paths: list[Path], world_name: str, seeds: tuple[int, int], seconds: float, log_seconds: float | None = None
) -> dict[str, Any]:
    """Figures of logs and of a world's scenes, by name.

    Raises:
        InputError: A log or the world cannot be read, or the seeds belong to one of the world's sets.

    """
    world = load_world(world_name)
    _check_seeds(world, seeds)
    logs: dict[str, Figures] = {}
    for path in paths:
        log = open_log(path)
        end_ns = None if log_seconds is None else log.start_ns + round(log_seconds * 1e9)
        name = path.stem if log.kind == "tricast" else log.kind
        logs[name if name not in logs else str(path)] = measure(log.rig, log.messages(end_ns=end_ns))
    scenes: list[Figures] = []
    for seed in range(*seeds):
        drive = SyntheticDrive(world, [seed], seconds)
        scenes.append(measure(drive.rig, drive.messages()))
    return {
        "world": Path(world_name).stem,
        "version": world.version,
        "seeds": list(seeds),
        "scenes": scenes,
        "logs": logs,
    }


def _check_seeds(world: WorldConfig, seeds: tuple[int, int]) -> None:
    first, end = seeds
    taken = {name: getattr(world.seeds, name) for name in ("train", "validation", "test")}
    overlapping = [name for name, (low, high) in taken.items() if first < high and low < end]
    if overlapping or not 0 <= first < end:
        raise InputError(
            where="--seeds",
            got=f"{first} {end}" + (f", which has {' and '.join(overlapping)} seeds" if overlapping else ""),
            expected="a first seed and a larger end outside of "
            + ", ".join(f"{n} {r[0]} to {r[1]}" for n, r in taken.items()),
            remedy=f"for example --seeds {SEEDS[0]} {SEEDS[1]}",
        )


def table(comparison: dict[str, Any], *, markdown: bool) -> str:
    """Rows of the figures that any of the logs has, a column for the world and one for each log."""
    scenes, logs = comparison["scenes"], comparison["logs"]
    names = list(dict.fromkeys(name for figures in logs.values() for name in figures))
    world = f"{comparison['world']} {comparison['version']}"
    rows = [["figure", f"{world}, mean (least to most)", *logs]]
    for name in names:
        simulated = [figures[name] for figures in scenes if name in figures]
        recorded = [_marked(figures.get(name), simulated) for figures in logs.values()]
        rows.append([name, _spread(simulated), *recorded])
    if markdown:
        lines = [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _spread(values: list[float]) -> str:
    if not values:
        return "-"
    return f"{_number(float(np.mean(values)))} ({_number(min(values))} to {_number(max(values))})"


def _marked(value: float | None, simulated: list[float]) -> str:
    if value is None:
        return "-"
    outside = bool(simulated) and not min(simulated) <= value <= max(simulated)
    return _number(value) + ("*" if outside else "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
