"""A short drive past two cars, small enough to be run many times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.stream import Message, stream_order

MS = 1_000_000
EGO_FROM_OPTICAL = SE3.from_matrix(np.array([[0, 0, 1, 1.5], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1.0]]))
LENS = PinholeLens(width_px=64, height_px=32, focal_px=(34.0, 34.0), principal_px=(31.5, 15.5))
RIG = Rig.of(
    [
        SensorCalibration(channel="LIDAR", modality="lidar", ego_from_sensor=SE3(translation_m=(0.0, 0.0, 1.8))),
        SensorCalibration(channel="RADAR", modality="radar", ego_from_sensor=SE3(translation_m=(2.0, 0.0, 0.5))),
        SensorCalibration(channel="CAM", modality="camera", ego_from_sensor=EGO_FROM_OPTICAL, lens=LENS),
    ]
)
EGO_SPEED_MPS = 5.0
CARS = ((12.0, 3.0, 2.0), (20.0, -4.0, -6.0))
"""x, y and speed along x at time 0, in the odometry frame."""


def drive_messages(seconds: float = 3.0, *, period_ms: int = 100, first_ms: int = 0) -> list[Message]:
    """LiDAR, radar and camera messages every period, poses at 50 Hz, in order of arrival."""
    rng = np.random.default_rng(7)
    messages: list[Message] = []
    for t in range(0, round(seconds * 1000), 20):
        at_ns = (first_ms + t) * MS
        pose = SE3(translation_m=(EGO_SPEED_MPS * t / 1000, 0.0, 0.0))
        messages.append(EgoPose(timestamp_ns=at_ns, received_ns=at_ns + MS, odom_from_ego=pose))
    for t in range(0, round(seconds * 1000), period_ms):
        at_ns, arrival_ns = (first_ms + t) * MS, (first_ms + t + 5) * MS
        cars = np.array([[x + (v - EGO_SPEED_MPS) * t / 1000, y] for x, y, v in CARS])
        faces = np.concatenate([rng.uniform((-2, -0.9), (2, 0.9), (120, 2)) + car for car in cars])
        faces = np.column_stack([faces, rng.uniform(-1.5, -0.2, len(faces))])
        ground = np.column_stack([rng.uniform(-25, 25, (300, 2)), rng.normal(-1.8, 0.02, 300)])
        points = np.concatenate([faces, ground]).astype(np.float32)
        messages.append(LidarSweep.from_points("LIDAR", at_ns, points, received_ns=arrival_ns))
        returns = np.column_stack([cars - [2, 0], np.zeros(2)]) + rng.normal(0, 0.1, (2, 3))
        doppler = np.array([v - EGO_SPEED_MPS for *_, v in CARS])
        scan = RadarScan.from_points("RADAR", at_ns, returns, radial_velocities_mps=doppler, received_ns=arrival_ns)
        messages.append(scan)
        pixels = rng.integers(0, 255, (32, 64, 3), dtype=np.uint8)
        picture = CameraFrame.from_pixels("CAM", at_ns, pixels)
        messages.append(picture)
    return sorted(messages, key=stream_order)


@pytest.fixture(scope="session")
def rig() -> Rig:
    return RIG


@pytest.fixture(scope="session")
def make_drive() -> Callable[..., list[Message]]:
    return drive_messages


@pytest.fixture(scope="session")
def drive() -> list[Message]:
    return drive_messages()
