"""Own motion taken out of LiDAR and radar, against values worked out by hand."""

from __future__ import annotations

import numpy as np

from tricast.sensors.calibration import SensorCalibration
from tricast.sensors.frames import EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.motion_compensation import EgoMotion, lidar_in_ego, radar_in_ego

S = 1_000_000_000
POSES = [
    EgoPose(timestamp_ns=t, received_ns=t, odom_from_ego=SE3(translation_m=(10.0 * t / S, 0.0, 0.0)))
    for t in (0, S // 10)
]


def test_a_wall_seen_while_driving_stays_straight() -> None:
    offsets = np.arange(0, S // 10, S // 1000, dtype=np.int32)
    seen_x = 20.0 - 10.0 * offsets / S
    sweep = LidarSweep.from_points("L", 0, np.stack([seen_x, offsets / S, 0 * seen_x], axis=1), time_offsets_ns=offsets)
    calibration = SensorCalibration(channel="L", modality="lidar", ego_from_sensor=SE3())
    points = lidar_in_ego([sweep], calibration, EgoMotion(POSES), S // 10).points_m
    np.testing.assert_allclose(points[:, 0], 19.0, atol=0.02)


def test_a_static_target_has_no_speed_over_ground() -> None:
    scan = RadarScan.from_points("R", 0, np.array([[3.0, 4.0, 0.0]]), radial_velocities_mps=np.array([-6.0]))
    calibration = SensorCalibration(channel="R", modality="radar", ego_from_sensor=SE3())
    radial = radar_in_ego([scan], calibration, EgoMotion(POSES), 0).radial_velocities_mps
    np.testing.assert_allclose(radial, 0.0, atol=1e-5)


def test_without_poses_the_vehicle_stands_still() -> None:
    assert EgoMotion().odom_from_ego(S) == SE3()
    assert not EgoMotion().known


def test_many_times_at_once_equal_one_by_one_between_and_beyond_poses() -> None:
    poses = [
        EgoPose(
            timestamp_ns=t,
            received_ns=t,
            odom_from_ego=SE3.from_euler(0.02 * t / S, -0.1 * t / S, 3.0 + 0.9 * t / S, (7.0 * t / S, t / S, 0.1)),
        )
        for t in (0, S // 10, S // 5, S)
    ]
    motion = EgoMotion(poses)
    times = np.array([-S // 50, 0, S // 30, S // 10, S // 6, S // 2, S, S + S // 40])
    rotations, translations = motion.ego_from_egos(S // 4, times)
    for row, time_ns in enumerate(times):
        expected = motion.ego_from_ego(S // 4, int(time_ns))
        np.testing.assert_allclose(rotations[row], expected.rotation, atol=1e-9)
        np.testing.assert_allclose(translations[row], expected.translation, atol=1e-9)
