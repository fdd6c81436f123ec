"""Writing MCAP as ROS 2 recorders do: profile `ros2`, CDR, zstd chunks, QoS per channel, `metadata.yaml` beside it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import yaml
from mcap.writer import CompressionType, Writer

from tricast.configs.disk import partial_of, writing
from tricast.sensors.errors import LogError
from tricast.sensors.log.schema import schema_text, serialize
from tricast.sensors.log.stream import ForeignMessage

LATCHED_TOPICS = ("/tf_static",)
METADATA_VERSION = 5


def qos_profiles(latched: bool) -> str:
    """QoS as rosbag2 stores it, in numbers: older players read nothing else."""
    forever = {"sec": 0, "nsec": 0}
    profile = {
        "history": 1,
        "depth": 1 if latched else 10,
        "reliability": 1,
        "durability": 1 if latched else 2,
        "deadline": dict(forever),
        "lifespan": dict(forever),
        "liveliness": 1,
        "liveliness_lease_duration": dict(forever),
        "avoid_ros_namespace_conventions": False,
    }
    return yaml.safe_dump([profile], sort_keys=False)


@dataclass
class _Topic:
    """A channel of the file being written, as `metadata.yaml` describes it."""

    topic: str
    type_name: str
    encoding: str
    qos: str
    channel_id: int
    count: int = 0


class Ros2McapWriter:
    """Writes ROS 2 messages to an MCAP file that gets its name only when it is whole.

    Args:
        path: The file to write; until it is closed its name ends in `.partial`.

    Raises:
        LogError: The file cannot be made.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._partial = partial_of(path)
        self._file = _opened(path, self._partial)
        self._writer = Writer(self._file, compression=CompressionType.ZSTD)
        self._writer.start(profile="ros2", library="tricast")
        self._topics: dict[str, _Topic] = {}
        self._copied: dict[int, _Topic] = {}
        self._first_ns: int | None = None
        self._last_ns = 0

    def __enter__(self) -> Ros2McapWriter:
        return self

    def write(self, topic: str, message: Any, log_time_ns: int) -> None:
        """Append a message of the type store.

        Raises:
            InputError: The disk is full, or takes no more for another reason.

        """
        with writing(self.path):
            self._write(topic, message, log_time_ns)

    def _write(self, topic: str, message: Any, log_time_ns: int) -> None:
        if topic not in self._topics:
            type_name = message.__msgtype__
            schema_id = self._writer.register_schema(type_name, "ros2msg", schema_text(type_name).encode())
            qos = {"offered_qos_profiles": qos_profiles(topic in LATCHED_TOPICS)}
            channel_id = self._writer.register_channel(topic, "cdr", schema_id, qos)
            self._topics[topic] = _Topic(topic, type_name, "cdr", qos["offered_qos_profiles"], channel_id)
        entry = self._topics[topic]
        self._writer.add_message(entry.channel_id, log_time_ns, serialize(message), log_time_ns, entry.count)
        self._count(entry, log_time_ns)

    def copy(self, message: ForeignMessage) -> None:
        """Append a message of another log as it is: bytes, schema, metadata, times and sequence.

        Raises:
            InputError: As for `write`.

        """
        with writing(self.path):
            self._copy(message)

    def _copy(self, message: ForeignMessage) -> None:
        key = message.channel_id
        if key not in self._copied:
            name, encoding, text = message.schema or ("", "", b"")
            schema_id = 0 if message.schema is None else self._writer.register_schema(name, encoding, text)
            channel_id = self._writer.register_channel(message.topic, message.encoding, schema_id, message.metadata)
            qos = message.metadata.get("offered_qos_profiles", "")
            self._copied[key] = _Topic(message.topic, name, message.encoding, qos, channel_id)
        entry = self._copied[key]
        self._writer.add_message(
            entry.channel_id, message.log_time_ns, message.data, message.publish_time_ns, message.sequence
        )
        self._count(entry, message.log_time_ns)

    def _count(self, entry: _Topic, log_time_ns: int) -> None:
        entry.count += 1
        self._first_ns = log_time_ns if self._first_ns is None else min(self._first_ns, log_time_ns)
        self._last_ns = max(self._last_ns, log_time_ns)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            # What went wrong first is what is told.
            with suppress(OSError):
                self._writer.finish()
            with suppress(OSError):
                self._file.close()
            return
        with writing(self.path):
            try:
                self._writer.finish()
            finally:
                self._file.close()
            self._partial.replace(self.path)
        self._write_metadata()

    def _write_metadata(self) -> None:
        """Write rosbag2's description, unless one that belongs to another file lies here."""
        target = self.path.with_name("metadata.yaml")
        partial = partial_of(target)
        try:
            if target.exists() and f"- {self.path.name}\n" not in target.read_text(encoding="utf-8", errors="replace"):
                return
            partial.write_text(yaml.safe_dump(self._described(), sort_keys=False), encoding="utf-8")
            partial.replace(target)
        except OSError as error:
            raise LogError(
                where=str(target),
                got=error.strerror or str(error),
                expected="a place for rosbag2's description of the file",
                remedy=f"make room there; {self.path.name} itself is whole",
            ) from error

    def _described(self) -> dict[str, Any]:
        """The file as rosbag2 describes it."""
        first_ns = self._first_ns or 0
        entries = [*self._topics.values(), *self._copied.values()]
        topics = [
            {
                "topic_metadata": {
                    "name": entry.topic,
                    "type": entry.type_name,
                    "serialization_format": entry.encoding,
                    "offered_qos_profiles": entry.qos,
                },
                "message_count": entry.count,
            }
            for entry in entries
        ]
        information = {
            "version": METADATA_VERSION,
            "storage_identifier": "mcap",
            "relative_file_paths": [self.path.name],
            "duration": {"nanoseconds": max(0, self._last_ns - first_ns)},
            "starting_time": {"nanoseconds_since_epoch": first_ns},
            "message_count": sum(entry.count for entry in entries),
            "topics_with_message_count": topics,
            "compression_format": "",
            "compression_mode": "",
        }
        return {"rosbag2_bagfile_information": information}


def _opened(path: Path, partial: Path) -> BinaryIO:
    """The unfinished file, open for writing."""
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path.parent.mkdir(parents=True, exist_ok=True)
        return partial.open("wb")
    except OSError as error:
        raise LogError(
            where=str(path),
            got=error.strerror or str(error),
            expected="the name of a file that can be written",
            remedy="choose another --out",
        ) from error
