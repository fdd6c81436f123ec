"""Several processes that train one network: what they tell each other. A single process tells nobody.

Started by `torchrun`, which gives every process its rank; each takes its parts of every batch.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

PATIENCE = timedelta(hours=6)
"""How long processes wait for the first one, which makes shards and validates alone."""


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process among those that train together.

    Args:
        rank: From 0; the first one writes files and reports.
        count: How many there are.

    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this one writes and reports."""
        return self.rank == 0

    def wrapped(self, module: nn.Module) -> nn.Module:
        """The module with gradients that are means over all processes; itself where there is one only."""
        if self.count == 1:
            return module
        # Not every part of a batch has every sensor. Running statistics are averaged, not copied from the first; the
        # setting that says so has had another name since PyTorch 2.14.
        names = inspect.signature(DistributedDataParallel).parameters
        copied = "forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers"
        settings: dict[str, Any] = {copied: False}
        return DistributedDataParallel(module, find_unused_parameters=True, **settings)

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            distributed.barrier()

    def any(self, asked: bool, device: torch.device) -> bool:
        """Whether any process asks."""
        if self.count == 1:
            return asked
        flag = torch.tensor(float(asked), device=device)
        distributed.all_reduce(flag, distributed.ReduceOp.MAX)
        return bool(flag)

    def means(self, values: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        """Means over all processes of scalars that each has under the same names."""
        if self.count == 1:
            return dict(values)
        stacked = torch.stack([value.float() for value in values.values()]).to(device)
        distributed.all_reduce(stacked)
        return dict(zip(values, stacked.cpu() / self.count, strict=True))

    def average_(self, tensors: list[Tensor]) -> None:
        """Put means over all processes in place of tensors of one type, exchanged all at once."""
        if self.count > 1 and tensors:
            flat = torch.cat([tensor.flatten() for tensor in tensors])
            distributed.all_reduce(flat)
            for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
                tensor.copy_(mean.view_as(tensor) / self.count)


ALONE = Processes()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the processes that `torchrun` started; on its own where it did not.

    Each process on GPUs takes the one of its local rank.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Processes(rank=distributed.get_rank(), count=count)
    finally:
        distributed.destroy_process_group()
