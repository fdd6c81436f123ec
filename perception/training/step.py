"""The gradients of one step: forward, losses and backward of every part of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tricast.perception.losses.criterion import LossTable, training_losses
from tricast.perception.model import Network
from tricast.perception.query_memory import QueryMemory
from tricast.perception.query_outputs import QueryOutputs
from tricast.perception.training.batches import TrainingBatch
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.contrastive_stage import contrastive_losses
from tricast.perception.training.picture_stage import picture_stage_losses
from tricast.perception.training.processes import Processes

PartLosses = tuple[QueryOutputs | None, LossTable, QueryMemory]
"""What a part gave, without graphs but for the loss's; no outputs in a stage without queries."""


class LossOfNetwork(nn.Module):
    """From a batch to its losses: one forward pass, as `DistributedDataParallel` wants it."""

    def __init__(self, network: Network, config: TrainingRunConfig) -> None:
        super().__init__()
        self.network, self._config = network, config

    def forward(self, batch: TrainingBatch, memory: QueryMemory) -> PartLosses:
        """Losses of the stage's objective, and what is remembered after."""
        training = self._config.training
        if training.objective == "pictures":
            return None, picture_stage_losses(self.network, batch, training.loss), memory
        if training.objective == "contrastive":
            return None, contrastive_losses(self.network, batch, training.loss), memory
        seeds = batch.seeds if training.denoising else None
        outputs, memory = self.network(batch.sensors, memory, seeds)
        table = training_losses(
            outputs,
            batch.truth,
            batch.seed_objects,
            batch.seeds.mask if training.denoising else torch.zeros_like(batch.seeds.mask),
            batch.sensors.present,
            training.loss,
            range_m=self._config.model.batch.range_m,
            depth_targets=batch.depth_targets,
            picture_targets=batch.picture_targets,
        )
        # Only the loss keeps its graph: what other outputs need alone would be waited for in vain.
        return _without_graph(outputs), table, memory


def backward(
    module: nn.Module, parts: Sequence[TrainingBatch], memories: Sequence[QueryMemory], processes: Processes
) -> list[PartLosses]:
    """Leave in the parameters the mean gradient over all parts of all processes.

    Every part begins with the same running statistics; afterwards they are the mean of what the parts made of them,
    so that it does not matter which process took which part.

    Args:
        module: `LossOfNetwork`, wrapped where there are several processes; gradients are zero.
        parts: This process's own.
        memories: What each of them is to remember.
        processes: All of them.

    """
    statistics = [b for name, b in module.named_buffers() if name.endswith((".running_mean", ".running_var"))]
    before = [buffer.clone() for buffer in statistics] if len(parts) > 1 else []
    sums: list[Tensor] = []
    losses: list[PartLosses] = []
    for number, (part, memory) in enumerate(zip(parts, memories, strict=True)):
        for buffer, start in zip(statistics, before, strict=False):
            buffer.copy_(start)
        with _unsynchronised(module) if number + 1 < len(parts) else nullcontext():
            outputs, table, memory = module(part, memory)
            (table.total / len(parts)).backward()
        losses.append((outputs, replace(table, total=table.total.detach()), memory))
        if before:
            sums = [b.clone() if not sums else sums[i] + b for i, b in enumerate(statistics)]
    for buffer, total in zip(statistics, sums, strict=False):
        buffer.copy_(total / len(parts))
    processes.average_(statistics)
    return losses


def _unsynchronised(module: nn.Module) -> AbstractContextManager[None]:
    """Gradients are kept, and exchanged with those of the last part."""
    if isinstance(module, DistributedDataParallel):
        return cast(AbstractContextManager[None], module.no_sync())
    return nullcontext()


def _without_graph(outputs: QueryOutputs) -> QueryOutputs:
    tensors = {f.name: getattr(outputs, f.name) for f in fields(outputs)}
    detached = {name: value.detach() for name, value in tensors.items() if isinstance(value, Tensor)}
    return replace(outputs, **detached, layers=tuple(layer.detached() for layer in outputs.layers))
