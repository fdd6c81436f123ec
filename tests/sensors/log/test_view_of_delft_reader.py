"""The View-of-Delft reader on two frames written here, and on real ones where there are some."""

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tricast.sensors.annotations import Annotations
from tricast.sensors.errors import CalibrationError, LogError
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.stream import stream_order
from tricast.sensors.log.view_of_delft import LIDAR_HEIGHT_M, ViewOfDelftLog, is_view_of_delft

CAMERA_FROM_LIDAR = np.array([[0.0, -1, 0, 0.1], [0, 0, -1, -0.4], [1, 0, 0, -0.9]])
CAMERA_FROM_RADAR = np.array([[0.0, -1, 0, 0.1], [0, 0, -1, 0.8], [1, 0, 0, 1.4]])
INTRINSICS = "1500.0 0.0 31.5 0.0 0.0 1500.0 23.5 0.0 0.0 0.0 1.0 0.0"


def calibration(matrix: np.ndarray) -> str:
    numbers = " ".join(str(v) for v in matrix.ravel())
    return f"P0: {INTRINSICS}\nP2: {INTRINSICS}\nR0_rect: 1 0 0 0 1 0 0 0 1\nTr_velo_to_cam: {numbers}\nTr_imu_to_velo:"


def label(kind: str, heading_rad: float) -> str:
    """An object 10 m ahead of the LiDAR and 2 m to its left, its bottom 1.5 m below."""
    x, y, z = CAMERA_FROM_LIDAR @ (10.0, 2.0, -1.5, 1.0)
    rotation = -heading_rad - math.pi / 2
    return f"{kind} 0 0 0.0 0 0 1 1 1.8 0.7 2.0 {x} {y} {z} {rotation} 1"


def write_frame(root: Path, frame: str, odom_from_lidar: SE3) -> None:
    lidar, radar = root / "lidar/training", root / "radar/training"
    for part in ("image_2", "velodyne", "label_2", "pose", "calib"):
        (lidar / part).mkdir(parents=True, exist_ok=True)
        (radar / part).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48)).save(lidar / f"image_2/{frame}.jpg")
    np.array([[10, 2, -1, 100], [5, 0, -1.65, 3]], np.float32).tofile(lidar / f"velodyne/{frame}.bin")
    np.array([[20, 1, 0.5, -12, -4, 0.5, 0]], np.float32).tofile(radar / f"velodyne/{frame}.bin")
    (lidar / f"label_2/{frame}.txt").write_text("\n".join((label("Cyclist", 0.3), label("rider", 0.3))) + "\n")
    ids = [{"objectId": "object-a"}, {"objectId": "object-b"}]
    (radar / f"label_2/{frame}.json").write_text(json.dumps(ids))
    odom_from_camera = odom_from_lidar.matrix @ np.linalg.inv(np.vstack([CAMERA_FROM_LIDAR, [0, 0, 0, 1]]))
    poses = [{"odomToCamera": odom_from_camera.ravel().tolist()}, {"mapToCamera": [0.0] * 16}]
    (lidar / f"pose/{frame}.json").write_text("\n".join(json.dumps(pose) for pose in poses))
    (lidar / f"calib/{frame}.txt").write_text(calibration(CAMERA_FROM_LIDAR))
    (radar / f"calib/{frame}.txt").write_text(calibration(CAMERA_FROM_RADAR))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_frame(tmp_path, "00012", SE3.from_yaw(0.5, (3.0, 4.0, LIDAR_HEIGHT_M)))
    write_frame(tmp_path, "00013", SE3.from_yaw(0.5, (4.0, 4.0, LIDAR_HEIGHT_M)))
    return tmp_path


def of(log: ViewOfDelftLog, kind: type) -> list[Any]:
    return [message for message in log.messages() if isinstance(message, kind)]


def test_every_message_arrives_once_in_order_at_its_number_times_100_ms(root: Path) -> None:
    log = ViewOfDelftLog(root)
    messages = list(log.messages())
    keys = [stream_order(m) for m in messages]
    assert keys == sorted(keys)
    assert len(messages) == 10
    assert [m.timestamp_ns for m in of(log, LidarSweep)] == [1_200_000_000, 1_300_000_000]
    assert (log.start_ns, log.end_ns) == (1_200_000_000, 1_300_000_000)
    assert log.losses.total == 0


def test_clips_are_drives_of_their_own_though_their_frames_follow_each_other(root: Path) -> None:
    for frame in ("00543", "00544", "05085", "06334"):
        write_frame(root, frame, SE3())
    stamps_ns = [m.timestamp_ns for m in of(ViewOfDelftLog(root), LidarSweep)]
    # The first clip ends with frame 543; frame 5085 is in the thirteenth, 6334 the first of the fourteenth.
    expected_s = [1.2, 1.3, 54.3, 54.4 + 10, 508.5 + 120, 633.4 + 130]
    np.testing.assert_allclose(np.array(stamps_ns) / 1e9, expected_s)


def test_only_a_root_with_lidar_and_radar_is_recognised(root: Path) -> None:
    assert is_view_of_delft(root)
    assert not is_view_of_delft(root / "lidar")
    with pytest.raises(LogError, match="no folder lidar/training/velodyne"):
        ViewOfDelftLog(root / "lidar")


def test_the_ego_frame_lies_on_the_ground_below_the_lidar(root: Path) -> None:
    rig = ViewOfDelftLog(root).rig
    origin = np.zeros(3)
    np.testing.assert_allclose(rig["LIDAR_TOP"].ego_from_sensor.apply(origin), [0, 0, LIDAR_HEIGHT_M])
    np.testing.assert_allclose(
        rig["CAM_FRONT"].ego_from_sensor.apply(origin), [0.9, 0.1, LIDAR_HEIGHT_M - 0.4], atol=1e-9
    )
    np.testing.assert_allclose(
        rig["RADAR_FRONT"].ego_from_sensor.apply(origin), [2.3, 0, LIDAR_HEIGHT_M - 1.2], atol=1e-9
    )
    lens = rig["CAM_FRONT"].lens
    assert lens is not None
    assert (lens.width_px, lens.height_px) == (64, 48)


def test_points_of_lidar_and_radar_keep_their_fields(root: Path) -> None:
    log = ViewOfDelftLog(root)
    sweep, scan = of(log, LidarSweep)[0], of(log, RadarScan)[0]
    np.testing.assert_allclose(sweep.points_m[0], [10, 2, -1])
    assert sweep.intensity.tolist() == [100.0, 3.0]
    np.testing.assert_allclose(scan.points_m, [[20, 1, 0.5]])
    assert scan.rcs_dbsm.tolist() == [-12.0]
    assert scan.radial_velocities_mps.tolist() == [-4.0]
    assert scan.compensated_velocities_mps.tolist() == [0.5]


def test_labels_become_boxes_in_ego_axes(root: Path) -> None:
    truth = of(ViewOfDelftLog(root), Annotations)[0]
    assert truth.class_names == ("bicycle",)
    assert truth.instance_ids == ("object-a",)
    np.testing.assert_allclose(truth.boxes.centers_m, [[10, 2, LIDAR_HEIGHT_M - 1.5 + 0.9]], atol=1e-9)
    np.testing.assert_allclose(truth.boxes.sizes_m, [[2.0, 0.7, 1.8]])
    np.testing.assert_allclose(truth.boxes.yaws_rad, [0.3], atol=1e-9)
    assert np.isnan(truth.boxes.velocities_mps).all()


def test_without_the_identities_objects_are_named_by_frame_and_row(root: Path) -> None:
    for path in (root / "radar/training/label_2").iterdir():
        path.unlink()
    log = ViewOfDelftLog(root)
    assert [truth.instance_ids for truth in of(log, Annotations)] == [("00012-0",), ("00013-0",)]
    assert log.losses.total == 0


@pytest.mark.parametrize(
    "text", ["", "{broken", '{"a": 1}', "7", "[1, 2]", '[{"name": "a"}, {"name": "b"}]', '[{"objectId": "a"}]', "\xff"]
)
def test_broken_identities_cost_no_boxes_and_are_told(root: Path, text: str) -> None:
    (root / "radar/training/label_2/00012.json").write_text(text, encoding="latin-1")
    log = ViewOfDelftLog(root)
    assert len(list(log.messages())) == 10
    assert log.losses.total == 0
    assert len(log.losses.details) == 1
    assert "00012.json" in log.losses.details[0]
    assert "named by frame and row" in log.losses.details[0]
    assert [truth.instance_ids for truth in of(log, Annotations)] == [("00012-0",), ("object-a",)]


def test_poses_are_those_of_the_ego_frame(root: Path) -> None:
    first, second = of(ViewOfDelftLog(root), EgoPose)
    np.testing.assert_allclose(first.odom_from_ego.translation, [3, 4, 0], atol=1e-9)
    np.testing.assert_allclose(second.odom_from_ego.translation, [4, 4, 0], atol=1e-9)
    assert first.odom_from_ego.yaw_rad == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("file", "channel"),
    [
        ("lidar/training/velodyne/00012.bin", "LIDAR_TOP"),
        ("radar/training/velodyne/00012.bin", "RADAR_FRONT"),
        ("lidar/training/image_2/00012.jpg", "CAM_FRONT"),
        ("lidar/training/label_2/00012.txt", "truth"),
        ("lidar/training/pose/00012.json", "odometry"),
    ],
)
@pytest.mark.parametrize("damage", ["missing", "noise"])
def test_a_missing_or_broken_file_is_a_loss_and_the_rest_is_delivered(
    root: Path, file: str, channel: str, damage: str
) -> None:
    (root / file).unlink()
    if damage == "noise":
        (root / file).write_bytes(bytes(range(255)))
    log = ViewOfDelftLog(root)
    assert len(list(log.messages())) == 9
    assert log.losses.messages == {channel: 1}


@pytest.mark.parametrize(
    "text", ["", "P2: 1 2 3\n", calibration(2 * CAMERA_FROM_LIDAR), "P2: zero\n", calibration(np.eye(2))]
)
def test_a_broken_calibration_names_its_file(root: Path, text: str) -> None:
    (root / "lidar/training/calib/00012.txt").write_text(text)
    with pytest.raises(CalibrationError, match=r"calib/00012\.txt"):
        ViewOfDelftLog(root)


def test_real_boxes_hold_lidar_points_and_standing_things_have_no_doppler() -> None:
    data = os.environ.get("TRICAST_DATA")
    if data is None or not (Path(data) / "view_of_delft").is_dir():
        pytest.skip("TRICAST_DATA does not name a folder with this recording")
    log = ViewOfDelftLog(Path(data) / "view_of_delft")
    messages = list(log.messages())
    assert log.losses.total == 0
    assert sum(isinstance(m, CameraFrame) for m in messages) == 2
    sweeps = {m.timestamp_ns: m for m in messages if isinstance(m, LidarSweep)}
    for truth in (m for m in messages if isinstance(m, Annotations)):
        points_m = log.rig["LIDAR_TOP"].ego_from_sensor.apply(sweeps[truth.timestamp_ns].points_m)
        near = np.hypot(*truth.boxes.centers_m[:, :2].T) < 30
        assert truth.boxes[near].contains(points_m).any(axis=1).all()
        ground = points_m[(np.abs(points_m[:, 1]) < 2) & (points_m[:, 0] > 3) & (points_m[:, 0] < 12)]
        assert abs(np.percentile(ground[:, 2], 10)) < 0.1
    for scan in (m for m in messages if isinstance(m, RadarScan)):
        assert abs(np.median(scan.compensated_velocities_mps)) < 0.1
        assert np.median(scan.radial_velocities_mps) < -1.0
    for pose in (m for m in messages if isinstance(m, EgoPose)):
        assert abs(pose.odom_from_ego.translation_m[2]) < 0.01
        np.testing.assert_allclose(pose.odom_from_ego.rotation[:, 2], [0, 0, 1], atol=2e-3)
