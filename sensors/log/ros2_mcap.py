"""Writing MCAP as ROS 2 recorders do: profile `ros2`, CDR, zstd chunks, QoS per channel, `metadata.yaml` beside it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from mcap.writer import CompressionType, Writer

from tricast.sensors.log.schema import schema_text, serialize

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


class Ros2McapWriter:
    """Writes ROS 2 messages to an MCAP file that gets its name only when it is whole.

    Args:
        path: The file to write; until it is closed its name ends in `.partial`.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._partial = path.with_name(path.name + ".partial")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._partial.open("wb")
        self._writer = Writer(self._file, compression=CompressionType.ZSTD)
        self._writer.start(profile="ros2", library="tricast")
        self._channels: dict[str, tuple[int, str]] = {}
        self._counts: dict[str, int] = {}
        self._first_ns: int | None = None
        self._last_ns = 0

    def __enter__(self) -> Ros2McapWriter:
        return self

    def write(self, topic: str, message: Any, log_time_ns: int) -> None:
        """Append a message of the type store."""
        self.write_raw(topic, message.__msgtype__, serialize(message), log_time_ns)

    def write_raw(self, topic: str, type_name: str, data: bytes, log_time_ns: int, schema: bytes | None = None) -> None:
        """Append CDR bytes of a type; `schema` is needed for types that the type store does not know."""
        if topic not in self._channels:
            text = schema_text(type_name).encode() if schema is None else schema
            schema_id = self._writer.register_schema(type_name, "ros2msg", text)
            qos = {"offered_qos_profiles": qos_profiles(topic in LATCHED_TOPICS)}
            channel_id = self._writer.register_channel(topic, "cdr", schema_id, qos)
            self._channels[topic] = (channel_id, type_name)
        self._writer.add_message(self._channels[topic][0], log_time_ns, data, log_time_ns, self._counts.get(topic, 0))
        self._counts[topic] = self._counts.get(topic, 0) + 1
        self._first_ns = log_time_ns if self._first_ns is None else min(self._first_ns, log_time_ns)
        self._last_ns = max(self._last_ns, log_time_ns)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._writer.finish()
        self._file.close()
        if kind is None:
            self._partial.replace(self.path)
            self._write_metadata()

    def _write_metadata(self) -> None:
        """Write rosbag2's description, unless one that belongs to another file lies here."""
        target = self.path.with_name("metadata.yaml")
        if target.exists() and f"- {self.path.name}\n" not in target.read_text(encoding="utf-8", errors="replace"):
            return
        first_ns = self._first_ns or 0
        topics = [
            {
                "topic_metadata": {
                    "name": topic,
                    "type": type_name,
                    "serialization_format": "cdr",
                    "offered_qos_profiles": qos_profiles(topic in LATCHED_TOPICS),
                },
                "message_count": self._counts[topic],
            }
            for topic, (_, type_name) in self._channels.items()
        ]
        information = {
            "version": METADATA_VERSION,
            "storage_identifier": "mcap",
            "relative_file_paths": [self.path.name],
            "duration": {"nanoseconds": max(0, self._last_ns - first_ns)},
            "starting_time": {"nanoseconds_since_epoch": first_ns},
            "message_count": sum(self._counts.values()),
            "topics_with_message_count": topics,
            "compression_format": "",
            "compression_mode": "",
        }
        target.write_text(
            yaml.safe_dump({"rosbag2_bagfile_information": information}, sort_keys=False), encoding="utf-8"
        )
