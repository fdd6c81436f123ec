"""How ticks wait, are prepared and run: all of them in order, or always the newest; with threads or without.

Only preparation overlaps with the network; detection, tracking and forecasts run tick by tick in one thread, so that
results do not depend on how many threads there are or how busy the machine is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Queue
from threading import Condition, Thread
from typing import Protocol

from tricast.perception.streaming.pipeline import PreparedTick
from tricast.perception.streaming.tick_runner import TickRunner
from tricast.perception.streaming.tick_source import Ticket

SMOOTHING = 0.3

OnFailure = Callable[[BaseException], None]


class TickStages(Protocol):
    """Takes tickets in order and has them run."""

    def offer(self, ticket: Ticket) -> None:
        """Take one ticket; may wait for room."""
        ...

    def let_go(self) -> None:
        """Run no more than the ticket in hand, whatever is offered yet; does not wait."""
        ...

    def finish(self) -> None:
        """Run what is promised and not let go; nothing is offered after."""
        ...


class InlineStages:
    """Runs each ticket where it is offered, without threads."""

    def __init__(self, runner: TickRunner) -> None:
        self._runner = runner

    def offer(self, ticket: Ticket) -> None:
        """See `TickStages.offer`."""
        self._runner.run(ticket, self._runner.prepare(ticket))

    def let_go(self) -> None:
        """Nothing waits."""

    def finish(self) -> None:
        """Nothing waits."""


class LosslessStages:
    """Every tick runs; whoever offers more than the queue holds, waits.

    Args:
        runner: Runs tickets.
        workers: Threads that prepare.
        queued: Tickets that may wait.
        on_failure: Told what failed in a thread; tickets after that are let go.

    """

    def __init__(self, runner: TickRunner, *, workers: int, queued: int, on_failure: OnFailure) -> None:
        self._runner = runner
        self._on_failure = on_failure
        self._ended = False
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="tricast-prepare")
        self._queue: Queue[tuple[Ticket, Future[PreparedTick]] | None] = Queue(maxsize=queued)
        self._thread = Thread(target=self._run, name="tricast-pipeline", daemon=True)
        self._thread.start()

    def offer(self, ticket: Ticket) -> None:
        """See `TickStages.offer`."""
        if not self._ended:
            self._queue.put((ticket, self._pool.submit(self._runner.prepare, ticket)))

    def let_go(self) -> None:
        """See `TickStages.let_go`."""
        self._ended = True

    def finish(self) -> None:
        """See `TickStages.finish`."""
        self._queue.put(None)
        self._thread.join()
        self._pool.shutdown(cancel_futures=True)

    def _run(self) -> None:
        while (entry := self._queue.get()) is not None:
            ticket, prepared = entry
            if self._ended:
                continue
            try:
                self._runner.run(ticket, prepared.result())
            except BaseException as error:
                self._ended = True
                self._on_failure(error)


class LatestStages:
    """The newest tick wins; a tick that a newer one overtakes before it runs is dropped and counted.

    One without a sensor overtakes none that has one: after a stall many ticks close at once, and what was measured is
    in the first of them.

    A tick is prepared just before the pipeline is expected to be free: earlier it would grow old, later the pipeline
    would wait.

    Args:
        runner: Runs tickets.
        on_failure: Told what failed in a thread; both threads end then.

    """

    def __init__(self, runner: TickRunner, *, on_failure: OnFailure) -> None:
        self._runner = runner
        self._on_failure = on_failure
        self._turn = Condition()
        self._waiting: Ticket | None = None
        self._passed_over: Ticket | None = None
        """Dropped after the waiting one, together: whichever comes next answers for it."""
        self._ready: tuple[Ticket, PreparedTick] | None = None
        self._free_s: float | None = None
        """When the running tick is expected to end; None while none runs."""
        self._running_s = self._preparing_s = 0.0
        self._ended = False
        self._threads = (
            Thread(target=self._prepare, name="tricast-prepare", daemon=True),
            Thread(target=self._run, name="tricast-pipeline", daemon=True),
        )
        for thread in self._threads:
            thread.start()

    def offer(self, ticket: Ticket) -> None:
        """See `TickStages.offer`; never waits."""
        with self._turn:
            if self._waiting is not None and not _may_overtake(ticket, self._waiting):
                self._pass_over(ticket)
                return
            if self._passed_over is not None:
                ticket, self._passed_over = ticket.after_dropping(self._passed_over), None
            self._waiting = ticket if self._waiting is None else self._dropped(self._waiting, ticket)
            self._turn.notify_all()

    def let_go(self) -> None:
        """See `TickStages.let_go`."""
        with self._turn:
            self._ended = True
            self._turn.notify_all()

    def finish(self) -> None:
        """See `TickStages.finish`; the ticket in hand is all that is promised."""
        self.let_go()
        for thread in self._threads:
            thread.join()
        for ticket in (self._waiting, self._ready[0] if self._ready else None):
            if ticket is not None:
                self._runner.count_dropped()

    def _dropped(self, ticket: Ticket, answering: Ticket) -> Ticket:
        self._runner.count_dropped()
        return answering.after_dropping(ticket)

    def _pass_over(self, ticket: Ticket) -> None:
        """Drop a tick although none that is later is there yet."""
        self._runner.count_dropped()
        self._passed_over = ticket if self._passed_over is None else ticket.after_dropping(self._passed_over)

    def _prepare(self) -> None:
        while (ticket := self._next_waiting()) is not None:
            try:
                begin_s = time.monotonic()
                prepared = self._runner.prepare(ticket)
                took_s = time.monotonic() - begin_s
            except BaseException as error:
                self._fail(error)
                return
            with self._turn:
                self._preparing_s += SMOOTHING * (took_s - self._preparing_s)
                if self._ready is None:
                    self._ready = (ticket, prepared)
                elif _may_overtake(ticket, self._ready[0]):
                    self._ready = (self._dropped(self._ready[0], ticket), prepared)
                elif self._waiting is not None:
                    self._waiting = self._dropped(ticket, self._waiting)
                else:
                    self._pass_over(ticket)
                self._turn.notify_all()

    def _next_waiting(self) -> Ticket | None:
        with self._turn:
            while not self._ended:
                due_s = 0.0 if self._free_s is None else self._free_s - self._preparing_s - time.monotonic()
                if self._waiting is not None and due_s <= 0:
                    ticket, self._waiting = self._waiting, None
                    return ticket
                self._turn.wait(None if self._waiting is None else due_s)
            return None

    def _run(self) -> None:
        while (entry := self._next_ready()) is not None:
            begin_s = time.monotonic()
            try:
                self._runner.run(*entry)
            except BaseException as error:
                self._fail(error)
                return
            with self._turn:
                self._running_s += SMOOTHING * (time.monotonic() - begin_s - self._running_s)
                self._free_s = None
                self._turn.notify_all()

    def _next_ready(self) -> tuple[Ticket, PreparedTick] | None:
        with self._turn:
            while self._ready is None and not self._ended:
                self._turn.wait()
            if self._ended:
                return None
            entry, self._ready = self._ready, None
            self._free_s = time.monotonic() + self._running_s
            self._turn.notify_all()
            return entry

    def _fail(self, error: BaseException) -> None:
        self.let_go()
        self._on_failure(error)


def _may_overtake(newer: Ticket, older: Ticket) -> bool:
    return bool(newer.frame.inputs) or not older.frame.inputs
