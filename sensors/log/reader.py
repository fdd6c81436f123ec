"""Reading Tricast logs: CRC checked, memory bounded, and every intact message of a damaged file delivered."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from mcap.records import Channel, Schema
from mcap.records import Message as McapMessage

from tricast.configs.errors import InputError
from tricast.sensors.calibration import Rig, check_calibrated
from tricast.sensors.errors import LogError
from tricast.sensors.frames import Modality
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log import messages as ros
from tricast.sensors.log.chunks import MAGIC, ChunkPlace, DamagedChunkError, records, scan
from tricast.sensors.log.cloud_messages import point_cloud
from tricast.sensors.log.own_rig import OwnRig
from tricast.sensors.log.radar_scan_messages import RADAR_SCAN, radar_scan
from tricast.sensors.log.schema import deserialize
from tricast.sensors.log.sensor_topics import CLOUD, COMPRESSED_IMAGE, IMAGE, sensor_of
from tricast.sensors.log.stream import ForeignMessage, Losses, Message, channel_of, stream_order, why_left_out
from tricast.sensors.log.transform_buffer import TransformBuffer, frame_named
from tricast.sensors.log.writer import ODOMETRY_TOPIC, TRUTH_TOPIC

ODOMETRY = "nav_msgs/msg/Odometry"
WRITTEN_BESIDE = (("/tf", "tf2_msgs/msg/TFMessage"), ("/tf_static", "tf2_msgs/msg/TFMessage"))
"""Topics and types that are not in the stream and that every Tricast log gets of poses and rig."""

T = TypeVar("T")


class McapLog:
    """A Tricast log. See `DrivingLog` for the attributes.

    Args:
        path: The MCAP file.
        rig: Calibration to use in place of the file's own.

    Raises:
        LogError: The file is missing, empty, no MCAP, or holds nothing that Tricast reads.

    """

    kind = "tricast"

    def __init__(self, path: Path, rig: Rig | None = None) -> None:
        self.path = path
        _check_magic(path)
        layout = scan(path)
        self._chunks = sorted(layout.chunks, key=lambda chunk: (chunk.start_ns, chunk.offset))
        self._channels: dict[int, Channel] = dict(layout.channels)
        self._schemas: dict[int, Schema] = dict(layout.schemas)
        self._outer_damage = layout.damage
        self.losses = Losses()
        self._oddities = [f"{path}: {place}" for place in layout.oddities]
        self._tables_whole = False
        self._odometry: bool | None = None
        self._frames = TransformBuffer()
        self._not_searched = iter(self._chunks)
        self._fixed: dict[str, SE3 | None] = {}
        self._first_look(rig)

    def messages(self, *, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Message]:
        """See `DrivingLog.messages`; losses are counted anew by each call."""
        self.losses = Losses()
        for place in self._outer_damage:
            self.losses.add("unknown", f"{self.path}: {place}")
        for oddity in self._oddities:
            self.losses.tell(oddity)
        chunks = [
            chunk
            for chunk in self._chunks
            if (start_ns is None or chunk.end_ns >= start_ns) and (end_ns is None or chunk.start_ns <= end_ns)
        ]
        for message in _in_order(chunks, self._decoded, stream_order):
            late = end_ns is not None and message.received_ns > end_ns
            if not late and (start_ns is None or message.received_ns >= start_ns):
                yield message

    def offered_qos(self) -> dict[str, str]:
        """By topic, the QoS that its publisher offered when it was recorded, as rosbag2 writes it."""
        return {
            c.topic: c.metadata["offered_qos_profiles"]
            for c in self._channels.values()
            if c.metadata.get("offered_qos_profiles")
        }

    def foreign_messages(self) -> Iterator[ForeignMessage]:
        """See `HoldsForeignTopics`."""
        return _in_order(self._chunks, self._foreign, lambda m: (m.log_time_ns, m.channel_id, m.topic))

    def _foreign(self, chunk: ChunkPlace) -> Iterator[ForeignMessage]:
        for schema, channel, record in self._raw(chunk, count_losses=False):
            if schema is not None and self._is_known(channel.topic, schema.name):
                continue
            yield ForeignMessage(
                topic=channel.topic,
                channel_id=channel.id,
                schema=None if schema is None else (schema.name, schema.encoding, schema.data),
                encoding=channel.message_encoding,
                metadata=dict(channel.metadata),
                log_time_ns=record.log_time,
                publish_time_ns=record.publish_time,
                sequence=record.sequence,
                data=record.data,
            )

    def _is_known(self, topic: str, type_name: str) -> bool:
        """Whether a topic enters the stream, or is written anew from what does."""
        beside = (topic, type_name) in WRITTEN_BESIDE or sensor_of(topic, type_name) is not None
        return beside or self._decoder(topic, type_name) is not None

    def _raw(self, chunk: ChunkPlace, *, count_losses: bool) -> Iterator[tuple[Schema | None, Channel, McapMessage]]:
        try:
            parts = records(self.path, chunk)
        except DamagedChunkError as error:
            if count_losses:
                self._count_lost_chunk(chunk, str(error))
            return
        self._note_tables(parts)
        for record in parts:
            if not isinstance(record, McapMessage):
                continue
            channel = self._channel(record.channel_id)
            if channel is not None:
                yield self._schemas.get(channel.schema_id), channel, record
            elif count_losses:
                self.losses.add_alike(
                    "unknown",
                    f"{self.path}: what names the topic of channel {record.channel_id} is lost to damage; "
                    "so are its messages",
                )

    def _note_tables(self, parts: list[Schema | Channel | McapMessage]) -> None:
        for record in parts:
            if isinstance(record, Schema):
                self._schemas[record.id] = record
            elif isinstance(record, Channel):
                self._channels[record.id] = record

    def _channel(self, channel_id: int) -> Channel | None:
        """A channel by its number; one that is not known is looked for in all of the file, once."""
        if channel_id not in self._channels and not self._tables_whole:
            self._tables_whole = True
            for chunk in self._chunks:
                with suppress(DamagedChunkError):
                    self._note_tables([] if chunk.loose else records(self.path, chunk))
        return self._channels.get(channel_id)

    def _count_lost_chunk(self, chunk: ChunkPlace, detail: str) -> None:
        detail = f"{self.path}: {detail}; the other chunks are read"
        lost = {self._channels[i].topic: n for i, n in chunk.counts.items() if i in self._channels and n}
        for topic, count in lost.items():
            self.losses.messages[topic] = self.losses.messages.get(topic, 0) + count
        if lost:
            self.losses.details.append(f"{detail}; {sum(lost.values())} messages lost")
        else:
            self.losses.add("unknown", detail)

    def _decoded(self, chunk: ChunkPlace) -> Iterator[Message]:
        for schema, channel, record in self._raw(chunk, count_losses=True):
            decode = self._decoder(channel.topic, schema.name) if schema is not None else None
            if decode is None or schema is None:
                continue
            try:
                message = decode(_content(schema, record), record.log_time)
            except InputError as error:
                self.losses.add(channel.topic, f"{self.path}: {channel.topic} at {record.log_time} ns: {error}")
                continue
            except Exception as error:  # rosbags raises many kinds on bytes that are not the type's
                self.losses.add(
                    channel.topic,
                    f"{self.path}: {channel.topic} at {record.log_time} ns: not a {schema.name} ({error})",
                )
                continue
            if message is None:
                continue
            if (reason := why_left_out(message, self.rig)) is not None:
                self.losses.add_alike(channel_of(message), f"{self.path}: {reason}")
                continue
            yield message

    def _decoder(self, topic: str, type_name: str) -> Callable[[Any, int], Message | None] | None:
        if topic == ODOMETRY_TOPIC and type_name == ODOMETRY:
            return self._pose
        if (topic, type_name) == WRITTEN_BESIDE[0] and not self._has_odometry():
            return lambda message, received_ns: ros.transform_pose(message, self._fixed_from_ego, received_ns)
        if topic == TRUTH_TOPIC:
            return ros.annotations_of
        channel = sensor_of(topic, type_name)
        if channel is not None and type_name == CLOUD:
            return lambda message, received_ns: point_cloud(message, channel, received_ns, self._modality(channel))
        if channel is not None and type_name in (COMPRESSED_IMAGE, IMAGE):
            return lambda message, received_ns: ros.camera_frame(message, channel, received_ns)
        if channel is not None and type_name == RADAR_SCAN:
            return lambda message, received_ns: radar_scan(message, channel, received_ns)
        return None

    def _modality(self, channel: str) -> Modality | None:
        return self.rig[channel].modality if channel in self.rig else None

    def _has_odometry(self) -> bool:
        """Whether the file holds odometry: a channel of that name without messages, or of another type, has no pose."""
        if self._odometry is None:
            self._odometry = any(self._holds(chunk, ODOMETRY_TOPIC, ODOMETRY) for chunk in self._chunks)
        return self._odometry

    def _holds(self, chunk: ChunkPlace, topic: str, type_name: str) -> bool:
        """Whether a chunk holds messages of a topic and type; it is read only where its index does not tell."""
        told = self._index_tells(chunk, topic, type_name)
        if told is not None:
            return told
        held = self._raw(chunk, count_losses=False)
        return any(schema is not None and (c.topic, schema.name) == (topic, type_name) for schema, c, _ in held)

    def _index_tells(self, chunk: ChunkPlace, topic: str, type_name: str) -> bool | None:
        """Whether a chunk holds messages of a topic and type by its index; None where it has none, or names others."""
        if not chunk.counts or not chunk.counts.keys() <= self._channels.keys():
            return None
        channels = [self._channels[channel_id] for channel_id, count in chunk.counts.items() if count]
        schemas = [self._schemas.get(channel.schema_id) for channel in channels if channel.topic == topic]
        return any(schema is not None and schema.name == type_name for schema in schemas)

    def _pose(self, message: Any, received_ns: int) -> Message:
        frame = frame_named(message.child_frame_id, ros.EGO_FRAME)
        fixed = self._fixed_from_ego(frame)
        if fixed is None:
            self.losses.tell(
                f"{self.path}: {ODOMETRY_TOPIC} tells the poses of '{frame}', which no static transform joins to "
                f"{ros.EGO_FRAME}; they are taken as its own"
            )
        return ros.ego_pose(message, received_ns, None if frame == ros.EGO_FRAME else fixed)

    def _fixed_from_ego(self, frame: str) -> SE3 | None:
        """The ego frame in another that is fixed to it; None where no static transforms join them."""
        if frame == ros.EGO_FRAME:
            return SE3()
        if frame not in self._fixed:
            self._fixed[frame] = self._search_fixed(frame)
        return self._fixed[frame]

    def _search_fixed(self, frame: str) -> SE3 | None:
        """Take in static transforms, which may lie anywhere in the file, until they join a frame to the ego frame."""
        while (pose := self._frames.lookup(frame, ros.EGO_FRAME)) is None:
            chunk = next(self._not_searched, None)
            if chunk is None:
                return None
            if self._index_tells(chunk, *WRITTEN_BESIDE[1]) is False:
                continue
            for schema, channel, record in self._raw(chunk, count_losses=False):
                if schema is not None and (channel.topic, schema.name) == WRITTEN_BESIDE[1]:
                    with suppress(Exception):  # rosbags raises many kinds; other transforms of it may be sound
                        self._frames.add_message(_content(schema, record), static=True)
        return pose

    def _first_look(self, rig: Rig | None) -> None:
        """Find calibration, first and last arrival; reads as few chunks as that takes."""
        self.rig = rig or self._own_rig()
        self.start_ns = self._edge(self._chunks, lambda chunk: chunk.start_ns, min)
        by_end = sorted(self._chunks, key=lambda chunk: chunk.end_ns, reverse=True)
        self.end_ns = self._edge(by_end, lambda chunk: chunk.end_ns, max)
        check_calibrated(self.rig, self._recorded_sensors(), where=str(self.path))

    def _recorded_sensors(self) -> Iterator[str]:
        for channel in self._channels.values():
            schema = self._schemas.get(channel.schema_id)
            name = None if schema is None else sensor_of(channel.topic, schema.name)
            if schema is not None and name is not None and self._decoder(channel.topic, schema.name) is not None:
                yield name

    def _edge(
        self, chunks: list[ChunkPlace], reach: Callable[[ChunkPlace], int], best: Callable[[list[int]], int]
    ) -> int:
        """First or last arrival; `chunks` come in order of `reach`, what is the best that each may hold."""
        found: list[int] = []
        for chunk in chunks:
            if found and best([*found, reach(chunk)]) == found[0]:
                break
            times = [
                record.log_time
                for schema, channel, record in self._raw(chunk, count_losses=False)
                if schema is not None
                and channel.topic != TRUTH_TOPIC
                and self._decoder(channel.topic, schema.name) is not None
            ]
            if times:
                found = [best(found + times)]
        if found:
            return found[0]
        raise LogError(
            where=str(self.path),
            got="no readable sensor message or pose" + (f" ({self._outer_damage[0]})" if self._outer_damage else ""),
            expected="topics such as /sensors/<channel>/points or /odometry",
            remedy="record the log again, or write one with tricast convert",
        )

    def _own_rig(self) -> Rig:
        own = OwnRig(str(self.path))
        for chunk in self._chunks:
            for schema, channel, record in self._raw(chunk, count_losses=False):
                if schema is None or not own.wants(channel.topic, schema.name):
                    continue
                try:
                    content = _content(schema, record)
                except Exception:  # bytes that are not the type's: counted as lost when the stream is read
                    continue
                own.add(channel.topic, schema.name, content)
            if own.complete(self._sensors()) and self._tables_known():
                break
        rig = own.rig()
        self._oddities.extend(own.oddities())
        return rig

    def _sensors(self) -> set[str]:
        """Every sensor that a topic known so far names."""
        schemas = {channel.topic: self._schemas.get(channel.schema_id) for channel in self._channels.values()}
        found = {sensor_of(topic, schema.name) for topic, schema in schemas.items() if schema is not None}
        return {name for name in found if name is not None}

    def _tables_known(self) -> bool:
        """Whether all channels of the file are known: by its summary, or from the chunks read so far."""
        return all(chunk.counts and chunk.counts.keys() <= self._channels.keys() for chunk in self._chunks)


def _in_order(
    chunks: list[ChunkPlace], read: Callable[[ChunkPlace], Iterator[T]], key: Callable[[T], tuple[int, int, str]]
) -> Iterator[T]:
    """What chunks hold, by a key that begins with the arrival; holds the messages of chunks that overlap."""
    heap: list[tuple[tuple[int, int, str], int, T]] = []
    serial = 0
    for chunk in chunks:
        while heap and heap[0][0][0] < chunk.start_ns:
            yield heapq.heappop(heap)[2]
        for message in read(chunk):
            heapq.heappush(heap, (key(message), serial, message))
            serial += 1
    while heap:
        yield heapq.heappop(heap)[2]


def _content(schema: Schema, record: McapMessage) -> Any:
    """What a message holds, by the definition in the file where its type is not a standard one."""
    return deserialize(record.data, schema.name, schema.data if schema.encoding == "ros2msg" else None)


def _check_magic(path: Path) -> None:
    try:
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
    except OSError as error:
        raise LogError(
            where=str(path), got=error.strerror or str(error), expected="a readable log", remedy="check the path"
        ) from error
    if head != MAGIC:
        raise LogError(
            where=f"{path}: byte 0",
            got="an empty file" if not head else f"bytes {head!r}",
            expected="an MCAP file",
            remedy="check that this is a Tricast log, not another file",
        )
