"""Graphs by PyTorch's own means: its compiler, and on an NVIDIA GPU recorded CUDA graphs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tricast.perception.backends.fixed_network import FixedNetwork
from tricast.perception.backends.fixed_shapes import FixedInputs, FixedShapes
from tricast.perception.backends.interface import Graph, not_installed
from tricast.perception.backends.placement import Placement
from tricast.perception.model import Network


def compiled_graph(network: Network, shapes: FixedShapes, placement: Placement) -> Graph:
    """The network through `torch.compile`, wherever it is to run; compiling takes a minute or more.

    Raises:
        InputError: There is no compiler for it to use.

    """
    from torch._inductor.exc import InductorError, InvalidCxxCompiler

    module = torch.compile(FixedNetwork(placement.placed(network)), dynamic=False)

    def run(inputs: FixedInputs) -> Sequence[Tensor]:
        if placement.device == "cpu":
            return module(*inputs.tensors())
        given = [tensor.pin_memory().to(placement.device, non_blocking=True) for tensor in inputs.tensors()]
        return [output.cpu() for output in module(*given)]

    try:
        with torch.inference_mode():
            run(FixedInputs.blank(shapes, network.config))
    except (InvalidCxxCompiler, InductorError) as error:
        if "compiler" not in str(error).lower():
            raise
        raise not_installed("compile", "a C++ compiler", "install g++, or use another backend") from error
    return run


def cuda_graph(network: Network, shapes: FixedShapes, placement: Placement) -> Graph:
    """The network recorded once on a GPU and replayed, which leaves out launching its kernels one by one.

    Raises:
        InputError: There is no GPU.

    """
    if not torch.cuda.is_available():
        raise not_installed("cuda_graphs", "a CUDA device", "use a backend for the CPU")
    module = FixedNetwork(placement.placed(network))
    held = [tensor.cuda() for tensor in FixedInputs.blank(shapes, network.config).tensors()]
    stream, recording = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    with torch.inference_mode():
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):  # allocations and choices of algorithms are made before recording
                module(*held)
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(recording):
            outputs = module(*held)

    def run(inputs: FixedInputs) -> Sequence[Tensor]:
        for place, tensor in zip(held, inputs.tensors(), strict=True):
            place.copy_(tensor.pin_memory(), non_blocking=True)
        recording.replay()
        return [output.cpu() for output in outputs]

    return run
