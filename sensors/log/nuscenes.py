"""nuScenes recordings in their native tables (Caesar et al., CVPR 2020): `v1.0-*/*.json` and the files they name."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tricast.sensors.annotations import DETECTION_CLASSES, Annotations
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.errors import LogError, SensorDataError
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.dataset import DatasetLog, Entry, read_json

TABLES = (
    "sample",
    "sample_data",
    "calibrated_sensor",
    "sensor",
    "ego_pose",
    "sample_annotation",
    "instance",
    "category",
)
CLASS_OF_CATEGORY = {
    "movable_object.barrier": "barrier",
    "vehicle.bicycle": "bicycle",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.car": "car",
    "vehicle.construction": "construction_vehicle",
    "vehicle.motorcycle": "motorcycle",
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.police_officer": "pedestrian",
    "movable_object.trafficcone": "traffic_cone",
    "vehicle.trailer": "trailer",
    "vehicle.truck": "truck",
}
"""The devkit's mapping for detection; other categories are left out."""
MAX_NEIGHBOUR_S = 1.5
"""The devkit takes no velocity from annotations further apart (twice this with neighbours on both sides)."""
PCD_TYPES = {
    ("F", 4): "<f4",
    ("F", 8): "<f8",
    ("I", 1): "i1",
    ("I", 2): "<i2",
    ("I", 4): "<i4",
    ("U", 1): "u1",
    ("U", 2): "<u2",
}


def is_nuscenes(path: Path) -> bool:
    """Whether a directory holds nuScenes tables."""
    return any((folder / "sample_data.json").is_file() for folder in path.glob("v1.0-*"))


def open_nuscenes(path: Path, rig: Rig | None = None) -> DatasetLog:
    """Open all scenes of a nuScenes directory as one log.

    Raises:
        LogError: A table is missing or broken.

    """
    tables = _tables(path)
    entries: list[Entry] = []
    poses_seen: set[int] = set()
    for record in tables["sample_data"].values():
        sensor = tables["calibrated_sensor"][record["calibrated_sensor_token"]]
        meta = tables["sensor"][sensor["sensor_token"]]
        stamp_ns = record["timestamp"] * 1000
        load = partial(_load, path / record["filename"], meta, stamp_ns)
        entries.append(Entry(received_ns=stamp_ns, kind=2, channel=meta["channel"], load=load))
        if stamp_ns not in poses_seen:
            poses_seen.add(stamp_ns)
            pose = partial(_pose, tables["ego_pose"][record["ego_pose_token"]], stamp_ns)
            entries.append(Entry(received_ns=stamp_ns, kind=0, channel="", load=pose))
    for sample in tables["sample"].values():
        truth = partial(_truth, tables, sample)
        entries.append(Entry(received_ns=sample["timestamp"] * 1000, kind=1, channel="", load=truth))
    return DatasetLog(path, "nuscenes", rig or _rig(tables), entries)


def read_radar_pcd(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Columns by name of a binary `.pcd` file.

    Raises:
        SensorDataError: The header or the length of the data is wrong.

    """
    data = path.read_bytes()
    head, separator, body = data.partition(b"DATA binary\n")
    header = {}
    for line in head.decode("ascii", errors="replace").splitlines():
        key, _, rest = line.partition(" ")
        header[key] = rest.split()
    try:
        formats = [PCD_TYPES[kind, int(size)] for kind, size in zip(header["TYPE"], header["SIZE"], strict=True)]
        dtype = np.dtype(list(zip(header["FIELDS"], formats, strict=True)))
        count = int(header["WIDTH"][0]) * int(header["HEIGHT"][0])
        points = np.frombuffer(body, dtype, count)
    except (KeyError, ValueError, IndexError) as error:
        raise SensorDataError(
            where=str(path),
            got=f"{len(data)} bytes that are no whole binary pcd file ({error})",
            expected="FIELDS, SIZE, TYPE, WIDTH, HEIGHT, 'DATA binary' and that many points",
            remedy="download this file again",
        ) from error
    assert separator
    return {name: points[name].copy() for name in header["FIELDS"]}


def _tables(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    folders = [folder for folder in sorted(path.glob("v1.0-*")) if (folder / "sample_data.json").is_file()]
    if not folders:
        raise LogError(
            where=str(path), got="no v1.0-*/sample_data.json", expected="nuScenes tables", remedy="check the path"
        )
    return {name: {record["token"]: record for record in read_json(folders[0] / f"{name}.json")} for name in TABLES}


def _se3(record: dict[str, Any]) -> SE3:
    w, x, y, z = (float(v) for v in record["rotation"])
    tx, ty, tz = (float(v) for v in record["translation"])
    return SE3(quaternion_wxyz=(w, x, y, z), translation_m=(tx, ty, tz))


def _rig(tables: dict[str, dict[str, dict[str, Any]]]) -> Rig:
    sensors: dict[str, SensorCalibration] = {}
    for record in tables["sample_data"].values():
        calibrated = tables["calibrated_sensor"][record["calibrated_sensor_token"]]
        meta = tables["sensor"][calibrated["sensor_token"]]
        lens = None
        if meta["modality"] == "camera":
            k = calibrated["camera_intrinsic"]
            lens = PinholeLens(
                width_px=record["width"],
                height_px=record["height"],
                focal_px=(float(k[0][0]), float(k[1][1])),
                principal_px=(float(k[0][2]), float(k[1][2])),
            )
        sensors[meta["channel"]] = SensorCalibration(
            channel=meta["channel"], modality=meta["modality"], ego_from_sensor=_se3(calibrated), lens=lens
        )
    return Rig.of(sensors.values())


def _load(path: Path, meta: dict[str, Any], stamp_ns: int) -> CameraFrame | LidarSweep | RadarScan:
    channel = meta["channel"]
    if meta["modality"] == "camera":
        return CameraFrame(
            channel=channel, timestamp_ns=stamp_ns, received_ns=stamp_ns, encoding="jpeg", data=path.read_bytes()
        )
    if meta["modality"] == "lidar":
        points = np.fromfile(path, np.float32).reshape(-1, 5)
        return LidarSweep.from_points(channel, stamp_ns, points[:, :3], intensity=points[:, 3], rings=points[:, 4])
    columns = read_radar_pcd(path)
    points = np.stack([columns["x"], columns["y"], columns["z"]], axis=1)
    sight = points[:, :2] / np.maximum(np.linalg.norm(points[:, :2], axis=1, keepdims=True), 1e-6)
    return RadarScan.from_points(
        channel,
        stamp_ns,
        points,
        rcs_dbsm=columns["rcs"],
        radial_velocities_mps=(sight * np.stack([columns["vx"], columns["vy"]], axis=1)).sum(axis=1),
        compensated_velocities_mps=(sight * np.stack([columns["vx_comp"], columns["vy_comp"]], axis=1)).sum(axis=1),
    )


def _pose(record: dict[str, Any], stamp_ns: int) -> EgoPose:
    return EgoPose(timestamp_ns=stamp_ns, received_ns=stamp_ns, odom_from_ego=_se3(record))


def _truth(tables: dict[str, dict[str, dict[str, Any]]], sample: dict[str, Any]) -> Annotations:
    stamp_ns = sample["timestamp"] * 1000
    near = [r for r in tables["sample_data"].values() if r["sample_token"] == sample["token"] and r["is_key_frame"]]
    reference = min(near, key=lambda r: abs(r["timestamp"] - sample["timestamp"]))
    ego_from_map = _se3(tables["ego_pose"][reference["ego_pose_token"]]).inverse
    rows = []
    for record in tables["sample_annotation"].values():
        category = tables["category"][tables["instance"][record["instance_token"]]["category_token"]]["name"]
        if record["sample_token"] == sample["token"] and category in CLASS_OF_CATEGORY:
            rows.append((record, CLASS_OF_CATEGORY[category]))
    assert {name for _, name in rows} <= set(DETECTION_CLASSES)
    boxes = Boxes(
        centers_m=np.array([r["translation"] for r, _ in rows], dtype=np.float64).reshape(-1, 3),
        sizes_m=np.array([[r["size"][1], r["size"][0], r["size"][2]] for r, _ in rows], np.float64).reshape(-1, 3),
        yaws_rad=np.array([_se3(r).yaw_rad for r, _ in rows], dtype=np.float64),
        velocities_mps=np.array([_velocity(tables, r) for r, _ in rows], dtype=np.float64).reshape(-1, 2),
    )
    return Annotations.from_boxes(
        stamp_ns,
        boxes.transformed(ego_from_map),
        tuple(name for _, name in rows),
        tuple(r["instance_token"] for r, _ in rows),
        num_lidar_points=np.array([r["num_lidar_pts"] for r, _ in rows], np.int32),
        num_radar_points=np.array([r["num_radar_pts"] for r, _ in rows], np.int32),
    )


def _velocity(tables: dict[str, dict[str, dict[str, Any]]], record: dict[str, Any]) -> list[float]:
    """Velocity in the map from the annotations before and after, as the devkit's `box_velocity` defines it."""
    annotations = tables["sample_annotation"]
    first, last = annotations.get(record["prev"]), annotations.get(record["next"])
    if first is None and last is None:
        return [np.nan, np.nan]
    limit_s = MAX_NEIGHBOUR_S * (2 if first is not None and last is not None else 1)
    first, last = first or record, last or record
    times_s = [tables["sample"][r["sample_token"]]["timestamp"] / 1e6 for r in (first, last)]
    span_s = times_s[1] - times_s[0]
    if not 0 < span_s <= limit_s:
        return [np.nan, np.nan]
    return [(last["translation"][i] - first["translation"][i]) / span_s for i in range(2)]
