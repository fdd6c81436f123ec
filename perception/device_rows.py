"""LiDAR rows made on a device: sweeps of a tick de-skewed, thinned and ordered as `sample_of` and `lidar_rows` do it.

A sweep is sent there once; of the ticks that take it each sends a pose for every millisecond. Letters in shapes: N
returns of all sweeps together, K milliseconds, P returns that are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from tricast.perception.batch import BatchConfig
from tricast.perception.point_rows import BORDER
from tricast.perception.sent import sent
from tricast.perception.tick_sample import BYTE_SCALE, SampleConfig, chosen_sweeps
from tricast.sensors.motion_compensation import SECOND_NS, TIME_BUCKET_NS, EgoMotion
from tricast.sensors.sweep_columns import SweepColumns, sweep_columns
from tricast.sensors.synced_frame import SyncedFrame


@dataclass(frozen=True, kw_only=True, eq=False)
class _HeldSweep:
    """Columns (4, N) and stamps_ns (N,) of a sweep as in `SweepColumns`, on the device; the rest is for the host."""

    columns: Tensor
    stamps_ns: Tensor
    first_ns: int
    last_ns: int
    most_intensity: float


class DeviceRows:
    """Makes LiDAR rows on a device, where it holds sweeps as long as they are about; for any thread.

    Args:
        device: As torch names it.

    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._held: WeakKeyDictionary[SweepColumns, _HeldSweep] = WeakKeyDictionary()

    def rows(self, frame: SyncedFrame, sample: SampleConfig, config: BatchConfig) -> Tensor:
        """(P, 5) float32 on the device, `LIDAR_COLUMNS`, one return of each voxel and age in the order of cells."""
        channels = [
            [self._sweep(sweep_columns(sweep, frame.rig[channel].ego_from_sensor)) for sweep in chosen]
            for channel, sweeps in sorted(frame.lidars.items())
            if (chosen := [sweep for sweep in chosen_sweeps(sweeps, sample) if len(sweep)])
        ]
        sweeps = [sweep for channel in channels for sweep in channel if len(sweep.stamps_ns)]
        if not sweeps:
            return torch.zeros((0, 5), device=self._device)
        stamps_ns = torch.cat([sweep.stamps_ns for sweep in sweeps])
        columns = torch.cat([_with_full_scale(channel) for channel in channels], dim=1)
        places_m = columns[:3]
        if frame.ego_motion.known:
            places_m = self._deskewed(places_m, stamps_ns, sweeps, frame.ego_motion, frame.timestamp_ns)
        ages_s = ((frame.timestamp_ns - stamps_ns).double() / SECOND_NS).float()
        columns = torch.cat([places_m, columns[3:], ages_s[None]])
        newest_s, oldest_s = (
            np.float32((frame.timestamp_ns - ns) / SECOND_NS)
            for ns in (max(sweep.last_ns for sweep in sweeps), min(sweep.first_ns for sweep in sweeps))
        )
        return _off_borders(_thinned(columns, newest_s, oldest_s, sample.range_m, config), config)

    def _sweep(self, columns: SweepColumns) -> _HeldSweep:
        held = self._held.get(columns)
        if held is None:
            some = len(columns) > 0
            held = _HeldSweep(
                columns=sent(columns.columns, self._device),
                stamps_ns=sent(columns.stamps_ns, self._device),
                first_ns=int(columns.stamps_ns.min()) if some else 0,
                last_ns=int(columns.stamps_ns.max()) if some else 0,
                most_intensity=float(np.fmax.reduce(columns.columns[3], initial=0.0)),
            )
            self._held[columns] = held
        return held

    def _deskewed(
        self, own_m: Tensor, stamps_ns: Tensor, sweeps: Sequence[_HeldSweep], motion: EgoMotion, timestamp_ns: int
    ) -> Tensor:
        """Points (3, N) from ego axes at their own times `stamps_ns` (N,) to ego axes at one time."""
        first = min(sweep.first_ns for sweep in sweeps) // TIME_BUCKET_NS
        last = max(sweep.last_ns for sweep in sweeps) // TIME_BUCKET_NS
        middles_ns = np.arange(first, last + 1) * TIME_BUCKET_NS + TIME_BUCKET_NS // 2
        turns, shifts_m = motion.ego_from_egos(timestamp_ns, middles_ns)
        poses = np.concatenate([turns.reshape(-1, 9), shifts_m], axis=1, dtype=np.float32)  # (K, 12)
        bucket = torch.div(stamps_ns, TIME_BUCKET_NS, rounding_mode="floor") - first
        own_poses = sent(poses.T, self._device).index_select(1, bucket)  # (12, N)
        return (own_poses[:9].view(3, 3, -1) * own_m).sum(dim=1) + own_poses[9:]


def _with_full_scale(channel: Sequence[_HeldSweep]) -> Tensor:
    """Columns (4, N) of a channel's sweeps, their intensity in 0 .. 1; see `tick_sample`."""
    columns = torch.cat([sweep.columns for sweep in channel], dim=1)
    if max(sweep.most_intensity for sweep in channel) > 1:
        columns[3].div_(BYTE_SCALE).clamp_(max=1)
    return columns


def _thinned(
    columns: Tensor, newest_s: np.float32, oldest_s: np.float32, range_m: float, config: BatchConfig
) -> Tensor:
    """Rows (P, 5) of columns (5, N): in range, one of each voxel and age, in the order of the heatmap's cells.

    Args:
        columns: `LIDAR_COLUMNS`.
        newest_s: The least age.
        oldest_s: The largest.
        range_m: Of the sample.
        config: Sizes.

    """
    x, y, z, intensity, age = columns
    (bottom_m, top_m), step_m, most = config.lidar_z_m, config.lidar_voxel_m, torch.iinfo(torch.int64).max
    inside = (x * x + y * y < range_m**2) & (torch.maximum(x.abs(), y.abs()) < config.range_m)
    inside &= (z > bottom_m) & (z < top_m) & intensity.isfinite()
    side, levels = int(2 * config.range_m / step_m) + 2, int((top_m - bottom_m) / step_m) + 2
    newest, oldest = (int(np.round(s / np.float32(config.lidar_age_step_s))) for s in (newest_s, oldest_s))
    # What is above a limit is rounded down by leaving its digits away.
    voxel = ((y + config.range_m) / step_m).long() * side + ((x + config.range_m) / step_m).long()
    voxel = voxel * levels + ((z - bottom_m) / step_m).long()
    voxel = voxel * (oldest - newest + 1) + ((age / config.lidar_age_step_s).round().long() - newest)
    # What is not inside comes last.
    voxel, order = torch.where(inside, voxel, most).sort(stable=True)
    first = torch.ones_like(inside)
    first[1:] = voxel[1:] != voxel[:-1]
    first &= voxel < most
    scale = config.heatmap_cells / (2 * config.range_m)
    column, line = (((axis[order] + config.range_m) * scale).long() for axis in (x, y))
    cell = torch.where(first, line * config.heatmap_cells + column, most)
    kept = order[cell.sort(stable=True).indices[: int(first.sum())]]
    return columns.index_select(1, kept).T.contiguous()


def _off_borders(rows: Tensor, config: BatchConfig) -> Tensor:
    """Rows (P, C) with x and y moved off the borders of cells; see `point_rows`."""
    scale = config.heatmap_cells / (2 * config.range_m)
    place = (rows[:, :2] + config.range_m) * scale
    cell = place.floor()
    off = (place - cell).double().clamp(BORDER, 1 - BORDER)
    moved = ((off + cell) / scale - config.range_m).float()
    near = (place - cell - 0.5).abs() > 0.5 - BORDER
    rows[:, :2] = torch.where(near, moved, rows[:, :2])
    return rows
