"""Graphs by PyTorch's own means: its compiler, and on an NVIDIA GPU recorded CUDA graphs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tricast.configs.errors import InputError
from tricast.perception.backends.fixed_network import FixedNetwork
from tricast.perception.backends.fixed_shapes import FixedInputs, FixedShapes
from tricast.perception.backends.interface import Graph, not_installed
from tricast.perception.backends.placement import Placement
from tricast.perception.model import Network
from tricast.perception.torch_threads import torch_threads


def compiled_graph(network: Network, shapes: FixedShapes, placement: Placement, threads: int) -> Graph:
    """The network through `torch.compile`, wherever it is to run; compiling takes a minute or more.

    On a GPU the compiled network is recorded: its kernels are fewer, but each would still be launched by the host.
    Recorded by hand, as what `reduce-overhead` records belongs to one thread, and backends are opened beside ticks.

    Raises:
        InputError: There is no compiler for it to use.

    """
    from torch._inductor.exc import GPUTooOldForTriton, InductorError, InvalidCxxCompiler, TritonMissing

    module = torch.compile(FixedNetwork(placement.placed(network)), dynamic=False)
    blank = FixedInputs.blank(shapes, network.config)

    def run(inputs: FixedInputs) -> Sequence[Tensor]:
        with torch_threads(threads):  # here, as compiling has it for good
            return module(*inputs.tensors())

    try:
        with torch.inference_mode(), warnings.catch_warnings():
            # Compilers advise what would be faster, TF32 say: single precision is to be single precision.
            warnings.simplefilter("ignore")
            if placement.device == "cuda":
                return RecordedGraph(module, blank)
            run(blank)
    except (InvalidCxxCompiler, InductorError, TritonMissing, GPUTooOldForTriton) as error:
        raise InputError(
            where="backend 'compile'",
            got=f"no compiled network ({(str(error).strip() or type(error).__name__).splitlines()[0]})",
            expected="a working C++ compiler, with the headers of Python; on a GPU also Triton",
            remedy="install g++ and python3-dev, or use another backend",
        ) from error
    return run


class RecordedGraph:
    """A network recorded once on a GPU and replayed, which leaves out launching its kernels one by one.

    A recording knows addresses alone, so that whatever it reads and writes lives as long as it does: the inputs and
    outputs, and the network with its parameters.

    Args:
        module: What is recorded, on the GPU: from `FixedInputs.tensors()` to tensors.
        example: Inputs of the shapes that it will take.

    """

    def __init__(self, module: Callable[..., Sequence[Tensor]], example: FixedInputs) -> None:
        self._module = module
        stream, self._recording = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        with torch.inference_mode():
            self._held = [tensor.cuda() for tensor in example.tensors()]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):  # compiling, allocations and choices of algorithms come before recording
                    self._module(*self._held)
            torch.cuda.current_stream().wait_stream(stream)
            # Other threads may meanwhile prepare ticks on the same GPU.
            with torch.cuda.graph(self._recording, capture_error_mode="thread_local"):
                self._outputs = self._module(*self._held)

    def __call__(self, inputs: FixedInputs) -> Sequence[Tensor]:
        """One tick."""
        with torch.inference_mode():
            for place, tensor in zip(self._held, inputs.tensors(), strict=True):
                place.copy_(tensor if tensor.is_cuda else tensor.pin_memory(), non_blocking=True)
            self._recording.replay()
            return _fetched(self._outputs)


def _fetched(outputs: Sequence[Tensor]) -> list[Tensor]:
    """Tensors of a GPU on the host; all are on their way before the first is waited for."""
    fetched = [output.to("cpu", non_blocking=True) for output in outputs]
    torch.cuda.current_stream().synchronize()
    return fetched


def cuda_graph(network: Network, shapes: FixedShapes, placement: Placement) -> Graph:
    """The network as a recorded CUDA graph.

    Raises:
        InputError: There is no GPU.

    """
    if not torch.cuda.is_available():
        raise not_installed("cuda_graphs", "a CUDA device", "use a backend for the CPU")
    return RecordedGraph(FixedNetwork(placement.placed(network)), FixedInputs.blank(shapes, network.config))
