"""The network as an ONNX graph, and that graph in ONNX Runtime, OpenVINO and TensorRT."""

from __future__ import annotations

import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from tricast.perception.backends.fixed_network import FixedNetwork, output_names
from tricast.perception.backends.fixed_shapes import FixedInputs, FixedShapes
from tricast.perception.backends.interface import Graph, not_installed
from tricast.perception.model import Network

if TYPE_CHECKING:
    import onnx_ir as ir  # pyright: ignore[reportMissingImports]

OPSET = 18
REMEDY = 'pip install "tricast[onnx]"'


def write_onnx(network: Network, shapes: FixedShapes, path: Path, *, scatter_rows: bool = True) -> None:
    """Write the graph with its weights inside; it takes a minute or more.

    Args:
        network: In evaluation mode.
        shapes: Of the graph.
        path: The file, which is not checked against the network: see `check_parity`.
        scatter_rows: Maxima over pillars are scattered row by row, in place of element by element. TensorRT can't.

    Raises:
        InputError: The exporter's packages are not installed.

    """
    for package in ("onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise not_installed("onnx", f"the package {package}", REMEDY)
    example = FixedInputs.blank(shapes, network.config).named()
    # Without gradients, as ticks run: where there may be some, attention is in single precision (layers/attention.py).
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            FixedNetwork(network).eval(),
            tuple(example.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(example),
            output_names=list(output_names(network.config)),
            verbose=False,
        )
        assert program is not None
        if scatter_rows:
            _scatter_rows(program.model)
        program.save(str(path), external_data=False)


def _scatter_rows(model: ir.Model) -> None:
    """Have rows scattered as such: indices of all their elements cost runtimes three to ten times the time."""
    for node in model.graph:
        reduction = node.attributes.get("reduction")
        if node.op_type != "ScatterElements" or reduction is None or reduction.as_string() != "max":
            continue
        index = node.inputs[1]
        expanded = index.producer() if index is not None else None
        assert expanded is not None and expanded.op_type == "Expand", "rows of maxima have one index each"
        node.op_type = "ScatterND"
        node.replace_input_with(1, expanded.inputs[0])  # the index of each row, a column
        node.attributes.pop("axis", None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks about itself from the user."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def onnxruntime_graph(path: Path, threads: int, *, profile: Path | None = None) -> Graph:
    """An ONNX file in ONNX Runtime on the CPU.

    Args:
        path: The file.
        threads: Of the runtime.
        profile: Beginning of the name of a file that gets the time of every operation; see `OnnxRuntimeGraph.end`.

    Raises:
        InputError: It is not installed.

    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise not_installed("onnxruntime", "ONNX Runtime", REMEDY)
    return OnnxRuntimeGraph(path, threads, profile)


class OnnxRuntimeGraph:
    """See `onnxruntime_graph`."""

    def __init__(self, path: Path, threads: int, profile: Path | None) -> None:
        import onnxruntime  # pyright: ignore[reportMissingImports]

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        # Its threads spin between operations, which pays; between ticks they would take the cores from other work.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        if profile is not None:
            options.enable_profiling, options.profile_file_prefix = True, str(profile)
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def __call__(self, inputs: FixedInputs) -> Sequence[Tensor]:
        """See `Graph`."""
        arrays = {name: tensor.contiguous().numpy() for name, tensor in inputs.named().items()}
        return [torch.from_numpy(np.asarray(output)) for output in self._session.run(None, arrays)]

    def end(self) -> Path:
        """Finish the profile and say where it lies."""
        return Path(self._session.end_profiling())


def openvino_graph(path: Path, threads: int, *, profile: bool = False) -> Graph:
    """An ONNX file in OpenVINO on the CPU, in single precision.

    Args:
        path: The file; OpenVINO reads its own format too.
        threads: Of the runtime.
        profile: Keep the time of every operation; see `OpenVinoGraph.operation_ms`.

    Raises:
        InputError: It is not installed.

    """
    if importlib.util.find_spec("openvino") is None:
        raise not_installed("openvino", "OpenVINO", 'pip install "tricast[openvino]"')
    return OpenVinoGraph(path, threads, profile)


class OpenVinoGraph:
    """See `openvino_graph`."""

    def __init__(self, path: Path, threads: int, profile: bool) -> None:
        import openvino  # pyright: ignore[reportMissingImports]

        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
            "PERF_COUNT": profile,
        }
        core = openvino.Core()
        self._request = core.compile_model(core.read_model(str(path)), "CPU", settings).create_infer_request()

    def __call__(self, inputs: FixedInputs) -> Sequence[Tensor]:
        """See `Graph`."""
        arrays = {name: tensor.contiguous().numpy() for name, tensor in inputs.named().items()}
        results = self._request.infer(arrays, share_inputs=True, share_outputs=True)
        # Copied, once: the next tick writes over what the request holds.
        return [torch.from_numpy(np.array(results[place])) for place in range(len(results))]

    def operation_ms(self) -> list[tuple[str, float]]:
        """Kind and milliseconds of every operation of the last tick."""
        return [(node.node_type, node.real_time.total_seconds() * 1e3) for node in self._request.profiling_info]


def write_openvino(onnx_path: Path, path: Path) -> None:
    """Write an ONNX file in OpenVINO's own format: an .xml, and a .bin beside it.

    Raises:
        InputError: It is not installed.

    """
    if importlib.util.find_spec("openvino") is None:
        raise not_installed("openvino", "OpenVINO", 'pip install "tricast[openvino]"')
    import openvino  # pyright: ignore[reportMissingImports]

    openvino.serialize(openvino.Core().read_model(str(onnx_path)), str(path), str(path.with_suffix(".bin")))


def check_tensorrt() -> None:
    """Make sure that TensorRT can be used here.

    Raises:
        InputError: There is no TensorRT or no GPU.

    """
    if importlib.util.find_spec("tensorrt") is None:
        raise not_installed("tensorrt", "TensorRT", "install tensorrt beside an NVIDIA GPU, or use another backend")
    if not torch.cuda.is_available():
        raise not_installed("tensorrt", "a CUDA device", "use a backend for the CPU")


def cache_folder() -> Path:
    """Where graphs and choices are kept between runs: `TRICAST_CACHE`, or a folder of the user's caches."""
    own = os.environ.get("TRICAST_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tricast"
