"""A backend by its name; graphs that take long to make are kept between runs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from tricast.configs.errors import InputError
from tricast.perception.backends.fixed_shapes import FixedShapes
from tricast.perception.backends.interface import Backend, EagerBackend, GraphBackend, not_installed
from tricast.perception.backends.names import AUTO, BACKENDS, PrecisionName
from tricast.perception.backends.onnx_graph import (
    cache_folder,
    check_tensorrt,
    onnxruntime_graph,
    openvino_graph,
    write_onnx,
)
from tricast.perception.backends.parity import HALF, SINGLE, check_parity
from tricast.perception.backends.placement import Placement
from tricast.perception.backends.torch_graphs import compiled_graph, cuda_graph
from tricast.perception.batch import SensorBatch
from tricast.perception.model import Network


def open_backend(
    name: str, network: Network, batches: Sequence[SensorBatch], *, threads: int, placement: Placement | None = None
) -> Backend:
    """Make a backend and prove that it gives what the network gives.

    Args:
        name: One of `BACKENDS`.
        network: In evaluation mode, on the CPU.
        batches: Real ticks, one each: they say how much must fit, and the proof is on them.
        threads: While the network runs: of the backend, or of PyTorch where it runs the network.
        placement: Device and precision; None is a CPU (a GPU for backends that have no other) in single precision.

    Raises:
        InputError: There is no such backend, the machine lacks what it needs, or its outputs differ.

    """
    check_installed(name)
    placement = (placement or Placement()).checked(name)
    if name == "eager":
        return EagerBackend(network, placement, threads=threads)
    shapes = FixedShapes.around(batches)
    if name == "compile":
        graph = compiled_graph(network, shapes, placement, threads)
    elif name == "cuda_graphs":
        graph = cuda_graph(network, shapes, placement)
    elif name == "onnxruntime":
        graph = onnxruntime_graph(onnx_file(network, shapes), threads)
    elif name == "openvino":
        graph = openvino_graph(onnx_file(network, shapes, placement.precision), threads)
    else:
        from tricast.perception.backends.tensorrt_graph import build_engine, engine_graph

        graph = engine_graph(build_engine(onnx_file(network, shapes, scatter_rows=False)))
    backend = GraphBackend(name, network, shapes, graph, threads=threads)
    check_parity(backend, network, batches, SINGLE if placement.precision == "fp32" else HALF)
    return backend


_PACKAGES = {"onnxruntime": ("onnxruntime", "onnx", "onnxscript"), "openvino": ("openvino", "onnx", "onnxscript")}
_EXTRAS = {"onnxruntime": "onnx", "openvino": "openvino"}


def check_installed(name: str) -> None:
    """Make sure, before any work, that a backend may run here, as far as packages and devices tell.

    Raises:
        InputError: There is no such backend, or the machine lacks what it needs.

    """
    if name not in BACKENDS:
        raise InputError(where="backend", got=repr(name), expected=", ".join((*BACKENDS, AUTO)), remedy="correct it")
    for package in _PACKAGES.get(name, ()):
        if importlib.util.find_spec(package) is None:
            raise not_installed(name, f"the package {package}", f'pip install "tricast[{_EXTRAS[name]}]"')
    if name == "tensorrt":
        check_tensorrt()
    if name == "cuda_graphs" and not torch.cuda.is_available():
        raise not_installed(name, "a CUDA device", "use a backend for the CPU")


def installed_backends(placement: Placement | None = None) -> tuple[str, ...]:
    """Names of the backends that pass `check_installed` and run on that device in that precision."""
    return tuple(name for name in BACKENDS if _passes(name, placement or Placement()))


def onnx_file(
    network: Network, shapes: FixedShapes, precision: PrecisionName = "fp32", *, scatter_rows: bool = True
) -> Path:
    """The network's graph as an ONNX file, made once for the same weights, shapes, code and versions.

    Args:
        network: In evaluation mode, on the CPU.
        shapes: Of the graph.
        precision: Of its dense part; the graph says itself what is in 16 bits, and where they begin and end.
        scatter_rows: See `write_onnx`.

    Raises:
        InputError: The exporter's packages are not installed.

    """
    versions = f"{torch.__version__} {_version('onnx')} {_version('onnxscript')} {_version('tricast')}"
    made_of = f"{fingerprint(network)} {precision} {scatter_rows} {shapes} {_code()} {versions}"
    key = hashlib.sha256(made_of.encode()).hexdigest()[:24]
    path = cache_folder() / "graphs" / f"{key}.onnx"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        try:
            write_onnx(Placement(precision=precision).placed(network), shapes, partial, scatter_rows=scatter_rows)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    return path


def _code() -> str:
    """A hash of the code that a graph is made of."""
    own = Path(__file__).parent
    files = [own / name for name in ("fixed_network.py", "fixed_shapes.py", "onnx_graph.py")]
    files += [own.parent / name for name in ("model.py", "precision.py", "query_memory.py")]
    for part in ("encoders", "fusion", "heads", "layers", "networks"):
        files += sorted((own.parent / part).glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def fingerprint(network: Network) -> str:
    """A hash of a network's configuration and values."""
    digest = hashlib.sha256(network.config.model_dump_json().encode())
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def runtime_versions() -> str:
    """Versions of whatever may run a network here, and of the code that makes its graphs."""
    names = ("torch", "onnxruntime", "openvino", "tensorrt", "tricast")
    return " ".join([*(f"{name} {_version(name)}" for name in names), _code()])


def _passes(name: str, placement: Placement) -> bool:
    try:
        check_installed(name)
        placement.checked(name)
    except InputError:
        return False
    return True


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"
