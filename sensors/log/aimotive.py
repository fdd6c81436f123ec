"""Reader of the aiMotive multimodal dataset: four cameras, one LiDAR and two radars at 15 Hz.

The ego frame is the dataset's body frame: x forward, y left, z up, on the ground below the rear axle.
Source: Matuszka et al., "aiMotive Dataset", ICLR 2023 workshop; layout of the published archive.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import laspy  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.class_ladder import CLASSES_FROM
from tricast.sensors.errors import CalibrationError, LogError, SensorDataError, cause_of
from tricast.sensors.frames import EgoPose, LidarSweep, Modality, RadarScan
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.lenses import Lens, MeiLens, PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.recorded import (
    SENSOR,
    PlannedMessage,
    RecordedLog,
    only_one,
    planned_poses,
    planned_sensor,
    planned_truth,
    read_camera_frame,
    read_json,
)
from tricast.sensors.motion_compensation import EgoMotion

CLASS_NAMES = CLASSES_FROM["aimotive"]

CALIBRATION = Path("sensor/calibration/calibration.json")
LIDAR_FOLDER = Path("dynamic/raw-revolutions")
TRUTH_FOLDER = Path("dynamic/box/3d_body")
EGO_MOTION = Path("derived/egomotion_estimated.json")
FRAME_NUMBER = re.compile(r"_(\d+)\.(?:jpg|json|laz)$")
FRAME_PERIOD_NS = 1_000_000_000 / 15
STATED_DELAY_NS = 18_000_000
"""A frame's stated time is this much after the middle of its LiDAR revolution. The images belong to the middle:
static LiDAR returns moved to other times fit them best 20 ms before the stated time (mutual information)."""
MAX_OFFSET_NS = 250_000_000
"""A LiDAR file holds the 100 ms around its frame; a point further from it than this is broken data."""

RECORDS, EXTENDED_RECORDS = (100, 54), (243, 60)
"""Where a LAS header counts its records, those at the end since LAS 1.4, and the least number of bytes of each."""


class AimotiveLog(RecordedLog):
    """One sequence. See `DrivingLog` for the attributes.

    A frame is stamped with the middle of its LiDAR revolution, which is when its images were taken; LiDAR
    points keep their own times and a sweep arrives with its last point. Truth states velocities relative to
    the ego vehicle; they are turned into velocities over ground where the ego motion is known, and are NaN
    elsewhere.

    Args:
        path: A sequence folder, or a dataset root that holds one sequence.
        rig: Calibration to use in place of the dataset's own.

    Raises:
        LogError: There is no sequence, or more than one.
        CalibrationError: The sequence's calibration is missing or broken.

    """

    def __init__(self, path: Path, rig: Rig | None = None) -> None:
        sequence = _sequence(path)
        own_rig = _read_rig(sequence)
        super().__init__(path, "aimotive", rig or own_rig, _plan(sequence, own_rig))


def is_aimotive(path: Path) -> bool:
    """Whether a folder is an aiMotive sequence or a dataset root with at least one."""
    return path.is_dir() and bool(_sequences(path))


def _sequences(path: Path) -> list[Path]:
    if (path / CALIBRATION).is_file() and (path / "dynamic").is_dir():
        return [path]
    return sorted(
        folder.parent for folder in path.glob("data/*/*/*/dynamic") if (folder.parent / CALIBRATION).is_file()
    )


def _sequence(path: Path) -> Path:
    return only_one(_sequences(path), path, kind="aiMotive sequences", folder="sequence")


def _plan(sequence: Path, rig: Rig) -> Iterator[PlannedMessage]:
    files = {channel: _numbered(_folder(sequence, rig[channel])) for channel in rig.channels()}
    truth = _numbered(sequence / TRUTH_FOLDER)
    frames = sorted(set(truth).union(*files.values()))
    lidar_files = next((files[channel] for channel in rig.channels("lidar")), dict[int, Path]())
    stamps = _frame_stamps(frames, truth, lidar_files)
    poses = _read_poses(sequence, stamps)
    motion = EgoMotion(poses)
    yield from planned_poses(poses)
    for frame in frames:
        at_ns = stamps[frame]
        if truth:
            path = truth.get(frame) or _expected_path(truth, frame)
            yield planned_truth(at_ns, partial(_read_truth, path, at_ns, motion))
        for channel, paths in files.items():
            if not paths:
                continue
            path = paths.get(frame) or _expected_path(paths, frame)
            if rig[channel].modality == "camera":
                yield planned_sensor(channel, at_ns, partial(read_camera_frame, path, channel, at_ns))
            elif rig[channel].modality == "radar":
                yield planned_sensor(channel, at_ns, partial(_read_radar, path, channel, at_ns))
            else:
                yield PlannedMessage(
                    rank=SENSOR,
                    channel=channel,
                    earliest_ns=at_ns,
                    latest_ns=at_ns + MAX_OFFSET_NS,
                    load=partial(_read_lidar, path, rig[channel], at_ns),
                )


def _folder(sequence: Path, sensor: SensorCalibration) -> Path:
    return sequence / (LIDAR_FOLDER if sensor.modality == "lidar" else Path("sensor", sensor.modality, sensor.channel))


def _numbered(folder: Path) -> dict[int, Path]:
    """Files of a folder by frame number."""
    matches = ((FRAME_NUMBER.search(path.name), path) for path in sorted(folder.glob("*_*.*")))
    return {int(match.group(1)): path for match, path in matches if match}


def _expected_path(paths: dict[int, Path], frame: int) -> Path:
    """Where a missing frame's file would be, judged by the other files."""
    example = paths[min(paths)]
    return example.with_name(FRAME_NUMBER.sub(f"_{frame:07d}{example.suffix}", example.name))


def _frame_stamps(frames: list[int], truth: dict[int, Path], lidar: dict[int, Path]) -> dict[int, int]:
    """Time of every frame: by its annotation; else counted from the nearest annotated frame; else by the LiDAR."""
    stated: dict[int, int] = {}
    for frame, path in truth.items():
        try:
            stated[frame] = int(read_json(path)["Timestamp"]) - STATED_DELAY_NS
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            continue  # the frame's truth is counted as lost when it is its turn
    for frame, path in lidar.items():
        if stated:
            break
        try:
            times_ns = np.asarray(_read_laz(path).gps_time)
            stated[frame] = int((times_ns.min() + times_ns.max()) / 2)
        except (OSError, ValueError, OverflowError):
            continue
    anchors = sorted(stated)
    stamps: dict[int, int] = {}
    for frame in frames:
        if frame in stated or not anchors:
            stamps[frame] = stated.get(frame, round(frame * FRAME_PERIOD_NS))
            continue
        nearest = min(anchors, key=lambda anchor: abs(anchor - frame))
        stamps[frame] = stated[nearest] + round((frame - nearest) * FRAME_PERIOD_NS)
    return stamps


def _read_rig(sequence: Path) -> Rig:
    path = sequence / CALIBRATION
    try:
        entries = read_json(path)
        sensors: list[SensorCalibration] = []
        for channel, entry in entries.items():
            modality: Modality | None = {"camera": "camera", "lidar": "lidar", "radar": "radar"}.get(
                entry["sensor_type"]
            )  # type: ignore[assignment]
            if modality is None:
                continue
            ego_from_sensor = SE3.from_matrix(np.array(entry["RT_body_from_sensor"], np.float64))
            lens = _lens(entry, sequence / "sensor/camera" / channel) if modality == "camera" else None
            sensors.append(
                SensorCalibration(channel=channel, modality=modality, ego_from_sensor=ego_from_sensor, lens=lens)
            )
        return Rig.of(sensors)
    except CalibrationError as error:
        raise CalibrationError(
            where=f"{path}: {error.where}", got=error.got, expected=error.expected, remedy=error.remedy
        ) from error
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise CalibrationError(
            where=str(path),
            got=cause_of(error),
            expected="sensors with sensor_type, RT_body_from_sensor and, for cameras, intrinsics",
            remedy="download the sequence's calibration again",
        ) from error


def _lens(entry: dict[str, Any], folder: Path) -> Lens:
    width_px, height_px = (int(v) for v in entry["image_resolution_px"])
    focal_px = (float(entry["focal_length_px"][0]), float(entry["focal_length_px"][1]))
    principal_px = (float(entry["principal_point_px"][0]), float(entry["principal_point_px"][1]))
    k1, k2, p1, p2, k3 = (float(v) for v in entry["distortion_coeffs"])
    size: dict[str, Any] = {"width_px": width_px, "height_px": height_px}
    if entry["model"] == "opencv_pinhole":
        lens: Lens = PinholeLens(**size, focal_px=focal_px, principal_px=principal_px, distortion=(k1, k2, p1, p2, k3))
    elif entry["model"] == "mei":
        mirror = float(entry["xi"])
        lens = MeiLens(**size, focal_px=focal_px, principal_px=principal_px, mirror=mirror, distortion=(k1, k2, p1, p2))
    else:
        raise CalibrationError(
            where=f"{folder.name}: model",
            got=repr(entry["model"]),
            expected="opencv_pinhole or mei",
            remedy="take this camera out of the file, or state it by one of these models",
        )
    actual = _image_size_px(folder)
    return lens if actual in (None, (width_px, height_px)) else lens.scaled(*actual)


def _image_size_px(folder: Path) -> tuple[int, int] | None:
    """Size of the folder's first readable image; None if there is none."""
    for path in sorted(folder.glob("*.jpg")):
        try:
            with Image.open(path) as image:
                return image.size
        except OSError:
            continue
    return None


def _read_poses(sequence: Path, stamps: dict[int, int]) -> list[EgoPose]:
    """Estimated ego motion of this sequence, from the sequence's folder or its dataset root; empty if there is none."""
    for folder in (sequence, *sequence.resolve().parents[:4]):
        path = folder / EGO_MOTION
        if path.is_file():
            break
    else:
        return []
    poses: list[EgoPose] = []
    try:
        for entry in read_json(path)["poses"]:
            at_ns = (int(entry["lidar_t_min_ns"]) + int(entry["lidar_t_max_ns"])) // 2
            if abs(at_ns - stamps.get(int(entry["frame_id"]), 0)) > MAX_OFFSET_NS:
                continue  # another sequence's frame
            x, y, yaw = float(entry["x_m"]), float(entry["y_m"]), float(entry["yaw_rad"])
            poses.append(
                EgoPose(
                    timestamp_ns=at_ns,
                    received_ns=at_ns,
                    odom_from_ego=SE3.from_yaw(yaw, (x, y, 0.0)),
                    linear_velocity_mps=(float(entry["vx_mps"]), float(entry["vy_mps"]), 0.0),
                    angular_velocity_radps=(0.0, 0.0, float(entry["yaw_rate_rps"])),
                )
            )
    except (ValueError, KeyError, TypeError) as error:
        raise LogError(
            where=str(path),
            got=cause_of(error),
            expected="poses with frame_id, LiDAR times, x_m, y_m, yaw_rad and velocities",
            remedy="remove the file to replay without ego motion",
        ) from error
    return sorted(poses, key=lambda pose: pose.timestamp_ns)


def _read_laz(path: Path) -> Any:
    """The file as `laspy.LasData`, whose columns have no types.

    Raises:
        OSError: The file is missing or unreadable.
        SensorDataError: It is no whole point cloud, or one whose points have no times.

    """
    las: Any = laspy
    broken = (RuntimeError, ValueError, TypeError, IndexError, EOFError, OverflowError)
    data = path.read_bytes()
    try:
        _check_counts(data)
        cloud = las.read(io.BytesIO(data))
        _ = cloud.gps_time
        return cloud
    except (laspy.LaspyException, *broken, AttributeError, MemoryError) as error:
        # lazrs raises a RuntimeError on compressed bytes that are cut or wrong. A wrong header can ask for more memory
        # than there is, and a point format without gps_time shows as an attribute that is not there.
        raise SensorDataError(
            where=str(path),
            got=f"bytes that are not such a point cloud ({cause_of(error)})",
            expected="a whole .laz file with gps_time",
            remedy="download the file again",
        ) from error


def _check_counts(data: bytes) -> None:
    """Raise ValueError where a header counts more records than the file has room for: laspy reads each, for hours."""
    extended = (EXTENDED_RECORDS,) if data[24:26] >= bytes((1, 4)) else ()
    for place, size in (RECORDS, *extended):
        count = int.from_bytes(data[place : place + 4], "little")
        if count * size > len(data):
            raise ValueError(f"a header that counts {count} records in a file of {len(data)} bytes")


def _read_lidar(path: Path, sensor: SensorCalibration, timestamp_ns: int) -> LidarSweep:
    """A sweep in the sensor's frame. The file holds body coordinates, each point in the body axes of its own time."""
    cloud = _read_laz(path)
    body_points_m = np.stack([np.asarray(axis, np.float64) for axis in (cloud.x, cloud.y, cloud.z)], axis=-1)
    offsets_ns = np.asarray(cloud.gps_time, np.float64) - timestamp_ns
    if not (np.abs(offsets_ns) <= MAX_OFFSET_NS).all():
        raise SensorDataError(
            where=str(path),
            got=f"points up to {np.abs(offsets_ns).max() / 1e9:.3f} s from their frame",
            expected="gps_time in ns within 0.25 s of the frame",
            remedy="leave this frame out",
        )
    order = np.argsort(offsets_ns, kind="stable")
    offsets = offsets_ns[order].astype(np.int32)
    return LidarSweep.from_points(
        sensor.channel,
        timestamp_ns,
        sensor.ego_from_sensor.inverse.apply(body_points_m)[order],
        intensity=np.asarray(cloud.intensity)[order],
        time_offsets_ns=offsets,
        received_ns=timestamp_ns + max(0, int(offsets[-1]) if len(offsets) else 0),
    )


def _read_radar(path: Path, channel: str, timestamp_ns: int) -> RadarScan:
    """A scan in the sensor's frame: azimuth counts to the left, elevation downwards, speed away from the sensor."""
    fields = ("azimuth", "elevation", "range", "speed", "rcs")
    targets = [[float(target[field]) for field in fields] for target in read_json(path)["targets"]]
    azimuth, elevation, distance, speed, rcs = np.array(targets, np.float64).reshape(-1, len(fields)).T
    across = distance * np.cos(elevation)
    points_m = [across * np.cos(azimuth), across * np.sin(azimuth), -distance * np.sin(elevation)]
    return RadarScan.from_points(
        channel, timestamp_ns, np.stack(points_m, axis=-1), rcs_dbsm=rcs, radial_velocities_mps=speed
    )


def _read_truth(path: Path, timestamp_ns: int, motion: EgoMotion) -> Annotations:
    """Boxes in body axes; `Extent` is the full size and `Origin` the centre of volume."""
    objects = [entry for entry in read_json(path)["CapturedObjects"] if entry["ObjectType"] in CLASS_NAMES]
    centers_m = _vectors(objects, "BoundingBox3D Origin", "XYZ")
    relative_mps = _vectors(objects, "Relative Velocity", "XYZ")
    quaternions = _vectors(objects, "BoundingBox3D Orientation Quat", "WXYZ")
    boxes = Boxes(
        centers_m=centers_m,
        sizes_m=_vectors(objects, "BoundingBox3D Extent", "XYZ"),
        yaws_rad=np.array([_yaw_rad(quaternion) for quaternion in quaternions], np.float64),
        velocities_mps=_over_ground(centers_m, relative_mps, motion, timestamp_ns),
    )
    classes = tuple(CLASS_NAMES[entry["ObjectType"]] for entry in objects)
    return Annotations.from_boxes(timestamp_ns, boxes, classes, tuple(str(entry["ObjectId"]) for entry in objects))


def _vectors(objects: list[dict[str, Any]], name: str, axes: str) -> NDArray[np.float64]:
    values = [[float(entry[f"{name} {axis}"]) for axis in axes] for entry in objects]
    return np.array(values, np.float64).reshape(-1, len(axes))


def _yaw_rad(quaternion_wxyz: NDArray[np.float64]) -> float:
    w, x, y, z = (float(v) for v in quaternion_wxyz)
    return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def _over_ground(
    centers_m: NDArray[np.float64], relative_mps: NDArray[np.float64], motion: EgoMotion, timestamp_ns: int
) -> NDArray[np.float64]:
    """Velocities over ground (N, 2): relative ones are those in the turning body frame, so its turning is added."""
    if not motion.known:
        return np.full((len(centers_m), 2), np.nan)
    turning = np.cross(motion.angular_velocity_radps(timestamp_ns), centers_m)
    return (relative_mps + motion.velocity_mps(timestamp_ns) + turning)[:, :2]
