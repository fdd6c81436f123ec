"""The whole benchmark: closed loop, open loop, backends against eager, work and ceilings, as one set of figures."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
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
from tricast.perception.latency.ceiling_shares import against_ceilings
from tricast.perception.latency.ceilings import CeilingTrials, measure_ceilings
from tricast.perception.latency.closed_loop import CALIBRATION_TICKS, ClosedLoop, ratios_to, run_closed_loop
from tricast.perception.latency.jitter import StallMonitor
from tricast.perception.latency.machine import machine, peak_memory_mb, reset_peak_memory
from tricast.perception.latency.open_loop import run_open_loop, summed_up
from tricast.perception.latency.percentiles import percentiles_of
from tricast.perception.latency.stage_clock import (
    StageClock,
    TimedBackend,
    TimedDetector,
    TimedPictures,
    network_parts,
    network_stages,
)
from tricast.perception.latency.work import NETWORK
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
    batches = _probe(frames, network, config)
    say("preparing backends")
    backend, threads = auto_backend(
        network,
        batches,
        threads=thread_counts() if options.threads is None else (options.threads,),
        candidates=_candidates(placement) if options.backend == AUTO else (options.backend,),
        placement=placement,
    )
    # Ticks of the loops are made where the backend wants them.
    device = placement.checked(backend.name).device
    config = config.with_network(threads=threads, backend="eager", device=device)
    others = _others(network, backend, batches, threads, options)
    say("closed loop")
    reset_peak_memory()
    unfit = _not_fitting(backend)
    closed = _closed(network, backend, config, frames(), options)
    unfit = _not_fitting(backend) - unfit
    say("open loop")
    opened = _open(network, backend, config, frames, options) if options.rate_hz > 0 else None
    memory = peak_memory_mb()
    say("backends in turns")
    samples_ms = run_interleaved(_with_eager(network, others, threads, placement), batches, options.rounds)
    say("ceilings of the machine")
    ceilings = measure_ceilings(threads, options.ceilings, placement)
    placed = placement.placed(network)
    return {
        "backend": backend.name,
        "device": device,
        "precision": placement.precision,
        "batch": 1,
        "threads": threads,
        **_loop_figures(closed, network),
        "not_fitting_ticks": unfit,
        "peak_memory_mb": memory,
        "open_loop": opened,
        **_turn_figures(samples_ms),
        "ceilings": asdict(ceilings),
        **against_ceilings(backend, (network, placed), batches, placement, threads, ceilings, samples_ms[backend.name]),
        "batched": _batched(placed, frames, options, threads) if options.batch > 1 else None,
        "inside_clock": list(INSIDE_CLOCK),
        "outside_clock": list(OUTSIDE_CLOCK),
        "machine": found,
    }


def _probe(frames: Callable[[], Iterator[SyncedFrame]], network: Network, config: PipelineConfig) -> list[SensorBatch]:
    """Early ticks as tensors, the very first ones left out: they lack older sweeps.

    Raises:
        InputError: There are none.

    """
    # Ticks of the host, as the comparisons take them.
    on_host = config.with_network(backend="eager", device="cpu").network
    detector = NetworkDetector(on_host, network=network, backend=EagerBackend(network))
    batches: list[SensorBatch] = []
    for number, frame in enumerate(frames()):
        if number >= PROBE_TICKS // 2:
            batches.append(detector.prepare(frame))
        if len(batches) == PROBE_TICKS:
            break
    batches = [batch for batch in batches if bool(batch.present.any())]
    if not batches:
        raise InputError(
            where="the log",
            got="no tick with a chosen sensor among the first",
            expected="some ticks to measure",
            remedy="choose other sensors, or another log",
        )
    return batches


def _others(
    network: Network, backend: Backend, batches: Sequence[SensorBatch], threads: int, options: BenchmarkOptions
) -> list[Backend]:
    """The backends to be set against eager, the one that is measured first."""
    names = dict.fromkeys((backend.name, *options.compare))
    opened = [
        backend
        if name == backend.name
        else open_backend(name, network, batches, threads=threads, placement=options.placement)
        for name in names
    ]
    return [other for other in opened if other.name != "eager"]


def _with_eager(network: Network, others: Sequence[Backend], threads: int, placement: Placement) -> list[Backend]:
    """Eager, others, and eager in single precision where all that is another."""
    compared: list[Backend] = [EagerBackend(network, placement, threads=threads), *others]
    if placement.precision != "fp32":
        single = Placement(device=placement.device)
        compared.append(EagerBackend(network, single, name="eager_fp32", threads=threads))
    return compared


def _loop_figures(closed: ClosedLoop, network: Network) -> dict[str, Any]:
    """What the closed loop says."""
    ticks = len(closed.totals_ms)
    return {
        "ticks": ticks,
        "first_tick_ms": round(closed.first_ms, 3),
        "latency_ms": percentiles_of(closed.totals_ms),
        "throughput_hz": round(1e3 * ticks / sum(closed.totals_ms), 2),
        "objects_per_tick": round(closed.objects / ticks, 2),
        "stages_ms": {name: round(statistics.fmean(values), 3) for name, values in closed.stages_ms.items()},
        "stages_percentiles_ms": {name: percentiles_of(values) for name, values in closed.stages_ms.items()},
        "share_outside_network": round(_share_outside(closed, network), 4),
        "jitter_control_ms": percentiles_of(closed.control_ms),
        "cores_control_ms": percentiles_of(closed.cores_control_ms),
    }


def _turn_figures(samples_ms: dict[str, list[float]]) -> dict[str, Any]:
    """What backends in turns say of each other."""
    ratios = {
        f"{name}_over_{base}": ratio
        for base in ("eager", "eager_fp32")
        if base in samples_ms
        for name, ratio in ratios_to(base, samples_ms).items()
    }
    return {
        "network_ms": {name: percentiles_of(values) for name, values in samples_ms.items()},
        "speedup": {name: ratio["median"] for name, ratio in ratios.items()},
        "speedup_quartiles": {name: [ratio["quartile_1"], ratio["quartile_3"]] for name, ratio in ratios.items()},
    }


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
