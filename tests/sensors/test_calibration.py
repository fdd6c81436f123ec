"""What a rig accepts, refuses and finds."""

import pytest

from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.errors import CalibrationError
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3

LENS = PinholeLens(width_px=64, height_px=48, focal_px=(50.0, 50.0), principal_px=(31.5, 23.5))
CAMERA = SensorCalibration(channel="CAM_FRONT", modality="camera", ego_from_sensor=SE3(), lens=LENS)
LIDAR = SensorCalibration(channel="LIDAR_TOP", modality="lidar", ego_from_sensor=SE3())
RADAR = SensorCalibration(channel="A_RADAR", modality="radar", ego_from_sensor=SE3())


def test_channels_are_sorted_whatever_the_order_of_sensors() -> None:
    first, second = Rig.of([LIDAR, CAMERA, RADAR]), Rig.of([RADAR, LIDAR, CAMERA])
    assert first.channels() == second.channels() == ("A_RADAR", "CAM_FRONT", "LIDAR_TOP")
    assert first == second
    assert first.channels("camera") == ("CAM_FRONT",)


@pytest.mark.parametrize("channel", ["", "roof/left"])
def test_a_channel_that_is_no_part_of_a_topic_is_refused(channel: str) -> None:
    with pytest.raises(CalibrationError, match="without slashes"):
        SensorCalibration(channel=channel, modality="lidar", ego_from_sensor=SE3())


def test_an_empty_rig_is_ordinary() -> None:
    assert Rig().channels() == ()
    assert "CAM_FRONT" not in Rig()


def test_a_sensor_is_found_by_channel() -> None:
    rig = Rig.of([CAMERA, LIDAR])
    assert "CAM_FRONT" in rig
    assert rig["CAM_FRONT"] is CAMERA


def test_a_channel_without_calibration_names_those_with_one_and_the_remedy() -> None:
    with pytest.raises(CalibrationError, match=r"CAM_BACK.*one of CAM_FRONT, LIDAR_TOP.*--calibration"):
        Rig.of([CAMERA, LIDAR])["CAM_BACK"]
    with pytest.raises(CalibrationError, match="no channel at all"):
        Rig()["CAM_BACK"]


def test_two_sensors_of_one_name_are_refused() -> None:
    with pytest.raises(CalibrationError, match=r"CAM_FRONT.*two sensors"):
        Rig.of([CAMERA, LIDAR, CAMERA])


def test_cameras_need_a_lens_and_others_must_not_have_one() -> None:
    with pytest.raises(CalibrationError, match="a camera without a lens"):
        SensorCalibration(channel="CAM", modality="camera", ego_from_sensor=SE3())
    with pytest.raises(CalibrationError, match="a lidar with a lens"):
        SensorCalibration(channel="TOP", modality="lidar", ego_from_sensor=SE3(), lens=LENS)
