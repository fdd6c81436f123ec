"""Accuracy of backends and precisions beside eager: `python -m tricast.tools.compare_backends standard:test`.

A precision is named behind the backend: `--backends eager-bf16,openvino`.

Ends with 1 if the mAP of a backend is not within `--within` (0.005: 0.5 %) of eager's. The first ticks of each log run
in eager mode everywhere, while the graph is opened (see `LateBackend`). Choose settings on validation seeds; test seeds
are for the figures that are told.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from tricast.configs.errors import InputError
from tricast.perception.backends.names import PrecisionName
from tricast.perception.backends.opening import check_installed, installed_backends
from tricast.perception.backends.placement import Placement
from tricast.perception.config import PipelineConfig, chosen_config
from tricast.perception.evaluation.evaluation import evaluate_tables
from tricast.perception.evaluation.headlines import figure
from tricast.perception.evaluation.run_log import run_logs
from tricast.perception.evaluation.text_tables import TextTable, number
from tricast.tools.synthetic_set import named_set, rendered
from tricast.tools.user_input import mistakes_in_one_line, positive_int

FIGURES = {"mAP": "detection.mAP", "NDS": "detection.NDS", "AMOTA": "tracking.AMOTA"}


@dataclass(frozen=True, kw_only=True)
class Way:
    """A backend in a precision, by the name that the command line has for it: `openvino`, `eager-bf16`."""

    backend: str
    precision: PrecisionName = "fp32"

    @staticmethod
    def named(name: str) -> Way:
        """Read a name.

        Raises:
            InputError: There is no such backend or precision, or the machine lacks what they need.

        """
        backend, _, precision = name.partition("-")
        known = get_args(PrecisionName)
        if precision and precision not in known:
            raise InputError(
                where="--backends",
                got=repr(name),
                expected=f"a backend, or a backend and one of {', '.join(known)}",
                remedy="write it as in eager-bf16",
            )
        way = Way(backend=backend, precision=cast(PrecisionName, precision or "fp32"))
        check_installed(way.backend)
        Placement(precision=way.precision).checked(way.backend)
        return way

    @property
    def name(self) -> str:
        """What the figures call it."""
        return self.backend if self.precision == "fp32" else f"{self.backend}-{self.precision}"


def scores_by_backend(
    paths: Sequence[Path],
    config: PipelineConfig,
    ways: Sequence[Way],
    *,
    workers: int,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, dict[str, Any]]:
    """Headline figures of each way to run the network on the same logs, eager first; each is reported at once."""
    scores: dict[str, dict[str, Any]] = {}
    for way in dict.fromkeys((Way(backend="eager"), *ways)):
        # One thread, as `tricast evaluate`: sums in another order would give other last digits.
        chosen = config.with_network(backend=way.backend, precision=way.precision, threads=1)
        tables = run_logs(paths, chosen, {"all": None}, workers=workers)
        summary = evaluate_tables(tables, {"detector": "network", "backend": way.name}).summary
        scores[way.name] = {short: figure(summary, path) for short, path in FIGURES.items()}
        report(f"{way.name}: {', '.join(f'{short} {number(value)}' for short, value in scores[way.name].items())}")
    return scores


def departures(scores: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """By how much of eager's mAP each backend's is higher."""
    eager = scores["eager"]["mAP"]
    return {name: s["mAP"] / eager - 1 if eager else float("nan") for name, s in scores.items() if name != "eager"}


@mistakes_in_one_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Score and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "logs", nargs="+", metavar="LOG", help="logs with truth, or a synthetic set: standard:validation"
    )
    parser.add_argument("--backends", metavar="B,B", help="as eager-bf16,openvino (default: all installed)")
    parser.add_argument("--weights", metavar="W", help="weights of the network in place of the configured ones")
    parser.add_argument("--within", type=float, default=0.005, metavar="SHARE", help="of eager's mAP (default: 0.005)")
    parser.add_argument("--scenes", type=int, metavar="N", help="scenes of a synthetic set, 40 unless given")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="folder that keeps synthetic sets")
    parser.add_argument(
        "--workers", type=positive_int, default=os.cpu_count() or 1, help="processes; the figures are the same"
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="print one JSON object")
    shown.add_argument("--markdown", action="store_true", help="print a table for a document")
    args = parser.parse_args(arguments)
    names = args.backends.split(",") if args.backends else list(installed_backends())
    ways = [Way.named(name) for name in names]
    paths = _paths(args)
    config = chosen_config(detector="network", weights=args.weights)
    scores = scores_by_backend(paths, config, ways, workers=args.workers, report=_tell)
    apart = departures(scores)
    if args.json:
        print(json.dumps({"logs": args.logs, "scores": scores, "mAP_over_eager": apart}))
    else:
        rows = [
            [name, *(number(s[short]) for short in FIGURES), f"{apart[name]:+.2%}" if name in apart else ""]
            for name, s in scores.items()
        ]
        table = TextTable(header=["backend", *FIGURES, "mAP over eager"], rows=rows)
        print(table.markdown() if args.markdown else table.aligned())
    return 0 if all(abs(value) <= args.within for value in apart.values()) else 1


def _tell(line: str) -> None:
    # A comparison takes long; what is known of it is not lost with a backend that fails.
    print(line, file=sys.stderr, flush=True)


def _paths(args: argparse.Namespace) -> list[Path]:
    paths: list[Path] = []
    for text in args.logs:
        if ":" in text and not Path(text).exists():
            paths += rendered(named_set(text, args.scenes), args.cache, args.workers)
        else:
            paths.append(Path(text))
    return paths


if __name__ == "__main__":
    sys.exit(main())
