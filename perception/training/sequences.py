"""Ticks of shards in the order in which the network's memory is to meet them."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from tricast.perception.query_memory import MemoryConfig
from tricast.perception.training.shards import ShardSet


def rows_of(shards: ShardSet, memory: MemoryConfig) -> list[list[int]]:
    """Every tick once, in rows whose ticks follow each other as far apart as the memory looks back.

    Recordings have truth every 0.5 s or every 0.1 s. Ticks 0.1 s apart would teach a memory of 0.5 s next to nothing,
    so that five rows go side by side through such a scene: ticks 0, 5, 10 and so on, then 1, 6, 11.

    Args:
        shards: The ticks; rows do not go beyond a scene, or over a jump of time.
        memory: Its shortest lag is how far apart ticks of a row should lie; scenes with fewer ticks are taken as
            they are.

    """
    rows: list[list[int]] = []
    for _, scene in groupby(range(len(shards)), key=shards.scene_of):
        ticks = list(scene)
        every = _every([shards.timestamp_ns(tick) for tick in ticks], min(memory.lags_s))
        rows += [ticks[first::every] for first in range(min(every, len(ticks)))]
    return rows


def _every(timestamps_ns: list[int], step_s: float) -> int:
    """How many ticks on the next one of a row is."""
    if len(timestamps_ns) < 2:
        return 1
    apart_s = float(np.median(np.diff(timestamps_ns))) / 1e9
    return max(1, round(step_s / apart_s))
