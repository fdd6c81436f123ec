"""`auto`: the fastest backend, remembered."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.perception.backends.networks import subset_batches
from tricast.configs.errors import InputError
from tricast.perception.backends import choice
from tricast.perception.backends.choice import auto_backend, thread_counts
from tricast.perception.backends.interface import EagerBackend
from tricast.perception.model import Network
from tricast.perception.tick_sample import TickSample


def test_auto_remembers_what_it_measured(
    network: Network, ticks: list[TickSample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRICAST_CACHE", str(tmp_path))
    batches, path = subset_batches(network, ticks), tmp_path / "fastest_backend.json"
    # Threads of a busy machine wait long for each other: what numbers of threads take is made up here.
    monkeypatch.setattr(choice, "_median_ms", lambda backends, _: {n: 10.0 / n for n in backends})
    for threads, expected in (((1,), 1), ((1, 2), 2)):
        backend, chosen = auto_backend(network, batches, threads=threads, candidates=("eager", "cuda_graphs"))
        assert (backend.name, chosen) == ("eager", expected)
    held = list(json.loads(path.read_text()).values())
    assert [(one["backend"], one["threads"]) for one in held] == [("eager", 1), ("eager", 2)]
    assert all("without a CUDA device" in one["refused"]["cuda_graphs"] for one in held)
    # What is remembered is used, though a measurement would now say otherwise.
    monkeypatch.setattr(choice, "_median_ms", lambda backends, _: {n: 10.0 * n for n in backends})
    assert auto_backend(network, batches, threads=(1, 2), candidates=("eager", "cuda_graphs"))[1] == 2
    path.write_text("damaged")
    assert auto_backend(network, batches, threads=(1, 2), candidates=("eager", "cuda_graphs"))[1] == 1


def test_auto_goes_on_where_a_backend_fails_or_what_is_remembered_is_not_proven_any_more(
    network: Network, ticks: list[TickSample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRICAST_CACHE", str(tmp_path))
    batches, opening = subset_batches(network, ticks), choice.open_backend
    failing: dict[str, Exception] = {"compile": RuntimeError("broken")}

    def opened(name: str, *given: Any, **more: Any) -> Any:
        if name in failing:
            raise failing[name]
        return EagerBackend(network, name=name) if name == "openvino" else opening(name, *given, **more)

    monkeypatch.setattr(choice, "open_backend", opened)
    monkeypatch.setattr(choice, "run_interleaved", lambda backends, *_: {b.name: [len(b.name)] for b in backends})
    candidates = ("openvino", "eager", "compile")
    assert auto_backend(network, batches, threads=(1,), candidates=candidates)[0].name == "eager"
    path = tmp_path / "fastest_backend.json"
    held = json.loads(path.read_text())
    assert "broken" in next(iter(held.values()))["refused"]["compile"]
    path.write_text(json.dumps({key: {**value, "backend": "openvino"} for key, value in held.items()}))
    assert auto_backend(network, batches, threads=(1,), candidates=candidates)[0].name == "openvino"
    failing["openvino"] = InputError(where="parity", got="others", expected="the same", remedy="none")
    assert auto_backend(network, batches, threads=(1,), candidates=candidates)[0].name == "eager"


def test_auto_without_any_usable_backend_says_what_the_first_lacks(
    network: Network, ticks: list[TickSample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRICAST_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="backend 'tensorrt': got a machine without"):
        auto_backend(network, subset_batches(network, ticks), threads=(1,), candidates=("tensorrt",))


def test_thread_counts_are_powers_of_two_and_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, expected in ((1, (1,)), (2, (1, 2)), (6, (1, 2, 4, 6)), (8, (1, 2, 4, 8))):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=cores: set(range(n)), raising=False)
        assert thread_counts() == expected
