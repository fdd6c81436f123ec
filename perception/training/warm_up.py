"""Ticks that are looked at out of their scenes, with the memory that the ticks before them leave."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tricast.perception.batch import SensorBatch
from tricast.perception.collation import collate
from tricast.perception.model import Network
from tricast.perception.query_memory import QueryMemory
from tricast.perception.query_outputs import QueryOutputs
from tricast.perception.training.augmentation import restricted
from tricast.perception.training.sequences import rows_of
from tricast.perception.training.shards import ShardSet

EARLIER_TICKS = 3


class WarmNetwork:
    """A network in evaluation mode on ticks of shards, each as if the vehicle had come to it.

    The ticks before one in its row (`rows_of`) are run first, with the same sensors, unless the last call was the tick
    before it: ticks that follow each other cost nothing more. Nothing is remembered at the first tick of a row, or by a
    network that has no memory.

    Args:
        network: It.
        shards: The ticks.
        modalities: Sensors that are there.

    """

    def __init__(self, network: Network, shards: ShardSet, modalities: Sequence[str]) -> None:
        self._network, self._shards, self._modalities = network, shards, tuple(modalities)
        self._memory, self._last = QueryMemory(), -1
        self._row = {tick: row for row in rows_of(shards, network.config.memory) for tick in row}

    @torch.inference_mode()
    def __call__(self, index: int, batch: SensorBatch) -> QueryOutputs:
        """Outputs for a tick by its number, of which this is the batch."""
        if not self._network.config.memory.objects:
            return self._network(batch, QueryMemory())[0]
        row = self._row[index]
        before = row[: row.index(index)][-EARLIER_TICKS:]
        if not before or self._last != before[-1]:
            self._memory = QueryMemory()
            for earlier in before:
                sample = restricted(self._shards[earlier].sample, self._modalities)
                self._look(collate([sample], self._network.config.batch))
        self._last = index
        return self._look(batch)

    def _look(self, batch: SensorBatch) -> QueryOutputs:
        device = next(self._network.parameters()).device
        outputs, self._memory = self._network(batch.to(device), self._memory)
        return outputs
