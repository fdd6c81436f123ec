"""`tricast submission`: results of a detector in a benchmark's official format."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tricast.configs.disk import partial_of, writing
from tricast.tools.calibrated_log import add_calibration, calibrated_log
from tricast.tools.user_input import file_to_write

if TYPE_CHECKING:
    from tricast.perception.evaluation.submission import Sample

FORMATS = ("nuscenes-detection", "nuscenes-tracking", "nuscenes-prediction", "argoverse2-detection")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("log", type=Path, help="a log or a recorded dataset directory, with annotation stamps")
    parser.add_argument("--format", choices=FORMATS, required=True, help="what to write")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write (.json or .feather)")
    parser.add_argument("--config", help="packaged configuration or path to a YAML file")
    parser.add_argument(
        "--detector", choices=["cluster", "network"], help="detector to use in place of the configured one"
    )
    parser.add_argument("--weights", metavar="W", help="weights of the network, which is then the detector")
    add_calibration(parser)
    parser.add_argument("--sensors", help="modalities or channels, separated by commas: camera,lidar,radar")


def run(args: argparse.Namespace) -> int:
    """Run the pipeline and write; returns the exit code."""
    from tricast.perception.config import chosen_config
    from tricast.perception.evaluation import submission
    from tricast.perception.streaming.replay import write_whole

    config = chosen_config(args.config, detector=args.detector, weights=args.weights)
    sensors = tuple(name.strip() for name in args.sensors.split(",")) if args.sensors is not None else None
    name, log = args.log.resolve().stem, calibrated_log(args)
    out = file_to_write(args.out, "--out")
    if args.format == "argoverse2-detection":
        submission.check_feather()
    tokens = _tokens(args.log, log.kind)
    samples = submission.collect_samples(
        log, config, sensors=sensors, token_of=lambda at_ns: tokens.get(at_ns, f"{name}/{at_ns}")
    )
    partial = partial_of(out)
    if args.format == "argoverse2-detection":
        columns = submission.argoverse2_detections(samples, name)
        with writing(out):
            submission.write_feather(columns, partial)
            partial.replace(out)
    else:
        document = _document(args.format, samples, submission.used_modalities(log.rig, sensors, config))
        write_whole(out, json.dumps(document, allow_nan=False))
    print(f"{len(samples)} samples in {out}")
    return 0


def _tokens(path: Path, kind: str) -> dict[int, str]:
    """The benchmark's own names of samples by time; none for logs of no benchmark."""
    if kind != "nuscenes":
        return {}
    from tricast.sensors.log.nuscenes import sample_tokens

    return sample_tokens(path)


def _document(name: str, samples: list[Sample], modalities: frozenset[str]) -> Any:
    from tricast.perception.evaluation import submission

    if name == "nuscenes-detection":
        return submission.nuscenes_detection(samples, modalities)
    if name == "nuscenes-tracking":
        return submission.nuscenes_tracking(samples, modalities)
    return submission.nuscenes_prediction(samples)
