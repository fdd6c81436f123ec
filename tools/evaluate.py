"""`tricast evaluate`: a detector, or a file of results, against the truth by the official protocols."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tricast.configs.errors import InputError
from tricast.perception.backends.names import BACKENDS
from tricast.tools.user_input import positive_float, positive_int

if TYPE_CHECKING:
    from tricast.perception.config import PipelineConfig
    from tricast.perception.evaluation.evaluation import Evaluation
    from tricast.perception.evaluation.report import Picture

PROTOCOLS = ("nuscenes-detection", "nuscenes-tracking", "nuscenes-prediction")
ALL_SUBSETS = "all-subsets"
OF_LOGS = (
    *("config", "detector", "weights", "sensors", "corruptions", "streaming", "backend"),
    *("start", "duration", "max_range", "scenes"),
)
"""Options that say how logs are evaluated; files of results are scored as they are."""
TOLD_LOGS = 5
"""Damaged logs that are said to a person."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("logs", nargs="*", metavar="LOG", help="logs with truth, or a synthetic set: standard:test")
    parser.add_argument("--config", help="packaged configuration or path to a YAML file (default: network)")
    parser.add_argument(
        "--detector", choices=["cluster", "network"], help="detector to use in place of the configured one"
    )
    parser.add_argument("--weights", metavar="W", help="weights of the network, which is then the detector")
    parser.add_argument("--backend", choices=BACKENDS, help="what runs the network (default: as configured, eager)")
    parser.add_argument("--sensors", help=f"modalities or channels, separated by commas, or {ALL_SUBSETS}")
    parser.add_argument("--corruptions", action="store_true", help="also the robustness table, on the first 8 logs")
    parser.add_argument(
        "--streaming",
        nargs="?",
        const="measured",
        metavar="LATENCY",
        help="also scores against the clock: measured, processor, constant:MS or lognormal:MEDIAN_MS:SIGMA, "
        "several with commas",
    )
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="seconds to skip of each log")
    parser.add_argument("--duration", type=float, metavar="D", help="seconds to evaluate of each log")
    parser.add_argument("--max-range", type=positive_float, metavar="M", help="score nothing further away than this")
    parser.add_argument("--scenes", type=int, metavar="N", help="scenes of a synthetic set, 40 unless given")
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="folder that keeps synthetic sets")
    parser.add_argument(
        "--workers", type=positive_int, default=os.cpu_count() or 1, help="processes; the figures are the same"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="run directory: figures, report and tables")
    parser.add_argument("--results", type=Path, metavar="R.json", help="score this file in place of a detector")
    parser.add_argument("--truth", type=Path, metavar="T.json", help="truth for --results")
    parser.add_argument("--protocol", choices=PROTOCOLS, help="what --results and --truth hold")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    shown.add_argument("--markdown", action="store_true", help="print the tables of a README in Markdown")


def run(args: argparse.Namespace) -> int:
    """Evaluate; returns the exit code."""
    _check(args)
    if args.results is not None:
        from tricast.tools.evaluate_files import evaluate_files

        summary = evaluate_files(args.results, args.truth, args.protocol)
    else:
        summary = _evaluate_logs(args)
    if args.json:
        print(json.dumps(summary, allow_nan=False))
        return 0
    if args.markdown:
        from tricast.perception.evaluation.readme_tables import readme_tables

        print(readme_tables(summary), end="")
        return 0
    from tricast.perception.evaluation.text_tables import describe

    print(describe(summary))
    if args.out is not None:
        print(f"report in {args.out / 'report.html'}")
    return 0


def _check(args: argparse.Namespace) -> None:
    files = [args.results, args.truth, args.protocol]
    if any(part is not None for part in files):
        beside = args.logs or args.out or args.markdown or any(vars(args)[name] for name in OF_LOGS)
        if any(part is None for part in files) or beside:
            raise InputError(
                where="evaluate",
                got="part of --results, --truth and --protocol, or logs or options of logs beside them",
                expected="all three and nothing else, or logs",
                remedy="write: tricast evaluate --results R.json --truth T.json --protocol nuscenes-detection",
            )
    elif not args.logs:
        raise InputError(
            where="evaluate",
            got="no log",
            expected="logs with truth, or a synthetic set",
            remedy="for the synthetic test set write: tricast evaluate standard:test",
        )
    if args.streaming is not None:
        from tricast.perception.evaluation.streaming import parse_latencies

        parse_latencies(args.streaming)
    if (args.start, args.duration) != (0.0, None) and (args.streaming is not None or args.corruptions):
        raise InputError(
            where="--start, --duration",
            got="--streaming or --corruptions beside them",
            expected="either a part of each log, or these, which take whole logs and first seconds",
            remedy="run the two apart",
        )


def _evaluate_logs(args: argparse.Namespace) -> dict[str, Any]:
    from tricast.perception.config import chosen_config
    from tricast.perception.evaluation.evaluation import evaluate_tables
    from tricast.perception.evaluation.run_log import run_logs
    from tricast.perception.streaming.replay import check_writable
    from tricast.sensors.log.log_part import LogPart

    config = chosen_config(args.config, detector=args.detector, weights=args.weights, backend=args.backend)
    # One thread whatever the number of processes: sums in another order would give other last digits.
    scoring = config.with_network(threads=1)
    if args.out is not None:
        check_writable(args.out)
    paths = _paths(args)
    subsets = _subsets(args.sensors, paths)
    part = LogPart(start_s=args.start, duration_s=args.duration)
    tables = run_logs(paths, scoring, subsets, part=part, workers=args.workers, on_log=_progress(len(paths), "logs"))
    facts: dict[str, Any] = {"logs": args.logs, "detector": config.detector}
    if part != LogPart():
        facts["part"] = {"start_s": part.start_s, "duration_s": part.duration_s}
    if config.detector == "network":
        facts["backend"] = config.network.backend
    evaluation = evaluate_tables(tables, facts, max_range_m=args.max_range)
    sensors = next(iter(subsets.values()))
    _warn(evaluation.summary)
    pictures: list[Picture] = []
    if args.out is not None:
        from tricast.tools.evaluation_pictures import worst_pictures

        pictures = worst_pictures(evaluation, paths, scoring, sensors)
        _save(args.out, evaluation, config, pictures)
    # Saved again after each part that takes long, so that nothing is lost where the next one fails.
    if args.streaming is not None:
        evaluation.summary["streaming"] = _streaming(args, paths, config, scoring, sensors)
        if args.out is not None:
            _save(args.out, evaluation, config, pictures)
    if args.corruptions:
        evaluation.summary["robustness"] = _robustness(args, paths, scoring, sensors)
        if args.out is not None:
            _save(args.out, evaluation, config, pictures)
    return evaluation.summary


def _warn(summary: dict[str, Any]) -> None:
    """Say what was not scored, and of which logs something was lost."""
    from tricast.perception.evaluation.text_tables import damaged_logs

    told, damaged = [], damaged_logs(summary)
    if summary["late_truth"]:
        told.append(f"{summary['late_truth']} annotations came too late to be scored")
    told += damaged[:TOLD_LOGS]
    if len(damaged) > TOLD_LOGS:
        told.append(f"{len(damaged) - TOLD_LOGS} more logs lost messages; --json and the report of --out name them")
    for line in told:
        print(f"tricast: warning: {line}", file=sys.stderr)


def _streaming(
    args: argparse.Namespace,
    paths: Sequence[Path],
    config: PipelineConfig,
    scoring: PipelineConfig,
    sensors: tuple[str, ...] | None,
) -> dict[str, Any]:
    """Scores against the clock, by latency."""
    from tricast.perception.evaluation.streaming import parse_latencies
    from tricast.perception.evaluation.streaming_run import stream_logs, streaming_summary
    from tricast.perception.evaluation.summary import without_nan

    summaries: dict[str, Any] = {}
    for text, latency in parse_latencies(args.streaming).items():
        streams = stream_logs(
            paths,
            config if latency.kind == "measured" else scoring,
            latency,
            sensors=sensors,
            # Processes that share the cores would slow each other down, and the measured latencies with them.
            workers=1 if latency.is_measured else args.workers,
            on_log=_progress(len(paths), f"logs against the clock, {text}"),
        )
        summaries[text] = streaming_summary(streams, latency, max_range_m=args.max_range)
    return without_nan(summaries)


def _robustness(
    args: argparse.Namespace, paths: Sequence[Path], config: PipelineConfig, sensors: tuple[str, ...] | None
) -> dict[str, Any]:
    """The robustness table."""
    from tricast.perception.evaluation.robustness import NUM_SCENES
    from tricast.perception.evaluation.robustness_run import detector_robustness
    from tricast.perception.evaluation.summary import without_nan

    table = detector_robustness(
        paths,
        config,
        sensors=sensors,
        max_range_m=args.max_range,
        workers=args.workers,
        on_scene=_progress(min(len(paths), NUM_SCENES), "scenes under corruptions"),
    )
    return without_nan(table.as_dict())


def _paths(args: argparse.Namespace) -> list[Path]:
    """Logs that the arguments name; synthetic sets are rendered where the cache lacks them."""
    paths: list[Path] = []
    sets = False
    for text in args.logs:
        if ":" in text and not Path(text).exists():
            # Imported here: casting needs libraries that scoring recorded logs does not.
            from tricast.tools.synthetic_set import named_set, rendered

            paths += rendered(named_set(text, args.scenes), args.cache, args.workers)
            sets = True
        else:
            paths.append(Path(text))
    if args.scenes is not None and not sets:
        raise InputError(
            where="--scenes",
            got=f"{args.scenes} scenes of recorded logs",
            expected="a synthetic set, such as standard:test",
            remedy="leave --scenes out: logs are scored whole",
        )
    return paths


def _subsets(sensors: str | None, paths: Sequence[Path]) -> dict[str, tuple[str, ...] | None]:
    """Choices of sensors by name; all subsets of the modalities that the logs have, the whole of them first."""
    from tricast.sensors.calibration import MODALITIES
    from tricast.sensors.log.open_log import open_log

    if sensors is None:
        return {"all": None}
    if sensors != ALL_SUBSETS:
        names = tuple(dict.fromkeys(name.strip() for name in sensors.split(",")))
        return {"+".join(names): names}
    present = {sensor.modality for path in paths for sensor in open_log(path).rig.sensors.values()}
    modalities = [modality for modality in MODALITIES if modality in present]
    chosen = [part for size in range(len(modalities), 0, -1) for part in combinations(modalities, size)]
    return {"+".join(part): part for part in chosen}


def _progress(total: int, what: str) -> Callable[[int], None]:
    def show(done: int) -> None:
        if sys.stderr.isatty():
            end = "\r\033[K" if done == total else ""
            print(f"\r{done} of {total} {what} {end}", end="", file=sys.stderr, flush=True)

    return show


def _save(out: Path, evaluation: Evaluation, config: PipelineConfig, pictures: Sequence[Picture]) -> None:
    from tricast.perception.evaluation.report import report_html
    from tricast.perception.evaluation.run_directory import save_run

    page = report_html(evaluation.summary, evaluation.detections, pictures)
    save_run(out, evaluation.summary, config, evaluation.truth, evaluation.results, page)
