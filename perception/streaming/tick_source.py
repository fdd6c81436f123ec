"""From arrivals to tickets: synchronised ticks with their truth and the health of their channels."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig
from tricast.sensors.health import ChannelReport, HealthMonitor
from tricast.sensors.log.stream import Message
from tricast.sensors.synced_frame import SyncedFrame
from tricast.sensors.synchronization import Synchronizer

MAX_WAITING_ANNOTATIONS = 64

Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ticket:
    """A closed tick on its way through the pipeline.

    Args:
        frame: What the tick holds.
        annotations: Truth stamped at it.
        channels: Health of each channel over time.
        sequence: Ticks closed before it.
        closed_s: When it closed, on the monotonic clock.
        dropped_ticks: Ticks dropped between the last processed one and it.
        not_used: Messages not used as they came since the last processed tick.

    """

    frame: SyncedFrame
    annotations: Annotations | None = None
    channels: Mapping[str, ChannelReport] = field(default_factory=dict[str, ChannelReport])
    sequence: int = 0
    closed_s: float = field(default_factory=time.monotonic)
    dropped_ticks: int = 0
    not_used: Counts = field(default_factory=dict[str, Mapping[str, int]])

    def after_dropping(self, dropped: Ticket) -> Ticket:
        """This ticket, which also answers for an earlier one that is dropped: a jump in time there stays one."""
        frame = self.frame
        if dropped.frame.discontinuity and not frame.discontinuity:
            frame = replace(frame, discontinuity=True)
        return replace(
            self,
            frame=frame,
            dropped_ticks=self.dropped_ticks + dropped.dropped_ticks + 1,
            not_used=summed(dropped.not_used, self.not_used),
        )


class TruthPairing:
    """Gives each tick the truth that is stamped at it. Holds a bounded number of annotations.

    Attributes:
        taken: Annotations that came; one that comes again while it waits counts once.

    """

    def __init__(self) -> None:
        self.taken = 0
        self._waiting: dict[int, Annotations] = {}

    def take(self, message: Message) -> None:
        """Take note of a message, before the ticks that it closes are paired."""
        if isinstance(message, Annotations):
            self.taken += message.timestamp_ns not in self._waiting
            self._waiting[message.timestamp_ns] = message

    def truth(self, frame: SyncedFrame) -> Annotations | None:
        """Truth stamped at a tick, if any."""
        return self._waiting.pop(frame.timestamp_ns, None)

    def tidy(self) -> None:
        """Let go of truth that is no longer waited for."""
        while len(self._waiting) > MAX_WAITING_ANNOTATIONS:
            self._waiting.pop(next(iter(self._waiting)))


def ticks(
    messages: Iterable[Message], synchronizer: Synchronizer, pairing: TruthPairing | None = None
) -> Iterator[tuple[SyncedFrame, Annotations | None]]:
    """Ticks of a stream, each with the truth that is stamped at it, if any; `pairing` counts the truth that came."""
    pairing = TruthPairing() if pairing is None else pairing
    for message in messages:
        pairing.take(message)
        for frame in synchronizer.push(message):
            yield frame, pairing.truth(frame)
        pairing.tidy()
    for frame in synchronizer.flush():
        yield frame, pairing.truth(frame)


class TickFormer(Protocol):
    """Forms ticks of arrivals: a `Synchronizer`, or a `ManifestFollower` that repeats earlier ticks."""

    @property
    def rig(self) -> Rig: ...

    def push(self, message: Message) -> list[SyncedFrame]:
        """Take one arrival; gives the ticks that it closes, in order."""
        ...

    def advance(self, now_ns: int) -> list[SyncedFrame]:
        """Let time pass without an arrival; gives the ticks that it closes, in order."""
        ...

    def flush(self) -> list[SyncedFrame]:
        """Close the ticks that are open at the end of a log."""
        ...

    def recalibrate(self, rig: Rig) -> None:
        """Use another rig from the next tick on."""
        ...


class TickSource:
    """Makes tickets of arrivals. Not for several threads at once.

    Args:
        former: Forms the ticks.
        monitor: Judges the channels.

    """

    def __init__(self, former: TickFormer, monitor: HealthMonitor) -> None:
        self._former = former
        self._monitor = monitor
        self._pairing = TruthPairing()
        self._count = 0

    def push(self, message: Message) -> list[Ticket]:
        """Tickets of the ticks that a message closes, in order."""
        self._pairing.take(message)
        self._monitor.observe(message)
        tickets = self._tickets(self._former.push(message))
        self._pairing.tidy()
        return tickets

    def advance(self, now_ns: int) -> list[Ticket]:
        """Tickets of the ticks that time closes."""
        return self._tickets(self._former.advance(now_ns))

    def flush(self) -> list[Ticket]:
        """Tickets of the ticks that are open at the end of a log."""
        return self._tickets(self._former.flush())

    def recalibrate(self, rig: Rig) -> None:
        """Use another rig from the next tick on."""
        self._former.recalibrate(rig)
        self._monitor.recalibrate(rig)

    def _tickets(self, frames: list[SyncedFrame]) -> list[Ticket]:
        tickets: list[Ticket] = []
        for frame in frames:
            ticket = Ticket(
                frame=frame,
                annotations=self._pairing.truth(frame),
                channels=self._monitor.tick(frame),
                sequence=self._count,
                not_used=frame.not_used,
            )
            tickets.append(ticket)
            self._count += 1
        return tickets


def summed(first: Counts, second: Counts) -> dict[str, dict[str, int]]:
    """Counts by cause and channel, together."""
    return {
        cause: {
            channel: first.get(cause, {}).get(channel, 0) + second.get(cause, {}).get(channel, 0)
            for channel in sorted({*first.get(cause, {}), *second.get(cause, {})})
        }
        for cause in sorted({*first, *second})
    }
