"""Memory for a tick that is looked at out of its scene: what the ticks before it leave."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tricast.perception.batch import collate
from tricast.perception.model import Network
from tricast.perception.query_memory import QueryMemory
from tricast.perception.training.augmentation import restricted
from tricast.perception.training.shards import ShardSet

EARLIER_TICKS = 3


@torch.inference_mode()
def memory_before(network: Network, shards: ShardSet, index: int, modalities: Sequence[str]) -> QueryMemory:
    """What a network in evaluation mode remembers after the ticks before one, with these sensors alone.

    Nothing at the first tick of a scene, and of a network without memory.
    """
    memory = QueryMemory()
    if not network.config.memory.objects:
        return memory
    device = next(network.parameters()).device
    for earlier in range(max(index - EARLIER_TICKS, 0), index):
        if shards.scene_of(earlier) != shards.scene_of(index):
            continue
        batch = collate([restricted(shards[earlier].sample, modalities)], network.config.batch)
        if bool(batch.present.any()):
            _, memory = network(batch.to(device), memory)
    return memory
