"""Columns of a point cloud under the names and units that drivers give them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

INTENSITY_NAMES = ("intensity", "reflectivity", "i")
RING_NAMES = ("ring", "channel", "line")
TIME_NAMES = ("t", "time", "time_stamp", "timestamp", "offset_time", "time_offset")
RCS_NAMES = ("rcs", "RCS")
RADIAL_VELOCITY_NAMES = (
    "radial_velocity",
    "radial_speed",
    "doppler_velocity",
    "doppler",
    "range_rate",
    "v_r",
    "velocity",
)
COMPENSATED_VELOCITY_NAMES = ("compensated_velocity", "v_r_compensated")
MAX_OFFSET_NS = 2_000_000_000
"""Times further than this from the header are of another clock: then no point's time is known."""
ABSOLUTE_NS = 1e15
ABSOLUTE_S = 1e6


def is_radar_layout(names: Collection[str]) -> bool:
    """Whether a cloud's fields are a radar's: a cross-section or a Doppler."""
    return any(name in names for name in (*RCS_NAMES, *RADIAL_VELOCITY_NAMES))


def column(points: NDArray[Any], names: tuple[str, ...]) -> NDArray[Any] | None:
    """The first column of these names, or None."""
    for name in names:
        if name in (points.dtype.names or ()):
            return np.ascontiguousarray(points[name])
    return None


def time_offsets_ns(points: NDArray[Any], timestamp_ns: int) -> NDArray[np.int32] | None:
    """Each point's time minus the header's stamp (N,), None where the cloud has no times that fit.

    Integers are nanoseconds after the header (Ouster's `t`, Autoware's `time_stamp`), floats are seconds after it
    (Velodyne's `time`) or absolute seconds or nanoseconds (`timestamp` of Hesai, RoboSense and Livox).
    """
    times = column(points, TIME_NAMES)
    if times is None:
        return None
    if not len(times):
        return np.zeros(0, np.int32)
    largest = float(np.nanmax(np.abs(times.astype(np.float64)))) if np.isfinite(times).any() else np.inf
    if np.issubdtype(times.dtype, np.integer):
        offsets = times.astype(np.int64) - (timestamp_ns if largest > ABSOLUTE_NS else 0)
    elif largest > ABSOLUTE_NS:
        offsets = times.astype(np.int64) - timestamp_ns
    else:
        whole_s, rest_ns = divmod(timestamp_ns, 1_000_000_000) if largest > ABSOLUTE_S else (0, 0)
        offsets = np.round(np.nan_to_num(times.astype(np.float64) - whole_s) * 1e9) - rest_ns
    return offsets.astype(np.int32) if np.abs(offsets).max() <= MAX_OFFSET_NS else None
