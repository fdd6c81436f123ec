"""Weights as files: safetensors with the network's configuration inside, so that a file is all one needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tricast.configs.errors import InputError
from tricast.perception.model import ModelConfig, Network
from tricast.perception.score_calibration import ScoreScale, SubsetName
from tricast.perception.tensor_files import write_tensors

FORMAT = "1"
CALIBRATION = "score_calibration"
_SCALES = TypeAdapter(dict[SubsetName, ScoreScale])


def save_weights(
    path: Path, network: Network, *, dtype: torch.dtype = torch.float32, notes: Mapping[str, str] | None = None
) -> None:
    """Write a network's parameters and statistics; the file gets its name only when it is whole.

    Args:
        path: The file.
        network: What to write.
        dtype: Of floating-point values on disk; float16 halves the file.
        notes: What else the file should say of itself, e.g. how it was trained.

    """
    tensors = {
        name: (value.to(dtype) if value.is_floating_point() else value).contiguous().cpu()
        for name, value in network.state_dict().items()
    }
    metadata = {**(notes or {}), "format": FORMAT, "model": network.config.model_dump_json()}
    write_tensors(path, lambda partial: save_file(tensors, partial, metadata=metadata))


def load_network(path: Path) -> Network:
    """Build the network that a file of weights describes, in evaluation mode and single precision.

    Raises:
        InputError: The file is missing, damaged, or its tensors do not fit its own configuration.

    """
    tensors, metadata = _read(path)
    try:
        config = _config(metadata["model"])
    except (KeyError, ValidationError, json.JSONDecodeError) as error:
        raise _unusable(path, f"no readable configuration ({str(error).splitlines()[0]})") from error
    network = Network(config)
    copy_weights(network, tensors, path)
    return network.eval()


def _config(text: str) -> ModelConfig:
    """The configuration that a file states; one setting is gone that files of before state, and meant nothing here."""
    told = json.loads(text)
    if isinstance(told, dict) and isinstance(told.get("alignment"), dict):
        told["alignment"].pop("queue", None)
    return ModelConfig.model_validate(told)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of weights by name, whatever network they are of.

    Raises:
        InputError: The file is missing, damaged or of another kind.

    """
    return _read(path)[0]


def read_score_scales(path: Path) -> dict[SubsetName, ScoreScale]:
    """How a file of weights has its scores calibrated; empty where it says nothing.

    Raises:
        InputError: The file is missing, damaged or of another kind, or what it says is not readable.

    """
    text = _read(path)[1].get(CALIBRATION)
    if text is None:
        return {}
    try:
        return _SCALES.validate_json(text)
    except ValidationError as error:
        raise _unusable(path, f"no readable calibration of scores ({str(error).splitlines()[0]})") from error


def write_score_scales(path: Path, out: Path, scales: Mapping[SubsetName, ScoreScale]) -> None:
    """Copy a file of weights, tensors to the bit, with its scores calibrated so; `out` may be `path` itself.

    Raises:
        InputError: The file is missing, damaged or of another kind.

    """
    tensors, metadata = _read(path)
    metadata[CALIBRATION] = _SCALES.dump_json(dict(scales)).decode()
    write_tensors(out, lambda partial: save_file(tensors, partial, metadata=metadata))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _unusable(path, f"no readable weights ({str(error).splitlines()[0]})") from error
    if metadata.get("format") != FORMAT:
        raise _unusable(path, "a file of another kind or format")
    return tensors, metadata


def copy_weights(network: Network, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put tensors into a network of the same names and shapes.

    Raises:
        InputError: A name or a shape differs.

    """
    own = network.state_dict()
    absent, extra = sorted(set(own) - set(tensors)), sorted(set(tensors) - set(own))
    if absent or extra:
        raise _unusable(path, f"{len(absent)} tensors missing and {len(extra)} unknown, e.g. {(absent or extra)[0]}")
    for name, value in tensors.items():
        if value.shape != own[name].shape:
            raise _unusable(path, f"{name} of shape {tuple(value.shape)}, not {tuple(own[name].shape)}")
    network.load_state_dict({name: value.to(own[name].dtype) for name, value in tensors.items()})


def _unusable(path: Path, got: str) -> InputError:
    return InputError(
        where=str(path),
        got=got,
        expected="weights of this network, as 'tricast train' writes them",
        remedy="give another file, or train one",
    )
