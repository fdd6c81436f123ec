"""A recording kept as one file per message, read lazily in order of arrival."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.configs.errors import InputError
from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig, check_calibrated
from tricast.sensors.errors import LogError, SensorDataError, cause_of
from tricast.sensors.frames import CameraFrame, EgoPose
from tricast.sensors.log.stream import Losses, Message, no_calibration, stream_order, why_left_out

POSE, TRUTH, SENSOR = range(3)
"""Rank of a message among those that arrive at the same time, as in `stream_order`."""

POSE_CHANNEL, TRUTH_CHANNEL = "odometry", "truth"
"""What losses of poses and truth are counted under."""

IMAGE_ENDS = {"jpeg": (b"\xff\xd8", b"\xff\xd9"), "png": (b"\x89PNG", b"IEND")}
"""First bytes of an image file, and a mark that a whole one has within its last bytes."""


@dataclass(frozen=True, kw_only=True)
class Mended:
    """A message that could be read, though something beside it is not as it should be.

    Args:
        message: What was read.
        oddity: What is wrong, and what was done about it; it is told, and nothing is counted as lost.

    """

    message: Message
    oddity: str


@dataclass(frozen=True, kw_only=True)
class PlannedMessage:
    """One message that a recording should hold, not read yet.

    Args:
        rank: `POSE`, `TRUTH` or `SENSOR`.
        channel: The sensor's channel; `odometry` or `truth` for the others.
        earliest_ns: It arrives no earlier.
        latest_ns: It arrives no later.
        load: Reads it; `Mended` where there is something to tell. Bytes that are not what they should be show as
            ValueError (every InputError is one), KeyError, TypeError or IndexError, a missing file as OSError.

    """

    rank: int
    channel: str
    earliest_ns: int
    latest_ns: int
    load: Callable[[], Message | Mended]

    @property
    def earliest(self) -> tuple[int, int, str]:
        """Lower bound of the message's place in `stream_order`."""
        return self.earliest_ns, self.rank, self.channel if self.rank == SENSOR else ""


class RecordedLog:
    """The `DrivingLog` of a recording whose messages are planned from file names and tables.

    Args:
        path: What the user named.
        kind: What it is.
        rig: Calibration of every sensor; messages of other channels are losses.
        plan: Every message that should be there, in any order.

    Raises:
        CalibrationError: The rig has none of the recording's sensors.
        LogError: Not one sensor message or pose can be read.

    """

    def __init__(self, path: Path, kind: str, rig: Rig, plan: Iterable[PlannedMessage]) -> None:
        self.path = path
        self.kind = kind
        self.rig = rig
        self.losses = Losses()
        self._plan = sorted(plan, key=lambda p: (p.earliest, p.channel))
        check_calibrated(rig, (p.channel for p in self._plan if p.rank == SENSOR), where=str(path))
        self.start_ns = self._first_arrival()
        self.end_ns = self._last_arrival()

    def messages(self, *, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Message]:
        """See `DrivingLog.messages`; losses are counted anew by each call."""
        self.losses = Losses()
        yield from self._messages(self.losses, start_ns, end_ns)

    def _messages(self, losses: Losses, start_ns: int | None, end_ns: int | None) -> Iterator[Message]:
        heap: list[tuple[tuple[int, int, str], int, Message]] = []
        for serial, planned in enumerate(self._plan):
            if end_ns is not None and planned.earliest_ns > end_ns:
                break
            if start_ns is not None and planned.latest_ns < start_ns:
                continue
            while heap and heap[0][0] < planned.earliest:
                yield heapq.heappop(heap)[2]
            message = self._loaded(planned, losses)
            if message is None or (start_ns is not None and message.received_ns < start_ns):
                continue
            if end_ns is None or message.received_ns <= end_ns:
                heapq.heappush(heap, (stream_order(message), serial, message))
        while heap:
            yield heapq.heappop(heap)[2]

    def _loaded(self, planned: PlannedMessage, losses: Losses) -> Message | None:
        if planned.rank == SENSOR and planned.channel not in self.rig:
            losses.add_alike(planned.channel, f"{self.path}: {no_calibration(planned.channel)}")
            return None
        try:
            loaded = planned.load()
        except InputError as error:
            losses.add(planned.channel, f"{self.path}: {error}; this message is left out")
        except OSError as error:
            losses.add(planned.channel, f"{error.filename}: {error.strerror}; this message is left out")
        except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
            place = f"{self.path}: {planned.channel} at {planned.earliest_ns} ns"
            losses.add(planned.channel, f"{place}: broken data ({cause_of(error)}); this message is left out")
        else:
            message = loaded.message if isinstance(loaded, Mended) else loaded
            if isinstance(loaded, Mended):
                losses.tell(f"{self.path}: {loaded.oddity}")
            if (reason := why_left_out(message, self.rig)) is None:
                return message
            losses.add_alike(planned.channel, f"{self.path}: {reason}")
        return None

    def _first_arrival(self) -> int:
        for message in self._messages(Losses(), None, None):
            if not isinstance(message, Annotations):
                return message.received_ns
        raise LogError(
            where=str(self.path),
            got=f"no readable sensor data among {len(self._plan)} files and table rows",
            expected=f"a {self.kind} recording with sensor data",
            remedy="check that the download is complete",
        )

    def _last_arrival(self) -> int:
        last, losses = self.start_ns, Losses()
        for planned in sorted(self._plan, key=lambda p: -p.latest_ns):
            if planned.latest_ns <= last:
                break
            message = self._loaded(planned, losses) if planned.rank != TRUTH else None
            if message is not None:
                last = max(last, message.received_ns)
        return last


def planned_poses(poses: Iterable[EgoPose]) -> Iterator[PlannedMessage]:
    """Poses that are in memory already, as part of a plan."""
    for pose in poses:
        at_ns = pose.received_ns
        yield PlannedMessage(
            rank=POSE, channel=POSE_CHANNEL, earliest_ns=at_ns, latest_ns=at_ns, load=lambda pose=pose: pose
        )


def only_one(found: list[Path], path: Path, *, kind: str, folder: str) -> Path:
    """The one recording that was found under a path.

    Args:
        found: Folders of recordings.
        path: What was named.
        kind: What they are called, many of them, e.g. "aiMotive sequences".
        folder: What one of them is called, e.g. "sequence".

    Raises:
        LogError: There is none, or more than one.

    """
    if len(found) == 1:
        return found[0]
    raise LogError(
        where=str(path),
        got=f"{len(found)} {kind}",
        expected="one",
        remedy=f"name the {folder}'s folder" if found else "check the path",
    )


def planned_sensor(channel: str, timestamp_ns: int, load: Callable[[], Message | Mended]) -> PlannedMessage:
    """A sensor message that arrives when it is stamped."""
    return PlannedMessage(rank=SENSOR, channel=channel, earliest_ns=timestamp_ns, latest_ns=timestamp_ns, load=load)


def planned_truth(timestamp_ns: int, load: Callable[[], Annotations | Mended]) -> PlannedMessage:
    """Truth at its own time."""
    return PlannedMessage(
        rank=TRUTH, channel=TRUTH_CHANNEL, earliest_ns=timestamp_ns, latest_ns=timestamp_ns, load=load
    )


def read_json(path: Path) -> Any:
    """Read one JSON document.

    Raises:
        OSError: The file is missing or unreadable.
        LogError: It is not JSON.

    """
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise LogError(
            where=str(path),
            got=f"bytes that are not JSON ({error})",
            expected="a JSON document",
            remedy="download the file again",
        ) from error


def read_camera_frame(path: Path, channel: str, timestamp_ns: int) -> CameraFrame:
    """Read an image file as it is, without decoding it.

    Raises:
        OSError: The file is missing or unreadable.
        SensorDataError: It is not a whole JPEG or PNG file.

    """
    data = path.read_bytes()
    for encoding, (head, tail) in IMAGE_ENDS.items():
        if data.startswith(head) and tail in data[-64:]:
            return CameraFrame(
                channel=channel,
                timestamp_ns=timestamp_ns,
                received_ns=timestamp_ns,
                encoding="jpeg" if encoding == "jpeg" else "png",
                data=data,
            )
    raise SensorDataError(
        where=str(path),
        got=f"{len(data)} bytes that are not a whole image",
        expected="a JPEG or PNG file",
        remedy="download the file again",
    )


def read_float_table(path: Path, columns: int, *, min_rows: int = 0) -> NDArray[np.float32]:
    """Read a file of bare little-endian float32 numbers as (N, columns).

    Raises:
        OSError: The file is missing or unreadable.
        SensorDataError: It does not hold whole rows, or fewer than `min_rows`.

    """
    data = path.read_bytes()
    rows, rest = divmod(len(data), 4 * columns)
    if rest or rows < min_rows:
        raise SensorDataError(
            where=str(path),
            got=f"{len(data)} bytes",
            expected=f"{4 * columns} for each point, at least {min_rows} points",
            remedy="download the file again",
        )
    return np.frombuffer(data, "<f4").reshape(rows, columns)
