"""Work that is always the same, by several threads at once: what varies in its time is the machine's doing."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import torch

from tricast.perception.torch_threads import torch_threads

PRODUCT = 192
"""Edge of the matrices; a thread's two stay in its core's own cache."""


class CoresControl:
    """Products of matrices by several threads at once, each with its own: whether cores are the machine's to give.

    A virtual machine's cores may be halves of one, for a while: counting in one thread never shows it.

    Args:
        threads: How many.

    """

    def __init__(self, threads: int) -> None:
        self._rounds = 1
        self._pool = ThreadPoolExecutor(threads, "tricast-control")
        self._matrices = [torch.ones(2, PRODUCT, PRODUCT) for _ in range(threads)]

    def lasting(self, milliseconds: float) -> CoresControl:
        """The same, which from now on takes about so long on this machine."""
        self._rounds = 10
        fastest_ms = min(self.run_ms() for _ in range(5))
        self._rounds = max(1, round(10 * milliseconds / fastest_ms))
        return self

    def run_ms(self) -> float:
        """Milliseconds until the last thread was done."""
        begin_ns = time.perf_counter_ns()
        for done in [self._pool.submit(self._multiply, own) for own in self._matrices]:
            done.result()
        return (time.perf_counter_ns() - begin_ns) / 1e6

    def _multiply(self, own: torch.Tensor) -> None:
        with torch_threads(1):
            for _ in range(self._rounds):
                torch.mm(own[0], own[0], out=own[1])
