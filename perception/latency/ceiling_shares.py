"""What a network takes, set against what the machine can do: as a whole, by operations, stage by stage."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from tricast.perception.backends.interface import Backend
from tricast.perception.backends.placement import Placement
from tricast.perception.batch import SensorBatch
from tricast.perception.latency.ceilings import Ceilings
from tricast.perception.latency.operation_times import operation_ms
from tricast.perception.latency.stage_clock import DeviceClock, StageClock, network_stages
from tricast.perception.latency.work import NETWORK, Work, count_work, summed
from tricast.perception.model import Network
from tricast.perception.query_memory import QueryMemory
from tricast.perception.torch_threads import torch_threads


def against_ceilings(
    backend: Backend,
    networks: tuple[Network, Network],
    batches: Sequence[SensorBatch],
    placement: Placement,
    threads: int,
    ceilings: Ceilings,
    took_ms: Sequence[float],
) -> dict[str, Any]:
    """Work, times of stages and operations, and the shares of the ceilings that they reach.

    Args:
        backend: What is measured.
        networks: The network, and as it is placed.
        batches: Ticks.
        placement: Device and precision.
        threads: Of the network.
        ceilings: What the machine can do.
        took_ms: Of the backend, tick by tick.

    """
    network, placed = networks
    # Bytes are those of the precision that is measured; on a GPU they are counted in single precision.
    counted = placed if placement.device == "cpu" else network
    work = _mean_work([count_work(counted, batch) for batch in batches])
    eager_ms = _eager_stages(placed, batches, placement, threads)
    operations = operation_ms(backend, network, batches, threads, placement)
    return {
        "work": {name: asdict(part) for name, part in work.items()},
        "eager_stages": stage_shares(eager_ms, work, ceilings),
        "operations_ms": operations,
        "ceiling_share": ceiling_shares(statistics.median(took_ms), operations, summed(work), ceilings),
    }


def ceiling_shares(
    network_ms: float, operations: Mapping[str, float] | None, work: Work, ceilings: Ceilings
) -> dict[str, float | None]:
    """Shares of what the machine can do: of the network as a whole, of its convolutions and of its matrix products.

    The network's is the time that its operations would take at their ceilings, over the time that it took.
    """
    ideal_ms = {
        "convolution": work.convolution_flops / ceilings.convolution.rate / 1e6,
        "matmul": work.matmul_flops / ceilings.matmul.rate / 1e6,
    }
    shares: dict[str, float | None] = {"network": round(sum(ideal_ms.values()) / network_ms, 4)}
    for kind, ideal in ideal_ms.items():
        took_ms = operations[kind] if operations else 0.0
        shares[kind] = round(ideal / took_ms, 4) if took_ms > 0 else None
    return shares


def stage_shares(
    stages_ms: Mapping[str, float], work: Mapping[str, Work], ceilings: Ceilings
) -> dict[str, dict[str, Any]]:
    """Of each stage in eager mode: milliseconds, work, which ceiling is the nearer one, and the share of that.

    A stage is bound by computing where its operations at their ceilings take longer than moving its bytes does.
    """
    shares: dict[str, dict[str, Any]] = {}
    for stage, took_ms in stages_ms.items():
        done = work.get(stage, Work())
        computing_ms = (
            done.convolution_flops / ceilings.convolution.rate + done.matmul_flops / ceilings.matmul.rate
        ) / 1e6
        moving_ms = done.moved_bytes / ceilings.memory.rate / 1e6
        shares[stage] = {
            "ms": round(took_ms, 3),
            "gflop": round(done.flops / 1e9, 4),
            "megabytes": round(done.moved_bytes / 1e6, 2),
            "bound_by": "computing" if computing_ms >= moving_ms else "memory",
            "share": round(max(computing_ms, moving_ms) / took_ms, 4) if took_ms > 0 else None,
        }
    return shares


def _eager_stages(
    placed: Network, batches: Sequence[SensorBatch], placement: Placement, threads: int
) -> dict[str, float]:
    """Median milliseconds of the network's parts in eager mode, where it is placed."""
    on_gpu = placement.device == "cuda"
    clock = DeviceClock() if on_gpu else StageClock()
    rounds: dict[str, list[float]] = {}
    with network_stages(placed, clock), torch_threads(threads), torch.inference_mode():
        for number, batch in enumerate((batches[0], *batches)):
            given = batch.to(placement.device) if on_gpu else batch
            with clock.stage(NETWORK):
                placed(given, QueryMemory())
            spent = clock.take()
            if number:  # the first one warms up
                for stage, took_ms in spent.items():
                    rounds.setdefault(stage, []).append(took_ms)
    return {stage: statistics.median(values) for stage, values in rounds.items()}


def _mean_work(counted: Sequence[Mapping[str, Work]]) -> dict[str, Work]:
    stages = dict.fromkeys(stage for work in counted for stage in work)
    mean = {
        stage: {
            name: round(statistics.fmean(asdict(work.get(stage, Work()))[name] for work in counted))
            for name in asdict(Work())
        }
        for stage in stages
    }
    return {stage: Work(**values) for stage, values in mean.items()}
