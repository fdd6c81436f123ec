"""Any readable log into a Tricast log."""

from __future__ import annotations

from pathlib import Path

from tricast.sensors.errors import LogError
from tricast.sensors.log.stream import DrivingLog
from tricast.sensors.log.writer import LogWriter


def convert(log: DrivingLog, out: Path) -> int:
    """Write every message of a log into a Tricast log and return how many.

    Raises:
        LogError: The copy would overwrite its source.

    """
    if out.exists() and out.resolve() == log.path.resolve():
        raise LogError(
            where=str(out), got="the log itself", expected="another file to write", remedy="choose another --out"
        )
    count = 0
    with LogWriter(out, log.rig) as writer:
        for message in log.messages():
            writer.write(message)
            count += 1
    return count
