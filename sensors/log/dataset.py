"""What the readers of recorded datasets share: messages loaded one by one, in order, with broken files counted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tricast.configs.errors import InputError
from tricast.sensors.calibration import Rig
from tricast.sensors.errors import LogError
from tricast.sensors.log.stream import Losses, Message


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One message that a dataset holds and that is not loaded yet.

    Args:
        received_ns: Its place in the stream.
        kind: Poses (0) before truth (1) before sensors (2) that arrive at the same time.
        channel: Its channel; empty for poses and truth.
        load: Reads it.

    """

    received_ns: int
    kind: int
    channel: str
    load: Callable[[], Message]


class DatasetLog:
    """A recorded dataset as a `DrivingLog`.

    Args:
        path: Its directory.
        kind: Its name.
        rig: Calibration.
        entries: All messages, in any order.

    Raises:
        LogError: There is no sensor message or pose at all.

    """

    def __init__(self, path: Path, kind: str, rig: Rig, entries: Iterable[Entry]) -> None:
        self.path, self.kind, self.rig = path, kind, rig
        self.losses = Losses()
        self._entries = sorted(entries, key=lambda e: (e.received_ns, e.kind, e.channel))
        times = [entry.received_ns for entry in self._entries if entry.kind != 1]
        if not times:
            raise LogError(
                where=str(path), got="no sensor files", expected=f"a {kind} recording", remedy="check the download"
            )
        self.start_ns, self.end_ns = times[0], times[-1]

    def messages(self, *, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Message]:
        """See `DrivingLog.messages`; a file that is missing or broken is a loss, the others are delivered."""
        self.losses = Losses()
        for entry in self._entries:
            if (start_ns is not None and entry.received_ns < start_ns) or (
                end_ns is not None and entry.received_ns > end_ns
            ):
                continue
            try:
                message = entry.load()
            except (InputError, OSError, ValueError, KeyError, TypeError) as error:
                self.losses.add(entry.channel or ("poses", "annotations")[entry.kind], f"{self.path}: {error}")
                continue
            yield message


def read_json(path: Path) -> Any:
    """Read a JSON file of a dataset.

    Raises:
        LogError: It is missing or no JSON.

    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LogError(
            where=str(path), got=str(error), expected="a JSON file of the dataset", remedy="download this file again"
        ) from error
