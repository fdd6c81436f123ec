"""View-of-Delft recordings (Palffy et al., RA-L 2022): KITTI-like folders `lidar/` and `radar/`.

Ego frame: axes of the LiDAR's mount (x forward, y left, z up), origin on the ground below the LiDAR. Frames are
10 Hz by their number, which becomes the stamp. Poses move the camera, and through it the vehicle.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.errors import CalibrationError, LogError
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3, wrap_angle
from tricast.sensors.log.dataset import DatasetLog, Entry, read_json

FRAME_PERIOD_NS = 100_000_000
LIDAR_HEIGHT_M = 1.73
IMAGE_SIZE_PX = (1936, 1216)
CLASS_OF_LABEL = {
    "Car": "car",
    "Pedestrian": "pedestrian",
    "Cyclist": "bicycle",
    "bicycle": "bicycle",
    "motor": "motorcycle",
    "moped_scooter": "motorcycle",
    "truck": "truck",
}
"""Other labels (racks, unused bicycles, ride_other, DontCare...) are left out."""


def is_view_of_delft(path: Path) -> bool:
    """Whether a directory holds View-of-Delft's LiDAR and radar folders."""
    return (path / "lidar/training/velodyne").is_dir() and (path / "radar/training/velodyne").is_dir()


def open_view_of_delft(path: Path, rig: Rig | None = None) -> DatasetLog:
    """Open all frames of a View-of-Delft directory as one log.

    Raises:
        LogError: There are no frames.
        CalibrationError: A calibration file is malformed.

    """
    names = sorted(p.stem for p in (path / "lidar/training/velodyne").glob("*.bin"))
    if not names:
        raise LogError(
            where=str(path), got="no frames", expected="lidar/training/velodyne/*.bin", remedy="check the path"
        )
    lidar_calibration = _calibration(path / "lidar/training/calib" / f"{names[0]}.txt")
    ego_from_camera = SE3(translation_m=(0.0, 0.0, LIDAR_HEIGHT_M)) @ lidar_calibration[1].inverse
    entries: list[Entry] = []
    for name in names:
        stamp_ns = int(name) * FRAME_PERIOD_NS
        loads = {
            "CAM_FRONT": partial(_camera, path / "lidar/training/image_2" / f"{name}.jpg", stamp_ns),
            "LIDAR_TOP": partial(_lidar, path / "lidar/training/velodyne" / f"{name}.bin", stamp_ns),
            "RADAR_FRONT": partial(_radar, path / "radar/training/velodyne" / f"{name}.bin", stamp_ns),
        }
        entries += [Entry(received_ns=stamp_ns, kind=2, channel=c, load=load) for c, load in loads.items()]
        pose = partial(_pose, path / "lidar/training/pose" / f"{name}.json", stamp_ns, ego_from_camera)
        entries.append(Entry(received_ns=stamp_ns, kind=0, channel="", load=pose))
        truth = partial(_truth, path / "lidar/training/label_2" / f"{name}.txt", stamp_ns, ego_from_camera)
        entries.append(Entry(received_ns=stamp_ns, kind=1, channel="", load=truth))
    own = rig or _rig(
        lidar_calibration, _calibration(path / "radar/training/calib" / f"{names[0]}.txt"), ego_from_camera
    )
    return DatasetLog(path, "view_of_delft", own, entries)


def _calibration(path: Path) -> tuple[NDArray[np.float64], SE3]:
    """Camera matrix (3, 4) and `camera_from_sensor` of a KITTI-like calibration file."""
    try:
        lines = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        camera = np.array(lines["P2"].split(), dtype=np.float64).reshape(3, 4)
        camera_from_sensor = np.array(lines["Tr_velo_to_cam"].split(), dtype=np.float64).reshape(3, 4)
    except (OSError, KeyError, ValueError) as error:
        raise CalibrationError(
            where=str(path),
            got=repr(error),
            expected="lines P2 and Tr_velo_to_cam of 12 numbers",
            remedy="check the file",
        ) from error
    return camera, SE3.from_matrix(camera_from_sensor)


def _rig(lidar: tuple[NDArray[np.float64], SE3], radar: tuple[NDArray[np.float64], SE3], ego_from_camera: SE3) -> Rig:
    k = lidar[0]
    lens = PinholeLens(
        width_px=IMAGE_SIZE_PX[0],
        height_px=IMAGE_SIZE_PX[1],
        focal_px=(float(k[0, 0]), float(k[1, 1])),
        principal_px=(float(k[0, 2]), float(k[1, 2])),
    )
    return Rig.of(
        [
            SensorCalibration(channel="CAM_FRONT", modality="camera", ego_from_sensor=ego_from_camera, lens=lens),
            SensorCalibration(channel="LIDAR_TOP", modality="lidar", ego_from_sensor=ego_from_camera @ lidar[1]),
            SensorCalibration(channel="RADAR_FRONT", modality="radar", ego_from_sensor=ego_from_camera @ radar[1]),
        ]
    )


def _camera(path: Path, stamp_ns: int) -> CameraFrame:
    return CameraFrame(
        channel="CAM_FRONT", timestamp_ns=stamp_ns, received_ns=stamp_ns, encoding="jpeg", data=path.read_bytes()
    )


def _lidar(path: Path, stamp_ns: int) -> LidarSweep:
    points = np.fromfile(path, np.float32).reshape(-1, 4)
    return LidarSweep.from_points("LIDAR_TOP", stamp_ns, points[:, :3], intensity=points[:, 3])


def _radar(path: Path, stamp_ns: int) -> RadarScan:
    points = np.fromfile(path, np.float32).reshape(-1, 7)  # x y z rcs v_r v_r_compensated time
    return RadarScan.from_points(
        "RADAR_FRONT",
        stamp_ns,
        points[:, :3],
        rcs_dbsm=points[:, 3],
        radial_velocities_mps=points[:, 4],
        compensated_velocities_mps=points[:, 5],
    )


def _pose(path: Path, stamp_ns: int, ego_from_camera: SE3) -> EgoPose:
    # The name reads "odom to camera"; the matrix maps camera coordinates into the odometry frame.
    if not path.is_file():
        read_json(path)
    first = json.loads(path.read_text().splitlines()[0])["odomToCamera"]
    odom_from_camera = SE3.from_matrix(np.array(first, dtype=np.float64).reshape(4, 4))
    return EgoPose(
        timestamp_ns=stamp_ns, received_ns=stamp_ns, odom_from_ego=odom_from_camera @ ego_from_camera.inverse
    )


def _truth(path: Path, stamp_ns: int, ego_from_camera: SE3) -> Annotations:
    """KITTI labels: h w l, bottom centre in the camera frame, rotation about the LiDAR's vertical axis."""
    rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
    rows = [(index, row) for index, row in enumerate(rows) if row[0] in CLASS_OF_LABEL]
    values = np.array([[float(v) for v in row[8:15]] for _, row in rows]).reshape(-1, 7)
    height, width, length = values[:, 0], values[:, 1], values[:, 2]
    centers = ego_from_camera.apply(values[:, 3:6])
    centers[:, 2] += height / 2
    boxes = Boxes(
        centers_m=centers,
        sizes_m=np.stack([length, width, height], axis=1),
        yaws_rad=np.asarray(wrap_angle(-(values[:, 6] + np.pi / 2)), dtype=np.float64),
        velocities_mps=np.full((len(rows), 2), np.nan),
    )
    return Annotations.from_boxes(
        stamp_ns,
        boxes,
        tuple(CLASS_OF_LABEL[row[0]] for _, row in rows),
        tuple(f"{stamp_ns}-{index}" for index, _ in rows),
    )
