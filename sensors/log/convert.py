"""Any readable log into a Tricast log."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tricast.sensors.errors import LogError
from tricast.sensors.log.stream import DrivingLog, ForeignMessage, Message, foreign_messages
from tricast.sensors.log.writer import LogWriter


@dataclass(frozen=True, kw_only=True)
class Converted:
    """How many messages a copy holds: of the stream, and of foreign topics, which were copied as they were."""

    messages: int
    foreign_messages: int


def convert(log: DrivingLog, out: Path, *, progress: Callable[[int, str], None] | None = None) -> Converted:
    """Write every message of a log into a Tricast log; topics that Tricast does not read are copied byte for byte.

    Args:
        log: The log.
        out: File to write.
        progress: Told the arrival of each message and the count so far.

    Raises:
        LogError: The copy would overwrite its source.

    """
    if out.exists() and out.resolve() == log.path.resolve():
        raise LogError(
            where=str(out), got="the log itself", expected="another file to write", remedy="choose another --out"
        )
    messages = foreign = 0
    with LogWriter(out, log.rig) as writer:
        for message in heapq.merge(log.messages(), foreign_messages(log), key=_arrival_ns):
            if isinstance(message, ForeignMessage):
                writer.copy(message)
                foreign += 1
            else:
                writer.write(message)
                messages += 1
            if progress is not None:
                progress(_arrival_ns(message), f"{messages + foreign} messages")
    return Converted(messages=messages, foreign_messages=foreign)


def _arrival_ns(message: Message | ForeignMessage) -> int:
    return message.log_time_ns if isinstance(message, ForeignMessage) else message.received_ns
