"""Pictures that turn out not to decode, counted by whoever decodes them."""

from __future__ import annotations

from collections import deque
from threading import Lock

from tricast.sensors.frames import CameraFrame

RECENT = 256
"""How many of the last ones are known again: a picture may be in several ticks."""


class UndecodedPictures:
    """Counts pictures that do not decode, each once however many ticks it is in; for several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._recent: deque[tuple[str, int]] = deque(maxlen=RECENT)
        self._all: dict[str, int] = {}
        self._behind_header: dict[str, int] = {}

    def note(self, image: CameraFrame) -> None:
        """Count a picture."""
        named = (image.channel, image.timestamp_ns)
        with self._lock:
            if named in self._recent:
                return
            self._recent.append(named)
            counts = [self._all] if image.header_size_px() is None else [self._all, self._behind_header]
            for count in counts:
                count[image.channel] = count.get(image.channel, 0) + 1

    def by_channel(self) -> dict[str, int]:
        """How many there were so far."""
        with self._lock:
            return dict(self._all)

    def behind_header(self) -> dict[str, int]:
        """Of how many of them the header is whole, so that nobody knew before they were decoded."""
        with self._lock:
            return dict(self._behind_header)
