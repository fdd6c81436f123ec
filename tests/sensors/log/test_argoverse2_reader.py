"""The Argoverse 2 reader on a small log written here, and on a real one where there is one."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tricast.perception.evaluation.submission import write_feather
from tricast.sensors.annotations import Annotations
from tricast.sensors.errors import CalibrationError, LogError
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.argoverse2 import AXLE_HEIGHT_M, Argoverse2Log, is_argoverse2
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import stream_order
from tricast.sensors.motion_compensation import EgoMotion

pytest.importorskip("pyarrow", reason="feather files need pyarrow")

FIRST_NS = 315_966_265_000_000_000
STEP_NS = 100_000_000
STAMPS = [FIRST_NS + i * STEP_NS for i in range(20)]
SWEEPS = STAMPS[10:13]
IMAGES = [FIRST_NS + 1_020_000_000, FIRST_NS + 1_070_000_000]
UP = SE3(translation_m=(1.35, 0.0, 1.64))
DOWN = SE3.from_euler(math.pi, 0.0, 0.2, (1.35, 0.0, 1.5))
CAMERA = SE3(quaternion_wxyz=(0.5, -0.5, 0.5, -0.5), translation_m=(1.6, 0.0, 1.4))
MOUNTS = {"ring_front_center": CAMERA, "ring_rear_left": CAMERA, "up_lidar": UP, "down_lidar": DOWN}
POINTS = np.array([[10.0, 2.0, 0.5], [-5.0, -3.0, 1.0], [20.0, 0.0, -0.25]])


def pose_columns(poses: list[SE3]) -> dict[str, np.ndarray]:
    rows = np.array([[*p.quaternion_wxyz, *p.translation_m] for p in poses]).reshape(-1, 7)
    return dict(zip(("qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m"), rows.T, strict=True))


def write_truth(path: Path) -> None:
    """A car that stands still at (30, 2) of the city, a cone seen once, and a sign, which is none of the ten."""
    cars = [
        (stamp, "REGULAR_VEHICLE", "car", SE3.from_yaw(0.1, (30 - 10 * i * 0.1, 2.0, 0.4)))
        for i, stamp in enumerate(STAMPS)
    ]
    others = [
        (SWEEPS[1], kind, kind.lower(), SE3(translation_m=(5.0, 1.0, 0.0))) for kind in ("CONSTRUCTION_CONE", "SIGN")
    ]
    rows = cars + others
    sizes = np.tile([[4.0], [1.8], [1.5]], len(rows))
    columns = {
        "timestamp_ns": np.array([row[0] for row in rows], np.int64),
        "category": np.array([row[1] for row in rows]),
        "track_uuid": np.array([row[2] for row in rows]),
        **dict(zip(("length_m", "width_m", "height_m"), sizes, strict=True)),
        "num_interior_pts": np.full(len(rows), 7, np.int64),
        **pose_columns([row[3] for row in rows]),
    }
    write_feather(columns, path)


def write_sweep(path: Path) -> None:
    columns = {name: POINTS[:, i].astype(np.float16) for i, name in enumerate("xyz")}
    columns |= {
        "intensity": np.array([10, 20, 255], np.uint8),
        "laser_number": np.array([3, 31, 40], np.uint8),
        "offset_ns": np.array([1, 2, 3], np.int32),
    }
    write_feather(columns, path)


def write_extrinsics(log: Path, mounts: dict[str, SE3]) -> None:
    columns = {"sensor_name": np.array(list(mounts), np.str_), **pose_columns(list(mounts.values()))}
    write_feather(columns, log / "calibration/egovehicle_SE3_sensor.feather")


def write_intrinsics(log: Path, names: list[str], width_px: float = 64.0) -> None:
    lens = {"fx_px": 50.0, "fy_px": 50.0, "cx_px": 31.5, "cy_px": 23.5, "k1": -0.3, "width_px": width_px}
    columns = {name: np.full(len(names), value) for name, value in (lens | {"height_px": 48.0}).items()}
    write_feather({"sensor_name": np.array(names), **columns}, log / "calibration/intrinsics.feather")


def write_log(root: Path) -> Path:
    """Two seconds of poses and truth at 10 m/s, with sensor data of 0.2 s in their middle."""
    log = root / "sensor/val/log-a"
    for folder in ("calibration", "sensors/lidar", "sensors/cameras/ring_front_center"):
        (log / folder).mkdir(parents=True)
    write_extrinsics(log, MOUNTS)
    write_intrinsics(log, ["ring_front_center", "ring_rear_left"])
    times = [stamp + shift for stamp in STAMPS for shift in (-3_000_000, 47_000_000)]
    poses = [SE3(translation_m=((t - FIRST_NS) / 1e8, 0.0, 0.0)) for t in times]
    write_feather(
        {"timestamp_ns": np.array(times, np.int64), **pose_columns(poses)}, log / "city_SE3_egovehicle.feather"
    )
    write_truth(log / "annotations.feather")
    for stamp in SWEEPS:
        write_sweep(log / f"sensors/lidar/{stamp}.feather")
    for stamp in IMAGES:
        Image.new("RGB", (64, 48)).save(log / f"sensors/cameras/ring_front_center/{stamp}.jpg")
    return log


def of(log: Argoverse2Log, kind: type) -> list[Any]:
    return [message for message in log.messages() if isinstance(message, kind)]


def test_every_message_arrives_once_in_order_and_nothing_without_sensor_data(tmp_path: Path) -> None:
    write_log(tmp_path)
    log = Argoverse2Log(tmp_path)
    messages = list(log.messages())
    keys = [stream_order(m) for m in messages]
    assert keys == sorted(keys)
    assert [m.timestamp_ns for m in of(log, CameraFrame)] == IMAGES
    assert [m.timestamp_ns for m in of(log, Annotations)] == SWEEPS
    for channel in ("up_lidar", "down_lidar"):
        assert [m.timestamp_ns for m in of(log, LidarSweep) if m.channel == channel] == SWEEPS
    poses = of(log, EgoPose)
    assert poses[0].timestamp_ns == SWEEPS[0] - 3_000_000
    assert poses[-1].timestamp_ns == SWEEPS[-1] + 47_000_000
    assert log.losses.total == 0


def test_a_log_and_the_folders_above_it_are_recognised_and_two_logs_need_a_choice(tmp_path: Path) -> None:
    folder = write_log(tmp_path)
    for path in (folder, folder.parent, folder.parents[1], tmp_path):
        assert is_argoverse2(path)
        assert open_log(path).kind == "argoverse2"
    assert not is_argoverse2(folder / "calibration")
    other = folder.with_name("log-b")
    (other / "sensors").mkdir(parents=True)
    (other / "calibration").mkdir()
    (other / "calibration/egovehicle_SE3_sensor.feather").write_bytes(b"")
    with pytest.raises(LogError, match=r"2 Argoverse 2 sensor logs.*name the log's folder"):
        Argoverse2Log(tmp_path)


def test_the_ego_frame_lies_on_the_ground_and_cameras_without_images_are_left_out(tmp_path: Path) -> None:
    write_log(tmp_path)
    rig = Argoverse2Log(tmp_path).rig
    assert rig.channels() == ("down_lidar", "ring_front_center", "up_lidar")
    np.testing.assert_allclose(rig["up_lidar"].ego_from_sensor.translation, [1.35, 0, 1.64 + AXLE_HEIGHT_M])
    lens = rig["ring_front_center"].lens
    assert lens is not None
    # The images are undistorted: the table's coefficients must not bend them again.
    seen, _ = lens.project(np.array([[1.0, 0.5, 2.0]]))
    np.testing.assert_allclose(seen, [[31.5 + 25, 23.5 + 12.5]])


def test_each_lidar_has_its_own_points_in_its_own_frame(tmp_path: Path) -> None:
    write_log(tmp_path)
    log = Argoverse2Log(tmp_path)
    sweeps = {m.channel: m for m in of(log, LidarSweep) if m.timestamp_ns == SWEEPS[0]}
    for channel, rows, rings in (("up_lidar", [0, 1], [3, 31]), ("down_lidar", [2], [8])):
        placed = log.rig[channel].ego_from_sensor.apply(sweeps[channel].points_m)
        np.testing.assert_allclose(placed, POINTS[rows] + [0, 0, AXLE_HEIGHT_M], atol=1e-5)
        assert sweeps[channel].rings.tolist() == rings
        assert not sweeps[channel].time_offsets_ns.any()
    assert sweeps["down_lidar"].intensity.tolist() == [255.0]


def test_boxes_get_velocity_and_future_from_their_own_annotations(tmp_path: Path) -> None:
    write_log(tmp_path)
    truth = of(Argoverse2Log(tmp_path), Annotations)
    assert [t.class_names for t in truth] == [("car",), ("car", "traffic_cone"), ("car",)]
    assert truth[0].num_lidar_points.tolist() == [7]
    np.testing.assert_allclose(truth[0].boxes.centers_m, [[20, 2, 0.4 + AXLE_HEIGHT_M]])
    np.testing.assert_allclose(truth[0].boxes.sizes_m, [[4.0, 1.8, 1.5]])
    np.testing.assert_allclose(truth[0].boxes.yaws_rad, [0.1])
    # It stands in the city; only the ego vehicle moves.
    np.testing.assert_allclose(truth[0].boxes.velocities_mps, [[0, 0]], atol=1e-6)
    np.testing.assert_allclose(truth[0].futures_m[0, 0], [20, 2], atol=1e-6)
    assert np.isnan(truth[0].futures_m[0, 1:]).all()
    assert np.isnan(truth[1].boxes.velocities_mps[1]).all()


def test_poses_are_those_of_the_ego_frame_with_their_twist(tmp_path: Path) -> None:
    write_log(tmp_path)
    pose = of(Argoverse2Log(tmp_path), EgoPose)[1]
    np.testing.assert_allclose(pose.odom_from_ego.translation_m[2], -AXLE_HEIGHT_M)
    np.testing.assert_allclose(pose.linear_velocity_mps, [10, 0, 0])


@pytest.mark.parametrize("damage", ["noise", "missing"])
def test_a_broken_or_missing_sweep_is_a_loss_of_both_lidars(tmp_path: Path, damage: str) -> None:
    path = write_log(tmp_path) / f"sensors/lidar/{SWEEPS[1]}.feather"
    path.unlink()
    if damage == "noise":
        path.write_bytes(bytes(range(255)))
    log = Argoverse2Log(tmp_path)
    assert len(of(log, LidarSweep)) == 4
    assert log.losses.messages == {"up_lidar": 1, "down_lidar": 1}


def test_a_broken_image_is_a_loss(tmp_path: Path) -> None:
    (write_log(tmp_path) / f"sensors/cameras/ring_front_center/{IMAGES[0]}.jpg").write_bytes(b"no image")
    log = Argoverse2Log(tmp_path)
    assert len(of(log, CameraFrame)) == 1
    assert log.losses.messages == {"ring_front_center": 1}


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("calibration/egovehicle_SE3_sensor.feather", CalibrationError),
        ("calibration/intrinsics.feather", CalibrationError),
        ("city_SE3_egovehicle.feather", LogError),
        ("annotations.feather", LogError),
    ],
)
def test_a_broken_table_names_its_file(tmp_path: Path, name: str, error: type[Exception]) -> None:
    path = write_log(tmp_path) / name
    for bad in (b"", bytes(range(255)), path.read_bytes()[:-200]):
        path.write_bytes(bad)
        with pytest.raises(error, match=Path(name).name):
            Argoverse2Log(tmp_path)
    write_feather({"sensor_name": np.array(["up_lidar"])}, path)
    with pytest.raises(error, match=Path(name).name):
        Argoverse2Log(tmp_path)


@pytest.mark.parametrize(
    ("missing", "lost"),
    [
        (["up_lidar"], {"up_lidar": 3}),
        (["up_lidar", "down_lidar"], {"up_lidar": 3, "down_lidar": 3}),
        (["ring_front_center"], {"ring_front_center": 2}),
    ],
)
def test_data_of_sensors_without_a_place_are_losses(tmp_path: Path, missing: list[str], lost: dict[str, int]) -> None:
    folder = write_log(tmp_path)
    whole = len(list(Argoverse2Log(tmp_path).messages()))
    write_extrinsics(folder, {name: mount for name, mount in MOUNTS.items() if name not in missing})
    log = Argoverse2Log(tmp_path)
    assert len(list(log.messages())) == whole - sum(lost.values())
    assert log.losses.messages == lost
    assert all("has no calibration; its messages are left out; give one" in detail for detail in log.losses.details)


def test_pictures_of_a_camera_without_a_lens_are_losses(tmp_path: Path) -> None:
    write_intrinsics(write_log(tmp_path), ["ring_rear_left"])
    log = Argoverse2Log(tmp_path)
    assert len(of(log, LidarSweep)) == 6
    assert log.losses.messages == {"ring_front_center": 2}


def test_a_log_without_the_place_of_any_sensor_is_refused_and_read_with_a_given_rig(tmp_path: Path) -> None:
    folder = write_log(tmp_path)
    own = Argoverse2Log(tmp_path)
    write_extrinsics(folder, {})
    with pytest.raises(CalibrationError, match=r"down_lidar, ring_front_center, up_lidar.*--calibration"):
        Argoverse2Log(tmp_path)
    given = Argoverse2Log(tmp_path, own.rig)
    for first, second in zip(of(own, LidarSweep), of(given, LidarSweep), strict=True):
        np.testing.assert_array_equal(first.points_m, second.points_m)
    assert given.losses.total == 0


@pytest.mark.parametrize("width_px", [math.nan, math.inf])
def test_a_width_that_is_no_number_names_its_file_and_camera(tmp_path: Path, width_px: float) -> None:
    write_intrinsics(write_log(tmp_path), ["ring_front_center"], width_px)
    with pytest.raises(CalibrationError, match=r"intrinsics\.feather: ring_front_center"):
        Argoverse2Log(tmp_path)


def test_a_log_without_truth_and_poses_gives_its_sensors(tmp_path: Path) -> None:
    folder = write_log(tmp_path)
    (folder / "annotations.feather").unlink()
    (folder / "city_SE3_egovehicle.feather").unlink()
    assert len(list(Argoverse2Log(tmp_path).messages())) == 2 * len(SWEEPS) + len(IMAGES)


def test_real_boxes_hold_the_points_that_the_annotation_states() -> None:
    data = os.environ.get("TRICAST_DATA")
    if data is None or not (Path(data) / "argoverse2").is_dir():
        pytest.skip("TRICAST_DATA does not name a folder with this recording")
    log = Argoverse2Log(Path(data) / "argoverse2")
    messages = list(log.messages())
    assert log.losses.total == 0
    motion = EgoMotion([m for m in messages if isinstance(m, EgoPose)])
    truths = [m for m in messages if isinstance(m, Annotations)]
    assert len(truths) == 2
    for truth in truths:
        sweeps = [m for m in messages if isinstance(m, LidarSweep) and m.timestamp_ns == truth.timestamp_ns]
        points = np.concatenate(
            [log.rig[m.channel].ego_from_sensor.apply(m.points_m.astype(np.float64)) for m in sweeps]
        )
        inside = truth.boxes.contains(points).sum(axis=1)
        stated = truth.num_lidar_points
        assert (np.abs(inside - stated) <= np.maximum(2, 0.05 * stated)).mean() > 0.9
        ground = points[np.hypot(points[:, 0] - 5, points[:, 1]) < 3]
        assert abs(np.median(ground[:, 2])) < 0.1
    assert 0.3 < float(np.linalg.norm(motion.velocity_mps(truths[0].timestamp_ns))) < 1.5
    car = truths[0].class_names.index("car")
    assert np.isfinite(truths[0].boxes.velocities_mps[car]).all()
