"""The one stream of messages that every log gives, whatever it is stored as."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self, TypeAlias, runtime_checkable

from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, Modality, RadarScan

SensorMessage: TypeAlias = CameraFrame | LidarSweep | RadarScan
Message: TypeAlias = CameraFrame | LidarSweep | RadarScan | EgoPose | Annotations


@dataclass
class Losses:
    """What a damaged log could not deliver; complete once its messages were read to the end.

    Args:
        messages: Messages known to be lost, by channel or topic; `unknown` counts messages whose topic is lost with
            them, and damaged places whose number of messages cannot be known.
        details: One sentence per damaged place: where, what, what was done.

    """

    messages: dict[str, int] = field(default_factory=dict[str, int])
    details: list[str] = field(default_factory=list[str])
    _alike: set[str] = field(default_factory=set[str], repr=False, compare=False)

    def add(self, channel: str, detail: str, count: int = 1) -> None:
        """Count lost messages of a channel and say why."""
        self.messages[channel] = self.messages.get(channel, 0) + count
        self.details.append(detail)

    def add_alike(self, channel: str, detail: str) -> None:
        """Count a lost message of a channel, and say why once for all of them that are lost for the same cause."""
        self.tell(detail)
        self.messages[channel] = self.messages.get(channel, 0) + 1

    def tell(self, detail: str) -> None:
        """Say once what is not as it should be, though nothing is lost by it."""
        if detail not in self._alike:
            self._alike.add(detail)
            self.details.append(detail)

    def with_undecoded(self, pictures: Mapping[str, int]) -> Losses:
        """These, and before them pictures by channel that only whoever decoded them found to be broken."""
        if not pictures:
            return self
        counts = ", ".join(f"{count} of {channel}" for channel, count in sorted(pictures.items()))
        channels = sorted({*self.messages, *pictures})
        return Losses(
            messages={channel: self.messages.get(channel, 0) + pictures.get(channel, 0) for channel in channels},
            details=[f"pictures that do not decode, and that ticks went without: {counts}", *self.details],
        )

    @property
    def total(self) -> int:
        """All messages known to be lost."""
        return sum(self.messages.values())


class DrivingLog(Protocol):
    """A recorded or synthetic drive.

    Attributes:
        path: Where it is stored.
        kind: What it is stored as: `tricast`, `aimotive`, `argoverse2`, `kitti_raw`, `nuscenes`, `view_of_delft`.
        rig: Calibration of every sensor.
        start_ns: Arrival time (`received_ns`) of the log's first sensor message or pose.
        end_ns: Arrival time of its last.
        losses: What could not be read so far.

    """

    @property
    def path(self) -> Path: ...

    @property
    def kind(self) -> str: ...

    @property
    def rig(self) -> Rig: ...

    @property
    def start_ns(self) -> int: ...

    @property
    def end_ns(self) -> int: ...

    @property
    def losses(self) -> Losses: ...

    def messages(self, *, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Message]:
        """Messages in order of arrival (`stream_order`), from `start_ns` up to and including `end_ns`.

        Each call starts over, and holds no more than a bounded number of messages at a time.
        """
        ...


class LogView:
    """A log seen through something, which overrides what it changes.

    Args:
        log: The log behind it.

    """

    def __init__(self, log: DrivingLog) -> None:
        self._log = log

    def __copy__(self) -> Self:
        """A view of a log of its own, so that passes over both count their losses apart."""
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__, _log=copy.copy(self._log))
        return copied

    @property
    def path(self) -> Path:
        """See `DrivingLog`."""
        return self._log.path

    @property
    def kind(self) -> str:
        """See `DrivingLog`."""
        return self._log.kind

    @property
    def rig(self) -> Rig:
        """See `DrivingLog`."""
        return self._log.rig

    @property
    def start_ns(self) -> int:
        """See `DrivingLog`; of the log behind, so that ticks stay where they were."""
        return self._log.start_ns

    @property
    def end_ns(self) -> int:
        """See `DrivingLog`."""
        return self._log.end_ns

    @property
    def losses(self) -> Losses:
        """See `DrivingLog`; those of the log behind."""
        return self._log.losses


@dataclass(frozen=True, kw_only=True)
class ForeignMessage:
    """A message of a topic that Tricast does not read, as the log holds it.

    Args:
        topic: Its topic.
        channel_id: The log's number of the topic's channel: one topic may have several.
        schema: Name, encoding and text of its schema; None where the log states none.
        encoding: How `data` is encoded, such as `cdr`.
        metadata: The channel's metadata, QoS among it.
        log_time_ns: When it arrived.
        publish_time_ns: When it was sent.
        sequence: The sender's count.
        data: Its bytes.

    """

    topic: str
    channel_id: int
    schema: tuple[str, str, bytes] | None
    encoding: str
    metadata: dict[str, str]
    log_time_ns: int
    publish_time_ns: int
    sequence: int
    data: bytes


@runtime_checkable
class HoldsForeignTopics(Protocol):
    """A log that may hold topics besides those that Tricast reads."""

    def foreign_messages(self) -> Iterator[ForeignMessage]:
        """Their intact messages in order of arrival; a bounded number is held at a time."""
        ...


def foreign_messages(log: DrivingLog) -> Iterator[ForeignMessage]:
    """Messages of a log's foreign topics; none where its kind has no such topics."""
    return log.foreign_messages() if isinstance(log, HoldsForeignTopics) else iter(())


@runtime_checkable
class HoldsQos(Protocol):
    """A log that knows what its topics' publishers offered."""

    def offered_qos(self) -> dict[str, str]:
        """By topic, QoS as rosbag2 writes it."""
        ...


def offered_qos(log: DrivingLog) -> dict[str, str]:
    """What publishers of a log's topics offered when it was recorded; nothing where its kind does not know."""
    return log.offered_qos() if isinstance(log, HoldsQos) else {}


def stream_order(message: Message) -> tuple[int, int, str]:
    """Sort key of the stream: arrival, then poses before truth before sensors, then channel."""
    if isinstance(message, EgoPose):
        return message.received_ns, 0, ""
    if isinstance(message, Annotations):
        return message.received_ns, 1, ""
    return message.received_ns, 2, message.channel


def modality_of(message: SensorMessage) -> Modality:
    """What kind of sensor measured it."""
    if isinstance(message, CameraFrame):
        return "camera"
    return "lidar" if isinstance(message, LidarSweep) else "radar"


def why_left_out(message: Message, rig: Rig) -> str | None:
    """Why a message cannot be used with a calibration; None where it can."""
    if isinstance(message, EgoPose | Annotations):
        return None
    if message.channel not in rig:
        return no_calibration(message.channel)
    told, sent = rig[message.channel].modality, modality_of(message)
    if told == sent:
        return None
    return (
        f"{message.channel} is calibrated as a {told} and also sends {sent} data, which is left out; "
        f"give the {sent} a channel of its own, or another modality with --calibration rig.yaml"
    )


def no_calibration(channel: str) -> str:
    """Why messages of a channel without calibration cannot be used."""
    return f"{channel} has no calibration; its messages are left out; give one with --calibration rig.yaml"


def channel_of(message: Message) -> str:
    """Name under which a message is counted: its channel, or `poses` or `annotations`."""
    if isinstance(message, EgoPose):
        return "poses"
    return "annotations" if isinstance(message, Annotations) else message.channel
