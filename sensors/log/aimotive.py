"""aiMotive multimodal recordings (Matuszka et al., 2022): `data/<split>/<condition>/<sequence>`.

Ego frame: the dataset's body frame (x forward, y left, z up). A frame's time is the middle of its LiDAR file, which
holds the 100 ms around it; its points arrive at the end of these. Camera and radar files carry no time of their own
and take the frame's.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import laspy
import numpy as np

from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.errors import CalibrationError, LogError
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.lenses import Lens, MeiLens, PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.dataset import DatasetLog, Entry, read_json

FRAME_PERIOD_NS = 66_666_667
LIDAR = "M_LIDAR_M"
CLASS_OF_TYPE = {
    "CAR": "car",
    "TRUCK": "truck",
    "TRUCK/BUS": "truck",
    "VAN": "car",
    "PICKUP": "car",
    "BUS": "bus",
    "TRAILER": "trailer",
    "MOTORCYCLE": "motorcycle",
    "BICYCLE": "bicycle",
    "PEDESTRIAN": "pedestrian",
    "OTHER_RIDEABLE": "motorcycle",
}
"""Other types are left out."""


def find_aimotive(path: Path) -> Path | None:
    """The one sequence in a directory, which may be the sequence itself; None if there is none."""
    if (path / "dynamic/raw-revolutions").is_dir():
        return path
    found = sorted(p.parents[1] for p in path.glob("data/*/*/*/dynamic/raw-revolutions"))
    return found[0] if found else None


def open_aimotive(path: Path, rig: Rig | None = None) -> DatasetLog:
    """Open the (first) sequence of an aiMotive directory.

    Raises:
        LogError: There is no sequence.
        CalibrationError: Its calibration is missing or malformed.
    """
    sequence = find_aimotive(path)
    if sequence is None:
        raise LogError(where=str(path), got="no sequence", expected="dynamic/raw-revolutions", remedy="check the path")
    motion = _motion(path, sequence)
    entries: list[Entry] = []
    sweeps = sorted((sequence / "dynamic/raw-revolutions").glob("frame_*.laz"))
    names = [p.stem.removeprefix("frame_") for p in sweeps]
    times = _frame_times_ns(sweeps, motion)
    for name in names:
        stamp_ns, end_ns = times[name]
        load = partial(_lidar, sequence / f"dynamic/raw-revolutions/frame_{name}.laz", stamp_ns, end_ns)
        entries.append(Entry(received_ns=end_ns, kind=2, channel=LIDAR, load=load))
        for folder in sorted(p for p in (sequence / "sensor/camera").iterdir() if p.is_dir()):
            camera = partial(_camera, folder / f"{folder.name}_{name}.jpg", folder.name, stamp_ns)
            entries.append(Entry(received_ns=stamp_ns, kind=2, channel=folder.name, load=camera))
        for folder in sorted(p for p in (sequence / "sensor/radar").iterdir() if p.is_dir()):
            radar = partial(_radar, folder / f"{folder.name}_{name}.json", folder.name, stamp_ns)
            entries.append(Entry(received_ns=stamp_ns, kind=2, channel=folder.name, load=radar))
        record = motion.get(name)
        if record is not None:
            entries.append(Entry(received_ns=stamp_ns, kind=0, channel="", load=partial(_pose, record, stamp_ns)))
        truth = partial(_truth, sequence / f"dynamic/box/3d_body/frame_{name}.json", record, stamp_ns)
        entries.append(Entry(received_ns=stamp_ns, kind=1, channel="", load=truth))
    return DatasetLog(sequence, "aimotive", rig or _rig(sequence), entries)


def _motion(path: Path, sequence: Path) -> dict[str, dict[str, Any]]:
    """Estimated ego poses by frame; empty where the recording has none."""
    for folder in (path, sequence, *sequence.parents[:4]):
        estimate = folder / "derived/egomotion_estimated.json"
        if estimate.is_file():
            return {record["frame_id"]: record for record in read_json(estimate)["poses"]}
    return {}


def _frame_times_ns(sweeps: list[Path], motion: dict[str, dict[str, Any]]) -> dict[str, tuple[int, int]]:
    """Middle and end of each frame's LiDAR data; a broken file takes its place by the frame rate."""
    times: dict[str, tuple[int, int]] = {}
    previous_ns = 0
    for path in sweeps:
        name = path.stem.removeprefix("frame_")
        if name in motion:
            first, last = int(motion[name]["lidar_t_min_ns"]), int(motion[name]["lidar_t_max_ns"])
        else:
            try:
                stamps = np.asarray(laspy.read(path).gps_time)
                first, last = int(stamps.min()), int(stamps.max())
            except (laspy.errors.LaspyException, OSError, ValueError):
                first = last = previous_ns + FRAME_PERIOD_NS
        previous_ns = (first + last) // 2
        times[name] = (previous_ns, last)
    return times


@cache
def _laz_error() -> tuple[type[Exception], ...]:
    return (laspy.errors.LaspyException, RuntimeError)


def _lidar(path: Path, stamp_ns: int, end_ns: int) -> LidarSweep:
    try:
        cloud = laspy.read(path)
    except _laz_error() as error:
        raise LogError(
            where=str(path), got=str(error), expected="a whole .laz file", remedy="download this file again"
        ) from error
    points = np.stack([cloud.x, cloud.y, cloud.z], axis=1).astype(np.float32)
    return LidarSweep.from_points(
        LIDAR,
        stamp_ns,
        points,
        intensity=np.asarray(cloud.intensity),
        time_offsets_ns=np.rint(np.asarray(cloud.gps_time) - stamp_ns),
        received_ns=end_ns,
    )


def _camera(path: Path, channel: str, stamp_ns: int) -> CameraFrame:
    return CameraFrame(
        channel=channel, timestamp_ns=stamp_ns, received_ns=stamp_ns, encoding="jpeg", data=path.read_bytes()
    )


def _radar(path: Path, channel: str, stamp_ns: int) -> RadarScan:
    names = ("azimuth", "elevation", "range", "speed", "rcs")
    targets = read_json(path)["targets"]
    values = np.array([[target[n] for n in names] for target in targets], dtype=np.float64).reshape(-1, 5)
    azimuth, elevation, ranges = values[:, 0], values[:, 1], values[:, 2]
    flat = ranges * np.cos(elevation)
    points = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), ranges * np.sin(elevation)], axis=1)
    return RadarScan.from_points(
        channel, stamp_ns, points, rcs_dbsm=values[:, 4], radial_velocities_mps=values[:, 3]
    )


def _pose(record: dict[str, Any], stamp_ns: int) -> EgoPose:
    return EgoPose(
        timestamp_ns=stamp_ns,
        received_ns=stamp_ns,
        odom_from_ego=SE3.from_yaw(record["yaw_rad"], (record["x_m"], record["y_m"], 0.0)),
        linear_velocity_mps=(record["vx_mps"], record["vy_mps"], 0.0),
        angular_velocity_radps=(0.0, 0.0, record["yaw_rate_rps"]),
    )


def _truth(path: Path, motion: dict[str, Any] | None, stamp_ns: int) -> Annotations:
    """Boxes of a frame; their velocity is relative, so the ego's own is added where it is known."""
    objects = [o for o in read_json(path)["CapturedObjects"] if o["ObjectType"] in CLASS_OF_TYPE]

    def columns(label: str, axes: str) -> Any:
        return np.array([[o[f"{label} {axis}"] for axis in axes] for o in objects], np.float64).reshape(-1, len(axes))

    centers, quaternions = columns("BoundingBox3D Origin", "XYZ"), columns("BoundingBox3D Orientation Quat", "WXYZ")
    w, x, y, z = quaternions.T
    velocities = np.full((len(objects), 2), np.nan)
    if motion is not None:
        rate = motion["yaw_rate_rps"]
        swept = np.stack([-rate * centers[:, 1], rate * centers[:, 0]], axis=1)
        velocities = columns("Relative Velocity", "XY") + (motion["vx_mps"], motion["vy_mps"]) + swept
    boxes = Boxes(
        centers_m=centers,
        sizes_m=columns("BoundingBox3D Extent", "XYZ"),
        yaws_rad=np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)),
        velocities_mps=velocities,
    )
    return Annotations.from_boxes(
        stamp_ns,
        boxes,
        tuple(CLASS_OF_TYPE[o["ObjectType"]] for o in objects),
        tuple(str(o["ObjectId"]) for o in objects),
    )


def _rig(sequence: Path) -> Rig:
    path = sequence / "sensor/calibration/calibration.json"
    sensors = []
    for channel, entry in read_json(path).items():
        modality = entry.get("sensor_type")
        if modality not in ("camera", "lidar", "radar"):
            continue
        try:
            pose = SE3.from_matrix(np.array(entry["RT_body_from_sensor"], dtype=np.float64))
            lens = _lens(entry) if modality == "camera" else None
        except (KeyError, ValueError, TypeError) as error:
            raise CalibrationError(
                where=f"{path}: {channel}", got=repr(error), expected="a whole calibration", remedy="check the file"
            ) from error
        # The .laz points are stored in the body frame already.
        pose = SE3() if modality == "lidar" else pose
        sensors.append(SensorCalibration(channel=channel, modality=modality, ego_from_sensor=pose, lens=lens))
    return Rig.of(sensors)


def _lens(entry: dict[str, Any]) -> Lens:
    width, height = entry["image_resolution_px"]
    d = [float(v) for v in entry["distortion_coeffs"]]
    common: dict[str, Any] = {
        "width_px": width,
        "height_px": height,
        "focal_px": tuple(entry["focal_length_px"]),
        "principal_px": tuple(float(v) for v in entry["principal_point_px"]),
    }
    if entry["model"] == "mei":
        return MeiLens(**common, mirror=float(entry["xi"]), distortion=(d[0], d[1], d[2], d[3]))
    return PinholeLens(**common, distortion=(d[0], d[1], d[2], d[3], d[4]))
