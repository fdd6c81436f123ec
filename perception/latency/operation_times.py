"""Time inside convolutions and matrix products, by each runtime's own profiler, in a run apart from the measurement."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.profiler import ProfilerActivity, profile

from tricast.perception.backends.fixed_shapes import FixedInputs
from tricast.perception.backends.interface import Backend, GraphBackend
from tricast.perception.backends.onnx_graph import OnnxRuntimeGraph, OpenVinoGraph
from tricast.perception.backends.opening import onnx_file
from tricast.perception.backends.placement import Placement
from tricast.perception.batch import SensorBatch
from tricast.perception.model import Network
from tricast.perception.query_memory import QueryMemory

KINDS = {
    "convolution": ("convolution", "conv2d", "conv", "groupconv", "fusedconv", "nhwcfusedconv"),
    "matmul": (
        "addmm",
        "mm",
        "bmm",
        "baddbmm",
        "matmul",
        "fusedmatmul",
        "gemm",
        "fusedgemm",
        "fullyconnected",
        "scaled_dot_product",
        "scaleddotproduct",
        "attention",
        "linear_pointwise",
        "mkl_linear",
    ),
}
"""How the runtimes call what counts; an attention's softmax is inside where a runtime does it in one."""


def operation_ms(
    backend: Backend, network: Network, batches: Sequence[SensorBatch], threads: int, placement: Placement
) -> dict[str, float] | None:
    """Milliseconds a tick in operations of each kind; None where the runtime tells nothing, as on a GPU.

    Args:
        backend: Which runtime.
        network: What it runs.
        batches: Ticks that fit, one each.
        threads: Of the runtime.
        placement: Where it runs.

    """
    if torch.cuda.is_available() and placement.checked(backend.name).device == "cuda":
        return None
    if backend.name in ("eager", "compile"):
        return _by_torch(backend, batches)
    if not isinstance(backend, GraphBackend) or backend.name not in ("onnxruntime", "openvino"):
        return None
    path, shapes = onnx_file(network, backend.shapes, placement.precision), backend.shapes
    inputs = [
        FixedInputs.of(batch, shapes, network.config.batch, network.recalled(batch, QueryMemory()))
        for batch in batches
        if shapes.hold(batch)
    ]
    if backend.name == "onnxruntime":
        return _by_onnxruntime(path, inputs, threads)
    return _by_openvino(path, inputs, threads)


def kind_of(operation: str) -> str | None:
    """The kind of an operation by a runtime's name for it, such as `aten::addmm` or `FusedConv`."""
    name = operation.lower().split("::")[-1].lstrip("_")
    for kind, names in KINDS.items():
        if any(name == n or (len(n) > 6 and name.startswith(n)) for n in names) or (
            kind == "convolution" and "convolution" in name
        ):
            return kind
    return None


def _by_torch(backend: Backend, batches: Sequence[SensorBatch]) -> dict[str, float]:
    backend(batches[0], QueryMemory())
    with profile(activities=[ProfilerActivity.CPU]) as profiled, torch.inference_mode():
        for batch in batches:
            backend(batch, QueryMemory())
    events = ((event.key, event.self_cpu_time_total / 1e3) for event in profiled.key_averages())
    return _summed(events, len(batches))


def _by_onnxruntime(path: Path, inputs: Sequence[FixedInputs], threads: int) -> dict[str, float]:
    with TemporaryDirectory() as folder:
        graph = OnnxRuntimeGraph(path, threads, Path(folder) / "profile")
        for tick in inputs:
            graph(tick)
        events = json.loads(graph.end().read_text())
    return _summed(
        (
            (event["args"]["op_name"], event["dur"] / 1e3)
            for event in events
            if event.get("cat") == "Node" and event["name"].endswith("kernel_time")
        ),
        len(inputs),
    )


def _by_openvino(path: Path, inputs: Sequence[FixedInputs], threads: int) -> dict[str, float]:
    graph = OpenVinoGraph(path, threads, profile=True)
    events: list[tuple[str, float]] = []
    for tick in inputs:
        graph(tick)
        events += graph.operation_ms()
    return _summed(events, len(inputs))


def _summed(events: Iterable[tuple[str, float]], ticks: int) -> dict[str, float]:
    spent = dict.fromkeys(KINDS, 0.0)
    for operation, milliseconds in events:
        kind = kind_of(operation)
        if kind is not None:
            spent[kind] += milliseconds / max(ticks, 1)
    return spent
