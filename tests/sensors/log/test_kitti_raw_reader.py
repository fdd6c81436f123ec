"""The KITTI raw reader on a small drive written here, and on a real one where there is one."""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tricast.sensors.annotations import Annotations
from tricast.sensors.errors import CalibrationError, LogError
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep
from tricast.sensors.log.kitti_raw import LIDAR_HEIGHT_M, KittiRawLog, is_kitti_raw
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import stream_order
from tricast.sensors.motion_compensation import EgoMotion, lidar_in_ego

FRAMES = 3
FIRST_NS = 1317042145_500000000  # 2011-09-26 13:02:25.5 UTC
STEP_NS = 100_000_000
AHEAD_LEFT_BACK_RIGHT = np.array([[10, 0, 0, 0.5], [0, 5, 0, 0.1], [-8, 0.001, 0, 0.2], [0, -5, 0, 0.3]], np.float32)
NORTHWARDS_DEG = math.degrees(1.0 / 6378137.0)  # one metre along a meridian


def write_times(path: Path, shift_ns: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stamps = [(FIRST_NS + frame * STEP_NS + shift_ns) % 1_000_000_000 for frame in range(FRAMES)]
    path.write_text("".join(f"2011-09-26 13:02:25.{stamp:09d}\n" for stamp in stamps))


def tracklet(kind: str, first_frame: int, places: list[tuple[float, float]]) -> str:
    poses = "".join(f"<item><tx>{x}</tx><ty>{y}</ty><tz>-1.7</tz><rz>0.3</rz></item>" for x, y in places)
    return (
        f"<item><objectType>{kind}</objectType><h>1.5</h><w>1.8</w><l>4.2</l><first_frame>{first_frame}</first_frame>"
        f"<poses><count>{len(places)}</count>{poses}</poses></item>"
    )


def write_drive(root: Path) -> Path:
    """Three frames of a vehicle that faces east and slides north at 10 m/s, with one camera and two tracklets."""
    date = root / "2011_09_26"
    drive = date / "2011_09_26_drive_0001_sync"
    for folder in ("velodyne_points", "image_02", "oxts"):
        (drive / folder / "data").mkdir(parents=True)
        write_times(drive / folder / "timestamps.txt")
    for frame in range(FRAMES):
        AHEAD_LEFT_BACK_RIGHT.tofile(drive / f"velodyne_points/data/{frame:010d}.bin")
        Image.new("RGB", (64, 48)).save(drive / f"image_02/data/{frame:010d}.png")
        values = [frame * NORTHWARDS_DEG, 8.0, 110.0, 0.0, 0.0, 0.0, *[0.0] * 24]
        (drive / f"oxts/data/{frame:010d}.txt").write_text(" ".join(str(v) for v in values))
    (date / "calib_cam_to_cam.txt").write_text(
        "calib_time: 09-Jan-2012 13:57:47\nR_rect_00: 1 0 0 0 1 0 0 0 1\nS_rect_02: 64 48\n"
        "P_rect_02: 50 0 31.5 25 0 50 23.5 0 0 0 1 0\n"
    )
    (date / "calib_velo_to_cam.txt").write_text("R: 0 -1 0 0 0 -1 1 0 0\nT: 0 -0.1 -0.3\n")
    (date / "calib_imu_to_velo.txt").write_text("R: 1 0 0 0 1 0 0 0 1\nT: -0.8 0.3 -0.8\n")
    standing = tracklet("Van", 0, [(10.0, 2.0 - frame) for frame in range(FRAMES)])
    late = tracklet("Cyclist", 2, [(5.0, -1.0)])
    tracklets = "".join([standing, tracklet("Tram", 0, [(1, 1)]), late])
    xml = f"<boost_serialization><tracklets><count>3</count>{tracklets}</tracklets></boost_serialization>"
    (drive / "tracklet_labels.xml").write_text(xml)
    return drive


def of(log: KittiRawLog, kind: type) -> list[Any]:
    return [message for message in log.messages() if isinstance(message, kind)]


def test_every_message_arrives_once_and_in_order(tmp_path: Path) -> None:
    write_drive(tmp_path)
    log = KittiRawLog(tmp_path)
    messages = list(log.messages())
    keys = [stream_order(m) for m in messages]
    assert keys == sorted(keys)
    assert len(messages) == FRAMES * 4
    assert log.losses.total == 0
    assert [m.timestamp_ns for m in of(log, CameraFrame)] == [FIRST_NS + i * STEP_NS for i in range(FRAMES)]
    assert (log.start_ns, log.end_ns) == (FIRST_NS, FIRST_NS + 2 * STEP_NS + 50_000_000)


def test_a_drive_its_date_and_its_root_are_recognised_and_two_drives_need_a_choice(tmp_path: Path) -> None:
    drive = write_drive(tmp_path)
    for path in (drive, drive.parent, tmp_path):
        assert is_kitti_raw(path)
        assert open_log(path).kind == "kitti_raw"
    assert not is_kitti_raw(drive / "image_02")
    (drive.parent / "other_sync/velodyne_points/data").mkdir(parents=True)
    with pytest.raises(LogError, match=r"2 drives of KITTI raw.*name the drive's folder"):
        KittiRawLog(tmp_path)


def test_the_ego_frame_lies_on_the_ground_below_the_lidar(tmp_path: Path) -> None:
    write_drive(tmp_path)
    rig = KittiRawLog(tmp_path).rig
    np.testing.assert_allclose(rig["velodyne_points"].ego_from_sensor.translation, [0, 0, LIDAR_HEIGHT_M])
    # 25 / 50 m to the right of camera 0, which is 0.3 m ahead of the Velodyne and 0.1 m below it.
    np.testing.assert_allclose(rig["image_02"].ego_from_sensor.translation, [0.3, 0.5, LIDAR_HEIGHT_M - 0.1], atol=1e-9)
    lens = rig["image_02"].lens
    assert lens is not None
    seen, inside = lens.project(rig["image_02"].ego_from_sensor.inverse.apply(np.array([[10.3, 0.5, 1.63]])))
    np.testing.assert_allclose(seen, [[31.5, 23.5]])
    assert inside.all()


def test_points_have_the_time_at_which_the_scanner_passed_them(tmp_path: Path) -> None:
    drive = write_drive(tmp_path)
    sweep = of(KittiRawLog(tmp_path), LidarSweep)[0]
    np.testing.assert_allclose(sweep.points_m, AHEAD_LEFT_BACK_RIGHT[:, :3])
    np.testing.assert_allclose(sweep.intensity, AHEAD_LEFT_BACK_RIGHT[:, 3])
    np.testing.assert_allclose(sweep.time_offsets_ns / 1e6, [0, -25, -50, 25], atol=0.01)
    write_times(drive / "velodyne_points/timestamps_start.txt", -60_000_000)
    write_times(drive / "velodyne_points/timestamps_end.txt", 40_000_000)
    sweep = of(KittiRawLog(tmp_path), LidarSweep)[0]
    np.testing.assert_allclose(sweep.time_offsets_ns / 1e6, [0, -30, -60, 20], atol=0.01)
    assert sweep.received_ns == FIRST_NS + 40_000_000


def test_poses_are_those_of_the_ego_frame_with_their_twist(tmp_path: Path) -> None:
    write_drive(tmp_path)
    poses = of(KittiRawLog(tmp_path), EgoPose)
    below_imu = [0.8, -0.3, 0.8 - LIDAR_HEIGHT_M]
    for frame, pose in enumerate(poses):
        np.testing.assert_allclose(pose.odom_from_ego.translation, np.add(below_imu, [0, frame, 0]), atol=1e-6)
        np.testing.assert_allclose(pose.linear_velocity_mps, [0, 10, 0], atol=1e-6)


def test_tracklets_become_boxes_with_velocity_over_ground(tmp_path: Path) -> None:
    write_drive(tmp_path)
    first, _, last = of(KittiRawLog(tmp_path), Annotations)
    assert first.class_names == ("car",)
    assert last.class_names == ("car", "bicycle")
    assert last.instance_ids == ("tracklet-0", "tracklet-2")
    np.testing.assert_allclose(first.boxes.centers_m, [[10, 2, LIDAR_HEIGHT_M - 1.7 + 0.75]])
    np.testing.assert_allclose(first.boxes.sizes_m, [[4.2, 1.8, 1.5]])
    np.testing.assert_allclose(first.boxes.yaws_rad, [0.3])
    np.testing.assert_allclose(first.boxes.velocities_mps, [[0, 0]], atol=1e-6)


def test_without_poses_boxes_have_no_velocity(tmp_path: Path) -> None:
    drive = write_drive(tmp_path)
    for path in (drive / "oxts/data").iterdir():
        path.unlink()
    log = KittiRawLog(tmp_path)
    assert np.isnan(of(log, Annotations)[0].boxes.velocities_mps).all()
    assert of(log, EgoPose) == []
    assert log.losses.total == 0


@pytest.mark.parametrize(
    ("file", "channel"),
    [
        ("velodyne_points/data/0000000001.bin", "velodyne_points"),
        ("image_02/data/0000000001.png", "image_02"),
        ("oxts/data/0000000001.txt", "odometry"),
    ],
)
def test_a_broken_file_is_a_loss_and_the_rest_is_delivered(tmp_path: Path, file: str, channel: str) -> None:
    drive = write_drive(tmp_path)
    (drive / file).write_bytes(bytes(range(255)))
    log = KittiRawLog(tmp_path)
    assert len(list(log.messages())) == FRAMES * 4 - 1
    assert log.losses.messages == {channel: 1}
    if channel != "odometry":
        (drive / file).unlink()
        log = KittiRawLog(tmp_path)
        assert len(list(log.messages())) == FRAMES * 4 - 1
        assert log.losses.messages == {channel: 1}


def test_a_sweep_that_was_not_recorded_and_has_no_time_is_a_loss(tmp_path: Path) -> None:
    drive = write_drive(tmp_path)
    (drive / "velodyne_points/data/0000000001.bin").unlink()
    for name in ("timestamps", "timestamps_start", "timestamps_end"):
        write_times(drive / f"velodyne_points/{name}.txt")
        lines = (drive / f"velodyne_points/{name}.txt").read_text().splitlines()
        (drive / f"velodyne_points/{name}.txt").write_text("\n".join([lines[0], "", lines[2]]) + "\n")
    log = KittiRawLog(tmp_path)
    assert len(list(log.messages())) == FRAMES * 4 - 1
    assert log.losses.messages == {"velodyne_points": 1}
    # The boxes of that frame are at the time of its picture.
    assert [m.timestamp_ns for m in of(log, Annotations)] == [m.timestamp_ns for m in of(log, CameraFrame)]


@pytest.mark.parametrize("text", ["", "2011-09-26 13:02:25.5\n", "2011-13-26 13:02:25.5\n" * 3, "yesterday\n" * 3])
def test_times_that_are_missing_or_wrong_name_their_line(tmp_path: Path, text: str) -> None:
    drive = write_drive(tmp_path)
    (drive / "image_02/timestamps.txt").write_text(text)
    with pytest.raises(LogError, match=r"image_02/timestamps\.txt line"):
        KittiRawLog(tmp_path)


@pytest.mark.parametrize("line", [b"", b"yesterday", b"2011-09-26 13:02:\xff\x0b5.6"])
def test_a_sweep_without_a_time_of_its_beginning_turns_as_usual_and_that_is_told(tmp_path: Path, line: bytes) -> None:
    drive = write_drive(tmp_path)
    path = drive / "velodyne_points/timestamps_start.txt"
    write_times(path, -60_000_000)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], line, *lines[2:]]))
    log = KittiRawLog(tmp_path)
    backwards_ms = [sweep.time_offsets_ns[2] / 1e6 for sweep in of(log, LidarSweep)]
    np.testing.assert_allclose(backwards_ms, [-60, -50, -60], atol=0.02)
    assert log.losses.total == 0
    assert len(log.losses.details) == 1
    assert "timestamps_start.txt line 2" in log.losses.details[0]
    assert "turn as usual" in log.losses.details[0]


def test_a_file_of_beginnings_that_is_none_is_told_once(tmp_path: Path) -> None:
    drive = write_drive(tmp_path)
    (drive / "velodyne_points/timestamps_start.txt").mkdir()
    log = KittiRawLog(tmp_path)
    assert len(list(log.messages())) == FRAMES * 4
    assert (log.losses.total, len(log.losses.details)) == (0, 1)


@pytest.mark.parametrize("line", [b"", b"2011-13-26 13:02:25.5", b"\xff"])
def test_a_pose_without_a_time_is_a_loss_at_the_time_of_its_frame(tmp_path: Path, line: bytes) -> None:
    drive = write_drive(tmp_path)
    path = drive / "oxts/timestamps.txt"
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], line, *lines[2:]]))
    log = KittiRawLog(tmp_path)
    assert len(list(log.messages())) == FRAMES * 4 - 1
    assert [pose.timestamp_ns for pose in of(log, EgoPose)] == [FIRST_NS, FIRST_NS + 2 * STEP_NS]
    assert log.losses.messages == {"odometry": 1}
    assert "oxts/timestamps.txt line 2" in log.losses.details[0]
    list(log.messages(end_ns=FIRST_NS + STEP_NS - 1))
    assert log.losses.total == 0


@pytest.mark.parametrize("text", [None, "", "\n\n\n"])
def test_without_any_time_every_pose_is_a_loss_and_the_sensors_are_delivered(tmp_path: Path, text: str | None) -> None:
    drive = write_drive(tmp_path)
    (drive / "oxts/timestamps.txt").unlink()
    if text is not None:
        (drive / "oxts/timestamps.txt").write_text(text)
    (drive / "oxts/data/0000000009.txt").write_text("")  # of a frame that no sensor has
    log = KittiRawLog(tmp_path)
    assert len(list(log.messages())) == FRAMES * 3
    assert log.losses.messages == {"odometry": FRAMES + 1}


@pytest.mark.parametrize("size", ["inf 48", "64 nan", "64"])
def test_a_size_that_is_no_number_names_its_file(tmp_path: Path, size: str) -> None:
    path = write_drive(tmp_path).parent / "calib_cam_to_cam.txt"
    path.write_text(path.read_text().replace("S_rect_02: 64 48", f"S_rect_02: {size}"))
    with pytest.raises(CalibrationError, match=r"calib_cam_to_cam\.txt"):
        KittiRawLog(tmp_path)


@pytest.mark.parametrize("name", ["calib_cam_to_cam.txt", "calib_velo_to_cam.txt", "calib_imu_to_velo.txt"])
@pytest.mark.parametrize("text", [None, "", "R: 1 2 3\nT: 1 2\nR_rect_00: 1", "R: 2 0 0 0 2 0 0 0 2\nT: 0 0 0\n"])
def test_a_broken_calibration_names_its_file(tmp_path: Path, name: str, text: str | None) -> None:
    path = write_drive(tmp_path).parent / name
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(CalibrationError, match=name):
        KittiRawLog(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "<tracklets>", tracklet("Car", 0, []).join(("<a><tracklets>", "</tracklets></b>"))]
)
def test_broken_tracklets_name_their_file_and_the_remedy(tmp_path: Path, text: str) -> None:
    (write_drive(tmp_path) / "tracklet_labels.xml").write_text(text)
    with pytest.raises(LogError, match=r"tracklet_labels\.xml.*remove it to replay without truth"):
        KittiRawLog(tmp_path)


def test_impossible_tracklets_are_one_message(tmp_path: Path) -> None:
    path = write_drive(tmp_path) / "tracklet_labels.xml"
    path.write_text(path.read_text().replace("<tx>5.0</tx>", "<tx>nan</tx>"))
    with pytest.raises(LogError, match=r"got boxes centers_m: .*; expected tracklets") as raised:
        KittiRawLog(path.parent)
    assert str(raised.value).count("expected") == 1


def test_a_real_drive_has_edges_of_the_image_where_the_lidar_sees_steps_in_depth() -> None:
    data = os.environ.get("TRICAST_DATA")
    if data is None or not (Path(data) / "kitti_raw").is_dir():
        pytest.skip("TRICAST_DATA does not name a folder with this recording")
    log = KittiRawLog(Path(data) / "kitti_raw")
    messages = list(log.messages())
    assert log.losses.total == 0
    sweeps = [m for m in messages if isinstance(m, LidarSweep)]
    images = [m for m in messages if isinstance(m, CameraFrame)]
    assert len(sweeps) == len(images) == 24
    cloud = lidar_in_ego([sweeps[10]], log.rig["velodyne_points"], EgoMotion(), sweeps[10].timestamp_ns)
    road = cloud.points_m[(np.abs(cloud.points_m[:, 1]) < 2) & (np.abs(cloud.points_m[:, 0] - 6) < 2)]
    assert abs(np.percentile(road[:, 2], 20)) < 0.15
    lens = log.rig["image_02"].lens
    assert lens is not None
    in_camera = log.rig["image_02"].ego_from_sensor.inverse.apply(cloud.points_m.astype(np.float64))
    pixels, seen = lens.project(in_camera)
    grey = images[10].pixels().astype(np.float64).mean(axis=2)
    edges = np.abs(np.gradient(grey, axis=1))
    near, far = in_camera[:-1][seen[:-1] & seen[1:]], in_camera[1:][seen[:-1] & seen[1:]]
    columns, rows = pixels[:-1][seen[:-1] & seen[1:]].astype(int).T
    step = np.abs(near[:, 2] - far[:, 2]) > 2.0

    def edge_at(shift_px: int) -> float:
        shifted = np.clip(columns[step] + shift_px, 0, grey.shape[1] - 1)
        return float(edges[rows[step], shifted].mean())

    there = max(edge_at(shift) for shift in (-2, -1, 0, 1, 2))
    assert there > 1.2 * max(edge_at(-25), edge_at(25))
