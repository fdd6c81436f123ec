"""What a log holds: channels, rates, gaps, calibration, frames and losses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tricast.sensors.annotations import Annotations
from tricast.sensors.frames import EgoPose
from tricast.sensors.log.messages import EGO_FRAME, ODOM_FRAME
from tricast.sensors.log.stream import DrivingLog, ForeignMessage, foreign_messages

SECOND_NS = 1_000_000_000
SAID = 10
"""How many of the losses and oddities of a log are said to a person."""


@dataclass
class _Timeline:
    count: int = 0
    first_ns: int = 0
    last_ns: int = 0
    largest_gap_ns: int = 0

    def add(self, stamp_ns: int) -> None:
        if self.count == 0:
            self.first_ns = stamp_ns
        else:
            self.largest_gap_ns = max(self.largest_gap_ns, stamp_ns - self.last_ns)
        self.last_ns = stamp_ns
        self.count += 1

    def summary(self) -> dict[str, Any]:
        span_ns = self.last_ns - self.first_ns
        return {
            "count": self.count,
            "rate_hz": round((self.count - 1) * SECOND_NS / span_ns, 3) if span_ns > 0 else None,
            "largest_gap_s": round(self.largest_gap_ns / SECOND_NS, 6),
            "first_ns": self.first_ns if self.count else None,
            "last_ns": self.last_ns if self.count else None,
        }


@dataclass
class _OtherTopic:
    """A topic that Tricast does not read: its type, and when its messages arrived."""

    type_name: str
    timeline: _Timeline = field(default_factory=_Timeline)

    @classmethod
    def of(cls, message: ForeignMessage) -> _OtherTopic:
        return cls(message.schema[0] if message.schema else message.encoding)


def summarize(log: DrivingLog) -> dict[str, Any]:
    """Read a log to its end and describe it with plain values."""
    timelines = {channel: _Timeline() for channel in log.rig.channels()}
    poses, truth = _Timeline(), _Timeline()
    for message in log.messages():
        if isinstance(message, EgoPose):
            poses.add(message.timestamp_ns)
        elif isinstance(message, Annotations):
            truth.add(message.timestamp_ns)
        else:
            timelines[message.channel].add(message.timestamp_ns)
    others: dict[str, _OtherTopic] = {}
    for message in foreign_messages(log):
        others.setdefault(message.topic, _OtherTopic.of(message)).timeline.add(message.log_time_ns)
    channels = {
        channel: {"modality": log.rig[channel].modality, **timeline.summary()}
        for channel, timeline in timelines.items()
    }
    return {
        "log": str(log.path),
        "kind": log.kind,
        "duration_s": round((log.end_ns - log.start_ns) / SECOND_NS, 6),
        "start_ns": log.start_ns,
        "end_ns": log.end_ns,
        "channels": channels,
        "poses": poses.summary(),
        "annotations": truth.summary(),
        "other_topics": {topic: {"type": t.type_name, **t.timeline.summary()} for topic, t in sorted(others.items())},
        "calibration": {
            channel: {
                "quaternion_wxyz": list(sensor.ego_from_sensor.quaternion_wxyz),
                "translation_m": list(sensor.ego_from_sensor.translation_m),
                "lens": type(sensor.lens).__name__ if sensor.lens else None,
            }
            for channel, sensor in log.rig.sensors.items()
        },
        "frames": {ODOM_FRAME: [EGO_FRAME], EGO_FRAME: list(log.rig.channels())},
        "lost_messages": log.losses.total,
        "losses": log.losses.details,
    }


def format_summary(summary: dict[str, Any]) -> str:
    """The same for a person."""
    lines = [f"{summary['log']}: {summary['kind']} log, {summary['duration_s']:.3f} s", ""]
    lines.append(f"{'channel':<24}{'kind':<10}{'count':>7}{'rate Hz':>9}{'gap s':>8}   position in ego, m")
    rows = [(name, entry["modality"], entry) for name, entry in summary["channels"].items()]
    rows += [("poses", "odometry", summary["poses"]), ("annotations", "truth", summary["annotations"])]
    for name, kind, entry in rows:
        rate = "-" if entry["rate_hz"] is None else f"{entry['rate_hz']:.2f}"
        place = summary["calibration"].get(name)
        where = "" if place is None else "(" + ", ".join(f"{v:.2f}" for v in place["translation_m"]) + ")"
        lens = f" {place['lens']}" if place and place["lens"] else ""
        lines.append(f"{name:<24}{kind:<10}{entry['count']:>7}{rate:>9}{entry['largest_gap_s']:>8.3f}   {where}{lens}")
    for topic, entry in summary["other_topics"].items():
        rate = "-" if entry["rate_hz"] is None else f"{entry['rate_hz']:.2f}"
        lines.append(f"{topic} ({entry['type']}, not read): {entry['count']} messages, {rate} Hz")
    lines += ["", "frames: " + ", ".join(f"{p} > {' '.join(c)}" for p, c in summary["frames"].items())]
    if summary["losses"]:
        lines += [f"{summary['lost_messages'] or 'no'} messages lost:", *summary["losses"][:SAID]]
        if len(summary["losses"]) > SAID:
            lines.append(f"and {len(summary['losses']) - SAID} more, which --json names")
    return "\n".join(lines)
