"""Reader of Argoverse 2 sensor logs: two LiDARs at 10 Hz, up to nine cameras at 20 Hz, boxes with every sweep.

The ego frame is the dataset's moved down to the ground below the rear axle: x forward, y left, z up. The odometry
frame is the city. Velocities and futures come from each road user's own annotations. Source: Wilson et al.,
"Argoverse 2", NeurIPS 2021, and the published layout; feather files need `pip install "tricast[argoverse2]"`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.class_ladder import CLASSES_FROM
from tricast.sensors.errors import CalibrationError, LogError, SensorDataError
from tricast.sensors.frames import EgoPose, LidarSweep
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.feather import read_feather
from tricast.sensors.log.pose_twists import poses_with_twist
from tricast.sensors.log.recorded import (
    PlannedMessage,
    RecordedLog,
    only_one,
    planned_poses,
    planned_sensor,
    planned_truth,
    read_camera_frame,
)
from tricast.sensors.log.track_history import TrackHistory, track_histories, with_motion
from tricast.sensors.motion_compensation import EgoMotion

CLASS_NAMES = CLASSES_FROM["argoverse2"]

EXTRINSICS = Path("calibration/egovehicle_SE3_sensor.feather")
INTRINSICS = Path("calibration/intrinsics.feather")
POSES = "city_SE3_egovehicle.feather"
TRUTH = "annotations.feather"
LIDAR_FOLDER, CAMERA_FOLDER = Path("sensors/lidar"), Path("sensors/cameras")

AXLE_HEIGHT_M = 0.33
"""The dataset's ego frame lies in the rear axle, this far above the ground by its own ground heights."""
EGO_FROM_AXLE = SE3(translation_m=(0.0, 0.0, AXLE_HEIGHT_M))
LASERS = {"up_lidar": range(0, 32), "down_lidar": range(32, 64)}
"""One file holds the sweeps of both LiDARs; each laser of the 64 keeps one elevation in the frame of its own."""

POSE_COLUMNS = ("qw", "qx", "qy", "qz", "tx_m", "ty_m", "tz_m")
LENS_COLUMNS = ("fx_px", "fy_px", "cx_px", "cy_px", "width_px", "height_px")
"""Of the lens; the images are undistorted already, so that the coefficients beside these do not hold for them."""
SIZE_COLUMNS = ("length_m", "width_m", "height_m")
TRUTH_COLUMNS: dict[str, Any] = {
    **dict.fromkeys((*POSE_COLUMNS, *SIZE_COLUMNS), np.float64),
    **dict.fromkeys(("timestamp_ns", "num_interior_pts"), np.int64),
    **dict.fromkeys(("track_uuid", "category"), np.str_),
}


class Argoverse2Log(RecordedLog):
    """One sensor log. See `DrivingLog` for the attributes.

    LiDAR points carry no times of their own: the dataset has compensated them to the stamp of their sweep, with which
    they arrive. Sweeps are expected where the dataset annotated one, between the first and the last that is there;
    poses and truth before and after all sensor data are left out. Both LiDARs and every camera with a folder are
    expected: what one without a calibration has measured is counted as lost.

    Args:
        path: A log's folder, or a folder of the dataset that holds one log.
        rig: Calibration to use in place of the log's own.

    Raises:
        LogError: There is no log or more than one, or its poses or annotations are broken.
        CalibrationError: The calibration is missing or broken, or it is of none of the log's sensors.
        InputError: `pyarrow` is not installed.

    """

    def __init__(self, path: Path, rig: Rig | None = None) -> None:
        folder = _log_folder(path)
        own_rig = _read_rig(folder)
        # Points are stored in the ego frame: those of a LiDAR that the log does not place go by the given rig alone.
        placed = Rig(sensors={**(rig or own_rig).sensors, **own_rig.sensors})
        super().__init__(path, "argoverse2", rig or own_rig, _plan(folder, placed))


def is_argoverse2(path: Path) -> bool:
    """Whether a folder is an Argoverse 2 sensor log, or holds some as the dataset's folders do."""
    return path.is_dir() and bool(_log_folders(path))


def _log_folders(path: Path) -> list[Path]:
    """The folder itself, or those one (a split), two (`sensor`) or three levels below it."""
    for levels in ("", "*/", "*/*/", "*/*/*/"):
        found = sorted(file.parents[1] for file in path.glob(f"{levels}{EXTRINSICS}"))
        found = [folder for folder in found if (folder / "sensors").is_dir()]
        if found:
            return found
    return []


def _log_folder(path: Path) -> Path:
    return only_one(_log_folders(path), path, kind="Argoverse 2 sensor logs", folder="log")


def _plan(folder: Path, rig: Rig) -> Iterator[PlannedMessage]:
    annotated = _read_annotations(folder / TRUTH)
    images = {channel: _stamped(folder / CAMERA_FOLDER / channel, ".jpg") for channel in _recorded_cameras(folder)}
    sweeps = _stamped(folder / LIDAR_FOLDER, ".feather")
    stamps = [*sweeps, *(stamp for paths in images.values() for stamp in paths)]
    first_ns, last_ns = min(stamps, default=0), max(stamps, default=-1)
    poses = _read_poses(folder / POSES)
    yield from planned_poses(_around(poses, first_ns, last_ns))
    for channel, paths in images.items():
        for at_ns, path in paths.items():
            yield planned_sensor(channel, at_ns, partial(read_camera_frame, path, channel, at_ns))
    expected = {s for s in annotated.stamps_ns if min(sweeps, default=0) <= s <= max(sweeps, default=-1)}
    for at_ns in sorted(expected.union(sweeps)):
        path = folder / LIDAR_FOLDER / f"{at_ns}.feather"
        for channel in LASERS:
            yield planned_sensor(channel, at_ns, partial(_read_lidar, path, rig, channel, at_ns))
    motion = EgoMotion(poses)
    histories = annotated.histories(motion)
    for at_ns in annotated.stamps_ns:
        if first_ns <= at_ns <= last_ns:
            yield planned_truth(at_ns, partial(_truth, annotated, histories, motion, at_ns))


def _stamped(folder: Path, suffix: str) -> dict[int, Path]:
    """Files of a folder by the time in nanoseconds that they are named by."""
    return {int(path.stem): path for path in sorted(folder.glob(f"*{suffix}")) if path.stem.isdigit()}


def _recorded_cameras(folder: Path) -> list[str]:
    """Cameras that have a folder: a log may be downloaded without images."""
    return sorted(path.name for path in (folder / CAMERA_FOLDER).glob("*") if path.is_dir())


def _around(poses: list[EgoPose], first_ns: int, last_ns: int) -> list[EgoPose]:
    """Poses of a span of time, and the nearest one on each side of it."""
    before = [i for i, pose in enumerate(poses) if pose.timestamp_ns <= first_ns]
    after = [i for i, pose in enumerate(poses) if pose.timestamp_ns >= last_ns]
    return poses[max(before, default=0) : min(after, default=len(poses)) + 1]


def _read_rig(folder: Path) -> Rig:
    """LiDARs, and the cameras that have a folder, as far as the tables have them."""
    path = folder / EXTRINSICS
    try:
        table = read_feather(path, {"sensor_name": np.str_, **dict.fromkeys(POSE_COLUMNS, np.float64)})
        names = [str(name) for name in table["sensor_name"]]
        mounts = {name: EGO_FROM_AXLE @ pose for name, pose in zip(names, _poses(table), strict=True)}
        recorded = [name for name in _recorded_cameras(folder) if name in mounts]
        sensors = [
            SensorCalibration(channel=name, modality="lidar", ego_from_sensor=mounts[name])
            for name in LASERS
            if name in mounts
        ]
        path = folder / INTRINSICS
        lenses = _read_lenses(path) if recorded else {}
        sensors += [
            SensorCalibration(channel=name, modality="camera", ego_from_sensor=mounts[name], lens=lenses[name])
            for name in recorded
            if name in lenses
        ]
        return Rig.of(sensors)
    except (CalibrationError, SensorDataError) as error:
        where = f"{path}: {error.where}" if isinstance(error, CalibrationError) else error.where
        raise CalibrationError(where=where, got=error.got, expected=error.expected, remedy=error.remedy) from error
    except OSError as error:
        raise CalibrationError(
            where=str(path),
            got=error.strerror or str(error),
            expected="the log's calibration of every sensor",
            remedy="download the calibration again",
        ) from error


def _read_lenses(path: Path) -> dict[str, PinholeLens]:
    table = read_feather(path, {"sensor_name": np.str_, **dict.fromkeys(LENS_COLUMNS, np.float64)})
    lenses: dict[str, PinholeLens] = {}
    for row, name in enumerate(table["sensor_name"]):
        focal_x, focal_y, center_x, center_y, width, height = (float(table[column][row]) for column in LENS_COLUMNS)
        if not (np.isfinite(width) and np.isfinite(height)):
            raise CalibrationError(
                where=str(name),
                got=f"an image of {width} x {height} pixels",
                expected="whole numbers",
                remedy="download the calibration again",
            )
        lenses[str(name)] = PinholeLens(
            width_px=int(width), height_px=int(height), focal_px=(focal_x, focal_y), principal_px=(center_x, center_y)
        )
    return lenses


def _poses(table: dict[str, NDArray[Any]]) -> list[SE3]:
    """Transforms of a table's rows, quaternions brought to unit length."""
    rows = np.stack([table[column] for column in POSE_COLUMNS], axis=1).astype(np.float64)
    rows[:, :4] /= np.maximum(np.linalg.norm(rows[:, :4], axis=1, keepdims=True), 1e-12)
    return [SE3(quaternion_wxyz=(w, i, j, k), translation_m=(x, y, z)) for w, i, j, k, x, y, z in rows.tolist()]


def _read_poses(path: Path) -> list[EgoPose]:
    """Poses of the ego frame in the city; none where there is no such file."""
    if not path.exists():
        return []
    try:
        table = read_feather(path, {"timestamp_ns": np.int64, **dict.fromkeys(POSE_COLUMNS, np.float64)})
        ego_from_axle = EGO_FROM_AXLE.inverse
        placed = {
            int(stamp): pose @ ego_from_axle for stamp, pose in zip(table["timestamp_ns"], _poses(table), strict=True)
        }
    except (SensorDataError, CalibrationError) as error:
        raise LogError(
            where=str(path),
            got=error.got,
            expected="a table of poses",
            remedy="download the file again, or remove it to replay without ego motion",
        ) from error
    return poses_with_twist(placed)


def _read_lidar(path: Path, rig: Rig, channel: str, timestamp_ns: int) -> LidarSweep:
    """The part of a sweep that one LiDAR measured, in its own frame; the file holds the ego frame's coordinates."""
    sensor = rig[channel]
    columns = {"x": np.float32, "y": np.float32, "z": np.float32, "intensity": np.float32, "laser_number": np.uint16}
    table = read_feather(path, columns)
    lasers = LASERS[sensor.channel]
    own = (table["laser_number"] >= lasers.start) & (table["laser_number"] < lasers.stop)
    in_axle_m = np.stack([table["x"], table["y"], table["z"]], axis=1)[own].astype(np.float64)
    return LidarSweep.from_points(
        sensor.channel,
        timestamp_ns,
        (sensor.ego_from_sensor.inverse @ EGO_FROM_AXLE).apply(in_axle_m),
        intensity=table["intensity"][own],
        rings=table["laser_number"][own] - lasers.start,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _AnnotatedBoxes:
    """Every annotated box of a log, of the classes that are known, in the ego axes of its time.

    Args:
        stamps: (N,) int64.
        boxes: N boxes without velocities.
        class_names: N detection names.
        ids: N identities.
        num_points: (N,) int32 LiDAR returns inside.
        stamps_ns: Every annotated time, sorted, with and without boxes of known classes.

    """

    stamps: NDArray[np.int64]
    boxes: Boxes
    class_names: NDArray[np.str_]
    ids: NDArray[np.str_]
    num_points: NDArray[np.int32]
    stamps_ns: tuple[int, ...]

    def histories(self, motion: EgoMotion) -> dict[str, TrackHistory]:
        """Where each road user was in the city; nothing without poses."""
        if not motion.known:
            return {}
        placed = np.zeros((len(self.stamps), 3))
        for stamp in np.unique(self.stamps):
            at = self.stamps == stamp
            placed[at] = motion.odom_from_ego(int(stamp)).apply(self.boxes.centers_m[at])
        return track_histories(self.ids.tolist(), self.stamps, placed)


def _read_annotations(path: Path) -> _AnnotatedBoxes:
    """The log's table of boxes; empty where there is no such file, as in the test split."""
    try:
        table = read_feather(path, TRUTH_COLUMNS) if path.exists() else _empty(TRUTH_COLUMNS)
        known = np.isin(table["category"], list(CLASS_NAMES))
        every_ns = tuple(int(stamp) for stamp in np.unique(table["timestamp_ns"]))
        table = {name: column[known] for name, column in table.items()}
        poses = [EGO_FROM_AXLE @ pose for pose in _poses(table)]
        boxes = Boxes(
            centers_m=np.array([pose.translation for pose in poses], np.float64).reshape(-1, 3),
            sizes_m=np.stack([table[column] for column in SIZE_COLUMNS], axis=1),
            yaws_rad=np.array([pose.yaw_rad for pose in poses], np.float64),
            velocities_mps=np.full((len(poses), 2), np.nan),
        )
    except (SensorDataError, CalibrationError) as error:
        raise LogError(
            where=str(path),
            got=error.got,
            expected="a table of boxes",
            remedy="download the file again, or remove it to replay without truth",
        ) from error
    return _AnnotatedBoxes(
        stamps=table["timestamp_ns"],
        boxes=boxes,
        class_names=np.array([CLASS_NAMES[str(name)] for name in table["category"]], np.str_),
        ids=table["track_uuid"],
        num_points=table["num_interior_pts"].astype(np.int32),
        stamps_ns=every_ns,
    )


def _empty(columns: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    return {name: np.zeros(0, dtype) for name, dtype in columns.items()}


def _truth(
    annotated: _AnnotatedBoxes, histories: dict[str, TrackHistory], motion: EgoMotion, timestamp_ns: int
) -> Annotations:
    """Boxes of one time, with the velocity and future of each road user in the ego axes of that time."""
    rows = np.flatnonzero(annotated.stamps == timestamp_ns)
    ids = tuple(str(name) for name in annotated.ids[rows])
    annotations = Annotations.from_boxes(
        timestamp_ns,
        annotated.boxes[rows],
        tuple(str(name) for name in annotated.class_names[rows]),
        ids,
        num_lidar_points=annotated.num_points[rows],
    )
    return with_motion(annotations, histories, motion.odom_from_ego(timestamp_ns))
