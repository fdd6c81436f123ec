"""The one interface of all backends, and the two that need no other: the network itself, and a graph in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from tricast.configs.errors import InputError
from tricast.perception.backends.fixed_network import outputs_of
from tricast.perception.backends.fixed_shapes import FixedInputs, FixedShapes
from tricast.perception.backends.placement import Placement
from tricast.perception.batch import SensorBatch
from tricast.perception.model import Network
from tricast.perception.query_memory import QueryMemory
from tricast.perception.query_outputs import QueryOutputs
from tricast.perception.torch_threads import torch_threads

Graph: TypeAlias = Callable[[FixedInputs], Sequence[Tensor]]
"""Runs one tick at fixed shapes; gives tensors in the order of `output_names`, on the CPU."""


class Backend(Protocol):
    """Runs the network's forward pass at inference."""

    @property
    def name(self) -> str:
        """One of `BACKENDS`."""
        ...

    def __call__(self, batch: SensorBatch, memory: QueryMemory) -> tuple[QueryOutputs, QueryMemory]:
        """See `Network.forward`; only what decoding needs is promised."""
        ...


class EagerBackend:
    """The network as it is.

    Args:
        network: In evaluation mode, on the CPU.
        placement: Where it runs; memory stays there, outputs come back.
        name: Another than `eager`, to tell two of them apart.
        threads: Of PyTorch while the network runs; None takes as many as are set.

    """

    def __init__(
        self,
        network: Network,
        placement: Placement | None = None,
        *,
        name: str = "eager",
        threads: int | None = None,
    ) -> None:
        placement = placement or Placement()
        self.name, self._threads = name, threads
        self._network, self._device = placement.placed(network), placement.device

    def __call__(self, batch: SensorBatch, memory: QueryMemory) -> tuple[QueryOutputs, QueryMemory]:
        """See `Backend`."""
        with torch_threads(self._threads), torch.inference_mode():
            # A tick may be made for a GPU, and what is remembered be of another backend, which ran before this one.
            outputs, memory = self._network(batch.to(self._device), memory.to(self._device))
            return (outputs if self._device == "cpu" else outputs.to("cpu")), memory


class GraphBackend:
    """A graph of fixed shapes; what does not fit into it is run by the network itself, and counted.

    Args:
        name: One of `BACKENDS`.
        network: Runs what does not fit.
        shapes: Of the graph.
        graph: Runs what fits.
        threads: Of PyTorch while the network runs; None takes as many as are set.

    """

    def __init__(
        self, name: str, network: Network, shapes: FixedShapes, graph: Graph, *, threads: int | None = None
    ) -> None:
        self.name, self.shapes = name, shapes
        self._network, self._graph, self.config = network, graph, network.config
        self._eager = EagerBackend(network, threads=threads)
        self.not_fitting = 0

    def __call__(self, batch: SensorBatch, memory: QueryMemory) -> tuple[QueryOutputs, QueryMemory]:
        """See `Backend`."""
        if not self.shapes.hold(batch):
            self.not_fitting += 1
            return self._eager(batch, memory)
        with torch_threads(1), torch.inference_mode():
            recalled = self._network.recalled(batch, memory)
            tensors = self._graph(FixedInputs.of(batch, self.shapes, self.config.batch, recalled))
            outputs, notes = outputs_of(tensors, from_peaks=self.config.decoder.starts == "heatmap")
            return outputs, self._network.remembering(batch, memory, notes)


def not_installed(backend: str, lacking: str, remedy: str) -> InputError:
    """What to tell somebody whose machine lacks what a backend needs."""
    return InputError(
        where=f"backend '{backend}'", got=f"a machine without {lacking}", expected=f"{lacking}", remedy=remedy
    )
