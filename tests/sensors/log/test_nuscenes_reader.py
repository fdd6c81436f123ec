"""The nuScenes reader on small tables written here, and on a real keyframe where there is one."""

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tricast.sensors.annotations import Annotations
from tricast.sensors.errors import CalibrationError, LogError, SensorDataError
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.log.nuscenes import NuscenesLog, is_nuscenes, scene_logs, scene_names
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.pcd import read_radar_pcd
from tricast.sensors.log.stream import stream_order

SAMPLES = 3
FIRST_US = 1_000_000
STEP_US = 500_000
SPEED_MPS = 8.0
RADAR_FIELDS = [
    ("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("dyn_prop", "i1"), ("id", "<i2"), ("rcs", "<f4"), ("vx", "<f4"),
    ("vy", "<f4"), ("vx_comp", "<f4"), ("vy_comp", "<f4"), ("is_quality_valid", "i1"), ("ambig_state", "i1"),
    ("x_rms", "i1"), ("y_rms", "i1"), ("invalid_state", "i1"), ("pdh0", "i1"), ("vx_rms", "i1"), ("vy_rms", "i1"),
]  # fmt: skip
LEFT_QUATERNION = [math.cos(math.pi / 4), 0.0, 0.0, math.sin(math.pi / 4)]
NO_TURN = [1.0, 0.0, 0.0, 0.0]


def write_pcd(path: Path, points: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = [(name, np.dtype(form)) for name, form in RADAR_FIELDS]
    header = [
        "# .PCD v0.7 - Point Cloud Data file format",
        "VERSION 0.7",
        "FIELDS " + " ".join(name for name, _ in kinds),
        "SIZE " + " ".join(str(kind.itemsize) for _, kind in kinds),
        "TYPE " + " ".join(kind.kind.upper() for _, kind in kinds),
        "COUNT " + " ".join("1" for _ in kinds),
        f"WIDTH {len(points)}",
        "HEIGHT 1",
        "VIEWPOINT 0 0 0 1 0 0 0",
        f"POINTS {len(points)}",
        "DATA binary",
    ]
    path.write_bytes("\n".join(header).encode() + b"\n" + points.tobytes())


def radar_points() -> np.ndarray:
    points = np.zeros(4, np.dtype(RADAR_FIELDS))
    points["x"], points["y"], points["rcs"] = [30, 3, 20, 10], [40, -4, 0, 0], [7, 8, 9, 10]
    points["vx"], points["vy"] = [-5, 10, 1, 1], [0, 0, 0, 0]
    points["vx_comp"], points["vy_comp"] = [0, 5, 1, 1], [2.5, 0, 0, 0]
    points["ambig_state"], points["invalid_state"], points["dyn_prop"] = [3, 3, 3, 1], [0, 0, 4, 0], [1, 0, 1, 1]
    return points


class Tables:
    """A scene: the vehicle drives along map y (it is turned left) at 8 m/s; a car ahead drives at 10 m/s."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows: dict[str, list[dict[str, Any]]] = {
            name: []
            for name in ("calibrated_sensor", "category", "ego_pose", "instance", "sample", "sample_annotation")
        } | {"sample_data": [], "scene": [], "sensor": []}
        for token, category in (("c0", "vehicle.car"), ("c1", "animal"), ("c2", "vehicle.bus.bendy")):
            self.rows["category"].append({"token": token, "name": category})
            self.rows["instance"].append({"token": f"i-{token}", "category_token": token})
        for channel, modality in (("CAM_FRONT", "camera"), ("LIDAR_TOP", "lidar"), ("RADAR_FRONT", "radar")):
            self.rows["sensor"].append({"token": channel, "channel": channel, "modality": modality})

    def add_scene(self, name: str, first_us: int, lidar_height_m: float = 1.8) -> None:
        self.rows["scene"].append({"token": name, "name": name})
        for channel, place in (
            ("CAM_FRONT", [1, 0, 1.5]),
            ("LIDAR_TOP", [1, 0, lidar_height_m]),
            ("RADAR_FRONT", [3, 0, 0.5]),
        ):
            turn = [0.5, -0.5, 0.5, -0.5] if channel == "CAM_FRONT" else NO_TURN
            matrix = [[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]] if channel == "CAM_FRONT" else []
            row = {"token": f"{name}-{channel}", "sensor_token": channel, "translation": place, "rotation": turn}
            self.rows["calibrated_sensor"].append(row | {"camera_intrinsic": matrix})
        for index in range(SAMPLES):
            self._add_sample(name, first_us, index)

    def _add_sample(self, scene: str, first_us: int, index: int) -> None:
        at_us, token = first_us + index * STEP_US, f"{scene}-{index}"
        self.rows["sample"].append({"token": token, "timestamp": at_us, "scene_token": scene})
        for channel, suffix, lead_us in (
            ("CAM_FRONT", "jpg", 20_000),
            ("LIDAR_TOP", "pcd.bin", 0),
            ("RADAR_FRONT", "pcd", 40_000),
        ):
            name, stamp_us = f"{token}-{channel}", at_us - lead_us
            pose = {"token": name, "timestamp": stamp_us, "rotation": LEFT_QUATERNION}
            self.rows["ego_pose"].append(pose | {"translation": [100.0, SPEED_MPS * (stamp_us - first_us) * 1e-6, 0.0]})
            file = f"samples/{channel}/{name}.{suffix}"
            row = {"token": name, "sample_token": token, "ego_pose_token": name, "timestamp": stamp_us}
            row |= {"calibrated_sensor_token": f"{scene}-{channel}", "is_key_frame": True, "filename": file}
            self.rows["sample_data"].append(row | {"width": 64, "height": 48})
            self._write_file(channel, self.root / file)
        for kind in ("c0", "c1") if index < SAMPLES - 1 else ("c0", "c2"):
            alone, first, last = kind == "c2", index == 0, index == SAMPLES - 1
            row = {"token": f"{token}-{kind}", "sample_token": token, "instance_token": f"i-{kind}"}
            row |= {
                "translation": [100.0, 20.0 + 5.0 * index, 1.0],
                "size": [2.0, 4.5, 1.6],
                "rotation": LEFT_QUATERNION,
            }
            row |= {"prev": "" if first or alone else f"{scene}-{index - 1}-{kind}"}
            row |= {"next": "" if last or alone else f"{scene}-{index + 1}-{kind}"}
            self.rows["sample_annotation"].append(row | {"num_lidar_pts": 5, "num_radar_pts": 2})

    def _write_file(self, channel: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if channel == "CAM_FRONT":
            Image.new("RGB", (64, 48)).save(path)
        elif channel == "LIDAR_TOP":
            np.array([[10, 2, -1, 44, 3], [np.nan, 0, 0, 1, 31]], np.float32).tofile(path)
        else:
            write_pcd(path, radar_points())

    def write(self) -> Path:
        for name, rows in self.rows.items():
            path = self.root / "v1.0-mini" / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(rows))
        return self.root


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    made = Tables(tmp_path)
    made.add_scene("scene-0001", FIRST_US)
    return made


def of(log: NuscenesLog, kind: type) -> list[Any]:
    return [message for message in log.messages() if isinstance(message, kind)]


def test_every_message_arrives_once_and_in_order(tables: Tables) -> None:
    log = NuscenesLog(tables.write())
    messages = list(log.messages())
    keys = [stream_order(m) for m in messages]
    assert keys == sorted(keys)
    counts = {kind: len(of(log, kind)) for kind in (CameraFrame, LidarSweep, RadarScan, EgoPose, Annotations)}
    assert counts == {CameraFrame: 3, LidarSweep: 3, RadarScan: 3, EgoPose: 9, Annotations: 3}
    assert log.losses.total == 0
    assert (log.start_ns, log.end_ns) == (960_000_000, 2_000_000_000)


def test_a_root_and_its_version_folder_are_recognised(tables: Tables) -> None:
    root = tables.write()
    assert is_nuscenes(root)
    assert is_nuscenes(root / "v1.0-mini")
    assert not is_nuscenes(root / "samples")
    assert len(list(NuscenesLog(root / "v1.0-mini").messages())) == 21


def test_points_intensity_and_rings_of_the_lidar_are_kept(tables: Tables) -> None:
    sweep = of(NuscenesLog(tables.write()), LidarSweep)[0]
    np.testing.assert_array_equal(sweep.points_m[0], [10, 2, -1])
    assert np.isnan(sweep.points_m[1, 0])
    assert sweep.intensity.tolist() == [44.0, 1.0]
    assert sweep.rings.tolist() == [3, 31]


def test_radar_velocities_are_projected_on_the_line_of_sight(tables: Tables) -> None:
    scan = of(NuscenesLog(tables.write()), RadarScan)[0]
    # The third return is invalid, the fourth ambiguous. Sight of the first (0.6, 0.8), of the second (0.6, -0.8).
    np.testing.assert_array_equal(scan.points_m, [[30, 40, 0], [3, -4, 0]])
    np.testing.assert_allclose(scan.radial_velocities_mps, [-3.0, 6.0])
    np.testing.assert_allclose(scan.compensated_velocities_mps, [2.0, 3.0])
    assert scan.rcs_dbsm.tolist() == [7.0, 8.0]


def test_calibration_gives_the_lens_and_the_place_of_each_sensor(tables: Tables) -> None:
    rig = NuscenesLog(tables.write()).rig
    assert rig.channels() == ("CAM_FRONT", "LIDAR_TOP", "RADAR_FRONT")
    lens = PinholeLens(width_px=64, height_px=48, focal_px=(60.0, 60.0), principal_px=(31.5, 23.5))
    assert rig["CAM_FRONT"].lens == lens
    # Camera z is ego x.
    np.testing.assert_allclose(
        rig["CAM_FRONT"].ego_from_sensor.apply(np.array([0.0, 0.0, 10.0])), [11, 0, 1.5], atol=1e-12
    )


def test_boxes_are_in_ego_axes_with_length_first_and_official_velocities(tables: Tables) -> None:
    truths = of(NuscenesLog(tables.write()), Annotations)
    first, middle, last = truths
    assert first.class_names == ("car",)
    assert last.class_names == ("car", "bus")
    np.testing.assert_allclose(first.boxes.centers_m, [[20, 0, 1]], atol=1e-9)
    np.testing.assert_allclose(middle.boxes.centers_m, [[21, 0, 1]], atol=1e-9)
    np.testing.assert_allclose(first.boxes.sizes_m, [[4.5, 2.0, 1.6]])
    np.testing.assert_allclose(first.boxes.yaws_rad, [0.0], atol=1e-12)
    for truth in truths:
        np.testing.assert_allclose(truth.boxes.velocities_mps[0], [10.0, 0.0], atol=1e-9)
    assert np.isnan(last.boxes.velocities_mps[1]).all()
    assert first.num_lidar_points.tolist() == [5]
    assert first.num_radar_points.tolist() == [2]
    assert first.instance_ids == middle.instance_ids


def test_futures_are_the_next_keyframes_in_ego_axes(tables: Tables) -> None:
    first, _, last = of(NuscenesLog(tables.write()), Annotations)
    np.testing.assert_allclose(first.futures_m[0, :2], [[25, 0], [30, 0]], atol=1e-9)
    assert np.isnan(first.futures_m[0, 2:]).all()
    assert np.isnan(last.futures_m).all()


def test_neighbours_too_far_apart_give_no_velocity(tables: Tables) -> None:
    for index, row in enumerate(tables.rows["sample"]):
        row["timestamp"] = FIRST_US + index * 2_000_000
    first, middle, _ = of(NuscenesLog(tables.write()), Annotations)
    assert np.isnan(first.boxes.velocities_mps).all()
    assert np.isnan(middle.boxes.velocities_mps).all()


def test_ego_velocity_is_known_where_poses_are_dense(tables: Tables) -> None:
    poses = of(NuscenesLog(tables.write()), EgoPose)
    np.testing.assert_allclose(poses[0].linear_velocity_mps, [SPEED_MPS, 0, 0], atol=1e-6)
    np.testing.assert_allclose(poses[0].angular_velocity_radps, [0, 0, 0], atol=1e-9)
    tables.rows["sample_data"] = [row for row in tables.rows["sample_data"] if "LIDAR" in row["token"]]
    assert of(NuscenesLog(tables.write()), EgoPose)[0].linear_velocity_mps is None


@pytest.mark.parametrize("channel", ["CAM_FRONT", "LIDAR_TOP", "RADAR_FRONT"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_missing_or_broken_file_is_a_loss_and_the_rest_is_delivered(
    tables: Tables, channel: str, damage: str
) -> None:
    root = tables.write()
    path = next((root / "samples" / channel).glob("scene-0001-1-*"))
    whole = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) - 6])
    log = NuscenesLog(root)
    assert len(list(log.messages())) == 20
    assert log.losses.messages == {channel: 1}
    assert path.name in log.losses.details[0]


def test_scenes_with_another_calibration_are_left_out_and_counted(tables: Tables) -> None:
    tables.add_scene("scene-0002", FIRST_US + 20_000_000)
    tables.add_scene("scene-0003", FIRST_US + 40_000_000, lidar_height_m=1.9)
    root = tables.write()
    log = NuscenesLog(root)
    assert len(of(log, LidarSweep)) == 6
    assert log.losses.total == 9
    assert "scene-0003" in log.losses.details[0]
    alone = NuscenesLog(root, scene="scene-0003")
    assert len(of(alone, LidarSweep)) == 3
    assert alone.losses.total == 0
    assert alone.rig["LIDAR_TOP"].ego_from_sensor.translation_m[2] == 1.9
    every = NuscenesLog(root, log.rig)
    assert len(of(every, LidarSweep)) == 9
    with pytest.raises(LogError, match=r"no scene scene-9.*scene-0001, scene-0002"):
        NuscenesLog(root, scene="scene-9")


def test_every_scene_is_a_log_with_its_own_calibration(tables: Tables) -> None:
    tables.add_scene("scene-0003", FIRST_US + 40_000_000, lidar_height_m=1.9)
    root = tables.write()
    assert scene_names(root) == ("scene-0001", "scene-0003")
    logs = dict(scene_logs(root))
    assert tuple(logs) == scene_names(root)
    for name, log in logs.items():
        alone = NuscenesLog(root, scene=name)
        assert (log.rig, log.start_ns, log.end_ns) == (alone.rig, alone.start_ns, alone.end_ns)
        assert len(list(log.messages())) == len(list(alone.messages()))
        assert log.losses.total == 0
    assert [name for name, _ in scene_logs(root, wanted=lambda name: name.endswith("3"))] == ["scene-0003"]


def test_broken_tables_are_refused_by_name(tables: Tables) -> None:
    root = tables.write()
    (root / "v1.0-mini/ego_pose.json").write_text("[{")
    with pytest.raises(LogError, match=r"ego_pose\.json"):
        NuscenesLog(root)
    (root / "v1.0-mini/ego_pose.json").unlink()
    with pytest.raises(LogError, match=r"ego_pose\.json"):
        NuscenesLog(root)
    (root / "v1.0-mini/ego_pose.json").write_text("[]")
    with pytest.raises(LogError, match="do not fit together"):
        NuscenesLog(root)


def test_a_scene_without_a_name_is_refused_by_its_table(tables: Tables) -> None:
    del tables.rows["scene"][0]["name"]
    with pytest.raises(LogError, match=r"scene\.json.*'name'"):
        NuscenesLog(tables.write())


def test_a_folder_without_tables_says_what_to_unpack(tables: Tables) -> None:
    root = tables.write()
    shutil.rmtree(root / "v1.0-mini")
    with pytest.raises(LogError, match=r"got no tables; expected one v1\.0-\* folder.*metadata archive"):
        open_log(root)
    (root / "v1.0-mini").mkdir()
    with pytest.raises(LogError, match="got no tables"):
        open_log(root)


def test_missing_tables_are_named(tables: Tables) -> None:
    root = tables.write()
    for name in ("sample_data", "scene"):
        (root / f"v1.0-mini/{name}.json").unlink()
    for path in (root, root / "v1.0-mini"):
        with pytest.raises(LogError, match=r"v1\.0-mini: got no sample_data\.json, scene\.json; expected all tables"):
            open_log(path)
        with pytest.raises(LogError, match=r"scene\.json"):
            scene_names(path)


def test_a_version_that_lacks_tables_leaves_a_whole_one(tables: Tables) -> None:
    root = tables.write()
    (root / "v1.0-trainval").mkdir()
    (root / "v1.0-trainval/scene.json").write_text("[]")
    assert len(list(open_log(root).messages())) == 21


def test_two_versions_need_a_choice(tables: Tables) -> None:
    root = tables.write()
    (root / "v1.0-other").mkdir()
    (root / "v1.0-other/sample_data.json").write_text("[]")
    with pytest.raises(LogError, match=r"2 versions.*name the version's folder"):
        NuscenesLog(root)


def test_a_broken_calibration_is_a_calibration_error(tables: Tables) -> None:
    tables.rows["calibrated_sensor"][0]["camera_intrinsic"] = [[0.0, 0, 0], [0, 0, 0], [0, 0, 1]]
    with pytest.raises(CalibrationError, match=r"calibrated_sensor\.json.*uncalibrated camera"):
        NuscenesLog(tables.write())
    tables.rows["calibrated_sensor"][0]["camera_intrinsic"] = []
    with pytest.raises(CalibrationError, match=r"calibrated_sensor\.json"):
        NuscenesLog(tables.write())


def test_a_width_that_is_no_number_is_a_calibration_error(tables: Tables) -> None:
    tables.rows["sample_data"][0]["width"] = math.inf
    with pytest.raises(CalibrationError, match=r"calibrated_sensor\.json"):
        NuscenesLog(tables.write())


def test_a_pcd_file_is_read_field_by_field(tmp_path: Path) -> None:
    points = radar_points()
    write_pcd(tmp_path / "radar.pcd", points)
    np.testing.assert_array_equal(read_radar_pcd(tmp_path / "radar.pcd"), points)
    write_pcd(tmp_path / "empty.pcd", points[:0])
    assert len(read_radar_pcd(tmp_path / "empty.pcd")) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"DATA binary\n", b"DATA ascii\n"),
        (b"POINTS 4", b"POINTS 5"),
        (b"POINTS 4", b"POINTS -1"),
        (b"SIZE 4 4", b"SIZE 4"),
        (b"TYPE F", b"TYPE X"),
        (b"FIELDS", b"# ELDS"),
        (b"COUNT 1 1", b"COUNT 1 2"),
    ],
)
def test_a_pcd_file_that_does_not_add_up_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = tmp_path / "radar.pcd"
    write_pcd(path, radar_points())
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(SensorDataError, match=r"radar\.pcd"):
        read_radar_pcd(path)


def test_real_boxes_hold_the_lidar_points_that_they_state() -> None:
    root = os.environ.get("TRICAST_DATA")
    if root is None or not (Path(root) / "nuscenes").is_dir():
        pytest.skip("TRICAST_DATA does not name a folder with this recording")
    log = NuscenesLog(Path(root) / "nuscenes")
    messages = list(log.messages())
    truth = next(m for m in messages if isinstance(m, Annotations))
    sweep = next(m for m in messages if isinstance(m, LidarSweep))
    points_m = log.rig["LIDAR_TOP"].ego_from_sensor.apply(sweep.points_m)
    counted = truth.boxes.contains(points_m).sum(axis=1)
    assert len(truth) == 68
    # Boxes are upright in ego axes; the dataset counts in each box's own, slightly tilted axes.
    assert (counted == truth.num_lidar_points).sum() >= 60
    np.testing.assert_allclose(counted, truth.num_lidar_points, rtol=0.05, atol=1)
