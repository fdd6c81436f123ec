"""A part of a log, as commands name it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tricast.configs.errors import InputError
from tricast.sensors.annotations import Annotations
from tricast.sensors.log.stream import DrivingLog, Message

SECOND_NS = 1_000_000_000
UNDER_WAY_NS = SECOND_NS // 10
"""How long sweeps and pictures of a moment may be under way."""


@dataclass(frozen=True, kw_only=True)
class LogPart:
    """From some seconds after a log's first message on, for some seconds.

    Args:
        start_s: Seconds to skip at the beginning.
        duration_s: Seconds to take; None goes to the end.

    """

    start_s: float = 0.0
    duration_s: float | None = None

    def window_ns(self, log: DrivingLog) -> tuple[int | None, int | None]:
        """First and last time of arrival, as `DrivingLog.messages` takes them.

        Raises:
            InputError: The part begins outside the log, or has no length.

        """
        length_s = (log.end_ns - log.start_ns) / SECOND_NS
        if not 0 <= self.start_s <= length_s:
            raise InputError(
                where=f"{log.path}: --start",
                got=f"{self.start_s:g} s",
                expected=f"between 0 and {length_s:.3f} s, the log's length",
                remedy="begin within the log",
            )
        if self.duration_s is not None and not 0 < self.duration_s < math.inf:
            raise InputError(
                where="--duration",
                got=f"{self.duration_s:g} s",
                expected="a finite time of more than 0 s",
                remedy="take a longer part, or leave it out to go to the log's end",
            )
        start_ns = None if self.start_s == 0 else log.start_ns + round(self.start_s * SECOND_NS)
        if self.duration_s is None:
            return start_ns, None
        return start_ns, log.start_ns + round((self.start_s + self.duration_s) * SECOND_NS)

    def messages(self, log: DrivingLog) -> Iterator[Message]:
        """Messages of the part; where the log goes on behind it, without truth whose sweeps may arrive behind it.

        Raises:
            InputError: As for `window_ns`.

        """
        start_ns, end_ns = self.window_ns(log)
        messages = log.messages(start_ns=start_ns, end_ns=end_ns)
        if end_ns is None or end_ns >= log.end_ns:
            return messages
        last_ns = end_ns - UNDER_WAY_NS
        return (m for m in messages if not isinstance(m, Annotations) or m.timestamp_ns <= last_ns)
