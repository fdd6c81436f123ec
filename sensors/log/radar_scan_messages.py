"""`radar_msgs/RadarScan`, which tells ranges and angles, as a scan of points."""

from __future__ import annotations

from typing import Any

import numpy as np

from tricast.sensors.frames import RadarScan
from tricast.sensors.log.schema import stamp_ns

RADAR_SCAN = "radar_msgs/msg/RadarScan"


def radar_scan(message: Any, channel: str, received_ns: int) -> RadarScan:
    """Scan of a `radar_msgs/RadarScan`: positive azimuths lie to the left, as in REP 103; amplitudes are in dB.

    Source: `radar_msgs/msg/RadarReturn.msg` as released; only drafts of it had the sign the other way round.
    """
    names = ("range", "azimuth", "elevation", "doppler_velocity", "amplitude")
    rows = np.array([[getattr(r, n) for n in names] for r in message.returns], np.float32).reshape(-1, len(names))
    ranges_m, azimuths_rad, elevations_rad, doppler_mps, amplitudes_db = rows.T
    flat_m = ranges_m * np.cos(elevations_rad)
    points_m = np.stack(
        [flat_m * np.cos(azimuths_rad), flat_m * np.sin(azimuths_rad), ranges_m * np.sin(elevations_rad)], axis=1
    )
    return RadarScan.from_points(
        channel,
        stamp_ns(message.header.stamp),
        points_m,
        rcs_dbsm=amplitudes_db,
        radial_velocities_mps=doppler_mps,
        received_ns=received_ns,
    )
