"""Settings of the network as a detector; apart from the network itself, so that reading them needs no torch."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Literal

from pydantic import Field

from tricast.configs.errors import InputError
from tricast.configs.strict import StrictConfig
from tricast.perception.backends.names import BackendName, DeviceName, PrecisionName
from tricast.perception.decoding import DecodingConfig
from tricast.perception.doppler import DopplerConfig

ENDING = ".safetensors"


class NetworkConfig(StrictConfig):
    """Which weights, how many threads, and how outputs become boxes."""

    weights: str | None = "tiny"
    """A file of weights, or the bare name of packaged ones."""
    threads: int = Field(default=2, ge=1, le=256)
    """Of whatever runs the network, while it does, and of those that decode pictures; results are the same from run to
    run for the same number."""
    backend: BackendName | Literal["auto"] = "eager"
    """What runs the network (docs/latency.md). `auto` takes the fastest, and its number of threads; only live, where
    results depend on the machine anyway."""
    device: DeviceName = "cpu"
    precision: PrecisionName = "fp32"
    """Of the network's dense part; places, boxes and futures are always in fp32. Accuracy: docs/latency.md."""
    decoding: DecodingConfig = DecodingConfig()
    doppler: DopplerConfig = DopplerConfig()
    sensor_share: bool = False
    """Say of every detection what each sensor had to do with it: up to three more passes of the network a tick, which
    then runs as it is, without another backend."""


def weights_path(name: str | None) -> Path:
    """Find the file of weights that a configuration or `--weights` names.

    Raises:
        InputError: No name is given, or there is no such file.

    """
    if name is not None and ("/" in name or "\\" in name or name.endswith(ENDING)):
        path = Path(name)
    else:
        path = Path(str(importlib.resources.files("tricast.perception"))) / "weights" / f"{name}{ENDING}"
    if name is not None and path.is_file():
        return path
    raise InputError(
        where="weights of the network",
        got="none" if name is None else f"{name!r}, which is not there",
        expected=f"a {ENDING} file" + (f", or one of {', '.join(packaged)}" if (packaged := _packaged()) else ""),
        remedy="give one that is there, or train one with 'tricast train'",
    )


def _packaged() -> list[str]:
    folder = Path(str(importlib.resources.files("tricast.perception"))) / "weights"
    return sorted(p.stem for p in folder.glob(f"*{ENDING}"))
