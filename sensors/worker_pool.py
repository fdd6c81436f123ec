"""Processes that share the work of one command."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from tricast.configs.errors import InputError

ResultT = TypeVar("ResultT")
IDLE_S = 5.0
"""How long a worker that is told to end waits for a result to be on its way; all but those without work need less."""
_sending = threading.Lock()
"""Of a worker: held but while a job runs."""


class WorkerPool:
    """A pool of fresh processes with one thread for numbers each, as they share the cores. A context manager.

    They end when the process that made them does, however it ends: without that, those of a command that was killed
    would wait for work for ever. Ctrl-C reaches the whole group of a command; they leave it to the process that made
    them, which leaves the context by it and ends them at once. After an error they finish the jobs that they have.

    Args:
        workers: How many.

    """

    def __init__(self, workers: int) -> None:
        self._told, self._tell = multiprocessing.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin, initargs=(self._told,)
        )

    def submit(self, function: Callable[..., ResultT], *arguments: Any) -> Future[ResultT]:
        """Have a function called, which is at the top of a module."""
        # A process that is started here is deaf to Ctrl-C from its first moment on.
        with _interrupts_blocked():
            return self._pool.submit(_done, function, *arguments)

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for all jobs; after an error for those that have begun, after an interrupt for none.

        Raises:
            InputError: A worker was killed.

        """
        try:
            if kind is None or issubclass(kind, Exception):
                self._pool.shutdown(cancel_futures=kind is not None)
        finally:
            self._tell.close()
            with _interrupt_kills():
                self._pool.shutdown(cancel_futures=True)
            self._told.close()
        if isinstance(error, BrokenProcessPool):
            raise InputError(
                where="worker processes",
                got="one that was killed at its work, as the system does where memory runs out",
                expected="memory for all of them at once",
                remedy="take fewer by --workers, or end other programs",
            ) from error


def each_done(
    function: Callable[..., ResultT], jobs: Sequence[tuple[Any, ...]], workers: int, *, in_order: bool = False
) -> Iterator[ResultT]:
    """What a function gives for many arguments; with one worker here, one after another.

    Where one fails, those that have not begun are left.

    Args:
        function: At the top of a module.
        jobs: Its arguments, each time.
        workers: How many processes at most.
        in_order: In the order of the arguments; else as it comes.

    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from (function(*job) for job in jobs)
        return
    with WorkerPool(workers) as pool:
        futures = [pool.submit(function, *job) for job in jobs]
        for future in futures if in_order else as_completed(futures):
            yield future.result()


@contextmanager
def _interrupts_blocked() -> Generator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _interrupt_kills() -> Generator[None]:
    """Whoever presses Ctrl-C while workers are ended waits for nothing; they end with this process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _begin(told: Connection) -> None:
    threadpool_limits(1)  # of what is loaded already
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # of NumPy's and SciPy's, which the first job will load
    _sending.acquire()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    threading.Thread(target=_end_when_told, args=(told,), daemon=True).start()


def _done(function: Callable[..., ResultT], *arguments: Any) -> ResultT:
    _sending.release()
    try:
        return function(*arguments)
    finally:
        _sending.acquire()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "runs in a worker"
    parent.join()
    os._exit(1)


def _end_when_told(told: Connection) -> None:
    told.poll(None)  # until the other end is closed
    # Not with half a result sent: the parent would wait for the rest of it.
    _sending.acquire(timeout=IDLE_S)
    os._exit(1)
