"""Ways of fusion at an equal budget: `python -m tricast.tools.compare_fusion --shards DIR --out DIR [--samples 6000]`.

Trains every variant (`perception/training/variants.py`) from the same shards (DIR/train) for as many samples, then
scores it on the same ticks of DIR/validation with every subset of sensors. OUT has a run directory of each variant, and
`table.md` and `table.json` of those that are done. What is done is not trained again, and what was interrupted goes on:
give the same command until it prints the table. Every figure is of one training. The default is trained with three
seeds, and a difference from its mean that is no larger than what lies between these is called neither better nor worse.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from tricast.configs.errors import InputError
from tricast.configs.strict import load_config
from tricast.perception.evaluation.text_tables import TextTable
from tricast.perception.model_weights import load_network
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.shards import ShardSet
from tricast.perception.training.trainer import CHECKPOINT, WEIGHTS, Trainer
from tricast.perception.training.validation import validate
from tricast.perception.training.variants import COLUMNS, Variant, checked, table_rows, variants_of
from tricast.tools.train import Termination

FIGURES = "figures.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--shards", type=Path, required=True, help="folder with train and validation")
    parser.add_argument("--out", type=Path, required=True, help="run directories, table.md, table.json")
    parser.add_argument("--config", default="tiny", help="the default that variants depart from")
    parser.add_argument("--samples", type=int, default=6000, metavar="N", help="of each variant")
    parser.add_argument("--ticks", type=int, default=200, metavar="N", help="scored, with each subset of sensors")
    parser.add_argument("--camera-init", type=Path, metavar="W", help="weights whose camera encoder all begin with")
    parser.add_argument("--variants", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--minutes", type=float, metavar="M", help="stop after so long; the same command goes on")
    parser.add_argument("--threads", type=int, metavar="T")


def run(args: argparse.Namespace) -> int:
    """Train and score what is left to do, and write the table after each."""
    base = _base(args)
    variants = _chosen(variants_of(base), args.variants)
    train, held = ShardSet(args.shards / "train"), ShardSet(args.shards / "validation")
    until_s = None if args.minutes is None else time.monotonic() + 60 * args.minutes
    with Termination() as stop:
        for variant in variants:
            folder = args.out / variant.name
            if _figures(folder, variant.config(base), args) is not None:
                continue
            if not _trained(variant.config(base), folder, train, args, until_s, stop):
                print(f"stopped at '{variant.name}'; the same command goes on")
                return 0
            _score(variant.config(base), folder, held, args)
            _write_table(base, args)
    _write_table(base, args)
    print((args.out / "table.md").read_text())
    return 0


def _base(args: argparse.Namespace) -> TrainingRunConfig:
    for name, value in (("--samples", args.samples), ("--ticks", args.ticks)):
        if value < 1:
            raise InputError(where=name, got=str(value), expected="1 or more", remedy="give a positive number")
    config = load_config(TrainingRunConfig, args.config)
    watching = config.training.validation.model_copy(update={"ticks": args.ticks, "subset_ticks": args.ticks})
    changes: dict[str, Any] = {"max_samples": args.samples, "validation": watching}
    if args.threads is not None:
        changes["threads"] = args.threads
    return config.model_copy(update={"training": config.training.model_copy(update=changes)})


def _chosen(variants: list[Variant], names: list[str] | None) -> list[Variant]:
    known = [variant.name for variant in variants]
    unknown = sorted(set(names or ()) - set(known))
    if unknown:
        raise InputError(
            where="--variants", got=unknown[0], expected=", ".join(known), remedy="choose among these, or leave it out"
        )
    return [variant for variant in variants if names is None or variant.name in names]


def _settings(config: TrainingRunConfig, args: argparse.Namespace) -> dict[str, Any]:
    """What the figures of a variant hang on; figures of other settings are refused."""
    training = config.training.model_dump(mode="json", exclude={"loading_processes", "log_every_steps", "threads"})
    start = None if args.camera_init is None else args.camera_init.name
    return {"model": config.model.model_dump(mode="json"), "training": training, "camera_init": start}


def _figures(folder: Path, config: TrainingRunConfig, args: argparse.Namespace) -> dict[str, Any] | None:
    """What a variant scored; None if that is not known yet."""
    path = folder / FIGURES
    if not path.exists():
        return None
    known = json.loads(path.read_text(encoding="utf-8"))
    if known["settings"] != _settings(config, args):
        raise InputError(
            where=str(path),
            got="figures of a comparison with other settings",
            expected="those of this command",
            remedy="give the options it began with, or another --out",
        )
    return known


def _trained(
    config: TrainingRunConfig,
    folder: Path,
    train: ShardSet,
    args: argparse.Namespace,
    until_s: float | None,
    stop: Callable[[], bool],
) -> bool:
    """Begin or go on, up to the planned samples; whether these were seen."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    resume = (folder / CHECKPOINT).exists()
    trainer = Trainer(
        config,
        folder,
        folder=args.shards / "train",
        scenes=train.scene_names,
        resume=resume,
        report=lambda line: print(f"{folder.name}: {line}", flush=True),
    )
    if args.camera_init is not None and not resume:
        trainer.start_from(args.camera_init, part="camera_encoder.")
    left = None if until_s is None else max(until_s - time.monotonic(), 0.0) / 60
    return trainer.run(minutes=left, stop=stop)


def _score(config: TrainingRunConfig, folder: Path, held: ShardSet, args: argparse.Namespace) -> None:
    network = load_network(folder / WEIGHTS)
    torch.set_num_threads(config.training.threads)
    figures = validate(network, held, config, torch.device("cpu"))
    known = {
        "settings": _settings(config, args),
        "figures": checked(figures),
        "parameters": sum(p.numel() for p in network.parameters()),
    }
    partial = folder / f"{FIGURES}.partial"
    partial.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / FIGURES)


def _write_table(base: TrainingRunConfig, args: argparse.Namespace) -> None:
    variants = variants_of(base)
    known = {v.name: told for v in variants if (told := _figures(args.out / v.name, v.config(base), args)) is not None}
    figures = {name: told["figures"] for name, told in known.items()}
    parameters = {name: f"{told['parameters'] / 1e6:.2f} M" for name, told in known.items()}
    header = ["variant", "departs in", *(f"mAP {name}" for name in COLUMNS), "parameters"]
    table = TextTable(header=header, rows=table_rows(variants, figures, parameters))
    facts = (
        f"{args.samples} samples and one training each, {args.ticks} validation ticks, the same for every variant and "
        "subset. `ahead` and `behind` are against the mean of the default's seeds; no difference within their spread "
        "(`-`) is a win."
    )
    (args.out / "table.md").write_text(f"{facts}\n\n{table.markdown()}\n", encoding="utf-8")
    told = {"samples": args.samples, "ticks": args.ticks, "variants": known}
    (args.out / "table.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 0 done or stopped, 2 the input is at fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    try:
        return run(parser.parse_args(arguments))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
