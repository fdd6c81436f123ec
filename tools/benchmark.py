"""`tricast benchmark`: latency from raw sensor buffers to tracked trajectories, beside what the machine could do."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from tricast.configs.errors import InputError
from tricast.perception.backends.names import AUTO, BACKENDS, DeviceName, PrecisionName

if TYPE_CHECKING:
    from tricast.perception.latency.measurement import BenchmarkOptions

LOAD_NAMES = ("standard", "nuscenes")
"""Of `benchmark_load.LOADS`, which would take long to import for a page of help."""
QUICK_TICKS, FULL_TICKS = 700, 6700
"""MLPerf's rule wants 662 for p99 and 6,636 for p99.9."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "log", type=Path, nargs="?", help="any log (default: a synthetic load, made once, see docs/latency.md)"
    )
    parser.add_argument(
        "--load", choices=LOAD_NAMES, help="without LOG: which load (default: standard; see docs/latency.md)"
    )
    parser.add_argument("--config", help="packaged configuration or path to a YAML file (default: network)")
    parser.add_argument("--weights", metavar="W", help="weights of the network in place of the configured ones")
    parser.add_argument("--backend", default="auto", help="eager, compile, onnxruntime, openvino ... (default: auto)")
    parser.add_argument("--compare", default="", metavar="B,B", help="further backends, set against eager in turns")
    parser.add_argument("--threads", type=int, metavar="N", help="of the network (default: the fastest number)")
    parser.add_argument(
        "--device", choices=["auto", *get_args(DeviceName)], default="auto", help="auto: a GPU where there is one"
    )
    parser.add_argument(
        "--precision", choices=get_args(PrecisionName), default="fp32", help="of the network's dense part"
    )
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="also the network on N ticks at once")
    parser.add_argument("--sensors", help="modalities or channels, separated by commas: camera,lidar,radar")
    parser.add_argument("--ticks", type=int, metavar="N", help=f"ticks that count (default: {QUICK_TICKS})")
    parser.add_argument("--full", action="store_true", help=f"{FULL_TICKS} ticks, which earn a p99.9")
    parser.add_argument("--rate", type=float, default=15.0, metavar="HZ", help="of the open loop; 0 leaves it out")
    parser.add_argument("--rate-seconds", type=float, default=60.0, metavar="S", help="length of the open loop")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Measure and print; returns the exit code."""
    # Before torch is loaded: its profiler complains on stderr where there is no GPU.
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")
    from tricast.perception.backends.onnx_graph import cache_folder
    from tricast.perception.config import chosen_config
    from tricast.perception.detectors.network_config import weights_path
    from tricast.perception.latency.closed_loop import CALIBRATION_TICKS
    from tricast.perception.latency.measurement import HELD_TICKS, benchmark
    from tricast.perception.latency.report import table
    from tricast.perception.layers.convolution import fold_norms
    from tricast.perception.model_weights import load_network, read_score_scales
    from tricast.tools.benchmark_load import LOADS, benchmark_log, log_ticks

    options = _options(args)
    config = chosen_config(args.config, detector="network", weights=args.weights)
    path = weights_path(config.network.weights)
    network = load_network(path)
    fold_norms(network)
    if config.network.decoding.calibration is None:
        # As many tracks as a replay has: a network that is handed over comes without what its file says of scores.
        scales = read_score_scales(path)
        config = config.with_network(decoding=config.network.decoding.model_copy(update={"calibration": scales}))
    log = args.log or benchmark_log(cache_folder() / "loads", LOADS[args.load or LOAD_NAMES[0]])
    sensors = tuple(name.strip() for name in args.sensors.split(",")) if args.sensors is not None else None
    arrivals = min(HELD_TICKS, round(options.rate_hz * options.open_loop_s))
    wanted = max(options.ticks + CALIBRATION_TICKS + 1, options.batch, arrivals)
    figures = benchmark(network, config, lambda: log_ticks(log, config, wanted, sensors=sensors), options, say=_say)
    figures["weights"] = path.name
    figures["load"] = {"log": log.name, "synthetic": args.log is None, "sensors": args.sensors or "all"}
    print(json.dumps(figures) if args.json else table(figures))
    return 0


def _options(args: argparse.Namespace) -> BenchmarkOptions:
    """What the command line asks for.

    Raises:
        InputError: It asks for what there is not.

    """
    import torch

    from tricast.perception.backends.placement import Placement
    from tricast.perception.latency.measurement import BenchmarkOptions

    for name, value in (("--rate", args.rate), ("--rate-seconds", args.rate_seconds)):
        if not 0 <= value <= 1e5:
            raise _wrong(name, f"{value:g}", "0 to 100000")
    if args.log is not None and args.load is not None:
        raise _wrong("--load", "both --load and a log", "one of them")
    if args.threads is not None and not 1 <= args.threads <= 256:
        raise _wrong("--threads", str(args.threads), "1 to 256")
    compare = tuple(name.strip() for name in args.compare.split(",") if name.strip())
    for option, names, known in (("--backend", (args.backend,), (AUTO, *BACKENDS)), ("--compare", compare, BACKENDS)):
        for name in names:
            if name not in known:
                raise _wrong(option, repr(name), ", ".join(known))
    if not 1 <= args.batch <= 1024:
        raise _wrong("--batch", str(args.batch), "1 to 1024")
    device = args.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    placement = Placement(device=device, precision=args.precision)
    for name in compare:
        placement.checked(name)
    # A backend may imply the GPU: then everything is measured there.
    placement = placement.checked("eager" if args.backend == AUTO else args.backend)
    return BenchmarkOptions(
        backend=args.backend,
        placement=placement,
        batch=args.batch,
        threads=args.threads,
        compare=compare,
        ticks=_ticks(args),
        rate_hz=args.rate if args.rate_seconds > 0 else 0.0,
        open_loop_s=args.rate_seconds,
    )


def _ticks(args: argparse.Namespace) -> int:
    if args.full and args.ticks is not None:
        raise _wrong("--ticks", "both --ticks and --full", "one of them")
    count = FULL_TICKS if args.full else QUICK_TICKS if args.ticks is None else args.ticks
    if count < 1:
        raise _wrong("--ticks", str(count), "1 or more")
    return count


def _wrong(where: str, got: str, expected: str) -> InputError:
    return InputError(where=where, got=got, expected=expected, remedy="see tricast benchmark --help")


def _say(what: str) -> None:
    if sys.stderr.isatty():
        print(f"tricast: {what}", file=sys.stderr, flush=True)
