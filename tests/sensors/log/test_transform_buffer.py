"""The buffer of transforms, with values worked out by hand."""

import math

import numpy as np
import pytest

from tricast.sensors.errors import CalibrationError
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.messages import transform_message
from tricast.sensors.log.transform_buffer import TransformBuffer

S = 1_000_000_000


def test_a_static_chain_is_composed_from_any_frame_to_any_other() -> None:
    buffer = TransformBuffer()
    buffer.add("base_link", "roof", SE3(translation_m=(1.0, 0.0, 2.0)), 0, True)
    buffer.add("roof", "lidar", SE3.from_yaw(math.pi / 2, (0.5, 0.0, 0.0)), 0, True)
    buffer.add("base_link", "radar", SE3(translation_m=(3.0, 0.0, 0.5)), 0, True)
    lidar = buffer.lookup("base_link", "lidar")
    assert lidar is not None
    np.testing.assert_allclose(lidar.apply(np.array([[1.0, 0.0, 0.0]])), [[1.5, 1.0, 2.0]], atol=1e-12)
    radar_from_lidar = buffer.lookup("radar", "lidar")
    assert radar_from_lidar is not None
    np.testing.assert_allclose(radar_from_lidar.translation, [-1.5, 0.0, 1.5], atol=1e-12)
    assert buffer.lookup("base_link", "elsewhere") is None
    assert buffer.lookup("lidar", "lidar") == SE3()


def test_one_transform_comes_back_to_the_last_bit() -> None:
    pose = SE3.from_euler(0.1, -0.2, 2.7, (1 / 3, 2 / 7, -0.1))
    buffer = TransformBuffer()
    buffer.add_message(transform_message(5, [("base_link", "LIDAR", pose)]), static=True)
    assert buffer.lookup("base_link", "LIDAR") == pose


def test_moving_transforms_are_interpolated_held_at_the_ends_and_forgotten_after_ten_seconds() -> None:
    buffer = TransformBuffer()
    for second in (0, 1, 3):
        buffer.add("odom", "base_link", SE3(translation_m=(2.0 * second, 0.0, 0.0)), second * S, False)

    def x_at(time_ns: int | None) -> float:
        pose = buffer.lookup("odom", "base_link", time_ns)
        assert pose is not None
        return pose.translation_m[0]

    assert x_at(S // 2) == pytest.approx(1.0)
    assert x_at(2 * S) == pytest.approx(4.0)
    assert (x_at(-S), x_at(9 * S), x_at(None)) == (0.0, 6.0, 6.0)
    buffer.add("odom", "base_link", SE3(translation_m=(24.0, 0.0, 0.0)), 12 * S, False)
    assert x_at(0) == 6.0


def test_a_jump_in_time_forgets_what_moves_and_keeps_what_does_not() -> None:
    buffer = TransformBuffer()
    buffer.add("base_link", "lidar", SE3(), 0, True)
    buffer.add("odom", "base_link", SE3(), 5 * S, False)
    buffer.forget_moving()
    assert buffer.lookup("odom", "base_link") is None
    assert buffer.lookup("base_link", "lidar") is not None


def test_only_new_static_transforms_raise_the_version() -> None:
    buffer = TransformBuffer()
    message = transform_message(0, [("base_link", "lidar", SE3(translation_m=(1.0, 0.0, 0.0)))])
    buffer.add_message(message, static=True)
    version = buffer.version
    buffer.add_message(message, static=True)
    buffer.add("odom", "base_link", SE3(), 0, False)
    assert buffer.version == version
    buffer.add("base_link", "lidar", SE3(), 0, True)
    assert buffer.version == version + 1


def test_a_loop_of_frames_ends() -> None:
    buffer = TransformBuffer()
    buffer.add("a", "b", SE3(), 0, True)
    buffer.add("b", "a", SE3(), 0, True)
    assert buffer.lookup("base_link", "a") is None


def test_an_impossible_transform_is_named_and_its_neighbours_are_kept() -> None:
    message = transform_message(0, [("base_link", "bad", SE3()), ("base_link", "good", SE3())])
    message.transforms[0].transform.rotation.w = 7.0
    buffer = TransformBuffer()
    with pytest.raises(CalibrationError, match="bad"):
        buffer.add_message(message, static=True)
    assert buffer.lookup("base_link", "good") is not None
