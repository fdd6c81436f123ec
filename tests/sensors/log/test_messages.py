"""Messages of other people's graphs."""

import math

from tricast.sensors.frames import EgoPose
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.messages import ego_pose, odometry_message


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
