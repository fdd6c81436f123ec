"""The collector: from a stream of arriving messages to ticks, deterministic and never from the future.

Ticks are multiples of a period from the log's first message, plus every annotation stamp. A tick opens by time
alone and closes when every channel that is alive has delivered data fresh enough, or when the deadline passes; a
replay always waits for the deadline, so that nothing depends on which channels were chosen. A live vehicle tells the
time as well (`advance`), so that ticks close although nothing arrives.
Stamps decide what a tick holds, arrival times decide when it closes; no clock is read.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass, field

import numpy as np
from pydantic import Field

from tricast.configs.strict import StrictConfig
from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, Modality, RadarScan
from tricast.sensors.log.stream import Message, SensorMessage, channel_of, modality_of
from tricast.sensors.motion_compensation import EgoMotion
from tricast.sensors.synced_frame import ChannelHealth, InputUsed, SyncedFrame

MS_NS = 1_000_000
SECOND_NS = 1_000_000_000
MAX_BUFFERED = 64
JUMP_M, JUMP_RAD = 1.0, 0.1
"""A first pose further than this from where odometry begins moves the vehicle to another place."""


class ChannelTiming(StrictConfig):
    """Timing of one channel, where it departs from its modality's."""

    phase_ms: float = Field(default=0.0, ge=0, le=1000)
    """How long before a tick this channel's data is due: a tick need not wait for data stamped after that."""
    tolerance_ms: float | None = Field(default=None, gt=0, le=10_000)


class SynchronizerConfig(StrictConfig):
    """When ticks happen, how long they wait, and how old data may be."""

    tick_period_ms: int = Field(default=100, ge=5, le=2_000)
    deadline_ms: float = Field(default=60, ge=0, le=5_000)
    camera_tolerance_ms: float = Field(default=150, gt=0, le=10_000)
    lidar_tolerance_ms: float = Field(default=150, gt=0, le=10_000)
    radar_tolerance_ms: float = Field(default=150, gt=0, le=10_000)
    lidar_sweeps: int = Field(default=1, ge=1, le=20)
    lidar_span_s: float = Field(default=0.0, ge=0, le=2)
    """Sweeps no more than this older than the newest are kept whatever their number: a LiDAR may turn 10 or 20 times a
    second."""
    radar_scans: int = Field(default=3, ge=1, le=20)
    pose_history_s: float = Field(default=2, gt=0, le=60)
    gap_s: float = Field(default=2, gt=0, le=600)
    """Silence of all channels after which what was learned before no longer holds."""
    clock_jump_s: float = Field(default=1, gt=0, le=600)
    """An arrival this far before the newest one means that time was set back; a stamp this far ahead of its own
    arrival is no time at all."""
    alive_s: float = Field(default=0.5, gt=0, le=60)
    """A tick that may close early waits for a channel no longer than this after the channel's newest stamp."""
    channels: dict[str, ChannelTiming] = Field(default_factory=dict)


@dataclass
class SyncCounts:
    """Messages that no tick used as they came, by cause and channel."""

    late: dict[str, int] = field(default_factory=dict[str, int])
    missing: dict[str, int] = field(default_factory=dict[str, int])
    duplicate: dict[str, int] = field(default_factory=dict[str, int])
    out_of_order: dict[str, int] = field(default_factory=dict[str, int])
    uncalibrated: dict[str, int] = field(default_factory=dict[str, int])
    overflow: dict[str, int] = field(default_factory=dict[str, int])
    future: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, cause: str, channel: str) -> None:
        """Count one message or tick of a channel."""
        by_channel: dict[str, int] = getattr(self, cause)
        by_channel[channel] = by_channel.get(channel, 0) + 1

    def as_dict(self) -> dict[str, dict[str, int]]:
        """By cause, then channel (sorted)."""
        return {cause: dict(sorted(by_channel.items())) for cause, by_channel in vars(self).items()}

    def occurred(self) -> dict[str, dict[str, int]]:
        """`as_dict` without the causes that did not occur."""
        return {cause: by_channel for cause, by_channel in self.as_dict().items() if by_channel}


class Synchronizer:
    """Collects messages into ticks.

    Args:
        rig: Calibrated channels; messages of others are counted and left out.
        config: Timing.
        origin_ns: Tick 0: arrival of the log's first message.
        channels: Channels to use; None uses all of the rig. Others only move time.
        close_early: Close a tick as soon as every live channel has delivered, which a live vehicle wants; truth
            that arrives later than a tick closed has lost its own.

    """

    def __init__(
        self,
        rig: Rig,
        config: SynchronizerConfig,
        *,
        origin_ns: int,
        channels: frozenset[str] | None = None,
        close_early: bool = False,
    ) -> None:
        self._close_early = close_early
        self._rig = rig
        self._config = config
        self._origin_ns = origin_ns
        self._wanted = channels
        self._channels = self._chosen(rig)
        self._period_ns = config.tick_period_ms * MS_NS
        self.counts = SyncCounts()
        self._open_counts = SyncCounts()
        self._last_stamp_ns: dict[str, int] = {}
        self._discontinuity = False
        self._placed: bool | None = None
        """Whether the last tick knew where the vehicle is; None before the first."""
        self.reset()
        self._discontinuity = False

    @property
    def rig(self) -> Rig:
        """Calibration in use."""
        return self._rig

    def reset(self) -> None:
        """Forget all buffered data; the next tick is marked as a discontinuity."""
        self._buffers: dict[str, list[SensorMessage]] = {c: [] for c in self._channels}
        self._used: dict[str, set[int]] = {c: set() for c in self._channels}
        self._poses: list[EgoPose] = []
        self._extra_ticks_ns: list[int] = []
        self._next_ns: int | None = None
        self._closed_ns: int | None = None
        self._newest_ns: int | None = None
        self._now_ns: int | None = None
        self._discontinuity = True

    def recalibrate(self, rig: Rig) -> None:
        """Use another rig from the next tick on: one that knows more channels, or knows them better."""
        kept = {c for c in self._channels if c in rig and rig[c].modality == self._rig[c].modality}
        self._rig, self._channels = rig, self._chosen(rig)
        self._buffers = {c: self._buffers[c] if c in kept else [] for c in self._channels}
        self._used = {c: self._used[c] if c in kept else set() for c in self._channels}

    def push(self, message: Message) -> list[SyncedFrame]:
        """Take one arrival; gives the ticks that it closes, in order."""
        now_ns = message.received_ns
        silent_ns = 0 if self._newest_ns is None else now_ns - self._newest_ns
        frames = self._passed(now_ns, silent_ns)
        self._newest_ns = now_ns if self._newest_ns is None else max(self._newest_ns, now_ns)
        if message.timestamp_ns - now_ns > self._config.clock_jump_s * SECOND_NS:
            self._count("future", channel_of(message))
            return frames
        self._take(message)
        return frames + (self._close_complete() if self._close_early else [])

    def advance(self, now_ns: int) -> list[SyncedFrame]:
        """Let time pass without an arrival, on the clock of arrivals; gives the ticks that it closes, in order."""
        return self._passed(now_ns, 0 if self._now_ns is None else now_ns - self._now_ns)

    def _passed(self, now_ns: int, silent_ns: int) -> list[SyncedFrame]:
        frames: list[SyncedFrame] = []
        set_back = self._now_ns is not None and self._now_ns - now_ns > self._config.clock_jump_s * SECOND_NS
        if set_back or silent_ns > self._config.gap_s * SECOND_NS:
            frames = self.flush()
            self.reset()
            self._last_stamp_ns = {c: min(stamp_ns, now_ns) for c, stamp_ns in self._last_stamp_ns.items()}
        if self._next_ns is None:
            self._next_ns = self._grid_at_or_after(now_ns)
        self._now_ns = now_ns if self._now_ns is None else max(self._now_ns, now_ns)
        return frames + self._close_until(now_ns)

    def flush(self) -> list[SyncedFrame]:
        """Close the ticks up to the last arrival: the end of a log."""
        frames: list[SyncedFrame] = []
        while self._newest_ns is not None and self._pending_ns() <= self._newest_ns:
            frames.append(self._close())
        return frames

    def _chosen(self, rig: Rig) -> tuple[str, ...]:
        return tuple(c for c in rig.channels() if self._wanted is None or c in self._wanted)

    def _count(self, cause: str, channel: str) -> None:
        self.counts.add(cause, channel)
        self._open_counts.add(cause, channel)

    def _take(self, message: Message) -> None:
        if isinstance(message, Annotations):
            if self._closed_ns is not None and message.timestamp_ns < self._closed_ns:
                self._count("late", "annotations")
            elif (message.timestamp_ns - self._origin_ns) % self._period_ns and self._is_open(message.timestamp_ns):
                insort(self._extra_ticks_ns, message.timestamp_ns)
            return
        if isinstance(message, EgoPose):
            self._take_pose(message)
            return
        channel = message.channel
        if channel not in self._buffers:
            if channel not in self._rig:
                self._count("uncalibrated", channel)
            return
        if modality_of(message) != self._rig[channel].modality:
            self._count("uncalibrated", channel)
            return
        buffer = self._buffers[channel]
        stamps = [m.timestamp_ns for m in buffer]
        if message.timestamp_ns in stamps or message.timestamp_ns in self._used[channel]:
            self._count("duplicate", channel)
            return
        if stamps and message.timestamp_ns < stamps[-1]:
            self._count("out_of_order", channel)
        if self._closed_ns is not None and message.timestamp_ns <= self._closed_ns - self._phase_ns(channel):
            self._count("late", channel)
        self._last_stamp_ns[channel] = max(message.timestamp_ns, self._last_stamp_ns.get(channel, message.timestamp_ns))
        buffer.insert(bisect_right(stamps, message.timestamp_ns), message)
        if len(buffer) > MAX_BUFFERED:
            self._count("overflow", channel)
            buffer.pop(0)

    def _take_pose(self, pose: EgoPose) -> None:
        stamps = [p.timestamp_ns for p in self._poses]
        place = bisect_right(stamps, pose.timestamp_ns)
        if place and stamps[place - 1] == pose.timestamp_ns:
            return
        self._poses.insert(place, pose)
        oldest_ns = self._poses[-1].timestamp_ns - self._config.pose_history_s * SECOND_NS
        while len(self._poses) > 2 and self._poses[0].timestamp_ns < oldest_ns:
            self._poses.pop(0)

    def _is_open(self, tick_ns: int) -> bool:
        return (self._closed_ns is None or tick_ns > self._closed_ns) and tick_ns not in self._extra_ticks_ns

    def _grid_at_or_after(self, time_ns: int) -> int:
        return self._origin_ns + -(-(time_ns - self._origin_ns) // self._period_ns) * self._period_ns

    def _pending_ns(self) -> int:
        assert self._next_ns is not None
        return min([self._next_ns, *self._extra_ticks_ns[:1]])

    def _close_until(self, now_ns: int) -> list[SyncedFrame]:
        frames: list[SyncedFrame] = []
        while self._pending_ns() + self._config.deadline_ms * MS_NS < now_ns:
            frames.append(self._close())
        return frames

    def _close_complete(self) -> list[SyncedFrame]:
        frames: list[SyncedFrame] = []
        while self._newest_ns is not None and self._pending_ns() <= self._newest_ns and self._complete():
            frames.append(self._close())
        return frames

    def _complete(self) -> bool:
        """Whether waiting cannot help: every channel already holds data stamped past the time it is due."""
        tick_ns = self._pending_ns()
        oldest_ns = tick_ns - self._config.alive_s * SECOND_NS
        alive = [c for c in self._channels if self._last_stamp_ns.get(c, oldest_ns - 1) >= oldest_ns]
        return bool(alive) and all(
            self._buffers[c] and self._buffers[c][-1].timestamp_ns >= tick_ns - self._phase_ns(c) for c in alive
        )

    def _phase_ns(self, channel: str) -> int:
        timing = self._config.channels.get(channel)
        return round(timing.phase_ms * MS_NS) if timing else 0

    def _tolerance_ns(self, channel: str, modality: Modality) -> int:
        timing = self._config.channels.get(channel)
        if timing and timing.tolerance_ms is not None:
            return round(timing.tolerance_ms * MS_NS)
        return round(getattr(self._config, f"{modality}_tolerance_ms") * MS_NS)

    def _kept(self, modality: Modality) -> int:
        return {"camera": 1, "lidar": self._config.lidar_sweeps, "radar": self._config.radar_scans}[modality]

    def _close(self) -> SyncedFrame:
        tick_ns = self._pending_ns()
        assert self._next_ns is not None
        if self._extra_ticks_ns[:1] == [tick_ns]:
            self._extra_ticks_ns.pop(0)
        if self._next_ns == tick_ns:
            self._next_ns += self._period_ns
        self._closed_ns = tick_ns
        used: dict[str, tuple[SensorMessage, ...]] = {}
        inputs: list[InputUsed] = []
        health: dict[str, ChannelHealth] = {}
        for channel in self._channels:
            messages = self._select(channel, tick_ns)
            health[channel] = self._health(channel, messages, tick_ns)
            if messages:
                used[channel] = messages
            elif channel in self._last_stamp_ns:
                self._count("missing", channel)
            inputs += self._noted(channel, messages, tick_ns)
        motion = EgoMotion([p for p in self._poses if p.timestamp_ns <= tick_ns])
        self._note_place(motion, tick_ns)
        frame = SyncedFrame(
            timestamp_ns=tick_ns,
            rig=self._rig,
            ego_motion=motion,
            cameras={c: m[0] for c, m in used.items() if isinstance(m[0], CameraFrame)},
            lidars={
                c: tuple(x for x in m if isinstance(x, LidarSweep))
                for c, m in used.items()
                if isinstance(m[0], LidarSweep)
            },
            radars={
                c: tuple(x for x in m if isinstance(x, RadarScan))
                for c, m in used.items()
                if isinstance(m[0], RadarScan)
            },
            inputs=tuple(inputs),
            health=health,
            not_used=self._open_counts.occurred(),
            discontinuity=self._discontinuity,
        )
        self._open_counts = SyncCounts()
        self._discontinuity = False
        return frame

    def _noted(self, channel: str, messages: tuple[SensorMessage, ...], tick_ns: int) -> list[InputUsed]:
        """The entries of messages that a tick uses; what can be told again as a duplicate is kept in mind."""
        used, buffer = self._used[channel], self._buffers[channel]
        oldest_ns = buffer[0].timestamp_ns if buffer else tick_ns
        stamps_ns = [message.timestamp_ns for message in messages]
        self._used[channel] = {stamp for stamp in used if stamp >= oldest_ns} | set(stamps_ns)
        return [InputUsed(channel=channel, timestamp_ns=stamp, reused=stamp in used) for stamp in stamps_ns]

    def _note_place(self, motion: EgoMotion, tick_ns: int) -> None:
        """With the first pose everything may be somewhere else than it was taken to be."""
        if self._placed is not None and motion.known != self._placed:
            pose = motion.odom_from_ego(tick_ns)
            self._discontinuity |= bool(np.linalg.norm(pose.translation) > JUMP_M) or abs(pose.yaw_rad) > JUMP_RAD
        self._placed = motion.known

    def _select(self, channel: str, tick_ns: int) -> tuple[SensorMessage, ...]:
        """Newest data of a channel that is neither too old nor from the future; older data is let go."""
        modality = self._rig[channel].modality
        buffer = self._buffers[channel]
        past = [m for m in buffer if m.timestamp_ns <= tick_ns]
        count = self._kept(modality)
        if modality == "lidar" and past:
            span_ns = self._config.lidar_span_s * SECOND_NS
            count = max(count, sum(past[-1].timestamp_ns - m.timestamp_ns <= span_ns for m in past))
        del buffer[: max(0, len(past) - count)]
        if not past or tick_ns - past[-1].timestamp_ns > self._tolerance_ns(channel, modality):
            return ()
        # Older sweeps and scans of a multi-sweep set may exceed the tolerance by one period each.
        oldest_ns = tick_ns - self._tolerance_ns(channel, modality) - (count - 1) * self._period_ns
        return tuple(m for m in reversed(past[-count:]) if m.timestamp_ns >= oldest_ns)

    def _health(self, channel: str, messages: tuple[SensorMessage, ...], tick_ns: int) -> ChannelHealth:
        if messages:
            fresh = messages[0].timestamp_ns not in self._used[channel]
            return ChannelHealth(state="ok" if fresh else "degraded", age_ns=tick_ns - messages[0].timestamp_ns)
        last_ns = self._last_stamp_ns.get(channel)
        if last_ns is None:
            return ChannelHealth(state="waiting", age_ns=None)
        # A channel whose clock runs ahead has no age; its data waits for its time to come.
        return ChannelHealth(state="lost", age_ns=tick_ns - last_ns if last_ns <= tick_ns else None)
