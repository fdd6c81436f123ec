"""Quality of service: what was recorded, what is offered, and what a subscription must ask for to get it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

import yaml

from tricast.sensors.log.ros2_mcap import qos_profiles
from tricast.sensors.ros.installation import ros_module

Reliability: TypeAlias = Literal["reliable", "best_effort"]
Durability: TypeAlias = Literal["volatile", "transient_local"]
MAX_DEPTH = 1000


@dataclass(frozen=True, kw_only=True)
class Qos:
    """The parts of a profile that decide whether publisher and subscription match, and what gets lost."""

    reliability: Reliability = "reliable"
    durability: Durability = "volatile"
    depth: int = 10

    def __str__(self) -> str:
        return f"{self.reliability}, {self.durability}, depth {self.depth}"

    def profile(self) -> Any:
        """`rclpy`'s profile."""
        qos = ros_module("rclpy.qos")
        return qos.QoSProfile(
            history=qos.HistoryPolicy.KEEP_LAST,
            depth=self.depth,
            reliability=getattr(qos.ReliabilityPolicy, self.reliability.upper()),
            durability=getattr(qos.DurabilityPolicy, self.durability.upper()),
        )

    def as_recorded(self) -> str:
        """The text that rosbag2 keeps of it with a channel."""
        entry = yaml.safe_load(qos_profiles(latched=self.durability == "transient_local"))[0]
        entry["depth"] = self.depth
        entry["reliability"] = 1 if self.reliability == "reliable" else 2
        return yaml.safe_dump([entry], sort_keys=False)


LATCHED = Qos(durability="transient_local", depth=1)


def of_profile(profile: Any) -> Qos:
    """Of `rclpy`'s profile; a depth that the middleware does not tell is 10."""
    depth = int(profile.depth)
    return Qos(
        reliability="best_effort" if profile.reliability.name == "BEST_EFFORT" else "reliable",
        durability="transient_local" if profile.durability.name == "TRANSIENT_LOCAL" else "volatile",
        depth=min(depth, MAX_DEPTH) if depth > 0 else 10,
    )


def of_recorded(text: str) -> Qos:
    """Of the text kept with a recorded channel, in numbers or names; the default where it is empty or unreadable."""
    try:
        entries: Any = yaml.safe_load(text)
    except yaml.YAMLError:
        return Qos()
    first: Any = cast("list[Any]", entries)[:1] if isinstance(entries, list) else []
    if not first or not isinstance(first[0], dict):
        return Qos()
    fields = cast("dict[str, Any]", first[0])
    reliability, durability, depth = (fields.get(n) for n in ("reliability", "durability", "depth"))
    return Qos(
        reliability="best_effort" if reliability in (2, "best_effort") else "reliable",
        durability="transient_local" if durability in (1, "transient_local") else "volatile",
        depth=min(depth, MAX_DEPTH) if isinstance(depth, int) and depth > 0 else 10,
    )


def matching(offered: Iterable[Qos], *, depth: int) -> Qos:
    """What to ask for to hear every publisher: reliable, latched only if all are. Without publishers: best effort."""
    publishers = list(offered)
    reliable = bool(publishers) and all(p.reliability == "reliable" for p in publishers)
    latched = bool(publishers) and all(p.durability == "transient_local" for p in publishers)
    return Qos(
        reliability="reliable" if reliable else "best_effort",
        durability="transient_local" if latched else "volatile",
        depth=depth,
    )


def mismatch(offered: Qos, requested: Qos) -> str | None:
    """Why a subscription hears nothing of a publisher; None where they match."""
    if requested.reliability == "reliable" and offered.reliability == "best_effort":
        return "asks for reliable, the publisher offers best effort"
    if requested.durability == "transient_local" and offered.durability == "volatile":
        return "asks for transient local, the publisher offers volatile"
    return None


def offered_on(node: Any, topic: str) -> Sequence[Qos]:
    """What the publishers of a topic offer, as far as discovery knows."""
    return [of_profile(info.qos_profile) for info in node.get_publishers_info_by_topic(topic)]
