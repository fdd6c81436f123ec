"""What the network takes of one tick: plain arrays in ego axes at the tick, with every missing sensor missing.

A `TickSample` is made of a `SyncedFrame` at inference and read from shards at training; both go through
`tricast.perception.collation`. It holds nothing but numpy arrays, encoded images, lenses and poses.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tricast.configs.strict import StrictConfig
from tricast.sensors.arrays import checked_array
from tricast.sensors.frames import CameraFrame, LidarSweep
from tricast.sensors.geometry.lenses import Lens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.motion_compensation import lidar_columns_in_ego, radar_in_ego
from tricast.sensors.synced_frame import SyncedFrame

LIDAR_COLUMNS = ("x_m", "y_m", "z_m", "intensity", "age_s")
RADAR_COLUMNS = (
    "x_m",
    "y_m",
    "z_m",
    "rcs_dbsm",
    "radial_velocity_mps",
    "velocity_known",
    "direction_x",
    "direction_y",
    "age_s",
)
"""Radial velocity over ground, 0 where unknown; `velocity_known` is 1 or 0; the direction is the line of sight."""

BYTE_SCALE = 255


class SampleConfig(StrictConfig):
    """Which sweeps and scans of a tick the network takes."""

    lidar_lags_s: tuple[float, ...] = Field(default=(0.0, 0.2, 0.4), min_length=1)
    """Sweeps taken: the newest, and those nearest to so much older."""
    lidar_lag_tolerance_s: float = Field(default=0.06, gt=0, le=1)
    older_thinning: int = Field(default=2, ge=1, le=100)
    """Of a sweep that is not the newest, one of so many returns is taken."""
    radar_scans: int = Field(default=3, ge=1, le=20)
    range_m: float = Field(default=64.0, gt=0, le=300)
    """Returns farther from the ego origin, seen from above, are left out."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CameraInput:
    """One camera at one tick.

    Args:
        channel: The camera's channel.
        image: The frame as it came, decoded by whoever needs pixels.
        lens: Its lens, for the frame's own size.
        tick_from_camera: From the camera's axes at the time of exposure to ego axes at the tick.

    """

    channel: str
    image: CameraFrame
    lens: Lens
    tick_from_camera: SE3


@dataclass(frozen=True, kw_only=True, eq=False)
class TickSample:
    """Everything the network sees of one tick, in ego axes at the tick.

    Args:
        timestamp_ns: The tick.
        cameras: Cameras that delivered; may be empty.
        lidar: (P, 5) float32, `LIDAR_COLUMNS`, each return moved by the ego motion since its own time. None where no
            LiDAR delivered; an empty array is a LiDAR that saw nothing.
        radar: (R, 9) float32, `RADAR_COLUMNS`; None likewise.
        odom_from_ego: Where the vehicle is, so that ticks can be laid side by side.

    Raises:
        SensorDataError: An array has a wrong shape, type or a value that is not finite.

    """

    timestamp_ns: int
    cameras: tuple[CameraInput, ...]
    lidar: NDArray[np.float32] | None
    radar: NDArray[np.float32] | None
    odom_from_ego: SE3 = field(default_factory=SE3)

    def __post_init__(self) -> None:
        for name, columns in (("lidar", LIDAR_COLUMNS), ("radar", RADAR_COLUMNS)):
            array = getattr(self, name)
            if array is not None:
                shape = (None, len(columns))
                label = f"{name} at {self.timestamp_ns} ns"
                array = checked_array(array, name=label, shape=shape, dtype=np.float32, finite=True)
                object.__setattr__(self, name, array)


def sample_of(frame: SyncedFrame, config: SampleConfig, *, with_lidar: bool = True) -> TickSample:
    """What the network takes of a tick; sensors may be missing in any way.

    Args:
        frame: The tick.
        config: What is taken.
        with_lidar: Without, LiDARs are left out, for whoever makes their rows elsewhere.

    """
    cameras: list[CameraInput] = []
    odom_from_tick = frame.ego_motion.odom_from_ego(frame.timestamp_ns)
    tick_from_odom = odom_from_tick.inverse
    for channel, image in sorted(frame.cameras.items()):
        calibration = frame.rig[channel]
        assert calibration.lens is not None
        tick_from_ego = tick_from_odom @ frame.ego_motion.odom_from_ego(image.timestamp_ns)
        cameras.append(
            CameraInput(
                channel=channel,
                image=image,
                lens=calibration.lens,
                tick_from_camera=tick_from_ego @ calibration.ego_from_sensor,
            )
        )
    return TickSample(
        timestamp_ns=frame.timestamp_ns,
        cameras=tuple(cameras),
        lidar=_lidar(frame, config) if frame.lidars and with_lidar else None,
        radar=_radar(frame, config) if frame.radars else None,
        odom_from_ego=odom_from_tick,
    )


def _lidar(frame: SyncedFrame, config: SampleConfig) -> NDArray[np.float32]:
    clouds = [
        lidar_columns_in_ego(chosen_sweeps(sweeps, config), frame.rig[channel], frame.ego_motion, frame.timestamp_ns)
        for channel, sweeps in sorted(frame.lidars.items())
    ]
    for cloud in clouds:
        _set_full_scale_share(cloud[3])
    return _rows_within(clouds[0] if len(clouds) == 1 else np.concatenate(clouds, axis=1), config.range_m)


def _set_full_scale_share(intensity: NDArray[np.float32]) -> None:
    """Intensity (N,) in 0 .. 1: sensors state it so, or on a scale of one byte, which values above 1 show."""
    if (intensity > 1).any():
        intensity /= np.float32(BYTE_SCALE)
        np.minimum(intensity, np.float32(1), out=intensity)


def chosen_sweeps(sweeps: tuple[LidarSweep, ...], config: SampleConfig) -> list[LidarSweep]:
    """The newest sweep whole, and the sweeps nearest to the older lags thinned, each once."""
    chosen: dict[int, LidarSweep] = {}
    newest_ns = sweeps[0].timestamp_ns
    for lag_s in config.lidar_lags_s:
        nearest = min(sweeps, key=lambda s: abs(newest_ns - lag_s * 1e9 - s.timestamp_ns))
        off_s = abs((newest_ns - nearest.timestamp_ns) / 1e9 - lag_s)
        if off_s <= config.lidar_lag_tolerance_s and nearest.timestamp_ns not in chosen:
            step = 1 if nearest is sweeps[0] else config.older_thinning
            chosen[nearest.timestamp_ns] = _thinned(nearest, step)
    return list(chosen.values())


def _thinned(sweep: LidarSweep, step: int) -> LidarSweep:
    """One of every `step` returns, of every beam.

    Where a sweep comes beam by beam that is every second return, say. Where it comes column by column every second
    return may be every second beam: there they are chosen by a hash of their number.
    """
    if step == 1:
        return sweep
    kept = _THINNED.get(sweep)
    if kept is None or kept[0] != step:
        kept = _THINNED[sweep] = (step, _thinned_anew(sweep, step))
    return kept[1]


_THINNED: WeakKeyDictionary[LidarSweep, tuple[int, LidarSweep]] = WeakKeyDictionary()
"""By how much, and what was left: several ticks take a sweep."""


def _thinned_anew(sweep: LidarSweep, step: int) -> LidarSweep:
    chosen: slice | NDArray[np.bool_] = slice(None, None, step)
    if np.count_nonzero(np.diff(sweep.rings)) > len(sweep) // 2:
        numbers = np.arange(len(sweep), dtype=np.uint64)
        chosen = (numbers * np.uint64(2654435761) % np.uint64(2**32) >> np.uint64(16)) % np.uint64(step) == 0
    return replace(
        sweep,
        points_m=sweep.points_m[chosen],
        intensity=sweep.intensity[chosen],
        time_offsets_ns=sweep.time_offsets_ns[chosen],
        rings=sweep.rings[chosen],
    )


def _radar(frame: SyncedFrame, config: SampleConfig) -> NDArray[np.float32]:
    parts: list[NDArray[np.float32]] = [np.zeros((0, len(RADAR_COLUMNS)), np.float32)]
    for channel, scans in sorted(frame.radars.items()):
        recent = scans[: config.radar_scans]
        cloud = radar_in_ego(recent, frame.rig[channel], frame.ego_motion, frame.timestamp_ns)
        known = np.isfinite(cloud.radial_velocities_mps)
        columns = [
            cloud.points_m,
            cloud.rcs_dbsm[:, None],
            np.where(known, cloud.radial_velocities_mps, 0)[:, None],
            known[:, None],
            cloud.directions,
            cloud.ages_s[:, None],
        ]
        parts.append(np.concatenate(columns, axis=1).astype(np.float32))
    return _rows_within(np.concatenate(parts).T, config.range_m)


def _rows_within(columns: NDArray[np.float32], range_m: float) -> NDArray[np.float32]:
    """Rows (P, C) of those of N returns, given column by column (C, N), within range whose every value is finite."""
    keep, finite = _within(columns[0], columns[1], range_m), np.isfinite(columns)
    if not finite.all():
        keep &= finite.all(axis=0)
    rows = np.empty((np.count_nonzero(keep), len(columns)), np.float32)
    for number, column in enumerate(columns):
        rows[:, number] = column[keep]
    return rows


def _within(x: NDArray[np.float32], y: NDArray[np.float32], range_m: float) -> NDArray[np.bool_]:
    """Whether `np.hypot` of numbers (N,) is below the range, asked only where their squares leave it open."""
    with np.errstate(over="ignore"):  # infinite squares are beyond any range
        squares = x * x + y * y
    within = squares < range_m**2
    near = np.flatnonzero(np.abs(squares - np.float32(range_m**2)) < 1e-4 * range_m**2)
    within[near] = np.hypot(x[near], y[near]) < range_m
    return within
