"""The whole benchmark: closed loop, open loop, backends against eager, work and ceilings, as one set of figures."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import torch

from tricast.configs.errors import InputError
from tricast.perception.backends.choice import auto_backend, thread_counts
from tricast.perception.backends.interface import Backend, EagerBackend, GraphBackend
from tricast.perception.backends.interleaved import run_interleaved
from tricast.perception.backends.names import AUTO
from tricast.perception.backends.opening import installed_backends, open_backend
from tricast.perception.backends.placement import ON_GPU, Placement
from tricast.perception.batch import SensorBatch
from tricast.perception.collation import collate
from tricast.perception.config import PipelineConfig
from tricast.perception.detectors.network import NetworkDetector
from tricast.perception.latency.ceilings import Ceilings, CeilingTrials, measure_ceilings
from tricast.perception.latency.closed_loop import CALIBRATION_TICKS, ClosedLoop, ratios_to, run_closed_loop
from tricast.perception.latency.jitter import StallMonitor
from tricast.perception.latency.machine import machine, peak_memory_mb, reset_peak_memory
from tricast.perception.latency.open_loop import run_open_loop, summed_up
from tricast.perception.latency.operation_times import operation_ms
from tricast.perception.latency.percentiles import percentiles_of
from tricast.perception.latency.stage_clock import (
    DeviceClock,
    StageClock,
    TimedBackend,
    TimedDetector,
    TimedPictures,
    network_parts,
    network_stages,
)
from tricast.perception.latency.work import NETWORK, Work, count_work, summed
from tricast.perception.model import Network
from tricast.perception.query_memory import QueryMemory
from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.tick_sample import sample_of
from tricast.perception.torch_threads import torch_threads
from tricast.sensors.synced_frame import SyncedFrame

PROBE_TICKS = 12
"""Ticks on which shapes are taken, backends proven and compared, work counted and operations timed."""
HELD_TICKS = 300
"""Most ticks that the open loop holds in memory; it goes through them again and again."""
INSIDE_CLOCK = (
    "decoding of the pictures (JPEG, at a fraction of their size where that is enough) and resizing",
    "look-up tables of the cameras, clouds moved to the tick and thinned, tensors made",
    "the network: encoders, fusion, decoder, heads",
    "decoding into boxes, duplicates taken out",
    "tracking, forecasts",
)
OUTSIDE_CLOCK = ("reading the log and collecting messages into ticks", "writing and drawing results")


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """What is measured and for how long.

    Args:
        backend: A name, or `auto`.
        threads: Of the network; None finds the fastest number.
        compare: Further backends that are set against eager.
        placement: Device and precision.
        batch: Above 1 the network alone is also run on so many ticks at once.
        ticks: Ticks of the closed loop that count.
        rate_hz: Arrivals a second of the open loop; 0 leaves it out.
        open_loop_s: Length of the open loop.
        rounds: Pairs for each comparison of backends.
        ceilings: What is tried to find what the machine can do.

    """

    backend: str = "auto"
    threads: int | None = None
    compare: tuple[str, ...] = ()
    placement: Placement = field(default_factory=Placement)
    batch: int = 1
    ticks: int = 700
    rate_hz: float = 15.0
    open_loop_s: float = 60.0
    rounds: int = 64
    ceilings: CeilingTrials = field(default_factory=CeilingTrials)


def benchmark(
    network: Network,
    config: PipelineConfig,
    frames: Callable[[], Iterator[SyncedFrame]],
    options: BenchmarkOptions,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure; nothing is left out and nothing made up: what the machine or the count does not allow is None.

    Args:
        network: In evaluation mode, norms folded.
        config: Of the pipeline.
        frames: Gives consecutive ticks from the beginning, as many as the closed loop needs, each made when asked for.
        options: What is measured.
        say: Told what is measured next.

    Raises:
        InputError: A backend is not there, or gives other outputs than the network; or there are no ticks.

    """
    found, placement = machine(), options.placement
    # Ticks of the host, as the comparisons take them.
    on_host = config.with_network(backend="eager", device="cpu").network
    detector = NetworkDetector(on_host, network=network, backend=EagerBackend(network))
    batches = _probe(frames, detector)
    if not batches:
        raise InputError(
            where="the log",
            got="no tick with a chosen sensor among the first",
            expected="some ticks to measure",
            remedy="choose other sensors, or another log",
        )
    say("preparing backends")
    backend, threads = auto_backend(
        network,
        batches,
        threads=thread_counts() if options.threads is None else (options.threads,),
        candidates=_candidates(placement) if options.backend == AUTO else (options.backend,),
        placement=placement,
    )
    # Ticks of the loops are made where the backend wants them.
    config = config.with_network(threads=threads, backend="eager", device=placement.checked(backend.name).device)
    names = dict.fromkeys((backend.name, *options.compare))
    others = [
        backend if n == backend.name else open_backend(n, network, batches, threads=threads, placement=placement)
        for n in names
    ]
    say("closed loop")
    reset_peak_memory()
    unfit = _not_fitting(backend)
    closed = _closed(network, backend, config, frames(), options)
    unfit = _not_fitting(backend) - unfit
    say("open loop")
    opened = _open(network, backend, config, frames, options) if options.rate_hz > 0 else None
    memory = peak_memory_mb()
    say("backends in turns")
    compared = [EagerBackend(network, placement, threads=threads), *(b for b in others if b.name != "eager")]
    if placement.precision != "fp32":
        single = Placement(device=placement.device)
        compared.append(EagerBackend(network, single, name="eager_fp32", threads=threads))
    samples_ms = run_interleaved(compared, batches, options.rounds)
    ratios = {
        f"{name}_over_{base}": ratio
        for base in ("eager", "eager_fp32")
        if base in samples_ms
        for name, ratio in ratios_to(base, samples_ms).items()
    }
    say("ceilings of the machine")
    ceilings = measure_ceilings(threads, options.ceilings, placement)
    placed = placement.placed(network)
    # Bytes are those of the precision that is measured; on a GPU they are counted in single precision.
    counted = placed if placement.device == "cpu" else network
    work = _mean_work([count_work(counted, batch) for batch in batches])
    eager_ms = _eager_stages(placed, batches, placement, threads)
    fastest_ms = statistics.median(samples_ms[backend.name])
    operations = operation_ms(backend, network, batches, threads, placement)
    return {
        "backend": backend.name,
        "device": placement.checked(backend.name).device,
        "precision": placement.precision,
        "batch": 1,
        "threads": threads,
        "ticks": len(closed.totals_ms),
        "first_tick_ms": round(closed.first_ms, 3),
        "latency_ms": percentiles_of(closed.totals_ms),
        "throughput_hz": round(1e3 * len(closed.totals_ms) / sum(closed.totals_ms), 2),
        "objects_per_tick": round(closed.objects / len(closed.totals_ms), 2),
        "stages_ms": {name: round(statistics.fmean(values), 3) for name, values in closed.stages_ms.items()},
        "stages_percentiles_ms": {name: percentiles_of(values) for name, values in closed.stages_ms.items()},
        "share_outside_network": round(_share_outside(closed, network), 4),
        "jitter_control_ms": percentiles_of(closed.control_ms),
        "cores_control_ms": percentiles_of(closed.cores_control_ms),
        "not_fitting_ticks": unfit,
        "peak_memory_mb": memory,
        "open_loop": opened,
        "network_ms": {name: percentiles_of(values) for name, values in samples_ms.items()},
        "batched": _batched(placed, frames, options, threads) if options.batch > 1 else None,
        "speedup": {name: ratio["median"] for name, ratio in ratios.items()},
        "speedup_quartiles": {name: [ratio["quartile_1"], ratio["quartile_3"]] for name, ratio in ratios.items()},
        "work": {name: asdict(part) for name, part in work.items()},
        "ceilings": asdict(ceilings),
        "eager_stages": stage_shares(eager_ms, work, ceilings),
        "operations_ms": operations,
        "ceiling_share": ceiling_shares(fastest_ms, operations, summed(work), ceilings),
        "inside_clock": list(INSIDE_CLOCK),
        "outside_clock": list(OUTSIDE_CLOCK),
        "machine": found,
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


def _probe(frames: Callable[[], Iterator[SyncedFrame]], detector: NetworkDetector) -> list[SensorBatch]:
    """Early ticks as tensors, the very first ones left out: they lack older sweeps."""
    batches: list[SensorBatch] = []
    for number, frame in enumerate(frames()):
        if number >= PROBE_TICKS // 2:
            batches.append(detector.prepare(frame))
        if len(batches) == PROBE_TICKS:
            break
    return [batch for batch in batches if bool(batch.present.any())]


def _closed(
    network: Network,
    backend: Backend,
    config: PipelineConfig,
    frames: Iterator[SyncedFrame],
    options: BenchmarkOptions,
) -> ClosedLoop:
    clock = StageClock()
    pictures = TimedPictures(config.network.threads, clock)
    detector = NetworkDetector(config.network, network=network, backend=TimedBackend(backend, clock), pictures=pictures)
    pipeline = Pipeline(config, detector=TimedDetector(detector, clock), keep_latencies=1)
    with ExitStack() as stack:
        # Elsewhere the network that runs is a copy, and on a GPU the calls return before the work is done.
        if backend.name == "eager" and options.placement == Placement():
            stack.enter_context(network_stages(network, clock))
        return run_closed_loop(pipeline, frames, clock, options.ticks, threads=config.network.threads)


def _open(
    network: Network,
    backend: Backend,
    config: PipelineConfig,
    frames: Callable[[], Iterator[SyncedFrame]],
    options: BenchmarkOptions,
) -> dict[str, Any]:
    """On ticks that are in memory before it begins: reading them is no part of it."""
    count = max(1, round(options.rate_hz * options.open_loop_s))
    source = frames()
    held = [frame for frame, _ in zip(source, range(min(count, HELD_TICKS)), strict=False)]
    detector = NetworkDetector(config.network, network=network, backend=backend)
    pipeline = Pipeline(config, detector=detector, keep_latencies=1)
    for frame in held[:CALIBRATION_TICKS]:
        pipeline.step(frame)
    pipeline.reset()
    unfit = _not_fitting(backend)
    with StallMonitor() as monitor:
        arrivals = run_open_loop(pipeline, held, options.rate_hz, count)
    return {**summed_up(arrivals, options.rate_hz, monitor), "not_fitting_ticks": _not_fitting(backend) - unfit}


def _candidates(placement: Placement) -> tuple[str, ...]:
    """What is installed and runs on the device that is measured, and on no other."""
    names = installed_backends(placement)
    return names if placement.device == "cuda" else tuple(name for name in names if name not in ON_GPU)


def _not_fitting(backend: Backend) -> int:
    """Ticks so far that ran in eager mode, since they did not fit the graph."""
    return backend.not_fitting if isinstance(backend, GraphBackend) else 0


def _share_outside(closed: ClosedLoop, network: Network) -> float:
    inside = {NETWORK, *(stage for stage, _ in network_parts(network))}
    spent = sum(sum(values) for name, values in closed.stages_ms.items() if name in inside)
    return 1 - spent / sum(closed.totals_ms)


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


def _batched(
    placed: Network, frames: Callable[[], Iterator[SyncedFrame]], options: BenchmarkOptions, threads: int
) -> dict[str, Any] | None:
    """The network alone in eager mode on several ticks at once; None where the log has not so many."""
    config, on_gpu = placed.config, options.placement.device == "cuda"
    samples = [sample_of(frame, config.sample) for frame in islice(frames(), options.batch)]
    if len(samples) < options.batch:
        return None
    batch, took_ms = collate(samples, config.batch), []
    with torch_threads(threads), torch.inference_mode():
        for number in range(options.rounds + 2):
            begin_ns = time.perf_counter_ns()
            outputs, _ = placed(batch.to(options.placement.device) if on_gpu else batch, QueryMemory())
            outputs.to("cpu")  # waits for a GPU
            if number >= 2:
                took_ms.append((time.perf_counter_ns() - begin_ns) / 1e6)
    median_ms = statistics.median(took_ms)
    return {
        "batch": options.batch,
        "median_ms": round(median_ms, 3),
        "ticks_per_s": round(1e3 * options.batch / median_ms, 2),
    }


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
