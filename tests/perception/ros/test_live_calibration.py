"""The rig grows as transforms, camera infos and first messages come, in any order."""

import pytest

from tricast.perception.ros.live_calibration import LiveCalibration
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.errors import SensorDataError
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.messages import camera_info_message
from tricast.sensors.log.transform_buffer import TransformBuffer

LENS = PinholeLens(width_px=64, height_px=48, focal_px=(50.0, 50.0), principal_px=(32.0, 24.0))
INFO = camera_info_message(LENS, "CAM", 0)


def test_a_sensor_is_calibrated_once_its_frame_hangs_on_the_base() -> None:
    frames = TransformBuffer()
    calibration = LiveCalibration(frames, "base_link", None)
    assert not calibration.add_sensor("LIDAR", "lidar", "os_lidar")
    assert calibration.missing == {"LIDAR": "no transform base_link > os_lidar"}
    frames.add("base_link", "os_sensor", SE3(translation_m=(1.0, 0.0, 0.0)), 0, True)
    frames.add("os_sensor", "os_lidar", SE3(translation_m=(0.0, 0.0, 1.5)), 0, True)
    assert calibration.look_up()
    assert calibration.rig["LIDAR"].ego_from_sensor.translation_m == (1.0, 0.0, 1.5)
    assert calibration.missing == {}
    assert not calibration.add_sensor("LIDAR", "lidar", "os_lidar")


def test_a_camera_wants_its_info_too() -> None:
    frames = TransformBuffer()
    frames.add("base_link", "CAM", SE3(), 0, True)
    calibration = LiveCalibration(frames, "base_link", None)
    calibration.add_sensor("CAM", "camera", "CAM")
    assert calibration.missing == {"CAM": "no camera info"}
    assert calibration.add_camera_info("CAM", INFO)
    assert calibration.rig["CAM"].lens == LENS
    assert not calibration.add_camera_info("CAM", INFO)


def test_a_calibration_from_a_file_wins_over_the_graph() -> None:
    fixed = Rig.of([SensorCalibration(channel="LIDAR", modality="lidar", ego_from_sensor=SE3())])
    frames = TransformBuffer()
    frames.add("base_link", "LIDAR", SE3(translation_m=(9.0, 0.0, 0.0)), 0, True)
    calibration = LiveCalibration(frames, "base_link", fixed)
    calibration.add_sensor("LIDAR", "lidar", "LIDAR")
    assert calibration.rig["LIDAR"].ego_from_sensor == SE3()


def test_a_channel_is_one_kind_of_sensor() -> None:
    frames = TransformBuffer()
    frames.add("base_link", "RGBD", SE3(), 0, True)
    fixed = Rig.of([SensorCalibration(channel="LIDAR", modality="lidar", ego_from_sensor=SE3())])
    calibration = LiveCalibration(frames, "base_link", fixed)
    calibration.add_camera_info("RGBD", camera_info_message(LENS, "RGBD", 0))
    assert calibration.add_sensor("RGBD", "camera", "RGBD")
    for channel, kind, known in (("RGBD", "lidar", "camera"), ("LIDAR", "radar", "lidar")):
        with pytest.raises(SensorDataError, match=f"{channel}: got {kind} data; expected a {known}'s"):
            calibration.add_sensor(channel, kind, channel)  # pyright: ignore[reportArgumentType]
    assert calibration.rig["RGBD"].modality == "camera"


def test_the_way_down_to_the_vehicle_names_what_moves_on_it() -> None:
    frames = TransformBuffer()
    frames.add("odom", "base_footprint", SE3(), 0, False)
    frames.add("base_footprint", "base_link", SE3(), 0, True)
    assert frames.path("odom", "base_link") == ("base_link", "base_footprint")
    assert frames.path("map", "base_link") == ()
