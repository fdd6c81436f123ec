"""Processes that share the work of one command."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor

from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """A pool of fresh processes with one thread for numbers each, as they share the cores.

    They end when the process that made them does, however it ends: without that, those of a command that was killed
    would wait for work for ever.

    Args:
        workers: How many.

    """
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin)


def _begin() -> None:
    threadpool_limits(1)  # of what is loaded already
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of NumPy's and SciPy's, which the first job will load
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "runs in a worker"
    parent.join()
    os._exit(1)
