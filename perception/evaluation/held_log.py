"""The first seconds of a log held in memory, so that they are read and decoded once for many runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tricast.sensors.errors import SensorDataError
from tricast.sensors.frames import CameraFrame
from tricast.sensors.log.log_part import LogPart
from tricast.sensors.log.stream import DrivingLog, LogView, Message


class HeldLog(LogView):
    """The first seconds of any log; itself a log. Images are decoded, broken ones stay as they are.

    As of any `LogPart`, truth whose sweeps and pictures may arrive behind the end is not in it.

    Args:
        log: The log, read once from its beginning.
        seconds: How much of it to hold; a second of four cameras of 320x192 is 8 MB.

    """

    def __init__(self, log: DrivingLog, seconds: float) -> None:
        super().__init__(log)
        self._end_ns = min(log.end_ns, log.start_ns + round(seconds * 1e9))
        self._messages = [_decoded(m) for m in LogPart(duration_s=seconds).messages(log)]

    @property
    def end_ns(self) -> int:
        """See `DrivingLog`."""
        return self._end_ns

    def messages(self, *, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Message]:
        """See `DrivingLog.messages`."""
        for message in self._messages:
            if start_ns is not None and message.received_ns < start_ns:
                continue
            if end_ns is not None and message.received_ns > end_ns:
                return
            yield message


def _decoded(message: Message) -> Message:
    if not isinstance(message, CameraFrame):
        return message
    try:
        frame = CameraFrame.from_pixels(message.channel, message.timestamp_ns, message.pixels())
    except SensorDataError:
        return message
    return replace(frame, received_ns=message.received_ns)
