"""Graphs as files for others to run: none gets its name before it was run and gave what the network gives."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tricast.configs.errors import InputError
from tricast.perception.backends.fixed_shapes import FixedShapes
from tricast.perception.backends.interface import Backend, GraphBackend, not_installed
from tricast.perception.backends.names import PrecisionName
from tricast.perception.backends.onnx_graph import (
    check_tensorrt,
    onnxruntime_graph,
    openvino_graph,
    write_onnx,
    write_openvino,
)
from tricast.perception.backends.parity import HALF, SINGLE, ParityLimits, check_parity
from tricast.perception.backends.placement import Placement
from tricast.perception.batch import SensorBatch
from tricast.perception.model import Network

TARGETS = {"onnx": ".onnx", "openvino": ".xml", "tensorrt": ".engine"}
"""What `--to` takes, and how the files end."""
PRECISIONS: dict[str, tuple[PrecisionName, ...]] = {
    "onnx": ("fp32",),
    "openvino": ("fp32", "bf16"),
    "tensorrt": ("fp32",),
}
"""Of the dense part of the network, as each target's graphs may have it."""
_EXTRAS = {"onnx": "onnx", "openvino": "openvino", "tensorrt": "onnx"}


def check_target(target: str, precision: PrecisionName = "fp32") -> None:
    """Make sure that a graph can be made and proven here, before work begins.

    Raises:
        InputError: What the target needs is not installed, or it takes no graph in that precision.

    """
    if precision not in PRECISIONS[target]:
        raise InputError(
            where="--precision",
            got=f"{precision} for {target}",
            expected=" or ".join(PRECISIONS[target]),
            remedy="leave it out, or export --to openvino, whose graphs say themselves what is in 16 bits",
        )
    if target == "tensorrt":
        check_tensorrt()
    runtime = {"onnx": "onnxruntime", "openvino": "openvino", "tensorrt": "tensorrt"}[target]
    for package in ("onnx", "onnxscript", runtime):
        if importlib.util.find_spec(package) is None:
            raise not_installed(target, f"the package {package}", f'pip install "tricast[{_EXTRAS[target]}]"')


def export_graph(
    network: Network,
    target: str,
    path: Path,
    shapes: FixedShapes,
    batches: Sequence[SensorBatch],
    precision: PrecisionName = "fp32",
) -> float:
    """Write a network as a graph that runs at these shapes, proven on real ticks.

    Args:
        network: In evaluation mode.
        target: One of `TARGETS`.
        path: The file; OpenVINO gets a .bin beside it.
        shapes: How much fits into the graph.
        batches: Real ticks, one each.
        precision: Of the dense part; in 16 bits outputs must agree only roughly.

    Returns:
        The largest difference from the network in eager mode and single precision.

    Raises:
        InputError: What the target needs is not installed, it takes no such precision, or the graph's outputs differ.

    """
    check_target(target, precision)
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        onnx_path = Path(folder) / "graph.onnx"

        def write(partial: Path) -> None:
            placed = Placement(precision=precision).placed(network)
            write_onnx(placed, shapes, onnx_path, scatter_rows=target != "tensorrt")
            if target == "onnx":
                onnx_path.replace(partial)
            elif target == "openvino":
                write_openvino(onnx_path, partial)
            else:
                from tricast.perception.backends.tensorrt_graph import build_engine

                partial.write_bytes(build_engine(onnx_path))

        def opened(partial: Path) -> Backend:
            if target == "onnx":
                return GraphBackend("onnxruntime", network, shapes, onnxruntime_graph(partial, 1))
            if target == "openvino":
                return GraphBackend("openvino", network, shapes, openvino_graph(partial, 1))
            from tricast.perception.backends.tensorrt_graph import engine_graph

            return GraphBackend("tensorrt", network, shapes, engine_graph(partial.read_bytes()))

        return write_proven(path, write, opened, network, batches, SINGLE if precision == "fp32" else HALF)


def write_proven(
    path: Path,
    write: Callable[[Path], None],
    opened: Callable[[Path], Backend],
    network: Network,
    batches: Sequence[SensorBatch],
    limits: ParityLimits = SINGLE,
) -> float:
    """Write a graph, run what was written, and give it its name only if it gives what the network gives.

    Args:
        path: The name it gets; files beside it of the same stem move with it.
        write: Writes the graph to a path.
        opened: Makes a backend of the written graph.
        network: What it must agree with.
        batches: Real ticks, one each.
        limits: How far they may be apart.

    Returns:
        The largest difference.

    Raises:
        InputError: The outputs differ; nothing is left behind then.

    """
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.{os.getpid()}.") as folder:
        partial = Path(folder) / path.name
        write(partial)
        worst = check_parity(opened(partial), network, batches, limits)
        for made in sorted(Path(folder).iterdir(), key=lambda p: p == partial):  # the named file last
            made.replace(path.with_name(made.name))
    return worst
