"""What a network does for a tick: floating-point operations by kind and bytes moved, per stage, counted not timed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from tricast.perception.batch import SensorBatch
from tricast.perception.latency.stage_clock import StageClock, network_stages
from tricast.perception.model import Network
from tricast.perception.query_memory import QueryMemory

NETWORK = "network"
"""What belongs to no stage inside the network."""


@dataclass(kw_only=True)
class Work:
    """Of one stage and one tick.

    Args:
        convolution_flops: A multiplication and an addition are two.
        matmul_flops: Matrix products, those of attention and linear layers among them.
        moved_bytes: What every operation reads and writes, as if nothing stayed in a cache.

    """

    convolution_flops: int = 0
    matmul_flops: int = 0
    moved_bytes: int = 0

    @property
    def flops(self) -> int:
        """All of them."""
        return self.convolution_flops + self.matmul_flops


def count_work(network: Network, batch: SensorBatch) -> dict[str, Work]:
    """Work per stage of the network on one tick, in eager mode and without padding.

    Args:
        network: In evaluation mode, on the CPU.
        batch: The tick.

    """
    clock = StageClock()
    # Not in inference mode: it leaves operations whole that count in parts.
    with torch.no_grad(), network_stages(network, clock), _Counter(clock) as counter:
        network(batch, QueryMemory())
    return counter.work


def summed(work: Mapping[str, Work]) -> Work:
    """All stages together."""
    return Work(
        convolution_flops=sum(w.convolution_flops for w in work.values()),
        matmul_flops=sum(w.matmul_flops for w in work.values()),
        moved_bytes=sum(w.moved_bytes for w in work.values()),
    )


class _Counter(TorchDispatchMode):
    def __init__(self, clock: StageClock) -> None:
        super().__init__()
        self._clock = clock
        self.work: dict[str, Work] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and book it."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func is torch.ops.prim.device.default:
            return result
        work = self.work.setdefault(self._clock.current or NETWORK, Work())
        packet = func._overloadpacket
        if packet in flop_registry:
            flops = int(flop_registry[packet](*args, **kwargs, out_val=result))
        elif packet is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu:
            flops = _attention_flops(args[0], args[1], args[2])
        else:
            flops = 0
        if "convolution" in str(packet):
            work.convolution_flops += flops
        else:
            work.matmul_flops += flops
        read = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        written = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if func._schema.is_mutable or not _is_view(read, written):
            if _only_shape(func):
                read = []
            work.moved_bytes += sum(t.numel() * t.element_size() for t in (*read, *written))
        return result


def _only_shape(func: Any) -> bool:
    """Whether an operation takes of a tensor nothing but its shape and type."""
    name = func._overloadpacket.__name__
    return name.startswith("new_") or name.endswith("_like")


def _attention_flops(query: Tensor, key: Tensor, value: Tensor) -> int:
    """Of the products with keys (..., T, D) and with values (..., T, V) for queries (..., Q, D)."""
    per_query = 2 * key.shape[-2] * (key.shape[-1] + value.shape[-1])
    return query.numel() // query.shape[-1] * per_query


def _is_view(read: list[Tensor], written: list[Tensor]) -> bool:
    """Whether an operation only looks at the same memory in another way."""
    places = {t.untyped_storage().data_ptr() for t in read}
    return bool(written) and all(t.untyped_storage().data_ptr() in places for t in written)
