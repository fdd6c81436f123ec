"""The aiMotive reader on a small recording written here, and on a real one where there is one."""

import json
import math
import os
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest
from PIL import Image

from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.errors import CalibrationError, LogError
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.lenses import MeiLens, PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.aimotive import STATED_DELAY_NS, AimotiveLog, is_aimotive
from tricast.sensors.log.stream import stream_order
from tricast.sensors.motion_compensation import EgoMotion, lidar_in_ego, radar_in_ego

FRAMES = (7, 8, 9)
FIRST_NS = 4_000_000_000
STEP_NS = 66_666_667
BODY_POINTS_M = np.array([[10.0, 2.0, 0.5], [-5.0, -3.0, 1.0], [20.0, 0.0, 0.0]])


def frame_ns(frame: int) -> int:
    return FIRST_NS + (frame - FRAMES[0]) * STEP_NS


def sensor(kind: str, matrix: np.ndarray, **more: Any) -> dict[str, Any]:
    return {"sensor_type": kind, "RT_body_from_sensor": matrix.tolist(), **more}


def calibration() -> dict[str, Any]:
    looking_ahead = np.array([[0.0, 0, 1, 2], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
    optics = {
        "image_resolution_px": [64, 48],
        "focal_length_px": [50.0, 50.0],
        "principal_point_px": [31.5, 23.5],
        "distortion_coeffs": [0.1, 0.01, 0, 0, 0],
    }
    return {
        "F_CAM": sensor("camera", looking_ahead, model="opencv_pinhole", **optics),
        "M_FISHEYE_L": sensor("camera", looking_ahead, model="mei", xi=1.02, **optics),
        "M_LIDAR_M": sensor("lidar", SE3.from_yaw(math.pi / 2, (1.0, 0.0, 1.7)).matrix),
        "F_LRR_C": sensor("radar", SE3(translation_m=(3.8, 0.0, 0.4)).matrix),
        "Imu0": {"sensor_type": "imu_ins"},
    }


def write_lidar(path: Path, at_ns: int, point_format: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = laspy.LasHeader(point_format=point_format, version="1.2")
    header.scales = np.full(3, 0.001)
    cloud = laspy.LasData(header)
    cloud.x, cloud.y, cloud.z = BODY_POINTS_M.T
    cloud.intensity = np.array([10, 20, 30], np.uint16)
    if point_format:
        cloud.gps_time = at_ns + np.array([50_000_000.0, -50_000_000.0, 0.0])
    cloud.write(str(path))


def box(kind: str, number: int, center: tuple[float, float, float], relative: tuple[float, float]) -> dict[str, Any]:
    values: dict[str, Any] = {"ObjectType": kind, "ObjectId": number, "ActorName": f"{kind} {number:02d}"}
    values |= {f"BoundingBox3D Origin {a}": v for a, v in zip("XYZ", center, strict=True)}
    values |= {f"BoundingBox3D Extent {a}": v for a, v in zip("XYZ", (4.0, 2.0, 1.5), strict=True)}
    turn = (math.cos(0.1), 0.0, 0.0, math.sin(0.1))
    values |= {f"BoundingBox3D Orientation Quat {a}": v for a, v in zip("WXYZ", turn, strict=True)}
    return values | {"Relative Velocity X": relative[0], "Relative Velocity Y": relative[1], "Relative Velocity Z": 0.0}


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_recording(root: Path, *, with_motion: bool = True) -> Path:
    """Three frames of a vehicle at 10 m/s that turns left with 0.5 rad/s."""
    sequence = root / "data/train/night/seq@car"
    write_json(sequence / "sensor/calibration/calibration.json", calibration())
    poses = []
    for frame in FRAMES:
        at_ns = frame_ns(frame)
        write_lidar(sequence / f"dynamic/raw-revolutions/frame_{frame:07d}.laz", at_ns)
        target = {"azimuth": 0.0, "elevation": 0.1, "range": 30.0, "speed": -9.0, "rcs": 4.0}
        write_json(sequence / f"sensor/radar/F_LRR_C/F_LRR_C_{frame:07d}.json", {"targets": [target]})
        objects = [box("CAR", 3, (10.0, 2.0, 0.5), (-2.0, 1.0)), box("SPACESHIP", 4, (0.0, 0.0, 0.0), (0.0, 0.0))]
        truth = {"CapturedObjects": objects, "Timestamp": str(at_ns + STATED_DELAY_NS)}
        write_json(sequence / f"dynamic/box/3d_body/frame_{frame:07d}.json", truth)
        for channel in ("F_CAM", "M_FISHEYE_L"):
            path = sequence / f"sensor/camera/{channel}/{channel}_{frame:07d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 24) if channel == "F_CAM" else (64, 48)).save(path)
        times = {"lidar_t_min_ns": at_ns - 50_000_000, "lidar_t_max_ns": at_ns + 50_000_000}
        place = {"x_m": (frame - FRAMES[0]) * 0.667, "y_m": 0.0, "yaw_rad": 0.0}
        twist = {"vx_mps": 10.0, "vy_mps": 0.0, "yaw_rate_rps": 0.5}
        poses.append({"frame_id": f"{frame:07d}", **times, **place, **twist})
    if with_motion:
        write_json(root / "derived/egomotion_estimated.json", {"poses": poses})
    return sequence


def of(log: AimotiveLog, kind: type) -> list[Any]:
    return [message for message in log.messages() if isinstance(message, kind)]


def test_every_message_arrives_once_and_in_order(tmp_path: Path) -> None:
    write_recording(tmp_path)
    log = AimotiveLog(tmp_path)
    messages = list(log.messages())
    keys = [stream_order(m) for m in messages]
    assert keys == sorted(keys)
    assert len(messages) == 3 * 6
    assert log.losses.total == 0
    assert (log.start_ns, log.end_ns) == (frame_ns(7), frame_ns(9) + 50_000_000)
    assert [stream_order(m) for m in log.messages()] == keys


def test_a_sequence_folder_and_its_root_are_recognised_and_read_alike(tmp_path: Path) -> None:
    sequence = write_recording(tmp_path)
    assert is_aimotive(tmp_path)
    assert is_aimotive(sequence)
    assert not is_aimotive(tmp_path / "data")
    assert not is_aimotive(tmp_path / "nowhere")
    assert len(list(AimotiveLog(sequence).messages())) == len(list(AimotiveLog(tmp_path).messages()))


def test_two_sequences_under_one_root_need_a_choice(tmp_path: Path) -> None:
    write_recording(tmp_path)
    other = tmp_path / "data/train/night/other@car"
    write_json(other / "sensor/calibration/calibration.json", calibration())
    (other / "dynamic").mkdir()
    with pytest.raises(LogError, match=r"2 aiMotive sequences.*name the sequence's folder"):
        AimotiveLog(tmp_path)


def test_lidar_points_are_in_the_sensor_frame_with_their_own_times(tmp_path: Path) -> None:
    write_recording(tmp_path)
    log = AimotiveLog(tmp_path)
    sweep = of(log, LidarSweep)[0]
    assert sweep.time_offsets_ns.tolist() == [-50_000_000, 0, 50_000_000]
    assert sweep.intensity.tolist() == [20.0, 30.0, 10.0]
    assert sweep.received_ns == sweep.timestamp_ns + 50_000_000
    # The sensor sits at (1, 0, 1.7) and looks left: body (10, 2, 0.5) is 2 m ahead of it, 9 m to its right.
    np.testing.assert_allclose(sweep.points_m[2], [2.0, -9.0, -1.2], atol=1e-3)
    in_body = log.rig["M_LIDAR_M"].ego_from_sensor.apply(sweep.points_m)
    np.testing.assert_allclose(in_body, BODY_POINTS_M[[1, 2, 0]], atol=1e-3)


def test_radar_elevation_counts_downwards_and_speed_away(tmp_path: Path) -> None:
    write_recording(tmp_path)
    scan = of(AimotiveLog(tmp_path), RadarScan)[0]
    np.testing.assert_allclose(scan.points_m, [[30 * math.cos(0.1), 0.0, -30 * math.sin(0.1)]], rtol=1e-6)
    assert scan.radial_velocities_mps.tolist() == [-9.0]
    assert scan.rcs_dbsm.tolist() == [4.0]


def test_truth_velocity_is_over_ground_and_unmapped_classes_are_left_out(tmp_path: Path) -> None:
    write_recording(tmp_path)
    truth = of(AimotiveLog(tmp_path), Annotations)[0]
    assert truth.class_names == ("car",)
    assert truth.instance_ids == ("3",)
    assert truth.timestamp_ns == frame_ns(7)
    np.testing.assert_allclose(truth.boxes.sizes_m, [[4.0, 2.0, 1.5]])
    np.testing.assert_allclose(truth.boxes.yaws_rad, [0.2])
    # Relative (-2, 1), ego (10, 0), turning 0.5 x (10, 2) = (-1, 5).
    np.testing.assert_allclose(truth.boxes.velocities_mps, [[7.0, 6.0]])


def test_without_ego_motion_there_are_no_poses_and_no_velocities(tmp_path: Path) -> None:
    write_recording(tmp_path, with_motion=False)
    log = AimotiveLog(tmp_path)
    assert of(log, EgoPose) == []
    assert np.isnan(of(log, Annotations)[0].boxes.velocities_mps).all()


def test_lenses_follow_their_model_and_the_size_of_the_images(tmp_path: Path) -> None:
    write_recording(tmp_path)
    rig = AimotiveLog(tmp_path).rig
    assert rig.channels() == ("F_CAM", "F_LRR_C", "M_FISHEYE_L", "M_LIDAR_M")
    halved, fisheye = rig["F_CAM"].lens, rig["M_FISHEYE_L"].lens
    assert isinstance(halved, PinholeLens)
    assert (halved.width_px, halved.height_px, halved.focal_px) == (32, 24, (25.0, 25.0))
    assert halved.principal_px == (15.5, 11.5)
    assert isinstance(fisheye, MeiLens)
    assert (fisheye.width_px, fisheye.mirror, fisheye.distortion) == (64, 1.02, (0.1, 0.01, 0.0, 0.0))


@pytest.mark.parametrize(
    ("file", "channel"),
    [
        ("dynamic/raw-revolutions/frame_0000008.laz", "M_LIDAR_M"),
        ("sensor/radar/F_LRR_C/F_LRR_C_0000008.json", "F_LRR_C"),
        ("sensor/camera/F_CAM/F_CAM_0000008.jpg", "F_CAM"),
        ("dynamic/box/3d_body/frame_0000008.json", "truth"),
    ],
)
@pytest.mark.parametrize("damage", ["missing", "empty", "noise", "cut"])
def test_a_missing_or_broken_file_is_a_loss_and_the_rest_is_delivered(
    tmp_path: Path, file: str, channel: str, damage: str
) -> None:
    path = write_recording(tmp_path) / file
    whole = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"empty": b"", "noise": bytes(range(256)) * 4, "cut": whole[: len(whole) // 2]}[damage])
    log = AimotiveLog(tmp_path)
    messages = list(log.messages())
    assert len(messages) == 3 * 6 - 1
    assert log.losses.messages == {channel: 1}
    assert Path(file).name in log.losses.details[0]
    list(log.messages())
    assert log.losses.total == 1
    cameras = [m.timestamp_ns for m in messages if isinstance(m, CameraFrame) and m.channel == "M_FISHEYE_L"]
    np.testing.assert_allclose(cameras, [frame_ns(f) for f in FRAMES], atol=2)


@pytest.mark.parametrize("truth", [True, False], ids=["annotated", "timed by the LiDAR"])
@pytest.mark.parametrize("damage", ["no times", "points beyond memory", "records beyond the file", "endless time"])
def test_an_odd_point_cloud_is_a_loss_whoever_tells_the_time(tmp_path: Path, damage: str, truth: bool) -> None:
    sequence = write_recording(tmp_path)
    path = sequence / "dynamic/raw-revolutions/frame_0000007.laz"
    if damage == "no times":
        write_lidar(path, frame_ns(7), point_format=0)
    elif damage == "endless time":
        cloud: Any = laspy.read(path)
        cloud.gps_time = np.full(3, np.inf)
        cloud.write(str(path))
    else:
        # The header's numbers of points and of records: 4 billion of either.
        place, data = {"points beyond memory": 107, "records beyond the file": 100}[damage], path.read_bytes()
        path.write_bytes(data[:place] + b"\xff" * 4 + data[place + 4 :])
    for box_file in () if truth else (sequence / "dynamic/box/3d_body").iterdir():
        box_file.unlink()
    log = AimotiveLog(tmp_path)
    assert len(list(log.messages())) == 3 * (6 if truth else 5) - 1
    assert log.losses.messages == {"M_LIDAR_M": 1}
    assert path.name in log.losses.details[0]
    np.testing.assert_allclose([m.timestamp_ns for m in of(log, RadarScan)], [frame_ns(f) for f in FRAMES], atol=2)


def test_points_far_from_their_frame_in_time_are_a_loss(tmp_path: Path) -> None:
    sequence = write_recording(tmp_path)
    write_lidar(sequence / "dynamic/raw-revolutions/frame_0000008.laz", frame_ns(8) + 5_000_000_000)
    log = AimotiveLog(tmp_path)
    list(log.messages())
    assert log.losses.messages == {"M_LIDAR_M": 1}
    assert "from their frame" in log.losses.details[0]


def test_without_annotations_the_lidar_tells_the_time(tmp_path: Path) -> None:
    sequence = write_recording(tmp_path)
    for path in (sequence / "dynamic/box/3d_body").iterdir():
        path.unlink()
    log = AimotiveLog(tmp_path)
    assert of(log, Annotations) == []
    np.testing.assert_allclose([m.timestamp_ns for m in of(log, RadarScan)], [frame_ns(f) for f in FRAMES], atol=2)
    assert log.losses.total == 0


@pytest.mark.parametrize(
    ("channel", "field", "value"),
    [
        ("M_LIDAR_M", "RT_body_from_sensor", [[1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
        ("F_CAM", "focal_length_px", [0.0, 0.0]),
        ("F_CAM", "model", "telescope"),
        ("F_CAM", "distortion_coeffs", "none"),
        ("F_CAM", "image_resolution_px", [math.inf, 48]),
        ("F_LRR_C", "sensor_type", None),
    ],
)
def test_a_broken_calibration_names_its_file(tmp_path: Path, channel: str, field: str, value: Any) -> None:
    sequence = write_recording(tmp_path)
    entries = calibration()
    entries[channel][field] = value
    if value is None:
        del entries[channel][field]
    write_json(sequence / "sensor/calibration/calibration.json", entries)
    with pytest.raises(CalibrationError, match=r"calibration\.json"):
        AimotiveLog(tmp_path)


@pytest.mark.parametrize("name", ["calibration", "egomotion_estimated"])
def test_json_that_is_none_is_one_message(tmp_path: Path, name: str) -> None:
    write_recording(tmp_path)
    path = next(tmp_path.rglob(f"{name}.json"))
    path.write_text("[{")
    with pytest.raises(LogError if name != "calibration" else CalibrationError) as caught:
        AimotiveLog(tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{path}: got bytes that are not JSON (")
    assert [text.count(word) for word in ("got ", "; expected ", path.name)] == [1, 1, 1]


def test_a_given_rig_replaces_the_calibration_and_leaves_out_what_it_lacks(tmp_path: Path) -> None:
    write_recording(tmp_path)
    own = AimotiveLog(tmp_path).rig
    moved = SensorCalibration(channel="M_LIDAR_M", modality="lidar", ego_from_sensor=SE3(translation_m=(0.0, 0.0, 9.0)))
    log = AimotiveLog(tmp_path, Rig.of([moved, own["F_CAM"]]))
    messages = list(log.messages())
    assert log.rig["M_LIDAR_M"] is moved
    assert {m.channel for m in messages if isinstance(m, CameraFrame | RadarScan | LidarSweep)} == {
        "F_CAM",
        "M_LIDAR_M",
    }
    assert log.losses.messages == {"F_LRR_C": 3, "M_FISHEYE_L": 3}


def test_a_window_delivers_what_the_whole_log_holds_in_it(tmp_path: Path) -> None:
    write_recording(tmp_path)
    log = AimotiveLog(tmp_path)
    start_ns, end_ns = frame_ns(7) + 1, frame_ns(8) + 50_000_000
    whole = [stream_order(m) for m in log.messages() if start_ns <= m.received_ns <= end_ns]
    assert [stream_order(m) for m in log.messages(start_ns=start_ns, end_ns=end_ns)] == whole
    assert list(log.messages(start_ns=log.end_ns + 1)) == []


def test_a_real_recording_is_consistent_with_itself() -> None:
    root = os.environ.get("TRICAST_DATA")
    if root is None or not (Path(root) / "aimotive").is_dir():
        pytest.skip("TRICAST_DATA does not name a folder with this recording")
    log = AimotiveLog(Path(root) / "aimotive")
    messages = list(log.messages())
    assert log.losses.total == 0
    assert len(messages) == 25 * 9
    motion = EgoMotion([m for m in messages if isinstance(m, EgoPose)])
    sweeps = {m.timestamp_ns: m for m in messages if isinstance(m, LidarSweep)}
    held, near_cars = 0, 0
    for truth in (m for m in messages if isinstance(m, Annotations)):
        cloud = lidar_in_ego([sweeps[truth.timestamp_ns]], log.rig["M_LIDAR_M"], motion, truth.timestamp_ns)
        near = np.hypot(*truth.boxes.centers_m[:, :2].T) < 30
        near &= np.array(truth.class_names) == "car"
        held += int(truth.boxes[near].contains(cloud.points_m).any(axis=1).sum())
        near_cars += int(near.sum())
    assert near_cars == held == 50
    radial = np.concatenate(
        [
            radar_in_ego([m], log.rig[m.channel], motion, m.timestamp_ns).radial_velocities_mps
            for m in messages
            if isinstance(m, RadarScan)
        ]
    )
    assert (np.abs(radial) < 1.0).mean() > 0.6
