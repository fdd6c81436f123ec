"""`auto`: the fastest backend that is installed and proven on this machine, by measurement, remembered."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tricast.configs.errors import InputError
from tricast.perception.backends.interface import Backend
from tricast.perception.backends.interleaved import run_interleaved
from tricast.perception.backends.onnx_graph import cache_folder
from tricast.perception.backends.opening import fingerprint, installed_backends, open_backend
from tricast.perception.batch import SensorBatch
from tricast.perception.model import Network

ROUNDS = 15


def auto_backend(
    network: Network, batches: Sequence[SensorBatch], *, threads: int, candidates: Sequence[str] | None = None
) -> Backend:
    """The remembered fastest backend, or the one that a measurement finds now; eager if no other is better.

    Args:
        network: In evaluation mode, on the CPU.
        batches: Real ticks, one each, for proof and measurement.
        threads: As for `open_backend`.
        candidates: Among which to choose; all that are installed unless given.

    """
    candidates = installed_backends() if candidates is None else tuple(candidates)
    key, path = _key(network, threads, candidates), cache_folder() / "fastest_backend.json"
    remembered = _read(path).get(key)
    if remembered is not None and remembered["backend"] in candidates:
        return open_backend(remembered["backend"], network, batches, threads=threads)
    opened: list[Backend] = []
    refused: dict[str, str] = {}
    for name in candidates:
        try:
            opened.append(open_backend(name, network, batches, threads=threads))
        except InputError as error:
            refused[name] = str(error)
    samples_ms = run_interleaved(opened, batches, ROUNDS)
    times_ms = {name: round(statistics.median(values), 3) for name, values in samples_ms.items()}
    fastest = min(opened, key=lambda backend: times_ms[backend.name])
    _remember(path, key, {"backend": fastest.name, "median_ms": times_ms, "refused": refused})
    return fastest


def _key(network: Network, threads: int, candidates: Sequence[str]) -> str:
    machine = f"{platform.node()} {platform.machine()} {os.cpu_count()} {torch.cuda.is_available()}"
    text = f"{fingerprint(network)} {machine} {torch.__version__} {threads} {candidates}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _read(path: Path) -> Mapping[str, Any]:
    """What is remembered; a file that is missing or damaged remembers nothing."""
    try:
        held = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in held.items() if isinstance(v, dict) and "backend" in v} if isinstance(held, dict) else {}


def _remember(path: Path, key: str, choice: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps({**_read(path), key: choice}, indent=2) + "\n")
    partial.replace(path)
