"""Processes that share the work of one command."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

ResultT = TypeVar("ResultT")


def worker_pool(workers: int) -> ProcessPoolExecutor:
    """A pool of fresh processes with one thread for numbers each, as they share the cores.

    They end when the process that made them does, however it ends: without that, those of a command that was killed
    would wait for work for ever.

    Args:
        workers: How many.

    """
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin)


def each_done(function: Callable[..., ResultT], jobs: Sequence[tuple[Any, ...]], workers: int) -> Iterator[ResultT]:
    """What a function gives for many arguments, as it comes; with one worker here, one after another.

    Where one fails, those that have not begun are left.

    Args:
        function: At the top of a module.
        jobs: Its arguments, each time.
        workers: How many processes at most.

    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from (function(*job) for job in jobs)
        return
    with worker_pool(workers) as pool:
        try:
            for future in as_completed([pool.submit(function, *job) for job in jobs]):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin() -> None:
    threadpool_limits(1)  # of what is loaded already
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of NumPy's and SciPy's, which the first job will load
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "runs in a worker"
    parent.join()
    os._exit(1)
