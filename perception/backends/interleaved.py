"""Ways to do the same, such as backends, timed in turns: what else the machine does falls on all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle

from tricast.perception.backends.interface import Backend
from tricast.perception.batch import SensorBatch
from tricast.perception.query_memory import QueryMemory

SETTLE_S = 0.02
"""Threads of the way before go on spinning for some milliseconds; a way that runs alone meets none of them."""


def run_interleaved(backends: Sequence[Backend], batches: Sequence[SensorBatch], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each backend on the same ticks, in turns; as many rounds as there are backends come before."""

    def run(backend: Backend) -> Callable[[], object]:
        ticks = cycle(batches)
        return lambda: backend(next(ticks), QueryMemory())

    return interleaved_ms({backend.name: run(backend) for backend in backends}, rounds, warmup=len(backends))


def interleaved_ms(runs: Mapping[str, Callable[[], object]], rounds: int, *, warmup: int = 2) -> dict[str, list[float]]:
    """Milliseconds of each way, one value a round. Who begins changes from round to round.

    So none is always the one that finds the caches cold. `SETTLE_S` goes by before each.

    Args:
        runs: Ways by name.
        rounds: How many values of each.
        warmup: Rounds before, of which nothing is kept.

    """
    names = list(runs)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-warmup, rounds):
        for place in range(len(names)):
            name = names[(place + number) % len(names)]
            time.sleep(SETTLE_S)
            begin_ns = time.perf_counter_ns()
            runs[name]()
            if number >= 0:
                samples[name].append((time.perf_counter_ns() - begin_ns) / 1e6)
    return samples
