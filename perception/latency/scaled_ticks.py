"""Ticks with more or fewer cameras and LiDAR returns than were recorded, to see what either costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tricast.sensors.calibration import Rig
from tricast.sensors.frames import LidarSweep
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synced_frame import SyncedFrame

TURN_RAD = 0.4
"""By so much about +z is a camera turned that a tick has once more."""
SHAKE_M = 0.3
"""A return that comes again lies as far away, so that it is another one to a grid of voxels."""


def with_cameras(frame: SyncedFrame, count: int) -> SyncedFrame:
    """The tick with so many cameras: the first of its own, then those again, each turned a little.

    Args:
        frame: A tick with a camera.
        count: How many.

    """
    channels = sorted(frame.cameras)
    cameras, sensors = {}, [s for s in frame.rig.sensors.values() if s.modality != "camera"]
    for number in range(count):
        channel, turns = channels[number % len(channels)], number // len(channels)
        name, calibration = f"CAMERA_{number}", frame.rig[channel]
        turned = SE3.from_yaw(TURN_RAD * turns, (0.0, 0.0, 0.0)) @ calibration.ego_from_sensor
        sensors.append(replace(calibration, channel=name, ego_from_sensor=turned))
        cameras[name] = replace(frame.cameras[channel], channel=name)
    return replace(frame, rig=Rig.of(sensors), cameras=cameras)


def with_points(frame: SyncedFrame, count: int) -> SyncedFrame:
    """The tick with so many returns in every sweep of its LiDARs together.

    Args:
        frame: A tick with a LiDAR.
        count: How many; they are shared evenly among the LiDARs.

    """
    each = max(1, count // max(len(frame.lidars), 1))
    lidars = {c: tuple(_resized(sweep, each) for sweep in sweeps) for c, sweeps in frame.lidars.items()}
    return replace(frame, lidars=lidars)


def _resized(sweep: LidarSweep, count: int) -> LidarSweep:
    own = len(sweep)
    if count <= own:
        kept = np.arange(count) * own // count
        points = sweep.points_m[kept]
    else:
        kept = np.arange(count) % own
        points = sweep.points_m[kept]
        again = kept.size - own
        noise = np.random.default_rng(sweep.timestamp_ns % (1 << 32)).standard_normal((again, 3), dtype=np.float32)
        points[own:] += np.float32(SHAKE_M) * noise
    return replace(
        sweep,
        points_m=points,
        intensity=sweep.intensity[kept],
        time_offsets_ns=sweep.time_offsets_ns[kept],
        rings=sweep.rings[kept],
    )
