"""A log's calibration is checked: what is wrong is refused with file, topic and sensor, what is missing is a loss."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tricast.sensors.calibration import Rig, SensorCalibration, check_calibrated
from tricast.sensors.errors import CalibrationError
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log import messages as ros
from tricast.sensors.log.cloud_messages import cloud_message
from tricast.sensors.log.reader import McapLog
from tricast.sensors.log.rig_file import load_rig
from tricast.sensors.log.ros2_mcap import Ros2McapWriter
from tricast.sensors.log.summary import format_summary, summarize

T0 = 1_700_000_000_000_000_000
LENS = PinholeLens(width_px=8, height_px=6, focal_px=(5.0, 5.0), principal_px=(3.5, 2.5))
RIG = Rig.of(
    [
        SensorCalibration(channel="CAM", modality="camera", ego_from_sensor=SE3(), lens=LENS),
        SensorCalibration(channel="LIDAR", modality="lidar", ego_from_sensor=SE3()),
    ]
)


def whole(topic: str, message: Any) -> bool:
    return True


def log_with(path: Path, spoil: Callable[[str, Any], bool] = whole, more: dict[str, Any] | None = None) -> Path:
    """A log of one picture, sweep and pose; `spoil` changes its messages, or leaves one out by saying False."""
    sweep = LidarSweep.from_points("LIDAR", T0, np.ones((4, 3), np.float32))
    picture = CameraFrame.from_pixels("CAM", T0, np.zeros((6, 8, 3), np.uint8))
    pose = EgoPose(timestamp_ns=T0, received_ns=T0, odom_from_ego=SE3())
    messages = {
        "/tf_static": ros.transform_message(T0, ros.rig_transforms(RIG)),
        "/odometry": ros.odometry_message(pose),
        "/sensors/CAM/camera_info": ros.camera_info_message(LENS, "CAM", T0),
        "/sensors/CAM/image_raw": ros.image_message(picture),
        "/sensors/LIDAR/points": cloud_message(sweep),
    }
    with Ros2McapWriter(path) as writer:
        for topic, message in {**(more or {}), **messages}.items():
            if spoil(topic, message):
                writer.write(topic, message, T0)
    return path


def nan_translation(topic: str, message: Any) -> bool:
    if topic == "/tf_static":
        message.transforms[1].transform.translation.x = float("nan")
    return True


def long_quaternion(topic: str, message: Any) -> bool:
    if topic == "/tf_static":
        message.transforms[1].transform.rotation.w = 3.0
    return True


def no_focal_length(topic: str, message: Any) -> bool:
    if topic.endswith("camera_info"):
        message.k[0] = 0.0
    return True


def unknown_distortion(topic: str, message: Any) -> bool:
    if topic.endswith("camera_info"):
        message.distortion_model = "wavy"
    return True


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (nan_translation, ("/tf_static: LIDAR", "nan")),
        (long_quaternion, ("/tf_static: LIDAR", "length 1")),
        (no_focal_length, ("/sensors/CAM/camera_info", "positive focal lengths")),
        (unknown_distortion, ("/sensors/CAM/camera_info", "wavy", "--calibration")),
    ],
)
def test_an_impossible_calibration_is_refused(
    tmp_path: Path, spoil: Callable[[str, Any], bool], words: tuple[str, ...]
) -> None:
    path = log_with(tmp_path / "log.mcap", spoil)
    with pytest.raises(CalibrationError) as caught:
        McapLog(path)
    for word in (str(path), *words):
        assert word in str(caught.value)
    assert len(list(McapLog(path, RIG).messages())) == 3


def test_an_impossible_transform_that_no_sensor_needs_is_told(tmp_path: Path) -> None:
    def beside(topic: str, message: Any) -> bool:
        if topic == "/tf_static":
            message.transforms += ros.transform_message(T0, [("base_link", "imu_link", SE3())]).transforms
            message.transforms[-1].transform.rotation.w = 0.0
        return True

    log = McapLog(log_with(tmp_path / "log.mcap", beside))
    assert (len(list(log.messages())), log.losses.total) == (3, 0)
    assert "/tf_static: imu_link" in log.losses.details[0]


def test_an_impossible_transform_on_the_way_to_a_sensor_is_refused(tmp_path: Path) -> None:
    def over_roof(topic: str, message: Any) -> bool:
        if topic == "/tf_static":
            message.transforms[1].header.frame_id = "roof"
            message.transforms += ros.transform_message(T0, [("base_link", "roof", SE3())]).transforms
            message.transforms[-1].transform.rotation.w = 0.0
        return True

    with pytest.raises(CalibrationError, match="/tf_static: roof"):
        McapLog(log_with(tmp_path / "log.mcap", over_roof))


@pytest.mark.parametrize("topic", ["/tf_static", "/sensors/CAM/camera_info"])
def test_a_camera_without_calibration_is_a_loss(tmp_path: Path, topic: str) -> None:
    def without(name: str, message: Any) -> bool:
        if name == topic == "/tf_static":
            message.transforms = [t for t in message.transforms if t.child_frame_id != "CAM"]
            return True
        return name != topic

    log = McapLog(log_with(tmp_path / "log.mcap", without))
    assert {type(m) for m in log.messages()} == {LidarSweep, EgoPose}
    assert log.losses.messages == {"CAM": 1}


def test_a_log_whose_sensors_all_lack_calibration_is_refused(tmp_path: Path) -> None:
    path = log_with(tmp_path / "log.mcap", lambda topic, _: topic != "/tf_static")
    with pytest.raises(CalibrationError, match=r"log\.mcap.*CAM, LIDAR.*--calibration"):
        McapLog(path)
    other = Rig.of([SensorCalibration(channel="VELODYNE", modality="lidar", ego_from_sensor=SE3())])
    with pytest.raises(CalibrationError, match=r"VELODYNE.*CAM, LIDAR"):
        McapLog(path, other)


def test_topics_below_a_channel_that_are_not_its_own_are_copied_not_read(tmp_path: Path) -> None:
    ground = cloud_message(LidarSweep.from_points("LIDAR", T0, np.zeros((1, 3), np.float32)))
    mask = ros.image_message(CameraFrame.from_pixels("CAM", T0, np.ones((6, 8, 3), np.uint8)))
    other = {"/sensors/LIDAR/ground": ground, "/sensors/CAM/mask": mask}
    log = McapLog(log_with(tmp_path / "log.mcap", more=other))
    sweeps = [m for m in log.messages() if isinstance(m, LidarSweep)]
    assert [len(sweep) for sweep in sweeps] == [4]
    assert log.losses.total == 0
    assert [m.topic for m in log.foreign_messages()] == list(other)


def test_data_of_another_kind_than_the_calibration_says_is_a_loss(tmp_path: Path) -> None:
    depth = cloud_message(LidarSweep.from_points("CAM", T0, np.zeros((1, 3), np.float32)))
    log = McapLog(log_with(tmp_path / "log.mcap", more={"/sensors/CAM/points": depth}), RIG)
    assert sorted(type(m).__name__ for m in log.messages()) == ["CameraFrame", "EgoPose", "LidarSweep"]
    assert log.losses.messages == {"CAM": 1}
    assert "CAM is calibrated as a camera and also sends lidar data" in log.losses.details[0]


def test_a_cloud_without_doppler_is_a_radars_where_the_calibration_says_so(tmp_path: Path) -> None:
    radar = SensorCalibration(channel="LIDAR", modality="radar", ego_from_sensor=SE3())
    log = McapLog(log_with(tmp_path / "log.mcap"), Rig.of([RIG["CAM"], radar]))
    (scan,) = (m for m in log.messages() if isinstance(m, RadarScan))
    assert (len(scan), scan.timestamp_ns) == (4, T0)
    assert np.isnan(scan.radial_velocities_mps).all()
    assert log.losses.total == 0


@pytest.mark.parametrize("frame_id", ["/LIDAR", ""])
def test_a_frame_with_a_slash_or_without_a_name_is_the_channels(tmp_path: Path, frame_id: str) -> None:
    def renamed(topic: str, message: Any) -> bool:
        if topic == "/sensors/LIDAR/points":
            message.header.frame_id = frame_id
        return True

    assert "LIDAR" in McapLog(log_with(tmp_path / "log.mcap", renamed)).rig


def test_poses_of_another_frame_are_brought_to_the_ego_frame_or_told(tmp_path: Path) -> None:
    def of_lidar(topic: str, message: Any) -> bool:
        if topic == "/odometry":
            message.child_frame_id = "LIDAR"
        if topic == "/tf_static":
            message.transforms[1].transform.translation.z = 1.5
        return True

    path = log_with(tmp_path / "log.mcap", of_lidar)
    for rig in (None, RIG):
        (pose,) = (m for m in McapLog(path, rig).messages() if isinstance(m, EgoPose))
        assert pose.odom_from_ego.translation_m == (0.0, 0.0, -1.5)

    def of_nobody(topic: str, message: Any) -> bool:
        if topic == "/odometry":
            message.child_frame_id = "imu"
        return True

    log = McapLog(log_with(tmp_path / "other.mcap", of_nobody))
    (pose,) = (m for m in log.messages() if isinstance(m, EgoPose))
    assert pose.odom_from_ego == SE3()
    assert (log.losses.total, len(log.losses.details)) == (0, 1)
    oddity = "the poses of 'imu', which no static transform joins to base_link"
    assert oddity in log.losses.details[0]
    said = format_summary(summarize(log))
    assert "no messages lost:" in said and oddity in said


def test_without_odometry_transforms_tell_the_poses(tmp_path: Path) -> None:
    placed = ros.transform_message(T0, [("odom", "base_link", SE3(translation_m=(7.0, 0.0, 0.0)))])
    log = McapLog(log_with(tmp_path / "log.mcap", lambda topic, _: topic != "/odometry", {"/tf": placed}))
    (pose,) = (m for m in log.messages() if isinstance(m, EgoPose))
    assert pose.odom_from_ego.translation_m == (7.0, 0.0, 0.0)
    both = McapLog(log_with(tmp_path / "both.mcap", more={"/tf": placed}))
    assert sum(isinstance(m, EgoPose) for m in both.messages()) == 1


def test_a_quaternion_with_few_decimals_is_taken(tmp_path: Path) -> None:
    def rounded(topic: str, message: Any) -> bool:
        if topic == "/tf_static":
            q = message.transforms[1].transform.rotation
            q.w, q.z = 0.7071, 0.7071
        return True

    pose = McapLog(log_with(tmp_path / "log.mcap", rounded)).rig["LIDAR"].ego_from_sensor
    assert np.linalg.norm(pose.quaternion_wxyz) == pytest.approx(1.0, abs=1e-12)
    assert pose.yaw_rad == pytest.approx(np.pi / 2)


def test_a_log_without_sensors_needs_no_calibration() -> None:
    check_calibrated(Rig.of([]), [], where="log")


def test_the_rig_of_the_documentation_loads(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "logs.md").read_text()
    (tmp_path / "rig.yaml").write_text(text.split("```yaml\n")[1].split("```")[0])
    rig = load_rig(tmp_path / "rig.yaml")
    assert rig.channels("camera") == ("CAM_FRONT",)
