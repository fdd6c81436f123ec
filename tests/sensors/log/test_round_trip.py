"""Writing and reading Tricast logs changes nothing, and damage costs only what it hit."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from mcap.reader import make_reader
from rosbags.highlevel import AnyReader

from tricast.configs.errors import InputError
from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.errors import LogError, SensorDataError
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.lenses import FisheyeLens, MeiLens, PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.convert import convert
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.reader import McapLog
from tricast.sensors.log.rig_file import load_rig, save_rig
from tricast.sensors.log.stream import Message
from tricast.sensors.log.writer import LogWriter

T0 = 1_700_000_000_000_000_000
MS = 1_000_000
SIZE: dict[str, Any] = {"width_px": 64, "height_px": 48, "focal_px": (50.1, 50.2), "principal_px": (31.7, 23.3)}
RIG = Rig.of(
    [
        SensorCalibration(
            channel="PINHOLE",
            modality="camera",
            ego_from_sensor=SE3.from_euler(0.1, 0.2, 0.3, (1.0, 2.0, 3.0)),
            lens=PinholeLens(**SIZE, distortion=(-0.3, 0.1, 0.001, -0.002, 0.01)),
        ),
        SensorCalibration(
            channel="FISHEYE",
            modality="camera",
            ego_from_sensor=SE3(),
            lens=FisheyeLens(**SIZE, distortion=(0.01, 0.002, 0.0, 0.0)),
        ),
        SensorCalibration(channel="MEI", modality="camera", ego_from_sensor=SE3(), lens=MeiLens(**SIZE, mirror=1.02)),
        SensorCalibration(channel="LIDAR", modality="lidar", ego_from_sensor=SE3.from_yaw(0.7, (0.1, 0.2, 1.9))),
        SensorCalibration(channel="RADAR", modality="radar", ego_from_sensor=SE3.from_yaw(-1.3, (3.0, 0.0, 0.5))),
    ]
)


def messages(count: int = 8) -> list[Message]:
    rng = np.random.default_rng(3)
    found: list[Message] = []
    for k in range(count):
        at = T0 + k * 100 * MS
        found.append(
            EgoPose(
                timestamp_ns=at,
                received_ns=at,
                odom_from_ego=SE3.from_euler(0.01, 0.02, 0.1 * k, (k * 1.1, 0.3, 0.0)),
                linear_velocity_mps=(9.9, 0.1, 0.0) if k % 2 else None,
                angular_velocity_radps=(0.0, 0.0, 0.11) if k % 2 else None,
            )
        )
        found.append(truth(at + MS))
        pixels = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        for channel in ("FISHEYE", "MEI", "PINHOLE"):
            found.append(CameraFrame.from_pixels(channel, at + 2 * MS, pixels))
        points = rng.normal(size=(200 * (k % 3), 3)).astype(np.float32)
        points[:3] = np.nan
        found.append(
            LidarSweep.from_points(
                "LIDAR",
                at + 3 * MS,
                points,
                intensity=rng.random(len(points)),
                time_offsets_ns=-rng.integers(0, 100 * MS, len(points)),
                rings=rng.integers(0, 32, len(points)),
                received_ns=at + 20 * MS,
            )
        )
        scan = rng.normal(size=(30, 3))
        radial = np.where(rng.random(30) < 0.2, np.nan, rng.normal(size=30))
        found.append(RadarScan.from_points("RADAR", at + 21 * MS, scan, rcs_dbsm=radial, radial_velocities_mps=radial))
    return found


def truth(at: int) -> Annotations:
    boxes = Boxes(
        centers_m=np.array([[1.1, 2.2, 3.3]]),
        sizes_m=np.array([[4.4, 1.8, 1.5]]),
        yaws_rad=np.array([0.1]),
        velocities_mps=np.array([[np.nan, 1.0]]),
    )
    return Annotations.from_boxes(at, boxes, ("car",), ("a",))


def assert_same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        assert one.tobytes() == other.tobytes()
    elif hasattr(one, "__dataclass_fields__"):
        for field in fields(one):
            assert_same(getattr(one, field.name), getattr(other, field.name))
    else:
        assert one == other


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("logs") / "log.mcap"
    with LogWriter(path, RIG) as writer:
        for message in messages():
            writer.write(message)
    return path


def test_a_round_trip_is_bit_exact(path: Path) -> None:
    log = McapLog(path)
    assert log.rig == RIG
    assert log.start_ns == T0
    for one, other in zip(messages(), log.messages(), strict=True):
        assert_same(one, other)
    assert log.losses.total == 0


def test_a_window_of_arrivals_is_delivered(path: Path) -> None:
    window = list(McapLog(path).messages(start_ns=T0 + 150 * MS, end_ns=T0 + 300 * MS))
    expected = [m for m in messages() if T0 + 150 * MS <= m.received_ns <= T0 + 300 * MS]
    assert [m.received_ns for m in window] == [m.received_ns for m in expected]


def test_ros_tools_read_the_file_and_its_qos(path: Path) -> None:
    with path.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    qos = {c.topic: yaml.safe_load(c.metadata["offered_qos_profiles"])[0] for c in summary.channels.values()}
    assert qos["/tf_static"]["durability"] == 1
    assert qos["/odometry"]["durability"] == 2
    with AnyReader([path]) as reader:
        topics = {connection.topic: connection.msgtype for connection in reader.connections}
    assert topics["/sensors/LIDAR/points"] == "sensor_msgs/msg/PointCloud2"
    assert topics["/tricast/annotations"] == "tricast_msgs/msg/Annotations"
    info = yaml.safe_load(path.with_name("metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert info["relative_file_paths"] == ["log.mcap"]
    assert info["message_count"] == sum(t["message_count"] for t in info["topics_with_message_count"])


def test_a_copy_is_the_same_log(path: Path, tmp_path: Path) -> None:
    convert(McapLog(path), tmp_path / "copy.mcap")
    assert (tmp_path / "copy.mcap").read_bytes() == path.read_bytes()


def test_a_writer_that_fails_leaves_only_a_partial_file(tmp_path: Path) -> None:
    with pytest.raises(KeyError), LogWriter(tmp_path / "log.mcap", RIG) as writer:
        writer.write(messages()[0])
        raise KeyError
    assert [p.name for p in tmp_path.iterdir()] == ["log.mcap.partial"]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no /dev/full")
@pytest.mark.parametrize("count", [1, 400], ids=["at the end", "on the way"])
def test_a_full_disk_is_told(tmp_path: Path, count: int) -> None:
    (tmp_path / "log.mcap.partial").symlink_to("/dev/full")
    with (
        pytest.raises(InputError, match=r"log\.mcap: got No space left on device.*make room"),
        LogWriter(tmp_path / "log.mcap", RIG) as writer,
    ):
        for message in messages(count):
            writer.write(message)
    assert not (tmp_path / "log.mcap").exists()


def test_a_place_that_takes_no_description_is_told_and_the_log_is_whole(tmp_path: Path) -> None:
    (tmp_path / "metadata.yaml").mkdir()
    with (
        pytest.raises(LogError, match=r"metadata\.yaml.*log\.mcap itself is whole"),
        LogWriter(tmp_path / "log.mcap", RIG) as writer,
    ):
        for message in messages():
            writer.write(message)
    assert len(list(McapLog(tmp_path / "log.mcap").messages())) == len(messages())


@pytest.mark.parametrize("time_ns", [-5, (1 << 31) * 1_000_000_000])
def test_a_time_that_ros_cannot_tell_is_refused(tmp_path: Path, time_ns: int) -> None:
    with (
        pytest.raises(SensorDataError, match=r"LIDAR.*ROS 2 header"),
        LogWriter(tmp_path / "log.mcap", RIG) as writer,
    ):
        writer.write(LidarSweep.from_points("LIDAR", time_ns, np.ones((1, 3), np.float32)))


def long_log(path: Path) -> int:
    """A log of many chunks; returns how many messages it holds."""
    found = messages(400)
    with LogWriter(path, RIG) as writer:
        for message in found:
            writer.write(message)
    return len(found)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.999])
def test_a_log_cut_anywhere_delivers_all_whole_chunks_and_says_so(tmp_path: Path, share: float) -> None:
    whole = tmp_path / "whole.mcap"
    count = long_log(whole)
    data = whole.read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(data[: int(share * len(data))])
    log = McapLog(cut)
    delivered = list(log.messages())
    assert (share - 0.25) * count < len(delivered) <= count
    assert log.losses.total > 0
    assert "cut.mcap" in log.losses.details[0]


def test_a_flipped_byte_costs_one_chunk(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mcap"
    count = long_log(whole)
    data = bytearray(whole.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "flipped.mcap").write_bytes(data)
    log = McapLog(tmp_path / "flipped.mcap")
    delivered = list(log.messages())
    assert 0.6 * count < len(delivered) < count
    assert log.losses.total >= count - len(delivered)


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    for name, data in (("empty", b""), ("noise", np.random.default_rng(0).bytes(999)), ("magic", b"\x89MCAP0\r\n")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(LogError, match=name):
            McapLog(tmp_path / name)
    with pytest.raises(LogError, match="gone"):
        open_log(tmp_path / "gone.mcap")


def test_a_sensor_without_calibration_is_a_loss_and_the_others_are_delivered(path: Path) -> None:
    rig = Rig.of(sensor for sensor in RIG.sensors.values() if sensor.channel != "RADAR")
    log = McapLog(path, rig)
    delivered = list(log.messages())
    assert not any(isinstance(m, RadarScan) for m in delivered)
    assert len(delivered) == len(messages()) - 8
    assert log.losses.messages == {"RADAR": 8}
    assert "--calibration" in log.losses.details[0]


def test_a_rig_file_round_trip_is_exact(tmp_path: Path) -> None:
    save_rig(RIG, tmp_path / "rig.yaml")
    assert load_rig(tmp_path / "rig.yaml") == RIG
