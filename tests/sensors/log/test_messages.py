"""Messages of other people's graphs."""

import math

import numpy as np
import pytest

from tricast.sensors.frames import EgoPose
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.messages import (
    camera_info_message,
    ego_pose,
    lens_of,
    odometry_message,
    transform_message,
    transform_pose,
)
from tricast.sensors.log.schema import deserialize, serialize


def test_a_twist_that_is_not_finite_is_unknown() -> None:
    pose = EgoPose(
        timestamp_ns=5,
        received_ns=7,
        odom_from_ego=SE3(translation_m=(1.0, 2.0, 3.0)),
        linear_velocity_mps=(4.0, 0.0, math.nan),
        angular_velocity_radps=(0.0, 0.0, 0.5),
    )
    read = ego_pose(odometry_message(pose), 7)
    assert read.linear_velocity_mps is None
    assert read.angular_velocity_radps == (0.0, 0.0, 0.5)
    assert read.odom_from_ego.translation_m == (1.0, 2.0, 3.0)


def test_odometry_of_another_frame_is_brought_to_the_ego_frame() -> None:
    # The sensor sits 2 m above the ego frame and 1 m ahead of it, turned to the left, and turns about its own axis.
    sensor_from_ego = SE3.from_yaw(math.pi / 2, (1.0, 0.0, 2.0)).inverse
    pose = EgoPose(
        timestamp_ns=5,
        received_ns=7,
        odom_from_ego=SE3.from_yaw(math.pi / 2, (11.0, 0.0, 2.0)),
        linear_velocity_mps=(0.0, -4.0, 0.0),
        angular_velocity_radps=(0.0, 0.0, 0.5),
    )
    read = ego_pose(odometry_message(pose), 7, sensor_from_ego)
    np.testing.assert_allclose(read.odom_from_ego.matrix, SE3(translation_m=(10.0, 0.0, 0.0)).matrix, atol=1e-12)
    # Where the sensor goes ahead at 4 m/s, the ego frame 1 m behind it goes to the right by 0.5 m/s as well.
    np.testing.assert_allclose(read.linear_velocity_mps or (), (4.0, -0.5, 0.0), atol=1e-12)
    np.testing.assert_allclose(read.angular_velocity_radps or (), (0.0, 0.0, 0.5), atol=1e-12)


@pytest.mark.parametrize("linear", [None, (4.0, 0.0, 0.0)])
@pytest.mark.parametrize("angular", [None, (0.0, 0.0, 0.5)])
def test_each_half_of_a_twist_comes_back_as_it_was(
    linear: tuple[float, float, float] | None, angular: tuple[float, float, float] | None
) -> None:
    pose = EgoPose(
        timestamp_ns=5, received_ns=7, odom_from_ego=SE3(), linear_velocity_mps=linear, angular_velocity_radps=angular
    )
    written = deserialize(serialize(odometry_message(pose)), "nav_msgs/msg/Odometry")
    assert ego_pose(written, 7) == pose
    assert (written.twist.covariance[0] == -1) == (linear is None and angular is None)


@pytest.mark.parametrize("child", ["base_link", "/base_link", "base_footprint"])
def test_a_transform_that_places_the_vehicle_is_a_pose(child: str) -> None:
    fixed = {"base_link": SE3(), "base_footprint": SE3(translation_m=(0.0, 0.0, 0.4))}
    transforms = [("map", "odom", SE3()), ("odom", child, SE3(translation_m=(3.0, 4.0, 0.0)))]
    pose = transform_pose(transform_message(9, transforms), fixed.get, 11)
    assert pose is not None
    assert (pose.timestamp_ns, pose.received_ns) == (9, 11)
    assert pose.odom_from_ego.translation_m == (3.0, 4.0, 0.4 if child == "base_footprint" else 0.0)
    assert transform_pose(transform_message(9, transforms[:1]), fixed.get, 11) is None


def test_a_rational_lens_comes_back_from_its_camera_info() -> None:
    lens = PinholeLens(
        width_px=64,
        height_px=48,
        focal_px=(50.0, 51.0),
        principal_px=(31.0, 23.0),
        distortion=(0.1, 0.2, 0.01, 0.02, 0.3),
        rational=(0.4, -0.8, 1.6),
    )
    info = camera_info_message(lens, "CAM", 0)
    assert (info.distortion_model, list(info.d)) == ("rational_polynomial", [*lens.distortion, *lens.rational])
    assert lens_of(info, "CAM") == lens


def test_a_camera_that_sends_a_part_of_its_picture_has_the_lens_of_that_part() -> None:
    whole = PinholeLens(width_px=1920, height_px=1200, focal_px=(600.0, 601.0), principal_px=(959.5, 599.5))
    info = camera_info_message(whole, "CAM", 0)
    info.roi.width, info.roi.height = 640, 400
    info.roi.x_offset, info.roi.y_offset = 600, 300
    part = PinholeLens(width_px=640, height_px=400, focal_px=(600.0, 601.0), principal_px=(359.5, 299.5))
    assert lens_of(info, "CAM") == part
    info.roi.width, info.roi.height, info.roi.x_offset, info.roi.y_offset = 1920, 1200, 0, 0
    assert lens_of(info, "CAM") == whole
