"""Readers of recorded datasets against facts that the recordings themselves state."""

import os
from pathlib import Path

import numpy as np
import pytest

from tricast.perception.config import PipelineConfig
from tricast.perception.streaming.replay import replay
from tricast.sensors.annotations import Annotations
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.log.convert import convert
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.pcd import read_radar_pcd
from tricast.sensors.motion_compensation import EgoMotion, lidar_in_ego, radar_in_ego

RECORDINGS = ("nuscenes", "view_of_delft", "aimotive", "kitti_raw", "argoverse2")


def recording(name: str) -> Path:
    root = os.environ.get("TRICAST_DATA")
    if root is None or not (Path(root) / name).is_dir():
        pytest.skip("TRICAST_DATA does not name a folder with this recording")
    if name == "argoverse2":
        pytest.importorskip("pyarrow", reason="feather files need pyarrow")
    return Path(root) / name


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_delivers_everything_in_order_of_arrival(name: str) -> None:
    log = open_log(recording(name))
    messages = list(log.messages())
    assert log.kind == name
    assert log.losses.total == 0
    assert [m.received_ns for m in messages] == sorted(m.received_ns for m in messages)
    assert all(m.received_ns >= m.timestamp_ns for m in messages)
    channels = {m.channel for m in messages if isinstance(m, CameraFrame | LidarSweep | RadarScan)}
    missing = set(log.rig.channels()) - channels
    assert not missing


def test_nuscenes_boxes_hold_the_points_that_the_annotation_states() -> None:
    log = open_log(recording("nuscenes"))
    messages = list(log.messages())
    sweep = next(m for m in messages if isinstance(m, LidarSweep))
    truth = next(m for m in messages if isinstance(m, Annotations))
    points = log.rig["LIDAR_TOP"].ego_from_sensor.apply(sweep.points_m.astype(np.float64))
    inside = truth.boxes.contains(points).sum(axis=1)
    # The devkit counts in the annotation's own axes; upright boxes differ at a few borders.
    assert (np.abs(inside - truth.num_lidar_points) <= 1).mean() > 0.95


def test_view_of_delft_boxes_near_the_vehicle_hold_points() -> None:
    log = open_log(recording("view_of_delft"))
    sweeps = {m.timestamp_ns: m for m in log.messages() if isinstance(m, LidarSweep)}
    for truth in (m for m in log.messages() if isinstance(m, Annotations)):
        sweep = sweeps[truth.timestamp_ns]
        points = log.rig[sweep.channel].ego_from_sensor.apply(sweep.points_m.astype(np.float64))
        near = np.hypot(truth.boxes.centers_m[:, 0], truth.boxes.centers_m[:, 1]) < 30
        assert (truth.boxes[near].contains(points).sum(axis=1) > 0).all()


def test_aimotive_sweeps_deskew_and_static_radar_targets_stand_still() -> None:
    log = open_log(recording("aimotive"))
    messages = list(log.messages())
    motion = EgoMotion([m for m in messages if isinstance(m, EgoPose)])
    sweep = [m for m in messages if isinstance(m, LidarSweep)][10]
    truth = next(m for m in messages if isinstance(m, Annotations) and m.timestamp_ns == sweep.timestamp_ns)
    cloud = lidar_in_ego([sweep], log.rig[sweep.channel], motion, sweep.timestamp_ns)
    near = np.hypot(truth.boxes.centers_m[:, 0], truth.boxes.centers_m[:, 1]) < 40
    assert (truth.boxes[near].contains(cloud.points_m).sum(axis=1) > 50).all()
    for channel in log.rig.channels("radar"):
        scan = [m for m in messages if isinstance(m, RadarScan) and m.channel == channel][10]
        returns = radar_in_ego([scan], log.rig[channel], motion, scan.timestamp_ns)
        assert abs(np.median(returns.radial_velocities_mps)) < 0.5
    # Vehicles on a motorway: relative velocities became velocities over ground.
    assert 20 < np.median(truth.boxes.velocities_mps[:, 0]) < 35


# Without KITTI raw, whose 24 dense sweeps would take minutes.
@pytest.mark.parametrize("name", [name for name in RECORDINGS if name != "kitti_raw"])
def test_a_recording_and_its_tricast_copy_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    log = open_log(recording(name))
    convert(log, tmp_path / "copy.mcap")
    replay(log, PipelineConfig(), tmp_path / "original")
    replay(open_log(tmp_path / "copy.mcap"), PipelineConfig(), tmp_path / "copied")
    original = (tmp_path / "original" / "results.jsonl").read_bytes()
    assert original == (tmp_path / "copied" / "results.jsonl").read_bytes()
    assert original.count(b"track_id") > 10


def test_a_radar_pcd_of_the_published_format_is_read(tmp_path: Path) -> None:
    fields = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("dyn_prop", "i1"), ("id", "<i2"), ("rcs", "<f4")])
    points = np.array([(10.0, -2.0, 0.5, 1, 7, 3.5), (20.0, 4.0, 0.0, 0, 8, -1.5)], dtype=fields)
    head = (
        "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z dyn_prop id rcs\nSIZE 4 4 4 1 2 4\nTYPE F F F I I F\n"
        "COUNT 1 1 1 1 1 1\nWIDTH 2\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS 2\nDATA binary\n"
    )
    (tmp_path / "radar.pcd").write_bytes(head.encode() + points.tobytes())
    columns = read_radar_pcd(tmp_path / "radar.pcd")
    assert columns["x"].tolist() == [10.0, 20.0]
    assert columns["id"].tolist() == [7, 8]
    assert columns["rcs"].tolist() == [3.5, -1.5]
