"""How simulated sensors differ from recorded ones: `python -m tricast.tools.compare_realism LOG... [--against W...]`.

One column per log, beside the mean and the smallest and largest value over scenes of one or more worlds. A recorded
figure outside of what the scenes of a world have is marked with that world's number, and the last row counts them;
figures that no log has are in the JSON alone. Seeds must be none of the
worlds' training, validation or test seeds: who puts the simulator right by this table then still has untouched ones.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tricast.configs.errors import InputError
from tricast.sensors.log.open_log import open_log
from tricast.sensors.synthetic.drive import SyntheticDrive
from tricast.sensors.synthetic.world_config import WorldConfig, load_world
from tricast.tools.realism_figures import Figures, measure
from tricast.tools.user_input import mistakes_in_one_line

SEEDS = (150_000, 150_004)
MARKS = "¹²³⁴⁵⁶⁷⁸⁹"


@mistakes_in_one_line
def main(arguments: list[str] | None = None) -> int:
    """Print the comparison; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path, nargs="+", metavar="LOG", help="recordings or logs")
    parser.add_argument(
        "--against",
        nargs="+",
        default=["standard", "realistic"],
        metavar="WORLD",
        help="packaged worlds or worlds' files, up to nine",
    )
    parser.add_argument("--seeds", type=int, nargs=2, default=SEEDS, metavar=("A", "B"), help="scenes A to B - 1")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each scene")
    parser.add_argument("--log-seconds", type=float, default=None, help="read only this much of each log")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print one JSON object")
    form.add_argument("--markdown", action="store_true", help="print a table in Markdown (the default is aligned text)")
    args = parser.parse_args(arguments)
    comparison = compare(args.logs, args.against, tuple(args.seeds), args.seconds, args.log_seconds)
    print(json.dumps(comparison) if args.json else table(comparison, markdown=args.markdown))
    return 0


def compare(
    paths: list[Path],
    world_names: list[str],
    seeds: tuple[int, int],
    seconds: float,
    log_seconds: float | None = None,
) -> dict[str, Any]:
    """Figures of logs and of the scenes of worlds, by name.

    Raises:
        InputError: A log or a world cannot be read, there are too many worlds to mark, or the seeds belong to one of a
            world's sets.

    """
    if not 1 <= len(world_names) <= len(MARKS):
        raise InputError(
            where="--against",
            got=f"{len(world_names)} worlds",
            expected=f"1 to {len(MARKS)}",
            remedy="compare fewer at a time",
        )
    for option, value in (("--seconds", seconds), ("--log-seconds", log_seconds)):
        if value is not None and not 0 < value < math.inf:
            raise InputError(
                where=option, got=f"{value:g}", expected="a finite time of more than 0", remedy="give it in seconds"
            )
    worlds = {name: load_world(name) for name in world_names}
    for world in worlds.values():
        _check_seeds(world, seeds)
    logs: dict[str, Figures] = {}
    for path in paths:
        log = open_log(path)
        end_ns = None if log_seconds is None else log.start_ns + round(log_seconds * 1e9)
        name = path.stem if log.kind == "tricast" else log.kind
        logs[name if name not in logs else str(path)] = measure(log.rig, log.messages(end_ns=end_ns))
    scenes: dict[str, list[Figures]] = {}
    for world_name, world in worlds.items():
        drives = (SyntheticDrive(world, [seed], seconds) for seed in range(*seeds))
        name = f"{Path(world_name).stem} {world.version}"
        scenes[name if name not in scenes else world_name] = [measure(d.rig, d.messages()) for d in drives]
    return {"seeds": list(seeds), "worlds": scenes, "logs": logs}


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
    """Rows of the figures that any of the logs has, a column for each world and one for each log."""
    worlds, logs = comparison["worlds"], comparison["logs"]
    names = list(dict.fromkeys(name for figures in logs.values() for name in figures))
    rows = [["figure", *(f"{world}, mean (least to most)" for world in worlds), *logs]]
    outside, compared = [0] * len(worlds), [0] * len(worlds)
    for name in names:
        simulated = [[figures[name] for figures in scenes if name in figures] for scenes in worlds.values()]
        cells: list[str] = []
        for figures in logs.values():
            value = figures.get(name)
            marks = "" if value is None else _marks(value, simulated)
            cells.append("-" if value is None else _number(value) + marks)
            for number, values in enumerate(simulated):
                compared[number] += value is not None and bool(values)
                outside[number] += MARKS[number] in marks
        rows.append([name, *map(_spread, simulated), *cells])
    counted = [f"{n} of {all_of_it}" for n, all_of_it in zip(outside, compared, strict=True)]
    rows.append(["recorded figures outside of all scenes", *counted, *("" for _ in logs)])
    if markdown:
        lines = [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _marks(value: float, simulated: list[list[float]]) -> str:
    """The numbers of the worlds none of whose scenes reach a recorded value."""
    pairs = zip(MARKS, simulated, strict=False)
    return "".join(mark for mark, values in pairs if values and not min(values) <= value <= max(values))


def _spread(values: list[float]) -> str:
    if not values:
        return "-"
    return f"{_number(float(np.mean(values)))} ({_number(min(values))} to {_number(max(values))})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())
