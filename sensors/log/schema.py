"""ROS 2 message types of Tricast logs: the standard ones and `tricast_msgs`, with their schema texts."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

TRICAST_MSGS = Path(__file__).parent / "tricast_msgs" / "msg"


@cache
def typestore() -> Any:
    """The type store with `tricast_msgs` registered; message classes are in its `types`."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    types: dict[str, Any] = {}
    for path in sorted(TRICAST_MSGS.glob("*.msg")):
        types.update(get_types_from_msg(path.read_text(encoding="utf-8"), f"tricast_msgs/msg/{path.stem}"))
    store.register(types)
    return store


@cache
def message_class(type_name: str) -> Any:
    """The class of a message type such as `sensor_msgs/msg/PointCloud2`."""
    return typestore().types[type_name]


@cache
def schema_text(type_name: str) -> str:
    """The type's `.msg` text with those of all types it uses, as MCAP's `ros2msg` encoding wants it."""
    text, _ = typestore().generate_msgdef(type_name, ros_version=2)
    return text


@lru_cache(maxsize=16)
def _typestore_with(type_name: str, definition: bytes) -> Any:
    """The type store with one type more, and those that it uses. Another log may define the same type otherwise."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    types = get_types_from_msg(definition.decode(errors="replace"), type_name)
    store.register({name: fields for name, fields in types.items() if name not in store.types})
    return store


def serialize(message: Any) -> bytes:
    """CDR bytes of a message."""
    return bytes(typestore().serialize_cdr(message, message.__msgtype__))


def deserialize(data: bytes, type_name: str, definition: bytes | None = None) -> Any:
    """Message from CDR bytes; point data is a view, not a copy.

    Args:
        data: The bytes.
        type_name: Its type.
        definition: The `.msg` texts that came with it, by which a type is read that is not among the standard ones.

    """
    known = definition is None or type_name in typestore().types
    return (typestore() if known else _typestore_with(type_name, definition)).deserialize_cdr(data, type_name)


def stamp(timestamp_ns: int) -> Any:
    """A ROS time."""
    seconds, nanoseconds = divmod(timestamp_ns, 1_000_000_000)
    return message_class("builtin_interfaces/msg/Time")(sec=seconds, nanosec=nanoseconds)


def stamp_ns(time: Any) -> int:
    """Nanoseconds of a ROS time."""
    return int(time.sec) * 1_000_000_000 + int(time.nanosec)


def header(timestamp_ns: int, frame_id: str) -> Any:
    """A header with stamp and frame."""
    return message_class("std_msgs/msg/Header")(stamp=stamp(timestamp_ns), frame_id=frame_id)
