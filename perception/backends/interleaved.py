"""Backends against each other in one run, tick by tick."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tricast.perception.backends.interface import Backend
from tricast.perception.batch import SensorBatch
from tricast.perception.query_outputs import QueryMemory


def run_interleaved(backends: Sequence[Backend], batches: Sequence[SensorBatch], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each backend on the same ticks, in turns; as many rounds as there are backends come before.

    Who begins changes from round to round, so that none is always the one that finds the caches cold.
    """
    samples: dict[str, list[float]] = {backend.name: [] for backend in backends}
    for number in range(rounds + len(backends)):
        batch = batches[number % len(batches)]
        for place in range(len(backends)):
            backend = backends[(place + number) % len(backends)]
            begin_ns = time.perf_counter_ns()
            backend(batch, QueryMemory())
            if number >= len(backends):
                samples[backend.name].append((time.perf_counter_ns() - begin_ns) / 1e6)
    return samples
