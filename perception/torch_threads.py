"""How many threads PyTorch has, for a while."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(count: int | None) -> Generator[None]:
    """Have PyTorch work with so many threads for a while, in the thread that says so; None leaves them as they are.

    Whatever surrounds the network is better off with one: a thread of PyTorch's goes on spinning for milliseconds after
    an operation that had several, and takes a core from those that decode pictures and from runtimes with own threads.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
