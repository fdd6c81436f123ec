"""Own motion taken out of LiDAR and radar, against values worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tricast.sensors.calibration import SensorCalibration
from tricast.sensors.frames import EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.motion_compensation import EgoMotion, lidar_columns_in_ego, lidar_in_ego, radar_in_ego

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


def test_a_twist_of_zero_is_not_believed_where_the_poses_move() -> None:
    still = {"linear_velocity_mps": (0.0, 0.0, 0.0), "angular_velocity_radps": (0.0, 0.0, 0.0)}
    moving = EgoMotion([replace(pose, **still) for pose in POSES])
    np.testing.assert_allclose(moving.velocity_mps(S // 10), [10.0, 0.0, 0.0])
    np.testing.assert_allclose(moving.odom_from_ego(S // 5).translation, [2.0, 0.0, 0.0])
    crept = replace(POSES[1], odom_from_ego=SE3(translation_m=(0.05, 0.0, 0.0)), **still)
    standing = EgoMotion([replace(POSES[0], **still), crept])
    assert not standing.velocity_mps(S // 10).any()


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


def test_without_poses_many_times_at_once_stand_still_too() -> None:
    rotations, translations = EgoMotion().ego_from_egos(S, np.array([0, S, 2 * S]))
    np.testing.assert_array_equal(rotations, np.tile(np.eye(3), (3, 1, 1)))
    np.testing.assert_array_equal(translations, np.zeros((3, 3)))


def test_one_pose_goes_on_by_its_own_twist_in_both_directions() -> None:
    pose = EgoPose(
        timestamp_ns=S,
        received_ns=S,
        odom_from_ego=SE3.from_yaw(0.4, (5.0, 1.0, 0.0)),
        linear_velocity_mps=(9.0, 0.5, 0.0),
        angular_velocity_radps=(0.01, 0.0, 0.6),
    )
    motion, times = EgoMotion([pose]), np.array([S // 2, S, S + S // 5])
    rotations, translations = motion.ego_from_egos(S + S // 10, times)
    for row, time_ns in enumerate(times):
        expected = motion.ego_from_ego(S + S // 10, int(time_ns))
        np.testing.assert_allclose(rotations[row], expected.rotation, atol=1e-12)
        np.testing.assert_allclose(translations[row], expected.translation, atol=1e-12)


def test_a_sweep_is_moved_as_its_points_one_by_one_at_the_middle_of_their_millisecond() -> None:
    """In any order of their times, with milliseconds in which nothing was measured, from before all poses to after."""
    rng = np.random.default_rng(0)
    poses = [
        EgoPose(
            timestamp_ns=t,
            received_ns=t,
            odom_from_ego=SE3.from_euler(0.1 * t / S, -0.1 * t / S, 0.9 * t / S, (70.0 * t / S, t / S, 0.1)),
        )
        for t in (0, S // 20, S // 10)
    ]
    offsets = rng.integers(-S // 50, S // 8, 300).astype(np.int32)
    points = rng.uniform(-60, 60, (300, 3)).astype(np.float32)
    sweep = LidarSweep.from_points("L", 0, points, time_offsets_ns=offsets)
    mount = SE3.from_yaw(0.3, (1.0, 0.0, 2.0))
    motion = EgoMotion(poses)
    cloud = lidar_in_ego(
        [sweep], SensorCalibration(channel="L", modality="lidar", ego_from_sensor=mount), motion, S // 4
    )
    assert cloud.points_m.dtype == np.float32
    for point, offset, moved in zip(points.astype(float), offsets, cloud.points_m, strict=True):
        middle_ns = int(offset) // 1_000_000 * 1_000_000 + 500_000
        expected = (motion.ego_from_ego(S // 4, middle_ns) @ mount).apply(point[None])[0]
        np.testing.assert_allclose(moved, expected, atol=2e-5)


def test_scans_are_moved_as_their_returns_one_by_one() -> None:
    """Scans of their own times, an empty one among them, by a vehicle that turns."""
    rng = np.random.default_rng(0)
    poses = [
        EgoPose(
            timestamp_ns=t,
            received_ns=t,
            odom_from_ego=SE3.from_euler(0.1 * t / S, 0.0, 0.9 * t / S, (20.0 * t / S, t / S, 0.1)),
            linear_velocity_mps=(20.0, 1.0, 0.0),
            angular_velocity_radps=(0.1, 0.0, 0.9),
        )
        for t in (0, S // 10, S // 5)
    ]
    scans = [
        RadarScan.from_points(
            "R", t, rng.uniform(-60, 60, (n, 3)), radial_velocities_mps=rng.normal(0, 9, n), rcs_dbsm=np.full(n, n)
        )
        for t, n in ((S // 20, 4), (S // 8, 0), (S // 4, 3))
    ]
    mount, motion, now_ns = SE3.from_yaw(2.0, (3.0, 0.5, 0.4)), EgoMotion(poses), S // 3
    cloud = radar_in_ego(scans, SensorCalibration(channel="R", modality="radar", ego_from_sensor=mount), motion, now_ns)
    assert cloud.rcs_dbsm.tolist() == [4, 4, 4, 4, 3, 3, 3]
    row = 0
    for scan in scans:
        tick_from_ego = motion.ego_from_ego(now_ns, scan.timestamp_ns)
        for point, radial in zip(scan.points_m.astype(float), scan.radial_velocities_mps, strict=True):
            np.testing.assert_allclose(cloud.points_m[row], (tick_from_ego @ mount).apply(point), atol=2e-5)
            sight = mount.rotate(point / np.linalg.norm(point))
            own = motion.velocity_mps(scan.timestamp_ns) + np.cross((0.1, 0.0, 0.9), mount.translation)
            np.testing.assert_allclose(cloud.radial_velocities_mps[row], radial + sight @ own, atol=1e-5)
            ahead = tick_from_ego.rotate(sight)[:2]
            np.testing.assert_allclose(cloud.directions[row], ahead / np.linalg.norm(ahead), atol=1e-6)
            np.testing.assert_allclose(cloud.ages_s[row], (now_ns - scan.timestamp_ns) / S, atol=1e-7)
            row += 1
    assert not len(
        radar_in_ego(
            [], SensorCalibration(channel="R", modality="radar", ego_from_sensor=mount), motion, now_ns
        ).points_m
    )


def test_columns_of_sweeps_are_to_the_bit_what_one_return_after_another_gives() -> None:
    """Several sweeps, one of them empty, with returns that are not finite, from before all poses to after."""
    rng = np.random.default_rng(1)
    poses = [
        EgoPose(
            timestamp_ns=t,
            received_ns=t,
            odom_from_ego=SE3.from_euler(0.1 * t / S, -0.1 * t / S, 0.9 * t / S, (30.0 * t / S, t / S, 0.1)),
        )
        for t in (0, S // 20, S // 10)
    ]
    sweeps = []
    for start_ns, count in ((S // 10, 200), (S // 20, 0), (0, 150)):
        points = rng.uniform(-60, 60, (count, 3)).astype(np.float32)
        points[3:4] = np.nan
        offsets = rng.integers(-S // 50, S // 20, count).astype(np.int32)
        sweeps.append(
            LidarSweep.from_points("L", start_ns, points, time_offsets_ns=offsets, intensity=rng.random(count))
        )
    calibration = SensorCalibration(
        channel="L", modality="lidar", ego_from_sensor=SE3.from_euler(0.1, 0.2, 0.3, (1.0, 0.0, 2.0))
    )
    for motion in (EgoMotion(poses), EgoMotion()):
        columns = lidar_columns_in_ego(sweeps, calibration, motion, S // 5)
        expected = np.concatenate([_one_by_one(sweep, calibration, motion, S // 5) for sweep in sweeps], axis=1)
        assert (columns.dtype, columns.shape) == (np.float32, (5, 348))
        np.testing.assert_array_equal(columns, expected)
        cloud = lidar_in_ego(sweeps, calibration, motion, S // 5)
        np.testing.assert_array_equal(np.vstack([cloud.points_m.T, cloud.intensity, cloud.ages_s]), expected)
        assert len(cloud.rings) == 348


def _one_by_one(sweep: LidarSweep, calibration: SensorCalibration, motion: EgoMotion, now_ns: int) -> np.ndarray:
    """Columns of the valid returns of one sweep in float32, term after term."""
    kept = np.flatnonzero(np.isfinite(sweep.points_m).all(axis=1))
    moved = calibration.ego_from_sensor.apply(sweep.points_m[kept])
    times_ns = [sweep.timestamp_ns + int(sweep.time_offsets_ns[row]) for row in kept]
    if motion.known and len(kept):
        middles = np.array([t // 1_000_000 * 1_000_000 + 500_000 for t in times_ns])
        rotations, shifts = (a.astype(np.float32) for a in motion.ego_from_egos(now_ns, middles))
        for row, (turn, shift) in enumerate(zip(rotations, shifts, strict=True)):
            x, y, z = moved[row].copy()
            moved[row] = [r[0] * x + r[1] * y + r[2] * z + t for r, t in zip(turn, shift, strict=True)]
    ages = np.array([(now_ns - t) / S for t in times_ns], np.float32)
    return np.vstack([moved.T, sweep.intensity[kept], ages])


@pytest.mark.parametrize("step_s", [0.1, 0.5, 1.0])
def test_in_a_turn_the_velocity_told_by_two_poses_is_straight_ahead(step_s: float) -> None:
    """10 m/s along a circle of 20 m, by poses alone."""

    def pose(time_s: float) -> EgoPose:
        turn = 0.5 * time_s
        at_ns = round(time_s * S)
        place = (20 * math.sin(turn), 20 * (1 - math.cos(turn)), 0.0)
        return EgoPose(timestamp_ns=at_ns, received_ns=at_ns, odom_from_ego=SE3.from_yaw(turn, place))

    motion = EgoMotion([pose(0.0), pose(step_s)])
    velocity = motion.velocity_mps(round(step_s * S))
    assert velocity[1] == pytest.approx(0.0, abs=1e-6) and velocity[0] == pytest.approx(10.0, rel=0.02)
    ahead = motion.odom_from_ego(round(2 * step_s * S)).translation - pose(2 * step_s).odom_from_ego.translation
    assert np.linalg.norm(ahead) < 0.25 * step_s
