"""What a live graph's messages become, without a graph: poses of moving transforms, and time that has not begun."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tricast.perception.ros.live_config import LiveConfig
from tricast.perception.ros.sensor_inputs import TRANSFORMS, SensorInputs
from tricast.sensors.calibration import Rig
from tricast.sensors.frames import EgoPose, LidarSweep
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log import messages as ros
from tricast.sensors.log.schema import serialize
from tricast.sensors.log.sensor_topics import CLOUD
from tricast.sensors.log.writer import ros_messages

S, MS = 1_000_000_000, 1_000_000
SPEED_MPS = 30.0


class Node:
    """As much of a node as decoding needs: a clock to set, and a log that nobody reads."""

    now_ns = 0

    def get_clock(self) -> Any:
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=self.now_ns))

    def get_logger(self) -> Any:
        return SimpleNamespace(info=lambda text: None)


class Heard(list[Any]):
    """In the runtime's place: keeps what it is given."""

    put = recalibrate = list.append


def inputs(node: Any = None, heard: Any = None, **config: Any) -> SensorInputs:
    runtime: Any = Heard() if heard is None else heard
    return SensorInputs(node or Node(), LiveConfig(**config), runtime, None)


def told(found: SensorInputs, time_ns: int, parent: str, child: str, x_m: float) -> list[Any]:
    """Poses that one moving transform brings."""
    message = ros.transform_message(time_ns, [(parent, child, SE3(translation_m=(x_m, 0.0, 0.0)))])
    return list(found._moving_transforms("tf", message, time_ns))


def driven(found: SensorInputs, *, ahead_ns: int) -> list[EgoPose]:
    """Poses of 2 s at 30 m/s: odom > base_link at 50 Hz, map > odom at 10 Hz with stamps that lie ahead."""
    poses: list[EgoPose] = []
    for k in range(100):
        poses += told(found, 100 * S + k * 20 * MS, "odom", "base_link", SPEED_MPS * k * 0.02)
        if k % 5 == 0:
            poses += told(found, 100 * S + k * 20 * MS + ahead_ns, "map", "odom", 5.0)
    return poses


def test_a_pose_per_step_of_the_vehicle_is_right_where_the_map_is_told_ahead_of_time() -> None:
    poses = driven(inputs(odom_frame="map"), ahead_ns=500 * MS)
    # From the first stamp of map > odom on, 0.5 s after the first step.
    assert [p.timestamp_ns for p in poses] == [100 * S + k * 20 * MS for k in range(25, 100)]
    for pose in poses:
        assert pose.odom_from_ego.translation_m[0] == pytest.approx(5.0 + SPEED_MPS * (pose.timestamp_ns / S - 100))


def test_poses_wait_for_the_slower_of_two_moving_transforms_and_lie_between_its_stamps() -> None:
    poses = driven(inputs(odom_frame="map"), ahead_ns=5 * MS)
    # map > odom is known from 5 to 1905 ms: steps before and after are not known in the map.
    known_ms = {k * 20 for k in range(1, 96)} | {k * 100 + 5 for k in range(20)}
    assert [(p.timestamp_ns - 100 * S) // MS for p in poses] == sorted(known_ms)
    for pose in poses:
        assert pose.odom_from_ego.translation_m[0] == pytest.approx(5.0 + SPEED_MPS * (pose.timestamp_ns / S - 100))


def test_only_what_goes_back_behind_itself_is_a_jump_in_time() -> None:
    found = inputs()
    told(found, 100 * S, "base_footprint", "base_link", 1.5)
    for k in range(3):
        told(found, 98 * S + k * 100 * MS, "map", "odom", 0.0)  # A slow map, always 2 s late.
        told(found, 0, "odom", "wheel", 0.0)
    assert found.transforms.lookup("base_footprint", "base_link") is not None
    told(found, 90 * S, "map", "odom", 0.0)
    assert found.transforms.lookup("base_footprint", "base_link") is None


def test_what_calibrates_is_learned_before_time_begins_and_what_measures_is_counted() -> None:
    node, heard = Node(), Heard()
    found = inputs(node, heard)
    mount = ros.transform_message(0, [("base_link", "LIDAR", SE3(translation_m=(0.0, 0.0, 1.8)))])
    sweep = LidarSweep.from_points("LIDAR", S, np.ones((3, 3)))
    ((_, cloud),) = ros_messages(sweep, Rig())

    def take() -> None:
        found._take("LIDAR", CLOUD, found._cloud, serialize(cloud))

    found._take("tf_static", TRANSFORMS, found._static_transforms, serialize(mount))
    take()
    assert found.before_time == 1
    assert [type(item).__name__ for item in heard] == ["Rig"]
    node.now_ns = S
    take()
    assert found.calibration.rig["LIDAR"].ego_from_sensor.translation_m == (0.0, 0.0, 1.8)
    assert [type(item).__name__ for item in heard] == ["Rig", "LidarSweep"]
