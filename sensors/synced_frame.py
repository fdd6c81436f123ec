"""What one tick has to work with: the newest data of every channel, none of it from the future."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from tricast.sensors.calibration import Rig
from tricast.sensors.errors import SensorDataError
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.motion_compensation import EgoMotion

HealthState: TypeAlias = Literal["ok", "degraded", "lost", "waiting"]


@dataclass(frozen=True, kw_only=True)
class InputUsed:
    """One message that a tick used: part of the tick's manifest."""

    channel: str
    timestamp_ns: int
    reused: bool
    """Whether an earlier tick used it too."""


@dataclass(frozen=True, kw_only=True)
class ChannelHealth:
    """State of one channel at a tick.

    `ok`: fresh data; `degraded`: old data still within tolerance, used again; `lost`: it delivered once
    and now has nothing within tolerance; `waiting`: it never delivered.
    """

    state: HealthState
    age_ns: int | None
    """Tick minus stamp of the channel's newest message; None while waiting."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SyncedFrame:
    """Everything that enters the detector at one tick. An absent channel is absent, never zeros.

    Args:
        timestamp_ns: The tick; no message here is stamped later.
        rig: Calibration of all channels.
        ego_motion: Ego poses known by this tick; identity motion where the log has none.
        cameras: Newest frame per camera.
        lidars: Sweeps per LiDAR, newest first.
        radars: Scans per radar, newest first.
        inputs: Manifest: every message used, sorted by channel, newest first.
        health: State per channel of the rig that was asked for.
        not_used: Messages since the tick before that no tick uses as they came: cause, channel, count (see
            `SyncCounts`).
        discontinuity: True on the first tick after time jumped: what was learned before no longer holds.

    """

    timestamp_ns: int
    rig: Rig
    ego_motion: EgoMotion
    cameras: Mapping[str, CameraFrame] = field(default_factory=dict[str, CameraFrame])
    lidars: Mapping[str, tuple[LidarSweep, ...]] = field(default_factory=dict[str, tuple[LidarSweep, ...]])
    radars: Mapping[str, tuple[RadarScan, ...]] = field(default_factory=dict[str, tuple[RadarScan, ...]])
    inputs: tuple[InputUsed, ...] = ()
    health: Mapping[str, ChannelHealth] = field(default_factory=dict[str, ChannelHealth])
    not_used: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    discontinuity: bool = False

    def restricted_to(self, channels: Collection[str]) -> SyncedFrame:
        """The same tick as if the others had never been asked for: what a synchroniser of these channels gives."""
        return replace(
            self,
            cameras={c: m for c, m in self.cameras.items() if c in channels},
            lidars={c: m for c, m in self.lidars.items() if c in channels},
            radars={c: m for c, m in self.radars.items() if c in channels},
            inputs=tuple(used for used in self.inputs if used.channel in channels),
            health={c: h for c, h in self.health.items() if c in channels},
            not_used={
                cause: counts
                for cause, by_channel in self.not_used.items()
                if (counts := {c: n for c, n in by_channel.items() if c in channels or c not in self.health})
            },
        )

    @staticmethod
    def of(
        rig: Rig, timestamp_ns: int, messages: Sequence[CameraFrame | LidarSweep | RadarScan | EgoPose]
    ) -> SyncedFrame:
        """A tick made of these messages, for callers with data in memory and no stream to synchronise.

        Raises:
            SensorDataError: A message is stamped later than the tick.
            CalibrationError: A channel is not in the rig.

        """
        ordered = sorted(messages, key=lambda m: -m.timestamp_ns)
        sensors = [m for m in ordered if not isinstance(m, EgoPose)]
        for message in sensors:
            rig[message.channel]
            if message.timestamp_ns > timestamp_ns:
                raise SensorDataError(
                    where=message.channel,
                    got=f"a message stamped {message.timestamp_ns} ns",
                    expected=f"nothing later than the tick, {timestamp_ns} ns",
                    remedy="give the tick the time of its newest message",
                )
        lidars: dict[str, tuple[LidarSweep, ...]] = {}
        radars: dict[str, tuple[RadarScan, ...]] = {}
        cameras: dict[str, CameraFrame] = {}
        for message in sensors:
            if isinstance(message, LidarSweep):
                lidars[message.channel] = (*lidars.get(message.channel, ()), message)
            elif isinstance(message, RadarScan):
                radars[message.channel] = (*radars.get(message.channel, ()), message)
            else:
                cameras.setdefault(message.channel, message)
        poses = [m for m in reversed(ordered) if isinstance(m, EgoPose) and m.timestamp_ns <= timestamp_ns]
        used = sorted(sensors, key=lambda m: (m.channel, -m.timestamp_ns))
        return SyncedFrame(
            timestamp_ns=timestamp_ns,
            rig=rig,
            ego_motion=EgoMotion(poses),
            cameras=cameras,
            lidars=lidars,
            radars=radars,
            inputs=tuple(InputUsed(channel=m.channel, timestamp_ns=m.timestamp_ns, reused=False) for m in used),
            health={m.channel: ChannelHealth(state="ok", age_ns=timestamp_ns - m.timestamp_ns) for m in reversed(used)},
        )
