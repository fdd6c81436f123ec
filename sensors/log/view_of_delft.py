"""Reader of View-of-Delft: one camera, one 64-beam LiDAR, one 3+1D radar, boxes, in a KITTI-like layout.

The ego frame sits on the ground below the LiDAR: x forward, y left, z up. The LiDAR is level (its z axis is
within 0.1 degrees of the dataset's odometry), so the two differ by its height alone. The odometry plane lies that
far below the LiDAR. Source: Palffy et al., "Multi-class Road User Detection with 3+1D Radar", RA-L 2022, and the
dataset's published documents.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.class_ladder import CLASSES_FROM
from tricast.sensors.errors import CalibrationError, LogError, cause_of
from tricast.sensors.frames import EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3, wrap_angle
from tricast.sensors.log.recorded import (
    POSE,
    POSE_CHANNEL,
    Mended,
    PlannedMessage,
    RecordedLog,
    planned_sensor,
    planned_truth,
    read_camera_frame,
    read_float_table,
    read_json,
)

CLASS_NAMES = CLASSES_FROM["view_of_delft"]

CAMERA, LIDAR, RADAR = "CAM_FRONT", "LIDAR_TOP", "RADAR_FRONT"
LIDAR_HEIGHT_M = 1.65
FRAME_PERIOD_NS = 100_000_000
CLIP_GAP_NS = 10_000_000_000
"""Longer than any silence within a drive (`SynchronizerConfig.gap_s`)."""
CLIP_STARTS = (
    *(0, 544, 1312, 1803, 2200, 2532, 2798, 3277, 3575, 3610, 4049, 4387),
    *(4652, 6334, 6571, 6759, 7543, 7900, 8198, 8481, 8749, 9096, 9518, 9776),
)
"""First frame of each clip, by the dataset's maintainers (view-of-delft-dataset, issue 107)."""
IMAGE_SIZE_PX = (1936, 1216)
LIDAR_FIELDS, RADAR_FIELDS = 4, 7
EGO_FROM_LIDAR = SE3(translation_m=(0.0, 0.0, LIDAR_HEIGHT_M))


class ViewOfDelftLog(RecordedLog):
    """Every frame of the training folder, 100 ms apart within a clip. See `DrivingLog` for the attributes.

    Clips are drives of their own, though their frames are numbered without a gap: each begins 10 s later than its
    number says after the one before, so that nothing is carried over. LiDAR points carry no times of their own.

    Args:
        path: Dataset root with the folders `lidar` and `radar`.
        rig: Calibration to use in place of the dataset's own.

    Raises:
        LogError: The folders are missing or empty.
        CalibrationError: A calibration file is missing or broken.

    """

    def __init__(self, path: Path, rig: Rig | None = None) -> None:
        if not is_view_of_delft(path):
            raise LogError(
                where=str(path),
                got="no folder lidar/training/velodyne",
                expected="the root of View-of-Delft",
                remedy="check the path",
            )
        own_rig = _read_rig(path)
        super().__init__(path, "view_of_delft", rig or own_rig, _plan(path, own_rig))


def is_view_of_delft(path: Path) -> bool:
    """Whether a folder is a View-of-Delft root."""
    return all((path / part).is_dir() for part in ("lidar/training/velodyne", "radar/training/velodyne"))


def _plan(root: Path, rig: Rig) -> Iterator[PlannedMessage]:
    lidar, radar = root / "lidar/training", root / "radar/training"
    sensors = {
        CAMERA: (lidar / "image_2", ".jpg", read_camera_frame),
        LIDAR: (lidar / "velodyne", ".bin", _read_lidar),
        RADAR: (radar / "velodyne", ".bin", _read_radar),
    }
    frames = {name for folder, suffix, _ in sensors.values() for name in _frame_names(folder, suffix)}
    labelled, posed = _frame_names(lidar / "label_2", ".txt"), _frame_names(lidar / "pose", ".json")
    camera_from_ego = rig[CAMERA].ego_from_sensor.inverse
    for frame in sorted(frames | labelled | posed):
        at_ns = _stamp_ns(int(frame))
        for channel, (folder, suffix, reader) in sensors.items():
            yield planned_sensor(channel, at_ns, partial(reader, folder / f"{frame}{suffix}", channel, at_ns))
        if labelled:
            ids = radar / "label_2" / f"{frame}.json"
            label = lidar / "label_2" / f"{frame}.txt"
            yield planned_truth(at_ns, partial(_read_truth, label, ids, rig[CAMERA].ego_from_sensor, at_ns))
        if posed:
            load = partial(_read_pose, lidar / "pose" / f"{frame}.json", camera_from_ego, at_ns)
            yield PlannedMessage(rank=POSE, channel=POSE_CHANNEL, earliest_ns=at_ns, latest_ns=at_ns, load=load)


def _stamp_ns(frame: int) -> int:
    clip = bisect_right(CLIP_STARTS, frame) - 1
    return frame * FRAME_PERIOD_NS + clip * CLIP_GAP_NS


def _frame_names(folder: Path, suffix: str) -> set[str]:
    return {path.stem for path in folder.glob(f"*{suffix}") if path.stem.isdigit()}


def _read_rig(root: Path) -> Rig:
    """The rig by the first frame's calibration files; it is the same for all frames."""
    lidar, radar = root / "lidar/training", root / "radar/training"
    intrinsics, camera_from_lidar = _read_calibration(lidar / "calib")
    _, camera_from_radar = _read_calibration(radar / "calib")
    ego_from_camera = EGO_FROM_LIDAR @ camera_from_lidar.inverse
    width_px, height_px = _image_size_px(lidar / "image_2")
    try:
        lens = PinholeLens(
            width_px=width_px,
            height_px=height_px,
            focal_px=(float(intrinsics[0, 0]), float(intrinsics[1, 1])),
            principal_px=(float(intrinsics[0, 2]), float(intrinsics[1, 2])),
        )
    except CalibrationError as error:
        where = f"{lidar / 'calib'}: P2"
        raise CalibrationError(where=where, got=error.got, expected=error.expected, remedy=error.remedy) from error
    return Rig.of(
        [
            SensorCalibration(channel=CAMERA, modality="camera", ego_from_sensor=ego_from_camera, lens=lens),
            SensorCalibration(channel=LIDAR, modality="lidar", ego_from_sensor=EGO_FROM_LIDAR),
            SensorCalibration(channel=RADAR, modality="radar", ego_from_sensor=ego_from_camera @ camera_from_radar),
        ]
    )


def _read_calibration(folder: Path) -> tuple[NDArray[np.float64], SE3]:
    """Camera matrix (3, 4) and `camera_from_sensor` of the folder's first file."""
    path = next(iter(sorted(folder.glob("*.txt"))), folder / "00000.txt")
    try:
        lines = (line.partition(":") for line in path.read_text(encoding="ascii").splitlines())
        values = {name: [float(v) for v in rest.split()] for name, _, rest in lines if name}
        matrix = np.array(values["Tr_velo_to_cam"]).reshape(3, 4)
        return np.array(values["P2"]).reshape(3, 4), SE3.from_matrix(matrix)
    except CalibrationError as error:
        where = f"{path}: Tr_velo_to_cam"
        raise CalibrationError(where=where, got=error.got, expected=error.expected, remedy=error.remedy) from error
    except (OSError, ValueError, KeyError) as error:
        raise CalibrationError(
            where=str(path),
            got=cause_of(error),
            expected="lines P2 and Tr_velo_to_cam with 12 numbers each",
            remedy="download the calibration again",
        ) from error


def _image_size_px(folder: Path) -> tuple[int, int]:
    """Size of the folder's first readable image; that of the dataset's camera if there is none."""
    for path in sorted(folder.glob("*.jpg")):
        try:
            with Image.open(path) as image:
                return image.size
        except OSError:
            continue
    return IMAGE_SIZE_PX


def _read_lidar(path: Path, channel: str, timestamp_ns: int) -> LidarSweep:
    points = read_float_table(path, LIDAR_FIELDS, min_rows=1)
    return LidarSweep.from_points(channel, timestamp_ns, points[:, :3], intensity=points[:, 3])


def _read_radar(path: Path, channel: str, timestamp_ns: int) -> RadarScan:
    points = read_float_table(path, RADAR_FIELDS)
    return RadarScan.from_points(
        channel,
        timestamp_ns,
        points[:, :3],
        rcs_dbsm=points[:, 3],
        radial_velocities_mps=points[:, 4],
        compensated_velocities_mps=points[:, 5],
    )


def _read_pose(path: Path, camera_from_ego: SE3, timestamp_ns: int) -> EgoPose:
    """One JSON per line; `odomToCamera`, in spite of its name, is the camera's pose in the odometry frame."""
    odom_from_camera = SE3.from_matrix(np.array(_pose_entry(path), np.float64).reshape(4, 4))
    return EgoPose(
        timestamp_ns=timestamp_ns,
        received_ns=timestamp_ns,
        odom_from_ego=odom_from_camera @ camera_from_ego,
    )


def _pose_entry(path: Path) -> list[float]:
    for line in path.read_text(encoding="ascii").splitlines():
        entry: dict[str, Any] = json.loads(line) if line.strip() else {}
        if "odomToCamera" in entry:
            return entry["odomToCamera"]
    raise LogError(
        where=str(path), got="no odomToCamera", expected="one JSON per line", remedy="download the file again"
    )


def _read_truth(path: Path, ids_path: Path, ego_from_camera: SE3, timestamp_ns: int) -> Annotations | Mended:
    """Labels: bottom centres in the camera frame, rotation about the LiDAR's downward axis."""
    rows = [line.split() for line in path.read_text(encoding="ascii").splitlines() if line.strip()]
    ids, oddity = _read_ids(ids_path, path, len(rows))
    known = [(row, name) for row, name in zip(rows, ids, strict=True) if row[0] in CLASS_NAMES]
    numbers = np.array([[float(v) for v in row[8:15]] for row, _ in known], np.float64).reshape(-1, 7)
    height, width, length = numbers[:, 0], numbers[:, 1], numbers[:, 2]
    centers_m = ego_from_camera.apply(numbers[:, 3:6])
    centers_m[:, 2] += height / 2
    boxes = Boxes(
        centers_m=centers_m,
        sizes_m=np.stack([length, width, height], axis=-1),
        yaws_rad=wrap_angle(-(numbers[:, 6] + math.pi / 2)),
        velocities_mps=np.full((len(known), 2), np.nan),
    )
    truth = Annotations.from_boxes(
        timestamp_ns, boxes, tuple(CLASS_NAMES[row[0]] for row, _ in known), tuple(name for _, name in known)
    )
    return truth if oddity is None else Mended(message=truth, oddity=oddity)


def _read_ids(path: Path, label_path: Path, count: int) -> tuple[list[str], str | None]:
    """Identities: the dataset's own, kept in the same order as the labels; else names that are unique to the frame.

    Second is what is wrong with a file that is there and does not give them.
    """
    of_frame = [f"{label_path.stem}-{row}" for row in range(count)]
    try:
        ids = [str(entry["objectId"]) for entry in read_json(path)]
    except FileNotFoundError:
        return of_frame, None
    except (OSError, ValueError, KeyError, TypeError) as error:
        cause = cause_of(error)
    else:
        if len(ids) == count:
            return ids, None
        cause = f"{len(ids)} identities"
    return of_frame, f"{path}: got {cause}; expected a list of {count} with objectId; boxes are named by frame and row"
