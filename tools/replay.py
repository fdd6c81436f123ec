"""`tricast replay`: a driving log into boxes, tracks, forecasts and pictures."""

from __future__ import annotations

import argparse
import json
import math
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tricast.configs.disk import writing
from tricast.configs.errors import InputError
from tricast.perception.backends.names import BACKENDS
from tricast.sensors.log.stream import DrivingLog
from tricast.tools.calibrated_log import add_calibration, calibrated_log
from tricast.tools.progress import ProgressLine

if TYPE_CHECKING:
    from tricast.perception.config import PipelineConfig

MAX_WORKERS = 64
PICTURES = ("replay.gif", "replay.mp4", "replay.rrd", "still.png", "still_late.png")
WRITTEN = (*PICTURES, "config.yaml", "metadata.yaml", "results.jsonl", "results.mcap", "summary.json")
"""What a run directory may hold."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("log", type=Path, help="a Tricast log or a recorded dataset directory")
    parser.add_argument("--out", type=Path, required=True, help="run directory to write")
    parser.add_argument("--config", help="packaged configuration or path to a YAML file (default: network)")
    parser.add_argument(
        "--detector", choices=["cluster", "network"], help="detector to use in place of the configured one"
    )
    parser.add_argument("--weights", metavar="W", help="weights of the network, which is then the detector")
    parser.add_argument("--backend", choices=BACKENDS, help="what runs the network (default: as configured, eager)")
    parser.add_argument("--rate", default="max", metavar="X|max", help="multiple of real time")
    parser.add_argument("--start", type=float, default=0.0, metavar="S", help="seconds to skip at the beginning")
    parser.add_argument("--duration", type=float, metavar="D", help="seconds to replay")
    parser.add_argument("--sensors", help="modalities or channels, separated by commas: camera,lidar,radar")
    add_calibration(parser)
    parser.add_argument("--faults", metavar="F", help="packaged faults or path to a YAML file, laid over the log")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="threads that prepare ticks (default: 1)")
    parser.add_argument("--origin-ns", type=int, metavar="NS", help="time of tick 0 (default: the first message)")
    parser.add_argument("--follow", type=Path, metavar="RESULTS", help="results.mcap whose ticks are repeated")
    parser.add_argument("--strict", action="store_true", help="exit with 2 when the log is damaged")
    parser.add_argument(
        "--sensor-share", action="store_true", help="say what each sensor had to do with every object (slower)"
    )
    parser.add_argument("--no-pictures", action="store_true", help="write results only")
    parser.add_argument("--rerun", action="store_true", help="also write replay.rrd for the Rerun viewer")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Replay; returns the exit code."""
    from tricast.perception.config import chosen_config
    from tricast.perception.streaming.graceful_end import stop_on_signals
    from tricast.perception.streaming.replay import ReplayOptions, check_writable, replay
    from tricast.sensors.faults.fault_config import load_faults
    from tricast.sensors.faults.faulty_log import FaultyLog

    config = chosen_config(args.config, detector=args.detector, weights=args.weights, backend=args.backend)
    if args.sensor_share:
        config = with_sensor_share(config)
    sensors = tuple(name.strip() for name in args.sensors.split(",")) if args.sensors is not None else None
    options = ReplayOptions(
        rate=parse_rate(args.rate),
        start_s=args.start,
        duration_s=args.duration,
        sensors=sensors,
        workers=checked_workers(args.workers),
        origin_ns=args.origin_ns,
        follow=args.follow,
    )
    log = calibrated_log(args)
    if args.faults is not None:
        log = FaultyLog(log, load_faults(args.faults))
    check_writable(args.out)
    _make_way(args)
    with ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        observers = _observers(stack, args, log)
        summary = replay(log, config, args.out, options=options, observers=observers, stopped=stop.is_set)
    for detail in summary["losses"]["details"][:5]:
        print(f"tricast: warning: {detail}", file=sys.stderr)
    if args.json:
        print(json.dumps(summary))
    else:
        print(describe(summary, args.out))
    return 2 if args.strict and summary["lost_messages"] else 0


def _make_way(args: argparse.Namespace) -> None:
    """Take pictures of an earlier run out of the way: they would pass for this one's.

    Raises:
        InputError: What the run is to read lies where it is to write.

    """
    for read in (args.log, args.follow):
        if read is not None and any((args.out / name).resolve() == read.resolve() for name in WRITTEN):
            raise InputError(
                where=f"--out {args.out}",
                got=f"the folder of {read.name}, which is to be read",
                expected="another folder",
                remedy="choose one that holds nothing of what is replayed",
            )
    for name in PICTURES:
        with writing(args.out / name):
            (args.out / name).unlink(missing_ok=True)


def with_sensor_share(config: PipelineConfig) -> PipelineConfig:
    """The configuration with `network.sensor_share`.

    Raises:
        InputError: The detector is not the network.

    """
    if config.detector != "network":
        raise InputError(
            where="--sensor-share",
            got=f"the detector '{config.detector}'",
            expected="the network, whose attention can be asked for",
            remedy="leave --sensor-share out, or give --detector network",
        )
    return config.with_network(sensor_share=True)


def parse_rate(text: str) -> float | None:
    """A multiple of real time, or `max` (None): as fast as possible.

    Raises:
        InputError: The text is neither.

    """
    if text == "max":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not (math.isfinite(rate) and rate > 0):
        raise InputError(
            where="--rate", got=repr(text), expected="'max' or a positive number", remedy="for real time use 1.0"
        )
    return rate


def checked_workers(workers: int) -> int:
    """A number of threads that there may be.

    Raises:
        InputError: It is negative or absurd.

    """
    if not 0 <= workers <= MAX_WORKERS:
        raise InputError(
            where="--workers",
            got=str(workers),
            expected=f"0 to {MAX_WORKERS}",
            remedy="1 is a good choice on two cores",
        )
    return workers


def describe(summary: dict[str, Any], out: Path) -> str:
    """A few lines for a person."""
    p50 = summary["latency_ms"]["p50"]
    timing = f"{p50:.1f} ms a tick (median, preparation to forecasts)" if p50 is not None else "too few ticks to time"
    lines = [
        f"{summary['ticks']} ticks over {summary['duration_s']:.1f} s, "
        f"{summary['objects_per_tick']:.1f} tracked objects a tick, {timing}",
        f"results in {out}: " + ", ".join(name for name in sorted(WRITTEN) if (out / name).exists()),
    ]
    if "followed" in summary and summary["followed"]["missing"]:
        missing = ", ".join(f"{count} of {name}" for name, count in sorted(summary["followed"]["missing"].items()))
        lines.append(f"messages that the followed results name and the log lacks: {missing}")
    if summary.get("stopped_early"):
        lines.append("ended early by a signal; the results are whole up to there")
    if summary["lost_messages"]:
        lines.append(f"{summary['lost_messages']} messages of the log were lost; summary.json says where")
    return "\n".join(lines)


def _observers(stack: ExitStack, args: argparse.Namespace, log: DrivingLog) -> list[Any]:
    observers: list[Any] = []
    if not args.no_pictures:
        from tricast.perception.viewing.recorder import PictureRecorder

        observers.append(stack.enter_context(PictureRecorder(args.out)))
    if args.rerun:
        from tricast.perception.viewing.rerun_recording import RerunRecorder

        observers.append(stack.enter_context(RerunRecorder(args.out / "replay.rrd")))
    observers.append(stack.enter_context(ProgressLine(log.start_ns, log.end_ns)))
    return observers
