"""The network's ONNX graph in TensorRT, on an NVIDIA GPU that has it installed."""

# pyright: reportMissingImports=false

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from tricast.configs.errors import InputError
from tricast.perception.backends.fixed_shapes import FixedInputs
from tricast.perception.backends.interface import Graph
from tricast.perception.backends.onnx_graph import check_tensorrt


def build_engine(onnx_path: Path) -> bytes:
    """A serialized TensorRT engine for the GPU of this machine, in single precision.

    Raises:
        InputError: TensorRT is not installed, or does not take the graph.

    """
    check_tensorrt()
    import tensorrt

    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    definition = builder.create_network(0)
    parser = tensorrt.OnnxParser(definition, logger)
    engine = None
    if parser.parse(onnx_path.read_bytes()):
        config = builder.create_builder_config()
        config.clear_flag(tensorrt.BuilderFlag.TF32)  # on unless told, and no single precision
        engine = builder.build_serialized_network(definition, config)
    if engine is None:
        errors = [str(parser.get_error(i)) for i in range(parser.num_errors)]
        raise InputError(
            where="backend 'tensorrt'",
            got=f"a graph that it does not take ({(errors or ['no reason given'])[0]})",
            expected="an engine",
            remedy="use the backend 'cuda_graphs'",
        )
    return bytes(engine)


def engine_graph(engine_bytes: bytes) -> Graph:
    """A serialized engine, run by one execution context."""
    import tensorrt

    engine = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR)).deserialize_cuda_engine(engine_bytes)
    context, stream = engine.create_execution_context(), torch.cuda.Stream()

    names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
    given = [name for name in names if engine.get_tensor_mode(name) == tensorrt.TensorIOMode.OUTPUT]

    def run(inputs: FixedInputs) -> Sequence[Tensor]:
        held = {name: tensor.contiguous().cuda() for name, tensor in inputs.named().items()}
        outputs = {
            name: torch.empty(tuple(engine.get_tensor_shape(name)), dtype=_dtype(name), device="cuda") for name in given
        }
        for name, tensor in (held | outputs).items():
            context.set_tensor_address(name, tensor.data_ptr())
        torch.cuda.current_stream().synchronize()
        if not context.execute_async_v3(stream.cuda_stream):
            raise RuntimeError("TensorRT did not run the network")
        stream.synchronize()
        return [outputs[name].cpu() for name in given]

    return run


def _dtype(name: str) -> torch.dtype:
    return torch.int64 if name in ("query_cells", "query_classes") else torch.float32
