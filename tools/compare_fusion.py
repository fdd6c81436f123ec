"""Ways of fusion at an equal budget: `python -m tricast.tools.compare_fusion --shards DIR --out DIR [--samples 6000]`.

Trains every variant (`perception/training/variants.py`) from the same shards (DIR/train) for as many samples, then
scores it on the same ticks of DIR/validation with every subset of sensors. OUT has a run directory of each variant (in
it one of its first stage, if there are two), and `table.md` and `table.json` of those that are done. What is done is
not trained again, and what was interrupted goes on: give the same command until it prints the table. `--known` takes
the `table.json` of a comparison that was begun elsewhere, so that machines may share the work. Every figure is of one
training. The default is trained with three seeds, and a difference from its mean that is no larger than what
lies between these is called neither better nor worse.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from tricast.configs.errors import InputError
from tricast.configs.strict import load_config
from tricast.perception.evaluation.text_tables import TextTable
from tricast.perception.model_weights import load_network
from tricast.perception.streaming.replay import check_writable, write_whole
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.shards import ShardSet
from tricast.perception.training.trainer import CHECKPOINT, WEIGHTS, Trainer
from tricast.perception.training.validation import validate
from tricast.perception.training.variants import COLUMNS, Variant, checked, table_rows, variants_of
from tricast.tools.train import Termination
from tricast.tools.user_input import mistakes_in_one_line, positive_float, positive_int

FIGURES = "figures.json"
FIRST_STAGE = "first-stage"
"""Run directory, within a variant's, of the stage before it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--shards", type=Path, required=True, help="folder with train and validation")
    parser.add_argument("--out", type=Path, required=True, help="run directories, table.md, table.json")
    parser.add_argument("--config", default="tiny", help="the default that variants depart from")
    parser.add_argument("--samples", type=positive_int, default=6000, metavar="N", help="of each variant")
    parser.add_argument(
        "--ticks", type=positive_int, default=200, metavar="N", help="scored, with each subset of sensors"
    )
    parser.add_argument("--camera-init", type=Path, metavar="W", help="weights whose camera encoder all begin with")
    parser.add_argument("--variants", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--known", type=Path, metavar="TABLE", help="table.json of variants that were done elsewhere")
    parser.add_argument(
        "--minutes", type=positive_float, metavar="M", help="stop after so long; the same command goes on"
    )
    parser.add_argument("--threads", type=positive_int, metavar="T")


def run(args: argparse.Namespace) -> int:
    """Train and score what is left to do, and write the table after each."""
    base = _base(args)
    variants = _chosen(variants_of(base), args.variants)
    settings = {variant.name: _settings(variant, base, args) for variant in variants}
    if args.known is not None:
        _adopt(args.known, variants_of(base), lambda variant: _settings(variant, base, args), args.out)
    check_writable(args.out)
    train, held = ShardSet(args.shards / "train"), ShardSet(args.shards / "validation")
    with Termination() as stop:
        sitting = _Sitting(None if args.minutes is None else time.monotonic() + 60 * args.minutes, stop)
        for variant in variants:
            folder = args.out / variant.name
            if (folder / FIGURES).exists():
                _figures(folder, settings[variant.name])
                continue
            if not _trained(variant, base, train, args, sitting):
                print(f"stopped at '{variant.name}'; the same command goes on")
                return 0
            _score(variant.config(base), folder, held, settings[variant.name])
            _write_table(base, args)
    _write_table(base, args)
    print((args.out / "table.md").read_text())
    return 0


@dataclass(frozen=True)
class _Sitting:
    """Until when this invocation trains, on the monotonic clock, and whether it was asked to end."""

    until_s: float | None
    stop: Callable[[], bool]

    @property
    def minutes_left(self) -> float | None:
        return None if self.until_s is None else max(self.until_s - time.monotonic(), 0.0) / 60


def _base(args: argparse.Namespace) -> TrainingRunConfig:
    config = load_config(TrainingRunConfig, args.config)
    if config.training.objective != "everything":
        raise InputError(
            where=f"--config {args.config}",
            got=f"training.objective '{config.training.objective}'",
            expected="'everything': what is compared finds objects",
            remedy="leave it out; the variant 'contrastive' has its own stage",
        )
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


def _settings(variant: Variant, base: TrainingRunConfig, args: argparse.Namespace) -> dict[str, Any]:
    """What the figures of a variant hang on; figures of other settings are refused."""
    start = None if args.camera_init is None else args.camera_init.name
    settings = {**_binding(variant.config(base)), "camera_init": start}
    first = variant.first_stage(base)
    return settings if first is None else {**settings, "first_stage": _binding(first)}


def _binding(config: TrainingRunConfig) -> dict[str, Any]:
    """What of a configuration a figure hangs on."""
    training = config.training.model_dump(mode="json", exclude={"loading_processes", "log_every_steps", "threads"})
    # Figures of before know no such setting, and were made with it on.
    if training["denoising"]:
        del training["denoising"]
    return {"model": config.model.model_dump(mode="json"), "training": training}


def _figures(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """What a variant scored, with these settings."""
    path = folder / FIGURES
    try:
        known = _told(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            where=str(path),
            got=f"{type(error).__name__}: {error}",
            expected="figures of a variant",
            remedy="delete it: what was trained is scored again",
        ) from error
    if known["settings"] != settings:
        raise _of_another(path, "figures of a comparison with other settings")
    return known


def _told(known: Any) -> dict[str, Any]:
    """What is told of a variant, as it was read; of anything else the error that says so."""
    told = {key: known[key] for key in ("settings", "figures", "parameters")}
    if not all(math.isfinite(told["figures"][key]) for key in COLUMNS.values()):
        raise ValueError("a figure that is not finite")
    return told


def _adopt(table: Path, variants: list[Variant], settings: Callable[[Variant], dict[str, Any]], out: Path) -> None:
    """Take over figures of a comparison with the same settings for variants that OUT has none of."""
    try:
        done = json.loads(table.read_text(encoding="utf-8"))["variants"]
        told = {name: _told(done[name]) for name in done}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            where=f"--known {table}",
            got=f"{type(error).__name__}: {error}",
            expected="a table.json of this command",
            remedy="give the one in the --out of a comparison",
        ) from error
    by_name = {variant.name: variant for variant in variants}
    for name, row in told.items():
        if name not in by_name or row["settings"] != settings(by_name[name]):
            raise _of_another(table, f"figures of '{name}' with other settings")
    for name, row in told.items():
        if not (out / name / FIGURES).exists():
            _write_figures(out / name, row)


def _of_another(path: Path, got: str) -> InputError:
    return InputError(
        where=str(path),
        got=got,
        expected="those of this command",
        remedy="give the options it began with, or another --out",
    )


def _trained(
    variant: Variant, base: TrainingRunConfig, train: ShardSet, args: argparse.Namespace, sitting: _Sitting
) -> bool:
    """Begin or go on with a variant's stages, up to the planned samples; whether these were seen."""
    folder, first = args.out / variant.name, variant.first_stage(base)
    start = None if args.camera_init is None else (args.camera_init, "camera_encoder.")
    if first is not None:
        before = folder / FIRST_STAGE
        if not _stage_trained(first, before, train, args, sitting, start, f"{variant.name}, first stage"):
            return False
        start = (before / WEIGHTS, "")
    return _stage_trained(variant.config(base), folder, train, args, sitting, start, variant.name)


def _stage_trained(
    config: TrainingRunConfig,
    folder: Path,
    train: ShardSet,
    args: argparse.Namespace,
    sitting: _Sitting,
    start: tuple[Path, str] | None,
    name: str,
) -> bool:
    """Begin with weights (a file, and which part of them) or go on; whether the planned samples were seen."""
    stated, resume = folder / "config.yaml", (folder / CHECKPOINT).exists()
    if not resume:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(stated, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    # A run may go on with another plan, but a comparison is of one plan from beginning to end.
    elif (planned := load_config(TrainingRunConfig, str(stated)).training.max_samples) != config.training.max_samples:
        raise _of_another(stated, f"a training of {planned} samples that has begun")
    trainer = Trainer(
        config,
        folder,
        folder=args.shards / "train",
        scenes=train.scene_names,
        resume=resume,
        report=lambda line: print(f"{name}: {line}", flush=True),
    )
    if start is not None and not resume:
        trainer.start_from(start[0], part=start[1])
    return trainer.run(minutes=sitting.minutes_left, stop=sitting.stop)


def _score(config: TrainingRunConfig, folder: Path, held: ShardSet, settings: dict[str, Any]) -> None:
    network = load_network(folder / WEIGHTS)
    torch.set_num_threads(config.training.threads)
    device = torch.device(config.training.device)
    figures = validate(network.to(device), held, config, device)
    known = {
        "settings": settings,
        "figures": checked(figures),
        "parameters": sum(p.numel() for p in network.parameters()),
    }
    _write_figures(folder, known)


def _write_figures(folder: Path, known: dict[str, Any]) -> None:
    check_writable(folder)
    write_whole(folder / FIGURES, json.dumps(known, indent=1) + "\n")


def _write_table(base: TrainingRunConfig, args: argparse.Namespace) -> None:
    variants = variants_of(base)
    scored = [variant for variant in variants if (args.out / variant.name / FIGURES).exists()]
    known = {v.name: _figures(args.out / v.name, _settings(v, base, args)) for v in scored}
    figures = {name: told["figures"] for name, told in known.items()}
    parameters = {name: f"{told['parameters'] / 1e6:.2f} M" for name, told in known.items()}
    header = ["variant", "departs in", *(f"mAP {name}" for name in COLUMNS), "parameters"]
    table = TextTable(header=header, rows=table_rows(variants, figures, parameters))
    facts = (
        f"{args.samples} samples and one training each, {args.ticks} validation ticks, the same for every variant and "
        "subset. `ahead` and `behind` are against the mean of the default's seeds; no difference within their spread "
        "(`-`) is a win."
    )
    write_whole(args.out / "table.md", f"{facts}\n\n{table.markdown()}\n")
    told = {"samples": args.samples, "ticks": args.ticks, "variants": known}
    write_whole(args.out / "table.json", json.dumps(told, indent=1) + "\n")


@mistakes_in_one_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 0 done or stopped, 2 the input is at fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
