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
    (Velodyne's `time`) or absolute seconds or nanoseconds (`timestamp` of Hesai, RoboSense and Livox). A point whose
    time is NaN or 0, as drivers mark missing returns, is taken to be the header's.
    """
    times = column(points, TIME_NAMES)
    if times is None or (len(times) and not np.isfinite(times).any()):
        return None
    offsets = np.zeros(len(times), np.int32)
    known = np.isfinite(times) & (times != 0)
    if known.any():
        told = _offsets_ns(times[known], timestamp_ns)
        if np.abs(told).max() > MAX_OFFSET_NS:
            return None
        offsets[known] = told
    return offsets


def _offsets_ns(times: NDArray[Any], timestamp_ns: int) -> NDArray[Any]:
    """Finite times (N,), N > 0, minus the header's stamp, whichever way they are told."""
    seconds = times.astype(np.float64)
    largest = np.abs(seconds).max()
    if largest > ABSOLUTE_NS:
        return times.astype(np.int64) - timestamp_ns
    if np.issubdtype(times.dtype, np.integer):
        return times.astype(np.int64)
    whole_s, rest_ns = divmod(timestamp_ns, 1_000_000_000) if largest > ABSOLUTE_S else (0, 0)
    return np.round((seconds - whole_s) * 1e9) - rest_ns
