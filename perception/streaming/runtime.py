"""The streaming runtime: messages in from any thread, results out, the same object for replay and for live use.

    any thread          one thread                       `workers` threads     one thread
    put, advance  >  inbox  >  ticks, health (TickSource)  >  prepare  >  detect, track, forecast  >  on_result

The runtime reads no clock of the log: arrival times and `advance` are its time, so that simulated and recorded time do
as well. How long things take, and deadlines, are measured on the monotonic clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Condition, Thread
from types import TracebackType

from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.streaming.runtime_result import RuntimeResult, RuntimeStatus
from tricast.perception.streaming.streaming_config import StreamingConfig
from tricast.perception.streaming.tick_runner import TickRunner
from tricast.perception.streaming.tick_source import Ticket, TickFormer, TickSource
from tricast.perception.streaming.tick_stages import InlineStages, LatestStages, LosslessStages, TickStages
from tricast.sensors.calibration import Rig
from tricast.sensors.frames import EgoPose
from tricast.sensors.health import HealthMonitor
from tricast.sensors.log.stream import Message, channel_of


@dataclass(frozen=True)
class _Advance:
    now_ns: int


_Item = Message | _Advance | Rig


class StreamingRuntime:
    """Runs a pipeline on a stream of arrivals. A context manager: entering starts it, leaving finishes it.

    Args:
        pipeline: Detector, tracker and forecasts; nobody else steps it meanwhile.
        former: Forms the ticks, a `Synchronizer` as a rule; nobody else pushes to it meanwhile.
        config: Policy, queues, deadline and limits.
        on_result: Takes each result, one at a time and in order, from one thread. It delays the next tick; what it
            raises stops the runtime and comes out of the next `put` or `close`.

    """

    def __init__(
        self,
        pipeline: Pipeline,
        former: TickFormer,
        config: StreamingConfig,
        *,
        on_result: Callable[[RuntimeResult], None],
    ) -> None:
        self.config = config
        self._monitor = HealthMonitor(former.rig, config.health)
        self._source = TickSource(former, self._monitor)
        self._on_result = on_result
        self._runner = TickRunner(pipeline, config, self._finished)
        self._undecoded = pipeline.detector.undecoded
        self._undecoded_told = self._undecoded.behind_header()
        self._change = Condition()
        self._inbox: deque[_Item] = deque()
        self._inbox_losses: dict[str, int] = {}
        self._lost_messages = self._ticks = 0
        self._failure: BaseException | None = None
        self._closing = self._ended = False
        self._stages: TickStages = InlineStages(self._runner)
        self._thread: Thread | None = None

    def __enter__(self) -> StreamingRuntime:
        """Start the threads, if the configuration wants any."""
        config = self.config
        if config.workers == 0:
            return self
        if config.policy == "latest":
            self._stages = LatestStages(self._runner, on_failure=self._fail)
        else:
            self._stages = LosslessStages(
                self._runner, workers=config.workers, queued=config.queued_ticks, on_failure=self._fail
            )
        self._thread = Thread(target=self._drain, name="tricast-ticks", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Finish what is promised; after an error no more than the tick in hand."""
        self._end(at_once=kind is not None)
        if kind is None and self._failure is not None:
            raise self._failure

    def put(self, message: Message) -> None:
        """Take one arrival. `lossless` waits while the inbox is full, `latest` loses its oldest message instead.

        Raises:
            BaseException: Whatever failed in a thread of the runtime.

        """
        self._enter(message)

    def advance(self, now_ns: int) -> None:
        """Tell the time on the clock of arrivals, so that ticks close although nothing arrives."""
        self._enter(_Advance(now_ns))

    def recalibrate(self, rig: Rig) -> None:
        """Use another rig for what arrives from now on."""
        self._enter(rig)

    def malformed(self, channel: str) -> None:
        """Count a message that did not decode, for the channel's health."""
        self._monitor.malformed(channel)

    def all_malformed(self) -> dict[str, int]:
        """By channel, how many messages did not decode so far: those it was told of and broken pictures."""
        return self._monitor.all_malformed()

    def status(self) -> RuntimeStatus:
        """How the runtime is doing; cheap, for any thread."""
        with self._change:
            ticks, lost = self._ticks, self._lost_messages
        return self._runner.status(ticks=ticks, dropped_messages=lost)

    def close(self) -> None:
        """Finish what is promised: everything under `lossless`, the tick in hand under `latest`.

        What is put later is ignored.

        Raises:
            BaseException: Whatever failed in a thread of the runtime.

        """
        self._end(at_once=False)
        if self._failure is not None:
            raise self._failure

    def _enter(self, item: _Item) -> None:
        assert self._thread is not None or self.config.workers == 0, "a runtime is entered before it takes messages"
        with self._change:
            if self._thread is not None:
                self._make_room()
            if self._failure is not None:
                raise self._failure
            if self._closing:
                return
            if self._thread is None:
                # Without threads the lock makes callers take turns.
                self._take(item)
                return
            self._inbox.append(item)
            self._change.notify_all()

    def _make_room(self) -> None:
        if self.config.policy == "lossless":
            while len(self._inbox) >= self.config.inbox_messages and not self._closing:
                self._change.wait()
        elif len(self._inbox) >= self.config.inbox_messages:
            self._lose_one()

    def _lose_one(self) -> None:
        """Lose the oldest message of a sensor; poses go last, as all sensors need them, calibration never."""
        for kinds in (lambda m: not isinstance(m, Rig | EgoPose), lambda m: not isinstance(m, Rig)):
            for place, item in enumerate(self._inbox):
                if kinds(item):
                    del self._inbox[place]
                    if not isinstance(item, _Advance | Rig):
                        channel = channel_of(item)
                        self._inbox_losses[channel] = self._inbox_losses.get(channel, 0) + 1
                        self._lost_messages += 1
                    return

    def _drain(self) -> None:
        """The thread that forms ticks."""
        while True:
            with self._change:
                while not self._inbox and not self._closing:
                    self._change.wait()
                if not self._inbox:
                    return
                item = self._inbox.popleft()
                self._change.notify_all()
            try:
                self._take(item)
            except BaseException as error:
                self._fail(error)
                return

    def _take(self, item: _Item) -> None:
        if isinstance(item, Rig):
            self._source.recalibrate(item)
        elif isinstance(item, _Advance):
            self._offer(self._source.advance(item.now_ns))
        else:
            self._offer(self._source.push(item))

    def _offer(self, tickets: list[Ticket]) -> None:
        for ticket in tickets:
            with self._change:
                self._ticks += 1
                losses, self._inbox_losses = self._inbox_losses, {}
            if losses:
                ticket = replace(ticket, not_used={**ticket.not_used, "inbox": losses})
            self._stages.offer(ticket)

    def _finished(self, result: RuntimeResult) -> None:
        """Hand a result on, and have its pictures that did not decode in the health of the next ticks."""
        # The monitor sees broken headers itself, as messages arrive.
        undecoded = self._undecoded.behind_header()
        for channel, count in undecoded.items():
            self._monitor.malformed(channel, count - self._undecoded_told.get(channel, 0))
        self._undecoded_told = undecoded
        self._on_result(result)

    def _fail(self, error: BaseException) -> None:
        with self._change:
            self._failure = self._failure or error
            self._closing = True
            self._inbox.clear()
            self._change.notify_all()

    def _end(self, *, at_once: bool) -> None:
        if self._ended:
            return
        with self._change:
            self._ended = self._closing = True
            if at_once or self.config.policy == "latest":
                self._inbox.clear()
            self._change.notify_all()
        if at_once:
            # Before the join: one message may close many ticks, of which the thread that forms them offers the rest.
            self._stages.let_go()
        if self._thread is not None:
            self._thread.join()
        try:
            if not at_once and self.config.policy == "lossless" and self._failure is None:
                self._offer(self._source.flush())
        except BaseException:
            self._stages.let_go()
            raise
        finally:
            self._stages.finish()
