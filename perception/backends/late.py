"""A backend that is opened on the first ticks: they say how much must fit into its graph, and are what proves it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Thread
from typing import TypeAlias

from tricast.perception.backends.interface import Backend, EagerBackend, GraphBackend
from tricast.perception.batch import SensorBatch
from tricast.perception.model import Network
from tricast.perception.query_memory import QueryMemory
from tricast.perception.query_outputs import QueryOutputs

PROOF_TICKS = 8
MOST_OPENINGS = 3
"""Sensors may come up after the first ticks: so often a graph is made that holds more."""

Opened: TypeAlias = Callable[[Sequence[SensorBatch]], tuple[Backend, int]]
"""Makes a backend of ticks; also says how many threads it has."""


class LateBackend:
    """Runs the network as it is until enough ticks have come by, then the backend; what does not fit runs as it is too.

    Args:
        name: What was asked for: one of `BACKENDS`, or `auto`.
        network: In evaluation mode.
        opened: Makes the backend.
        threads: Of PyTorch while the network runs as it is; None takes as many as are set.
        beside: Open in a thread of its own, while ticks go on. Without, the tick that completes the proof waits, and
            which ticks run how depends on the ticks alone.

    Raises:
        InputError: When called, without `beside`: the backend gives other outputs than the network.

    """

    def __init__(
        self, name: str, network: Network, opened: Opened, *, beside: bool, threads: int | None = None
    ) -> None:
        self.name = name
        self.eager_ticks = 0
        """How many ticks the network ran as it is."""
        self.threads: int | None = None
        """Of the backend that runs; None before it does."""
        self.trouble: Exception | None = None
        """Why the network goes on as it is."""
        self._eager, self._opened, self._beside = EagerBackend(network, threads=threads), opened, beside
        self._ready: tuple[Backend, int] | None = None
        self._running: Backend | None = None
        self._seen: list[SensorBatch] = []
        self._openings = 0
        self._thread: Thread | None = None

    @property
    def running(self) -> str:
        """What runs ticks now: one of `BACKENDS`."""
        return self._eager.name if self._running is None else self._running.name

    def __call__(self, batch: SensorBatch, memory: QueryMemory) -> tuple[QueryOutputs, QueryMemory]:
        """See `Backend`."""
        if not self._holds(batch):
            self._collect(batch)
        self._take_over()
        if self._running is None or not self._holds(batch):
            self.eager_ticks += 1
            return self._eager(batch, memory)
        return self._running(batch, memory)

    def _holds(self, batch: SensorBatch) -> bool:
        running = self._running
        return running is not None and (not isinstance(running, GraphBackend) or running.shapes.hold(batch))

    def _collect(self, batch: SensorBatch) -> None:
        busy = self._thread is not None and self._thread.is_alive()
        if busy or self._ready is not None or self.trouble is not None or self._openings == MOST_OPENINGS:
            return
        self._seen.append(batch)
        if len(self._seen) < PROOF_TICKS * (self._openings + 1):
            return
        self._openings += 1
        if self._beside:
            self._thread = Thread(target=self._open_or_tell, args=(tuple(self._seen),), daemon=True)
            self._thread.start()
        else:
            self._ready = self._opened(self._seen)

    def _open_or_tell(self, batches: Sequence[SensorBatch]) -> None:
        try:
            self._ready = self._opened(batches)
        except Exception as error:  # whatever it is: ticks go on, and the trouble is told with them
            self.trouble = error

    def _take_over(self) -> None:
        if self._ready is not None:
            self._running, self.threads = self._ready
            self._ready = None
