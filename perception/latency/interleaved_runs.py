"""Ways to do the same, timed in turns, so that what else the machine does falls on all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping


def interleaved_ms(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each way, one value a round; every way runs twice before. Who begins changes from round to round.

    Args:
        runs: Ways by name.
        rounds: How many values of each.

    """
    names = list(runs)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-2, rounds):
        for place in range(len(names)):
            name = names[(place + number) % len(names)]
            begin_ns = time.perf_counter_ns()
            runs[name]()
            if number >= 0:
                samples[name].append((time.perf_counter_ns() - begin_ns) / 1e6)
    return samples
