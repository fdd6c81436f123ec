"""What the streaming runtime gives for a tick: the clock-free result, and how it was delivered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tricast.perception.outputs import TickResult
from tricast.sensors.annotations import Annotations
from tricast.sensors.health import ChannelReport
from tricast.sensors.synced_frame import SyncedFrame

MemoryState: TypeAlias = Literal["kept", "moved_on", "reset"]
StatusLevel: TypeAlias = Literal["ok", "warn", "error"]


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How one result came about.

    Args:
        sequence: Ticks that closed before this one, dropped ones included.
        dropped_ticks: Ticks dropped since the result before.
        not_used: Messages since the result before that no tick used as they came: cause, channel, count (see
            `SyncCounts`).
        memory: What became of memory and tracks: `kept` from the tick before, `moved_on` over dropped ticks, or
            `reset` by a jump in time or too long a hole.
        late: Whether the result came after its deadline.
        waited_ms: From the closing of the tick until it was processed; preparing it may lie within.
        processing_ms: Preparation, detection, tracking and forecasts.
        total_ms: From the closing of the tick to its result.

    """

    sequence: int = 0
    dropped_ticks: int = 0
    not_used: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    memory: MemoryState = "kept"
    late: bool = False
    waited_ms: float = 0.0
    processing_ms: float = 0.0
    total_ms: float = 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class RuntimeResult:
    """One tick's answer.

    Args:
        tick: The result, which depends on no clock.
        frame: What the tick held.
        annotations: Truth stamped at the tick, if the stream has any.
        channels: Health of each channel over time.
        delivery: How the result came about.

    """

    tick: TickResult
    frame: SyncedFrame
    annotations: Annotations | None
    channels: Mapping[str, ChannelReport]
    delivery: Delivery


@dataclass(frozen=True, kw_only=True)
class RuntimeStatus:
    """How the runtime as a whole is doing.

    Args:
        level: `warn`: the last processing took too long, ego poses have ceased or no sensor was heard yet; `error`:
            every sensor is lost, or no result met its deadline for too long.
        reasons: A sentence each.
        ticks: Ticks closed.
        results: Results given.
        late: Results that missed their deadline.
        dropped_ticks: Ticks without a result.
        dropped_messages: Messages that a full inbox lost.
        processing_ms: Of the last result; None before one.
        since_in_time_s: Since the last result that met its deadline; those before a tick had a sensor do not count.
            Before one, since the start.

    """

    level: StatusLevel
    reasons: tuple[str, ...]
    ticks: int
    results: int
    late: int
    dropped_ticks: int
    dropped_messages: int
    processing_ms: float | None
    since_in_time_s: float
