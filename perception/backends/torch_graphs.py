"""Graphs by PyTorch's own means: its compiler, and on an NVIDIA GPU recorded CUDA graphs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tricast.configs.errors import InputError
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
        raise InputError(
            where="backend 'compile'",
            got=f"no compiled network ({(str(error).strip() or type(error).__name__).splitlines()[0]})",
            expected="a working C++ compiler, with the headers of Python",
            remedy="install g++ and python3-dev, or use another backend",
        ) from error
    return run


class RecordedGraph:
    """The network recorded once on a GPU and replayed, which leaves out launching its kernels one by one.

    A recording knows addresses alone, so that whatever it reads and writes lives as long as it does: the inputs and
    outputs, and the network with its parameters.

    Args:
        network: In evaluation mode, on the CPU.
        shapes: Of the graph.
        placement: A GPU and a precision.

    """

    def __init__(self, network: Network, shapes: FixedShapes, placement: Placement) -> None:
        self._module = FixedNetwork(placement.placed(network))
        self._held = [tensor.cuda() for tensor in FixedInputs.blank(shapes, network.config).tensors()]
        stream, self._recording = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        with torch.inference_mode():
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):  # allocations and choices of algorithms are made before recording
                    self._module(*self._held)
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(self._recording):
                self._outputs = self._module(*self._held)

    def __call__(self, inputs: FixedInputs) -> Sequence[Tensor]:
        """One tick."""
        for place, tensor in zip(self._held, inputs.tensors(), strict=True):
            place.copy_(tensor.pin_memory(), non_blocking=True)
        self._recording.replay()
        return [output.cpu() for output in self._outputs]


def cuda_graph(network: Network, shapes: FixedShapes, placement: Placement) -> Graph:
    """The network as a recorded CUDA graph.

    Raises:
        InputError: There is no GPU.

    """
    if not torch.cuda.is_available():
        raise not_installed("cuda_graphs", "a CUDA device", "use a backend for the CPU")
    return RecordedGraph(network, shapes, placement)
