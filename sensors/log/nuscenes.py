"""Reader of nuScenes in its native tables: six cameras, one LiDAR, five radars, boxes at 2 Hz.

The ego frame is the dataset's: x forward, y left, z up, on the ground below the rear axle. The odometry frame is
the map. Source: Caesar et al., "nuScenes", CVPR 2020, and the published table schema.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.annotations import FUTURE_STEP_S, NUM_FUTURE_STEPS, Annotations
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.class_ladder import CLASSES_FROM
from tricast.sensors.errors import CalibrationError, LogError, cause_of
from tricast.sensors.frames import LidarSweep, RadarScan
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.pcd import read_radar_pcd
from tricast.sensors.log.pose_twists import poses_with_twist
from tricast.sensors.log.recorded import (
    PlannedMessage,
    RecordedLog,
    planned_poses,
    planned_sensor,
    planned_truth,
    read_camera_frame,
    read_float_table,
    read_json,
)
from tricast.sensors.log.stream import Message

CLASS_NAMES = CLASSES_FROM["nuscenes"]

TABLES = (
    "calibrated_sensor",
    "category",
    "ego_pose",
    "instance",
    "sample",
    "sample_annotation",
    "sample_data",
    "scene",
    "sensor",
)
LIDAR_FIELDS = 5
MICROSECOND_NS = 1000
MAX_NEIGHBOUR_S = 1.5
"""Annotations further apart give no velocity; twice that where both neighbours exist (official definition)."""
MAX_FUTURE_DRIFT_S = 0.1
"""Keyframes may be this far from a forecast step's time and still stand for it."""

Row = dict[str, Any]


class NuscenesLog(RecordedLog):
    """Every scene of one version, in order of time. See `DrivingLog` for the attributes.

    LiDAR points carry no times of their own: the dataset has compensated them already. Scenes that were driven with
    another calibration than the first one are left out and counted as lost, because a log has one rig; name one by
    `scene`, or give `rig`.

    Args:
        path: Dataset root with one `v1.0-*` folder, or such a folder.
        rig: Calibration to use in place of the dataset's own, for all scenes.
        scene: Name of the only scene to read.
        tables: Those of the path where they have been read already.

    Raises:
        LogError: There is no version or more than one, a table is missing or broken, or the scene is unknown.
        CalibrationError: The calibration table is broken.

    """

    def __init__(
        self, path: Path, rig: Rig | None = None, *, scene: str | None = None, tables: _Tables | None = None
    ) -> None:
        tables = _Tables(path, scene) if tables is None else tables.only(scene)
        own_rig, left_out = tables.rig_of_first_scene()
        self._left_out = {} if rig else left_out
        try:
            plan = list(_plan(tables, set(self._left_out)))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise _broken_table(tables.folder, error) from error
        super().__init__(path, "nuscenes", rig or own_rig, plan)

    def messages(self, *, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Message]:
        """See `DrivingLog.messages`; losses are counted anew by each call."""
        yield from super().messages(start_ns=start_ns, end_ns=end_ns)
        for name, count in self._left_out.items():
            self.losses.add("unknown", f"{self.path}: {name} has another calibration and was left out", count)


def is_nuscenes(path: Path) -> bool:
    """Whether a folder is a nuScenes root or one of its version folders; some of its tables may be missing."""
    return path.is_dir() and bool(_versions(path))


def has_nuscenes_files(path: Path) -> bool:
    """Whether a folder holds the sensor files of nuScenes, with tables or without."""
    return any((path / kind / "LIDAR_TOP").is_dir() for kind in ("samples", "sweeps"))


def scene_names(path: Path) -> tuple[str, ...]:
    """Names of the scenes, sorted; for a version that `NuscenesLog` can open."""
    return tuple(sorted(row["name"] for row in read_json(_version(path) / "scene.json")))


def scene_logs(path: Path, wanted: Callable[[str], bool] = lambda name: True) -> Iterator[tuple[str, NuscenesLog]]:
    """Every wanted scene as a log with its own calibration, by name; tables are read once."""
    tables = _Tables(path, None)
    for name in sorted(tables.scenes):
        if wanted(name):
            yield name, NuscenesLog(path, scene=name, tables=tables)


def sample_tokens(path: Path) -> dict[int, str]:
    """Token of every sample by the time of its truth in nanoseconds; for a version that `NuscenesLog` can open."""
    rows = read_json(_version(path) / "sample.json")
    return {row["timestamp"] * MICROSECOND_NS: row["token"] for row in rows}


def _versions(path: Path) -> list[Path]:
    """Folders with tables; those that lack some only where none is whole."""
    whole = {"sample_data", "calibrated_sensor"}
    if whole <= (own := _tables_in(path)) or (own and path.resolve().name.startswith("v1.0-")):
        return [path]
    folders = {folder: _tables_in(folder) for folder in sorted(path.glob("v1.0-*"))}
    return [f for f, held in folders.items() if "sample_data" in held] or [f for f, held in folders.items() if held]


def _tables_in(folder: Path) -> set[str]:
    return {name for name in TABLES if (folder / f"{name}.json").is_file()}


def _version(path: Path) -> Path:
    """The one folder with all tables.

    Raises:
        LogError: There is none or more than one, or a table is missing.

    """
    versions = _versions(path)
    if len(versions) != 1:
        raise LogError(
            where=str(path),
            got=f"{len(versions)} versions {[folder.name for folder in versions]}" if versions else "no tables",
            expected="one v1.0-* folder with tables",
            remedy="name the version's folder" if versions else "unpack the metadata archive here, beside samples/",
        )
    held = _tables_in(versions[0])
    if missing := [f"{name}.json" for name in TABLES if name not in held]:
        raise LogError(
            where=str(versions[0]),
            got=f"no {', '.join(missing)}",
            expected="all tables of the dataset",
            remedy="unpack the metadata archive again",
        )
    return versions[0]


class _Tables:
    """The tables of one version, by token, cut down to the scenes that are read."""

    def __init__(self, path: Path, scene: str | None) -> None:
        self.folder = _version(path)
        self.root = self.folder.resolve().parent
        try:
            tables = {name: {row["token"]: row for row in self._read(name)} for name in TABLES}
        except (KeyError, TypeError) as error:
            raise _broken_table(self.folder, error) from error
        self._tables: dict[str, dict[str, Row]] = tables
        self._sample_data: dict[str, list[Row]] = {}
        self.scenes = self._chosen(scene)

    def only(self, scene: str | None) -> _Tables:
        """The same tables cut down to a scene."""
        other = copy.copy(self)
        other.scenes = other._chosen(scene)
        return other

    def __getitem__(self, table: str) -> dict[str, Row]:
        return self._tables[table]

    def scene_of(self, sample_data: Row) -> str:
        """Name of the scene of a row of `sample_data`."""
        return self["scene"][self["sample"][sample_data["sample_token"]]["scene_token"]]["name"]

    def sensor_of(self, sample_data: Row) -> Row:
        """Channel and modality of a row of `sample_data`."""
        calibrated = self["calibrated_sensor"][sample_data["calibrated_sensor_token"]]
        return self["sensor"][calibrated["sensor_token"]]

    def sample_data(self) -> list[Row]:
        """Rows of the scenes that are read, in order of time."""
        if not self._sample_data:
            for row in self["sample_data"].values():
                self._sample_data.setdefault(self.scene_of(row), []).append(row)
        rows = (row for scene in self.scenes for row in self._sample_data.get(scene, []))
        return sorted(rows, key=lambda row: (row["timestamp"], row["token"]))

    def rig_of_first_scene(self) -> tuple[Rig, dict[str, int]]:
        """Calibration of the first scene, and the scenes that differ from it with their number of messages."""
        try:
            used: dict[str, dict[str, Row]] = {}
            counts: dict[str, int] = {}
            for row in self.sample_data():
                scene = self.scene_of(row)
                used.setdefault(scene, {}).setdefault(self.sensor_of(row)["channel"], row)
                counts[scene] = counts.get(scene, 0) + 1
            rigs = {scene: Rig.of(self._calibration(c, row) for c, row in rows.items()) for scene, rows in used.items()}
        except CalibrationError as error:
            where = f"{self.folder / 'calibrated_sensor.json'}: {error.where}"
            raise CalibrationError(where=where, got=error.got, expected=error.expected, remedy=error.remedy) from error
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise CalibrationError(
                where=str(self.folder / "calibrated_sensor.json"),
                got=cause_of(error),
                expected="a calibration for every sensor of the scene",
                remedy="unpack the metadata archive again",
            ) from error
        first = next(iter(rigs.values()), Rig())
        return first, {scene: counts[scene] for scene, rig in rigs.items() if rig != first}

    def _calibration(self, channel: str, sample_data: Row) -> SensorCalibration:
        row = self["calibrated_sensor"][sample_data["calibrated_sensor_token"]]
        modality = self.sensor_of(sample_data)["modality"]
        lens = None
        if modality == "camera":
            (fx, _, cx), (_, fy, cy), _ = row["camera_intrinsic"]
            lens = PinholeLens(
                width_px=int(sample_data["width"]),
                height_px=int(sample_data["height"]),
                focal_px=(float(fx), float(fy)),
                principal_px=(float(cx), float(cy)),
            )
        return SensorCalibration(channel=channel, modality=modality, ego_from_sensor=_pose(row), lens=lens)

    def _chosen(self, scene: str | None) -> set[str]:
        try:
            names = {row["name"] for row in self["scene"].values()}
        except (KeyError, TypeError) as error:
            raise _broken_table(self.folder / "scene.json", error) from error
        if scene is None:
            return names
        if scene not in names:
            raise LogError(
                where=str(self.folder),
                got=f"no scene {scene}",
                expected=f"one of {', '.join(sorted(names)[:10])}",
                remedy="check the scene's name",
            )
        return {scene}

    def _read(self, name: str) -> list[Row]:
        path = self.folder / f"{name}.json"
        try:
            return read_json(path)
        except OSError as error:
            raise LogError(
                where=str(path),
                got=error.strerror or str(error),
                expected="a table of the dataset",
                remedy="unpack the metadata archive again",
            ) from error


def _broken_table(path: Path, error: Exception) -> LogError:
    return LogError(
        where=str(path),
        got=f"tables that do not fit together ({cause_of(error)})",
        expected="the dataset's native tables",
        remedy="unpack the metadata archive again",
    )


def _plan(tables: _Tables, left_out: set[str]) -> Iterator[PlannedMessage]:
    rows = [row for row in tables.sample_data() if tables.scene_of(row) not in left_out]
    for scene in sorted(tables.scenes):
        of_scene = [row for row in rows if tables.scene_of(row) == scene]
        placed = {
            row["timestamp"] * MICROSECOND_NS: _pose(tables["ego_pose"][row["ego_pose_token"]]) for row in of_scene
        }
        yield from planned_poses(poses_with_twist(placed))
    lidar_rows: dict[str, Row] = {}
    for row in rows:
        sensor, at_ns = tables.sensor_of(row), row["timestamp"] * MICROSECOND_NS
        channel, path = sensor["channel"], tables.root / row["filename"]
        reader = {"camera": read_camera_frame, "lidar": _read_lidar, "radar": _read_radar}[sensor["modality"]]
        yield planned_sensor(channel, at_ns, partial(reader, path, channel, at_ns))
        if channel == "LIDAR_TOP" and row["is_key_frame"]:
            lidar_rows[row["sample_token"]] = row
    annotations: dict[str, list[Row]] = {}
    for row in tables["sample_annotation"].values():
        annotations.setdefault(row["sample_token"], []).append(row)
    for token, lidar_row in lidar_rows.items():
        at_ns = tables["sample"][token]["timestamp"] * MICROSECOND_NS
        map_from_ego = _pose(tables["ego_pose"][lidar_row["ego_pose_token"]])
        yield planned_truth(at_ns, partial(_truth, tables, annotations.get(token, []), map_from_ego, at_ns))


def _pose(row: Row) -> SE3:
    """A row's rotation (w, x, y, z), brought to unit length, and translation."""
    quaternion = np.array(row["rotation"], np.float64)
    w, x, y, z = (float(v) for v in quaternion / np.linalg.norm(quaternion))
    tx, ty, tz = (float(v) for v in row["translation"])
    return SE3(quaternion_wxyz=(w, x, y, z), translation_m=(tx, ty, tz))


def _read_lidar(path: Path, channel: str, timestamp_ns: int) -> LidarSweep:
    points = read_float_table(path, LIDAR_FIELDS, min_rows=1)
    rings = points[:, 4].astype(np.uint16)
    return LidarSweep.from_points(channel, timestamp_ns, points[:, :3], intensity=points[:, 3], rings=rings)


def _read_radar(path: Path, channel: str, timestamp_ns: int) -> RadarScan:
    """A scan without the returns that the sensor itself calls invalid or ambiguous (the official defaults)."""
    cloud = read_radar_pcd(path)
    valid = (cloud["invalid_state"] == 0) & (cloud["ambig_state"] == 3) & (cloud["dyn_prop"] < 7)
    cloud = cloud[valid]
    points_m = np.stack([cloud["x"], cloud["y"], cloud["z"]], axis=-1).astype(np.float32)
    return RadarScan.from_points(
        channel,
        timestamp_ns,
        points_m,
        rcs_dbsm=cloud["rcs"],
        radial_velocities_mps=_along_sight(points_m, cloud["vx"], cloud["vy"]),
        compensated_velocities_mps=_along_sight(points_m, cloud["vx_comp"], cloud["vy_comp"]),
    )


def _along_sight(points_m: NDArray[Any], vx_mps: NDArray[Any], vy_mps: NDArray[Any]) -> NDArray[np.float64]:
    """Part of a velocity along the line of sight, positive away from the sensor."""
    x, y = points_m[:, 0].astype(np.float64), points_m[:, 1].astype(np.float64)
    return (vx_mps * x + vy_mps * y) / np.maximum(np.hypot(x, y), 1e-6)


def _truth(tables: _Tables, rows: list[Row], map_from_ego: SE3, timestamp_ns: int) -> Annotations:
    ego_from_map = map_from_ego.inverse
    names = [tables["category"][tables["instance"][row["instance_token"]]["category_token"]]["name"] for row in rows]
    known = [(row, CLASS_NAMES[name]) for row, name in zip(rows, names, strict=True) if name in CLASS_NAMES]
    poses = [ego_from_map @ _pose(row) for row, _ in known]
    sizes_m = np.array([row["size"] for row, _ in known], np.float64).reshape(-1, 3)[:, [1, 0, 2]]
    velocities = [ego_from_map.rotate(_velocity(tables, row))[:2] for row, _ in known]
    boxes = Boxes(
        centers_m=np.array([pose.translation for pose in poses]).reshape(-1, 3),
        sizes_m=np.ascontiguousarray(sizes_m),
        yaws_rad=np.array([pose.yaw_rad for pose in poses], np.float64),
        velocities_mps=np.array(velocities, np.float64).reshape(-1, 2),
    )
    annotations = Annotations.from_boxes(
        timestamp_ns,
        boxes,
        tuple(name for _, name in known),
        tuple(row["instance_token"] for row, _ in known),
        num_lidar_points=np.array([row["num_lidar_pts"] for row, _ in known], np.int32),
        num_radar_points=np.array([row["num_radar_pts"] for row, _ in known], np.int32),
    )
    futures = [_future(tables, row, ego_from_map) for row, _ in known]
    return replace(annotations, futures_m=np.array(futures, np.float64).reshape(-1, NUM_FUTURE_STEPS, 2))


def _annotation_time_s(tables: _Tables, row: Row) -> float:
    return tables["sample"][row["sample_token"]]["timestamp"] * 1e-6


def _velocity(tables: _Tables, row: Row) -> NDArray[np.float64]:
    """Velocity (3,) in map axes by the official definition: over both neighbouring annotations, or the only one."""
    annotations = tables["sample_annotation"]
    first, last = annotations.get(row["prev"], row), annotations.get(row["next"], row)
    span_s = _annotation_time_s(tables, last) - _annotation_time_s(tables, first)
    limit_s = MAX_NEIGHBOUR_S * (2 if row["prev"] and row["next"] else 1)
    if first is last or not 0 < span_s <= limit_s:
        return np.full(3, np.nan)
    return (np.array(last["translation"], np.float64) - np.array(first["translation"], np.float64)) / span_s


def _future(tables: _Tables, row: Row, ego_from_map: SE3) -> NDArray[np.float64]:
    """Positions (12, 2) at the next keyframes, in ego axes of this one; NaN after the object's last annotation."""
    future = np.full((NUM_FUTURE_STEPS, 2), np.nan)
    start_s, follower = _annotation_time_s(tables, row), tables["sample_annotation"].get(row["next"])
    while follower is not None:
        ahead_s = _annotation_time_s(tables, follower) - start_s
        step = math.floor(ahead_s / FUTURE_STEP_S + 0.5)
        if step > NUM_FUTURE_STEPS:
            break
        if step > 0 and abs(ahead_s - step * FUTURE_STEP_S) <= MAX_FUTURE_DRIFT_S:
            future[step - 1] = ego_from_map.apply(np.array(follower["translation"], np.float64))[:2]
        follower = tables["sample_annotation"].get(follower["next"])
    return future
