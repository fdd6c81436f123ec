"""What one tick has to work with: the newest data of every channel, none of it from the future."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from tricast.sensors.calibration import Rig
from tricast.sensors.frames import CameraFrame, LidarSweep, RadarScan
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
    """

    timestamp_ns: int
    rig: Rig
    ego_motion: EgoMotion
    cameras: Mapping[str, CameraFrame] = field(default_factory=dict)
    lidars: Mapping[str, tuple[LidarSweep, ...]] = field(default_factory=dict)
    radars: Mapping[str, tuple[RadarScan, ...]] = field(default_factory=dict)
    inputs: tuple[InputUsed, ...] = ()
    health: Mapping[str, ChannelHealth] = field(default_factory=dict)
