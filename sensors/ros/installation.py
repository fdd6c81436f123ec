"""What of ROS 2 is installed in this Python: `rclpy`, and the message packages, which are all optional."""

from __future__ import annotations

import importlib
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from rosbags.typesys import get_types_from_msg

from tricast.configs.errors import InputError
from tricast.sensors.log.schema import typestore


def ros_module(name: str) -> Any:
    """A module of `rclpy` or of a message package.

    Raises:
        InputError: It does not import; says what to install.

    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            where="ROS 2",
            got=f"no module {error.name or name} in this Python",
            expected="rclpy and the standard message packages",
            remedy="pip install 'tricast[ros]', or use the Python of a sourced ROS 2 (docs/ros2.md)",
        ) from error


@cache
def message_type(type_name: str) -> Any | None:
    """The installed class of a type such as `vision_msgs/msg/Detection3DArray`; None where its package is missing."""
    package, _, name = type_name.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name, None)
    except ImportError:
        return None


@cache
def is_readable(type_name: str) -> bool:
    """Whether Tricast's own decoder knows a type, which it learns from the installed package where need be."""
    if type_name in typestore().types:
        return True
    texts = _installed_texts(type_name)
    if not texts:
        return False
    types: dict[str, Any] = {}
    for name, text in texts.items():
        types.update(get_types_from_msg(text, name))
    typestore().register({name: fields for name, fields in types.items() if name not in typestore().types})
    return True


def _installed_texts(type_name: str) -> dict[str, str]:
    """`.msg` texts of a type and of those that it uses, as far as the decoder lacks them; empty if one is missing."""
    prefixes = [Path(p) for p in (*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix) if p]
    texts: dict[str, str] = {}
    wanted = [type_name]
    while wanted:
        name = wanted.pop()
        if name in texts or name in typestore().types:
            continue
        package, _, short = name.partition("/msg/")
        paths = [prefix / "share" / package / "msg" / f"{short}.msg" for prefix in prefixes]
        path = next((p for p in paths if p.is_file()), None)
        if path is None:
            return {}
        texts[name] = path.read_text(encoding="utf-8")
        for used in re.findall(r"^\s*((?:\w+/)?[A-Z]\w*)", texts[name], re.MULTILINE):
            inside = "std_msgs/Header" if used == "Header" else used if "/" in used else f"{package}/{used}"
            wanted.append(inside.replace("/", "/msg/"))
    return texts
