"""LiDAR sweeps column by column, in ego axes at the times of their own returns: what ticks that share a sweep share."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.frames import LidarSweep
from tricast.sensors.geometry.se3 import SE3


@dataclass(frozen=True, kw_only=True, eq=False)
class SweepColumns:
    """The N valid returns of one sweep; not to be written to, as they are kept while the sweep is.

    Args:
        columns: (4, N) float32: x, y, z in ego axes, each at its own time, and intensity on the sensor's own scale.
        stamps_ns: (N,) int64 times of the returns.

    """

    columns: NDArray[np.float32]
    stamps_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.stamps_ns)


_KEPT: WeakKeyDictionary[LidarSweep, tuple[SE3, SweepColumns]] = WeakKeyDictionary()


def sweep_columns(sweep: LidarSweep, ego_from_sensor: SE3) -> SweepColumns:
    """The columns of a sweep, made once while it is mounted likewise: of the sweeps of a tick few are new."""
    kept = _KEPT.get(sweep)
    if kept is not None and kept[0] == ego_from_sensor:
        return kept[1]
    made = _made(sweep.without_invalid()[0], ego_from_sensor)
    _KEPT[sweep] = (ego_from_sensor, made)
    return made


def _made(sweep: LidarSweep, ego_from_sensor: SE3) -> SweepColumns:
    columns = np.empty((4, len(sweep)), np.float32)
    columns[:3] = (sweep.points_m @ ego_from_sensor.rotation.astype(np.float32).T).T
    columns[:3] += ego_from_sensor.translation.astype(np.float32)[:, None]
    columns[3] = sweep.intensity
    stamps_ns = np.add(sweep.time_offsets_ns, sweep.timestamp_ns, dtype=np.int64)
    for array in (columns, stamps_ns):
        array.flags.writeable = False
    return SweepColumns(columns=columns, stamps_ns=stamps_ns)
