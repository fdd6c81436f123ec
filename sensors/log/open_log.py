"""Opening any log, recognised by what it holds."""

from __future__ import annotations

from pathlib import Path

from tricast.sensors.calibration import Rig
from tricast.sensors.errors import LogError
from tricast.sensors.log.reader import McapLog
from tricast.sensors.log.stream import DrivingLog


def open_log(path: Path, *, rig: Rig | None = None) -> DrivingLog:
    """Open a Tricast log, or a folder that holds one.

    Args:
        path: MCAP file or folder.
        rig: Calibration to use in place of the log's own.

    Raises:
        LogError: Nothing readable is there.
    """
    if not path.is_dir():
        return McapLog(path, rig)
    files = sorted(path.glob("*.mcap"))
    if len(files) == 1:
        return McapLog(files[0], rig)
    raise LogError(
        where=str(path),
        got="no MCAP file" if not files else f"{len(files)} MCAP files",
        expected="a Tricast log (.mcap)",
        remedy="name the file itself" if files else "check the path",
    )
