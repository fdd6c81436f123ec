"""`auto`: the fastest backend that is installed and proven here, and how many threads it wants, by measurement."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tricast.configs.errors import InputError
from tricast.perception.backends.interface import Backend
from tricast.perception.backends.interleaved import run_interleaved
from tricast.perception.backends.onnx_graph import cache_folder
from tricast.perception.backends.opening import fingerprint, installed_backends, open_backend, runtime_versions
from tricast.perception.backends.placement import Placement
from tricast.perception.backends.processor import processor
from tricast.perception.batch import SensorBatch
from tricast.perception.model import Network

ROUNDS = 15


def thread_counts() -> tuple[int, ...]:
    """Numbers of threads worth trying: powers of two up to the cores that this process may use, and all of them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return tuple(sorted({*(1 << power for power in range(cores.bit_length()) if 1 << power <= cores), cores}))


def auto_backend(
    network: Network,
    batches: Sequence[SensorBatch],
    *,
    threads: Sequence[int],
    candidates: Sequence[str] | None = None,
    placement: Placement | None = None,
) -> tuple[Backend, int]:
    """The remembered fastest backend and its threads, or what a measurement finds now.

    Backends are compared with as many threads as may be tried, the fastest of them then with each number.

    Args:
        network: In evaluation mode, on the CPU.
        batches: Real ticks, one each, for proof and measurement.
        threads: Numbers of threads among which to choose.
        candidates: Backends among which to choose; all that are installed unless given.
        placement: Where they run; None is a CPU in single precision.

    Raises:
        InputError: None of the candidates can be used.

    """
    placement = placement or Placement()
    candidates = installed_backends(placement) if candidates is None else tuple(candidates)

    def opened(name: str, count: int) -> Backend:
        return open_backend(name, network, batches, threads=count, placement=placement)

    if len(candidates) == len(threads) == 1:
        return opened(candidates[0], threads[0]), threads[0]
    key, path = _key(network, threads, candidates, placement), cache_folder() / "fastest_backend.json"
    remembered = _read(path).get(key)
    if remembered is not None and remembered["backend"] in candidates and remembered["threads"] in threads:
        name, count = str(remembered["backend"]), int(remembered["threads"])
        try:
            return opened(name, count), count
        except InputError:
            pass  # these ticks do not prove it, or it is gone: measured anew
    found, refused = _all_opened(opened, candidates, max(threads))
    samples_ms = run_interleaved(found, batches, ROUNDS)
    times_ms = {name: round(statistics.median(values), 3) for name, values in samples_ms.items()}
    fastest = min(found, key=lambda backend: times_ms[backend.name])
    by_threads = {max(threads): fastest}
    by_threads |= {n: opened(fastest.name, n) for n in threads if n != max(threads)}
    threads_ms = _median_ms(by_threads, batches)
    count = min(threads_ms, key=lambda n: threads_ms[n])
    choice = {"backend": fastest.name, "threads": count, "median_ms": times_ms, "threads_ms": threads_ms}
    _remember(path, key, {**choice, "refused": refused})
    return by_threads[count], count


def _all_opened(
    opened: Callable[[str, int], Backend], candidates: Sequence[str], threads: int
) -> tuple[list[Backend], dict[str, str]]:
    """Backends that can be used, and what was wrong with the others."""
    found: list[Backend] = []
    refused: dict[str, Exception] = {}
    for name in candidates:
        try:
            found.append(opened(name, threads))
        except Exception as error:  # runtimes raise many kinds; another one may work
            refused[name] = error
    if not found:
        raise next(iter(refused.values()))
    return found, {name: str(error) for name, error in refused.items()}


def _median_ms(by_threads: Mapping[int, Backend], batches: Sequence[SensorBatch]) -> dict[int, float]:
    """Medians by number of threads, each measured twice: going up, and going down."""
    if len(by_threads) == 1:
        return dict.fromkeys(by_threads, 0.0)
    samples_ms: dict[int, list[float]] = {}
    for count in (*sorted(by_threads), *sorted(by_threads, reverse=True)):
        backend = by_threads[count]
        samples_ms.setdefault(count, []).extend(run_interleaved([backend], batches, ROUNDS)[backend.name])
    return {count: round(statistics.median(values), 3) for count, values in samples_ms.items()}


def _key(network: Network, threads: Sequence[int], candidates: Sequence[str], placement: Placement) -> str:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    machine = f"{platform.node()} {processor()} {os.cpu_count()} {gpu}"
    text = f"{fingerprint(network)} {machine} {runtime_versions()} {threads} {candidates} {placement}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _read(path: Path) -> Mapping[str, Any]:
    """What is remembered; a file that is missing or damaged remembers nothing."""
    try:
        held = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(held, dict):
        return {}
    return {k: v for k, v in held.items() if isinstance(v, dict) and {"backend", "threads"} <= v.keys()}


def _remember(path: Path, key: str, choice: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps({**_read(path), key: choice}, indent=2) + "\n")
    partial.replace(path)
