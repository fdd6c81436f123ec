"""Checkpoints: everything a run needs to go on as if it had never stopped, in one safetensors file without pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tricast.configs.errors import InputError
from tricast.perception.tensor_files import write_tensors
from tricast.perception.training.optimization import AveragedModel

FORMAT = "1"


@dataclass(kw_only=True, eq=False)
class Progress:
    """How far a run has come.

    Args:
        step: Optimiser steps done; the next batch follows from it.
        samples: Samples seen.
        seconds: Wall time spent in earlier invocations and this one.

    """

    step: int = 0
    samples: int = 0
    seconds: float = 0.0


def save_checkpoint(
    path: Path,
    *,
    model: nn.Module,
    average: AveragedModel[Any],
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    config: Mapping[str, Any],
) -> None:
    """Write model, average, optimiser, generators and progress; the file gets its name only when it is on disk."""
    tensors: dict[str, Tensor] = {"generator.cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        tensors["generator.cuda"] = torch.cuda.get_rng_state()
    tensors.update({f"model.{name}": value for name, value in model.state_dict().items()})
    tensors.update({f"average.{name}": value for name, value in average.model.state_dict().items()})
    for index, state in optimizer.state_dict()["state"].items():
        tensors.update({f"optimizer.{index}.{name}": value for name, value in state.items()})
    described = {"format": FORMAT, "progress": json.dumps(vars(progress)), "config": json.dumps(config)}
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    write_tensors(path, lambda partial: save_file(tensors, partial, metadata=described))


def check_settings(path: Path, *, config: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    """Find out whether a run may go on with these settings; see `load_checkpoint`."""
    began, _ = _described(path)
    changed = _first_difference(began, json.loads(json.dumps(config)), json.loads(json.dumps(defaults)))
    if changed is not None:
        raise InputError(
            where=f"{path}: {changed[0]}",
            got=f"{_shown(changed[2])} now",
            expected=f"{_shown(changed[1])}, as the run began",
            remedy="resume with the configuration that the run began with, or begin another with --init",
        )


def load_checkpoint(
    path: Path,
    *,
    model: nn.Module,
    average: AveragedModel[Any],
    optimizer: torch.optim.Optimizer,
    config: Mapping[str, Any],
    defaults: Mapping[str, Any],
) -> Progress:
    """Put a run back to where its checkpoint was written.

    Args:
        path: The file.
        model: Of the same configuration.
        average: Likewise.
        optimizer: Likewise.
        config: What must be as it was: a run goes on only with the settings it began with.
        defaults: What a setting was that the checkpoint does not know, because there was none.

    Raises:
        InputError: The file is missing, damaged, or of another configuration.

    """
    check_settings(path, config=config, defaults=defaults)
    (_, progress), tensors = _described(path), _read(path)
    try:
        model.load_state_dict(_part(tensors, "model."))
        average.model.load_state_dict(_part(tensors, "average."))
        _load_optimizer(optimizer, _part(tensors, "optimizer."))
    except (RuntimeError, ValueError, KeyError) as error:
        raise _unusable(path, f"tensors of another network ({str(error)[:200]})") from error
    torch.set_rng_state(tensors["generator.cpu"])
    if "generator.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["generator.cuda"])
    return progress


def _described(path: Path) -> tuple[Any, Progress]:
    """The settings that a checkpoint's run began with, and how far it has come."""
    try:
        with safe_open(path, framework="pt") as file:
            described = file.metadata() or {}
        if described.get("format") != FORMAT:
            raise _unusable(path, "a file of another kind or format")
        return json.loads(described["config"]), Progress(**json.loads(described["progress"]))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise _unusable(path, f"no readable checkpoint ({error})") from error


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _unusable(path, f"no readable checkpoint ({error})") from error


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _first_difference(old: Any, new: Any, defaults: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """Dotted name, old and new value of the first setting that differs; what the old ones lack had its default."""
    if isinstance(old, dict) and isinstance(new, dict):
        known = defaults if isinstance(defaults, dict) else {}
        for key in sorted({*old, *new}):
            was = old[key] if key in old else known.get(key)
            found = _first_difference(was, new.get(key), known.get(key), f"{path}.{key}".lstrip("."))
            if found is not None:
                return found
        return None
    return None if old == new else (path, old, new)


def _shown(value: Any) -> str:
    """A setting in an error; of a long list, such as that of scenes, its ends."""
    if not isinstance(value, list) or len(value) <= 4:
        return repr(value)
    return f"{len(value)} entries, {value[0]!r} to {value[-1]!r}"


def _unusable(path: Path, got: str) -> InputError:
    return InputError(
        where=str(path),
        got=got,
        expected="a checkpoint of this run",
        remedy="begin anew in another folder, with the weights beside it as a start",
    )
