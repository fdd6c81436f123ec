"""`tricast calibrate`: temperatures that make a network's scores probabilities, written into its file of weights."""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from tricast.configs.errors import InputError
from tricast.configs.strict import load_config
from tricast.perception.config import PipelineConfig
from tricast.perception.detectors.network_config import weights_path
from tricast.perception.evaluation.text_tables import TextTable, number
from tricast.perception.model import Network
from tricast.perception.model_weights import load_network, read_score_scales, write_score_scales
from tricast.perception.score_calibration import ScoreScale, SubsetName
from tricast.perception.training.score_fit import SubsetFit, fit_all
from tricast.perception.training.shards import ShardSet
from tricast.perception.training.validation import spread_runs
from tricast.sensors.synthetic.world_config import load_world
from tricast.tools.make_shards import RECORDED, WORLD_SOURCE, names_of_scenes, shards_of_logs
from tricast.tools.user_input import file_to_write, positive_int

TICKS = 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("weights", help="file of weights, or the bare name of packaged ones")
    parser.add_argument("--shards", type=Path, required=True, help="shards of validation scenes: RUN/shards/validation")
    parser.add_argument("--data", type=Path, nargs="+", metavar="LOG", help="logs with truth to make the shards of")
    parser.add_argument("--config", default="network", help="settings of decoding that the scores are used with")
    parser.add_argument("--world", default="standard", help="world whose validation seeds synthetic shards must be of")
    parser.add_argument(
        "--ticks", type=positive_int, default=TICKS, metavar="N", help=f"ticks over all scenes (default: {TICKS})"
    )
    parser.add_argument("--threads", type=positive_int, default=2, metavar="T", help="of PyTorch (default: 2)")
    parser.add_argument("--out", type=Path, help="file to write (default: WEIGHTS itself)")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Fit, write and say what came."""
    path, config = weights_path(args.weights), load_config(PipelineConfig, args.config)
    out = _output(args, path)
    network = load_network(path)
    shards = _shards(args, network)
    torch.set_num_threads(args.threads)

    def told(name: SubsetName, fit: SubsetFit) -> None:
        if sys.stderr.isatty():
            print(f"{name}: {fit.boxes} boxes, {fit.right} right", file=sys.stderr, flush=True)

    fits = fit_all(network, shards, spread_runs(len(shards), args.ticks), config.network.decoding, told=told)
    scales: dict[SubsetName, ScoreScale] = {name: fit.scale for name, fit in fits.items() if fit.scale is not None}
    if not scales:
        raise InputError(
            where=str(args.shards),
            got="no subset of sensors with enough boxes of which some are right and some wrong",
            expected="ticks on which the network finds objects",
            remedy="give more ticks, or weights that have been trained",
        )
    before = read_score_scales(path)
    write_score_scales(path, out, {**before, **scales})
    kept = len(before.keys() - scales.keys())
    outcome = f"{len(scales)} of {len(fits)} in {out}" + (f", {kept} as they were" if kept else "")
    print(json.dumps(_plain(fits)) if args.json else f"{_table(fits).aligned()}\n{outcome}")
    return 0


def _output(args: argparse.Namespace, path: Path) -> Path:
    if args.out is not None:
        return file_to_write(args.out, "--out")
    if path != Path(args.weights):
        raise InputError(
            where="--out",
            got=f"none, for the packaged weights '{args.weights}'",
            expected="a file to write",
            remedy="give one with --out",
        )
    return path


def _shards(args: argparse.Namespace, network: Network) -> ShardSet:
    """The shards; of a synthetic world only such as are made of its validation seeds."""
    if args.data is not None:
        shards_of_logs(args.data, args.shards, network.config.sample, source=RECORDED)
    names = None if args.data is None else sorted(name for path in args.data for name in names_of_scenes(path))
    shards = ShardSet(args.shards, names)
    synthetic = [
        name for name, source in zip(shards.scene_names, shards.sources, strict=True) if source.startswith(WORLD_SOURCE)
    ]
    if not synthetic:
        return shards
    first, end = load_world(args.world).seeds.validation
    seeds = {name: name.rpartition("/")[2] for name in synthetic}
    others = [name for name, seed in seeds.items() if not (seed.isdecimal() and first <= int(seed) < end)]
    if others:
        raise InputError(
            where=str(args.shards),
            got=f"{len(others)} scenes that are not for validation, e.g. {others[0]}",
            expected=f"seeds {first} to {end - 1} of the world '{args.world}'",
            remedy="fit on scenes that nothing was trained on and nothing will be tested on",
        )
    return shards


def _table(fits: dict[SubsetName, SubsetFit]) -> TextTable:
    rows = []
    for name, fit in fits.items():
        errors = [fit.error_before, fit.error_after, fit.error_held_out]
        scale = ["too few", ""] if fit.scale is None else [number(fit.scale.temperature), number(fit.scale.bias)]
        cells = [number(None if math.isnan(error) else error) for error in errors]
        rows.append([name, str(fit.boxes), str(fit.right), *cells, *scale])
    return TextTable(
        header=["sensors", "boxes", "right", "ECE before", "after", "other half", "temperature", "bias"], rows=rows
    )


def _plain(fits: dict[SubsetName, SubsetFit]) -> dict[str, Any]:
    plain = {}
    for name, fit in fits.items():
        scale = None if fit.scale is None else fit.scale.model_dump()
        values = {**asdict(fit), "scale": scale}
        plain[name] = {
            key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()
        }
    return plain
