"""`tricast train`: the network from shards of ticks, in stages that resume exactly."""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import yaml

from tricast.configs.errors import InputError
from tricast.configs.strict import load_config, parse_config
from tricast.perception.detectors.network_config import weights_path
from tricast.perception.model_weights import read_tensors
from tricast.perception.streaming.replay import check_writable, write_whole
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.processes import Processes, joined
from tricast.perception.training.published_vit import PublishedViT, load_vit, read_vit
from tricast.perception.training.shards import ShardSet
from tricast.perception.training.trainer import CHECKPOINT, WEIGHTS, Trainer, check_goes_on
from tricast.sensors.synthetic.world_config import WorldConfig, load_world
from tricast.tools.make_shards import RECORDED, names_of_scenes, shards_of_logs, shards_of_world
from tricast.tools.user_input import positive_float, positive_int

LOGS = "logs"
"""Folder, beside those of worlds, of the shards that logs are made into."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--config", default="tiny", help="model, data and training settings")
    parser.add_argument("--out", type=Path, required=True, help="run directory: checkpoint, weights, curves")
    parser.add_argument("--resume", action="store_true", help="go on from the run directory's checkpoint")
    parser.add_argument("--init", metavar="W", help="weights to start from: a file, or the bare name of packaged ones")
    learned = parser.add_mutually_exclusive_group()
    learned.add_argument(
        "--data", type=Path, nargs="+", metavar="LOG", help="logs with truth, in place of synthetic scenes"
    )
    learned.add_argument("--seeds", type=int, nargs=2, metavar=("A", "B"), help="synthetic scenes A to B - 1")
    parser.add_argument("--shards", type=Path, help="where shards are kept (default: OUT/shards)")
    parser.add_argument(
        "--workers",
        type=positive_int,
        default=os.cpu_count() or 1,
        help="processes that render scenes; shards are the same",
    )
    parser.add_argument("--max-samples", type=int, metavar="N", help="planned length; the learning rate ends there")
    parser.add_argument("--minutes", type=positive_float, metavar="M", help="stop after so long; --resume goes on")
    parser.add_argument("--threads", type=int, metavar="T", help="of PyTorch (default: as configured)")
    parser.add_argument(
        "--camera-weights",
        metavar="V",
        help="published ViT to begin the camera encoder with: a safetensors file, timm:NAME or torchvision:NAME",
    )


def run(args: argparse.Namespace) -> int:
    """Train and say where the weights are."""
    config = _with_overrides(load_config(TrainingRunConfig, args.config), args)
    _check_folder(args)
    start, camera, scenes = _start(args), _camera_start(args), _scenes(args, config)
    _check_device(config)
    with joined(config.training.device) as processes:
        if processes.first:
            check_writable(args.out)
            if args.resume:
                check_goes_on(args.out, config, _folder(args) / "train", scenes["train"], processes)
            _make_shards(args, config)
            write_whole(args.out / "config.yaml", yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
        processes.wait()
        trainer = Trainer(
            config,
            args.out,
            folder=_folder(args) / "train",
            scenes=scenes["train"],
            validation=ShardSet(_folder(args) / "validation", scenes["validation"]) if scenes["validation"] else None,
            resume=args.resume,
            report=lambda line: print(line, flush=True),
            processes=processes,
        )
        _begin(trainer, start, camera)
        _train(args, trainer, processes)
    return 0


def _check_folder(args: argparse.Namespace) -> None:
    """Whether a run may begin, or go on, in the folder."""
    begun, trained = (args.out / CHECKPOINT).exists(), (args.out / WEIGHTS).exists()
    if args.resume and not begun:
        raise InputError(
            where=f"--out {args.out}",
            got="no checkpoint",
            expected="a checkpoint to resume",
            remedy="begin another run from its weights, with --init" if trained else "leave out --resume",
        )
    if not args.resume and (begun or trained):
        raise InputError(
            where=f"--out {args.out}",
            got="a run that has begun" if begun else "weights of a run without its checkpoint",
            expected="an empty folder",
            remedy="add --resume to go on, or choose another folder" if begun else "choose another folder",
        )


def _check_device(config: TrainingRunConfig) -> None:
    """Whether the device is there; looked at before shards are made, which may take hours."""
    if config.training.device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            where="training.device",
            got="'cuda' on a machine without a CUDA device",
            expected="a device that is there",
            remedy="set it to 'cpu', or train where there is a GPU",
        )


def _start(args: argparse.Namespace) -> Path | None:
    """The weights to start from; looked at before shards are made, which may take hours."""
    if args.init is None or args.resume:
        return None
    path = weights_path(args.init)
    read_tensors(path)
    return path


def _camera_start(args: argparse.Namespace) -> PublishedViT | None:
    """The published weights to begin the camera encoder with; looked at likewise."""
    return None if args.camera_weights is None or args.resume else read_vit(args.camera_weights)


def _begin(trainer: Trainer, start: Path | None, camera: PublishedViT | None) -> None:
    """Put in what a run begins with; of a run that goes on both are None."""
    if camera is not None:
        load_vit(trainer.model.camera_encoder, camera)
        trainer.average.model.load_state_dict(trainer.model.state_dict())
    if start is not None:
        trainer.start_from(start)


def _train(args: argparse.Namespace, trainer: Trainer, processes: Processes) -> None:
    """Train, score, and say where the weights are."""
    with Termination() as stop:
        done = trainer.run(minutes=args.minutes, stop=stop)
    if done and trainer.validated_step != trainer.progress.step:
        trainer.validate()
    if processes.first:
        state = "done" if done else "stopped; --resume goes on"
        print(f"{state} after {trainer.progress.samples} samples, weights in {args.out / 'weights.safetensors'}")


class Termination:
    """Whether SIGTERM or SIGINT has asked for an end; a step that has begun is finished."""

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Termination:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self) -> bool:
        return self._asked

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True


def _with_overrides(config: TrainingRunConfig, args: argparse.Namespace) -> TrainingRunConfig:
    """The configuration with what the command line says; checked like the file."""
    values = config.model_dump()
    values["training"].update(
        {name: v for name, v in (("max_samples", args.max_samples), ("threads", args.threads)) if v is not None}
    )
    if args.seeds is not None:
        if len(values["data"]["worlds"]) > 1:
            raise InputError(
                where="--seeds",
                got=f"seeds for {len(values['data']['worlds'])} worlds",
                expected="a configuration with one world",
                remedy="state train_seeds of each world under data.worlds of the configuration",
            )
        values["data"]["worlds"][0]["train_seeds"] = tuple(args.seeds)
    return parse_config(TrainingRunConfig, values, where=f"{args.config} with the command line's settings")


def _folder(args: argparse.Namespace) -> Path:
    return args.shards if args.shards is not None else args.out / "shards"


def _scenes(args: argparse.Namespace, config: TrainingRunConfig) -> dict[str, tuple[str, ...]]:
    """Names of the shards to learn from (`train`) and to be watched on (`validation`)."""
    if args.data is not None:
        names = sorted(f"{LOGS}/{name}" for path in args.data for name in names_of_scenes(path))
        return {"train": tuple(names), "validation": ()}
    return {
        part: tuple(f"{folder}/{seed:06d}" for _, folder, of, seeds in _seeds(config) if of == part for seed in seeds)
        for part in ("train", "validation")
    }


def _make_shards(args: argparse.Namespace, config: TrainingRunConfig) -> None:
    """Make the shards that are missing."""
    folder, sample = _folder(args), config.model.sample
    if args.data is not None:
        shards_of_logs(args.data, folder / "train" / LOGS, sample, source=RECORDED)
        return
    for world, name, part, seeds in _seeds(config):
        shards_of_world(world, seeds, folder / part / name, sample, workers=args.workers)


def _seeds(config: TrainingRunConfig) -> list[tuple[WorldConfig, str, str, range]]:
    """Worlds with the name of their folder, the part and its seeds, all of which are meant for it."""
    chosen: list[tuple[WorldConfig, str, str, range]] = []
    for scenes in config.data.worlds:
        world = load_world(scenes.world)
        for part, seeds, allowed in (
            ("train", range(*scenes.train_seeds), world.seeds.train),
            ("validation", range(*scenes.validation_seeds), world.seeds.validation),
        ):
            _check_seeds(seeds, allowed, f"{scenes.folder}: {part}_seeds")
            chosen.append((world, scenes.folder, part, seeds))
    return chosen


def _check_seeds(seeds: range, allowed: tuple[int, int], name: str) -> None:
    empty = seeds.start == seeds.stop
    if not empty and not (allowed[0] <= seeds.start < seeds.stop <= allowed[1]):
        raise InputError(
            where=f"data.worlds, {name}",
            got=f"{seeds.start} to {seeds.stop}",
            expected=f"a range within the world's {allowed[0]} to {allowed[1]}",
            remedy="choose seeds that are meant for this",
        )
