"""`tricast export`: the network as a graph for other runtimes, proven to give the same before the file is there."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tricast.configs.errors import InputError
from tricast.tools.user_input import file_to_write

if TYPE_CHECKING:
    from tricast.perception.backends.fixed_shapes import FixedShapes
    from tricast.perception.batch import SensorBatch
    from tricast.perception.model import ModelConfig
    from tricast.sensors.synced_frame import SyncedFrame

PROBE_TICKS, PROBE_STEP = 6, 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--to", required=True, choices=["onnx", "openvino", "tensorrt"], help="format")
    parser.add_argument("--out", type=Path, required=True, help="file to write: .onnx, .xml (and .bin) or .engine")
    parser.add_argument(
        "--precision", choices=["fp32", "bf16"], default="fp32", help="of the dense part (bf16: openvino)"
    )
    parser.add_argument("--weights", metavar="W", help="file of weights or name of packaged ones (default: tiny)")
    parser.add_argument("--log", type=Path, help="any log, on whose ticks the graph is proven (default: the demo log)")
    parser.add_argument("--cameras", type=int, metavar="N", help="camera slots (default: as the log has)")
    parser.add_argument("--lidar-rows", type=int, metavar="N", help="LiDAR returns that fit (default: by the log)")
    parser.add_argument("--radar-rows", type=int, metavar="N", help="radar returns that fit (default: by the log)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Export; returns the exit code."""
    from tricast.perception.backends.graph_export import TARGETS, check_target, export_graph
    from tricast.perception.config import chosen_config
    from tricast.perception.detectors.network_config import weights_path
    from tricast.perception.layers.convolution import fold_norms
    from tricast.perception.model_weights import load_network
    from tricast.perception.training.shards import synchronizer_for
    from tricast.tools.benchmark_load import log_ticks
    from tricast.tools.demo import demo_log_path

    if args.out.suffix != TARGETS[args.to]:
        raise InputError(
            where="--out",
            got=args.out.name,
            expected=f"a name that ends with {TARGETS[args.to]}",
            remedy="give the file that ending",
        )
    check_target(args.to, args.precision)
    out = file_to_write(args.out, "--out")
    config = chosen_config(detector="network")
    network = load_network(weights_path(args.weights or config.network.weights))
    fold_norms(network)
    # As many sweeps and scans as these weights look at.
    needed, kept = synchronizer_for(network.config.sample), config.synchronizer
    names = ("lidar_sweeps", "lidar_span_s", "radar_scans")
    more = {name: max(getattr(needed, name), getattr(kept, name)) for name in names}
    config = config.model_copy(update={"synchronizer": kept.model_copy(update=more)})
    source = log_ticks(args.log or demo_log_path(), config, PROBE_TICKS * PROBE_STEP)
    batches = _probe(islice(source, PROBE_STEP - 1, None, PROBE_STEP), network.config)
    if not batches:
        raise InputError(
            where=str(args.log), got="no tick", expected="ticks to prove the graph on", remedy="give another log"
        )
    shapes = _shapes(args, batches)
    worst = export_graph(network, args.to, out, shapes, batches, args.precision)
    summary = {
        "out": str(out),
        "precision": args.precision,
        "bytes": sum(path.stat().st_size for path in (out, out.with_suffix(".bin")) if path.exists()),
        "shapes": vars(shapes),
        "compared_ticks": len(batches),
        "largest_difference": worst,
    }
    how = "agrees" if args.precision == "fp32" else "agrees as far as 16 bits do"
    text = f"{out}: {how} with the network on {len(batches)} ticks to {worst:.1e}, holds {shapes}"
    print(json.dumps(summary) if args.json else text)
    return 0


def _probe(frames: Iterable[SyncedFrame], config: ModelConfig) -> list[SensorBatch]:
    """Ticks to prove a graph on: whole ones, and ones without each modality in turn."""
    from tricast.perception.collation import collate
    from tricast.perception.tick_sample import sample_of
    from tricast.sensors.calibration import MODALITIES

    batches: list[SensorBatch] = []
    for number, frame in enumerate(frames):
        lacking = (None, *MODALITIES)[number % (len(MODALITIES) + 1)]
        kept = [channel for channel in frame.rig.channels() if frame.rig[channel].modality != lacking]
        batches.append(collate([sample_of(frame.restricted_to(kept), config.sample)], config.batch))
    return batches


def _shapes(args: argparse.Namespace, batches: list[SensorBatch]) -> FixedShapes:
    """What was asked for, and what these ticks need with room to spare.

    Raises:
        InputError: These ticks do not fit into what was asked for.

    """
    from tricast.perception.backends.fixed_shapes import FixedShapes

    around = FixedShapes.around(batches)
    shapes = FixedShapes(
        cameras=around.cameras if args.cameras is None else args.cameras,
        lidar_rows=around.lidar_rows if args.lidar_rows is None else args.lidar_rows,
        radar_rows=around.radar_rows if args.radar_rows is None else args.radar_rows,
    )
    if not all(shapes.hold(batch) for batch in batches) or min(vars(shapes).values()) < 1:
        raise InputError(
            where="--cameras, --lidar-rows, --radar-rows",
            got=f"{shapes.cameras}, {shapes.lidar_rows}, {shapes.radar_rows}",
            expected="at least what the ticks hold that prove the graph",
            remedy="leave them out, or give more",
        )
    return shapes
