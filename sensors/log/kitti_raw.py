"""Reader of KITTI raw: up to four cameras, one Velodyne HDL-64E, poses and boxes of one drive, at 10 Hz.

The ego frame sits on the ground below the Velodyne: x forward, y left, z up. The Velodyne is level, so the two differ
by its height alone. The odometry frame has its axes to the east and north and its origin where the drive begins. Boxes
(`tracklet_labels.xml`) are only of road users that the left colour camera sees. Source: Geiger et al., "Vision meets
Robotics: The KITTI Dataset", IJRR 2013, and the raw data's development kit; synchronised and rectified drives.
"""

from __future__ import annotations

import math
import re
from calendar import timegm
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import strptime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.errors import CalibrationError, LogError, SensorDataError, cause_of
from tricast.sensors.frames import EgoPose, LidarSweep
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.kitti_tracklets import read_tracklets, tracklet_histories, tracklet_truth
from tricast.sensors.log.pose_twists import poses_with_twist
from tricast.sensors.log.recorded import (
    POSE,
    POSE_CHANNEL,
    SENSOR,
    Mended,
    PlannedMessage,
    RecordedLog,
    only_one,
    planned_poses,
    planned_sensor,
    planned_truth,
    read_camera_frame,
    read_float_table,
)
from tricast.sensors.log.stream import Message
from tricast.sensors.motion_compensation import EgoMotion

LIDAR = "velodyne_points"
CAMERAS = ("image_00", "image_01", "image_02", "image_03")
OXTS, TRACKLETS = "oxts", "tracklet_labels.xml"
LIDAR_FIELDS, OXTS_FIELDS = 4, 6
LIDAR_HEIGHT_M = 1.73
EGO_FROM_LIDAR = SE3(translation_m=(0.0, 0.0, LIDAR_HEIGHT_M))
HALF_REVOLUTION_NS = 50_000_000
"""Where the files of a sweep's beginning and end are absent: it turns ten times a second."""
MAX_HALF_REVOLUTION_NS = 150_000_000
EARTH_RADIUS_M = 6378137.0
"""Of the development kit's Mercator projection."""
STAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(\d{1,9})")
SECOND_NS = 1_000_000_000


class KittiRawLog(RecordedLog):
    """One drive. See `DrivingLog` for the attributes.

    A sweep is stamped with the time at which the scanner faces forward, when the cameras are triggered; each point's
    own time follows from its azimuth (the scanner turns clockwise seen from above, from the back over the front), and
    the sweep arrives with its last point. Where no time of its beginning or end is stated, it turned as usual.
    Velocities and futures of boxes are known where there are poses.

    Args:
        path: A drive's folder with the calibration in it or beside it, or a folder that holds one drive.
        rig: Calibration to use in place of the dataset's own.

    Raises:
        LogError: There is no drive, or more than one, or its tracklets or the times of a sensor are broken.
        CalibrationError: A calibration file is missing or broken.

    """

    def __init__(self, path: Path, rig: Rig | None = None) -> None:
        drive = _drive(path)
        own_rig = _read_rig(drive)
        super().__init__(path, "kitti_raw", rig or own_rig, _plan(drive, own_rig))


def is_kitti_raw(path: Path) -> bool:
    """Whether a folder is a drive of KITTI raw, or holds some at most two levels below."""
    return path.is_dir() and bool(_drives(path))


def _drives(path: Path) -> list[Path]:
    """The folder itself, or the drives one (a date) or two levels below it."""
    for levels in ("", "*/", "*/*/"):
        found = sorted(folder.parent for folder in path.glob(f"{levels}{LIDAR}") if (folder / "data").is_dir())
        if found:
            return found
    return []


def _drive(path: Path) -> Path:
    return only_one(_drives(path), path, kind="drives of KITTI raw", folder="drive").resolve()


def _plan(drive: Path, rig: Rig) -> Iterator[PlannedMessage]:
    present = {channel: _numbered(drive / channel / "data") for channel in rig.channels()}
    frames = sorted(set[int]().union(*present.values()))
    stamps = _filled({c: _read_stamps(drive / c / "timestamps.txt", files) for c, files in present.items()})
    for channel in rig.channels("camera"):
        suffix = next((path.suffix for path in present[channel].values()), ".png")
        for frame in frames:
            path, at_ns = drive / channel / "data" / f"{frame:010d}{suffix}", stamps[channel][frame]
            yield planned_sensor(channel, at_ns, partial(read_camera_frame, path, channel, at_ns))
    yield from _planned_sweeps(drive, frames, stamps[LIDAR], present[LIDAR])
    poses, broken = _read_poses(drive, stamps[LIDAR])
    yield from (*planned_poses(poses), *broken)
    if (drive / TRACKLETS).exists():
        motion = EgoMotion(poses)
        boxes = read_tracklets(drive / TRACKLETS, EGO_FROM_LIDAR)
        histories = tracklet_histories(boxes, stamps[LIDAR], motion)
        for frame in frames:
            at_ns = stamps[LIDAR][frame]
            yield planned_truth(
                at_ns, partial(tracklet_truth, boxes, histories, motion.odom_from_ego(at_ns), frame, at_ns)
            )


def _planned_sweeps(
    drive: Path, frames: list[int], stamps: dict[int, int], present: Iterable[int]
) -> Iterator[PlannedMessage]:
    begins, no_begin = _read_edge(drive / LIDAR / "timestamps_start.txt", present)
    ends, no_end = _read_edge(drive / LIDAR / "timestamps_end.txt", present)
    for frame in frames:
        at_ns = stamps[frame]
        turn = _Revolution.around(at_ns, begins.get(frame), ends.get(frame))
        untold = [errors[frame] for errors in (no_begin, no_end) if frame in errors]
        load = partial(_read_lidar, drive / LIDAR / "data" / f"{frame:010d}.bin", turn, untold)
        yield PlannedMessage(rank=SENSOR, channel=LIDAR, earliest_ns=at_ns, latest_ns=turn.end_ns, load=load)


def _numbered(folder: Path) -> dict[int, Path]:
    """Files of a folder by frame number."""
    return {int(path.stem): path for path in sorted(folder.glob("*.*")) if path.stem.isdigit()}


def _filled(stamps: dict[str, dict[int, int]]) -> dict[str, dict[int, int]]:
    """Stamps by channel and frame; where one has none, as where a sweep was not recorded, that of another channel."""
    known = {frame: at_ns for of_channel in reversed(stamps.values()) for frame, at_ns in of_channel.items()}
    return {channel: {**known, **of_channel} for channel, of_channel in stamps.items()}


def _read_stamps(path: Path, frames: Iterable[int]) -> dict[int, int]:
    """Time in nanoseconds of every frame; the LogError of the first that has none."""
    stamps, broken = _read_good_stamps(path, frames)
    for error in broken.values():
        raise error
    return stamps


def _read_good_stamps(path: Path, frames: Iterable[int]) -> tuple[dict[int, int], dict[int, LogError]]:
    """Times of frames, each by the line with its number counted from 0, and what is wrong with those of the others."""
    try:
        lines = path.read_bytes().split(b"\n")  # not `splitlines`: a broken byte must not count as a line's end
    except OSError as error:
        return {}, dict.fromkeys(frames, _broken_times(str(path), f"no readable file ({type(error).__name__})"))
    stamps: dict[int, int] = {}
    broken: dict[int, LogError] = {}
    for frame in frames:
        line = lines[frame].decode("ascii", "replace").strip() if frame < len(lines) else ""
        try:
            stamps[frame] = _time_ns(line)
        except ValueError:
            broken[frame] = _broken_times(f"{path} line {frame + 1}", repr(line[:40]) if line else "no time")
    return stamps, broken


def _time_ns(text: str) -> int:
    """Time in nanoseconds of a text; ValueError where it is no time."""
    match = STAMP.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return timegm(strptime(match.group(1), "%Y-%m-%d %H:%M:%S")) * SECOND_NS + int(match.group(2).ljust(9, "0"))


def _read_edge(path: Path, frames: Iterable[int]) -> tuple[dict[int, int], dict[int, LogError]]:
    """Times at which the sweeps begin or end, and what is wrong with others; nothing where there is no such file."""
    return _read_good_stamps(path, frames) if path.exists() else ({}, {})


def _broken_times(where: str, got: str) -> LogError:
    return LogError(
        where=where,
        got=got,
        expected="a time such as 2011-09-26 13:02:25.964389445 for every frame",
        remedy="unpack the drive again",
    )


def _read_rig(drive: Path) -> Rig:
    """The Velodyne, and the cameras that have a folder; each camera's frame is that of its rectified image."""
    folder = drive if (drive / "calib_velo_to_cam.txt").is_file() else drive.parent
    sensors = [SensorCalibration(channel=LIDAR, modality="lidar", ego_from_sensor=EGO_FROM_LIDAR)]
    recorded = [channel for channel in CAMERAS if (drive / channel / "data").is_dir()]
    if not recorded:
        return Rig.of(sensors)
    camera_0_from_lidar = _read_transform(folder / "calib_velo_to_cam.txt")
    path = folder / "calib_cam_to_cam.txt"
    values = _read_calibration(path)
    try:
        rectifying = SE3.from_matrix(np.column_stack([values["R_rect_00"].reshape(3, 3), np.zeros(3)]))
        for channel in recorded:
            number = channel[-2:]
            width, height = (int(v) for v in values[f"S_rect_{number}"])
            matrix = values[f"P_rect_{number}"].reshape(3, 4)
            x, y, z = (float(v) for v in np.linalg.solve(matrix[:, :3], matrix[:, 3]))
            camera_from_lidar = SE3(translation_m=(x, y, z)) @ rectifying @ camera_0_from_lidar
            lens = PinholeLens(
                width_px=width,
                height_px=height,
                focal_px=(float(matrix[0, 0]), float(matrix[1, 1])),
                principal_px=(float(matrix[0, 2]), float(matrix[1, 2])),
            )
            ego_from_camera = EGO_FROM_LIDAR @ camera_from_lidar.inverse
            sensors.append(
                SensorCalibration(channel=channel, modality="camera", ego_from_sensor=ego_from_camera, lens=lens)
            )
    except CalibrationError as error:
        where = f"{path}: {error.where}"
        raise CalibrationError(where=where, got=error.got, expected=error.expected, remedy=error.remedy) from error
    except (KeyError, ValueError, OverflowError, np.linalg.LinAlgError) as error:
        raise _broken_calibration(path, error, "lines R_rect_00, and S_rect and P_rect of every camera") from error
    return Rig.of(sensors)


def _read_transform(path: Path) -> SE3:
    """The transform of a file with the lines R and T."""
    values = _read_calibration(path)
    try:
        return SE3.from_matrix(np.column_stack([values["R"].reshape(3, 3), values["T"].reshape(3)]))
    except CalibrationError as error:
        where = f"{path}: R"
        raise CalibrationError(where=where, got=error.got, expected=error.expected, remedy=error.remedy) from error
    except (KeyError, ValueError) as error:
        raise _broken_calibration(path, error, "a line R with 9 numbers and a line T with 3") from error


def _read_calibration(path: Path) -> dict[str, NDArray[np.float64]]:
    """Numbers by the name at the beginning of their line; lines of other things are left out."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _broken_calibration(path, error, "a calibration file of the drive's date") from error
    values: dict[str, NDArray[np.float64]] = {}
    for name, _, rest in (line.partition(":") for line in lines):
        try:
            values[name] = np.array([float(v) for v in rest.split()])
        except ValueError:
            continue  # the time of calibration
    return values


def _broken_calibration(path: Path, error: Exception, expected: str) -> CalibrationError:
    return CalibrationError(
        where=str(path),
        got=cause_of(error),
        expected=expected,
        remedy="unpack the calibration of this date again",
    )


@dataclass(frozen=True, kw_only=True)
class _Revolution:
    """Times of one turn of the scanner: it begins and ends facing backwards, and is stamped facing forward."""

    begin_ns: int
    forward_ns: int
    end_ns: int

    @staticmethod
    def around(forward_ns: int, begin_ns: int | None, end_ns: int | None) -> _Revolution:
        """Of the stated times, or as usual where they are absent or cannot be."""
        begin_ns = forward_ns - HALF_REVOLUTION_NS if begin_ns is None else begin_ns
        end_ns = forward_ns + HALF_REVOLUTION_NS if end_ns is None else end_ns
        if not 0 < forward_ns - begin_ns <= MAX_HALF_REVOLUTION_NS:
            begin_ns = forward_ns - HALF_REVOLUTION_NS
        if not 0 < end_ns - forward_ns <= MAX_HALF_REVOLUTION_NS:
            end_ns = forward_ns + HALF_REVOLUTION_NS
        return _Revolution(begin_ns=begin_ns, forward_ns=forward_ns, end_ns=end_ns)

    def offsets_ns(self, azimuths_rad: NDArray[np.floating]) -> NDArray[np.int32]:
        """Times (N,) since facing forward, of returns at azimuths (N,) counted to the left."""
        before, after = self.forward_ns - self.begin_ns, self.end_ns - self.forward_ns
        share = -azimuths_rad.astype(np.float64) / math.pi
        return np.rint(np.where(share < 0, share * before, share * after)).astype(np.int32)


def _read_lidar(path: Path, turn: _Revolution, untold: list[LogError]) -> LidarSweep | Mended:
    """A sweep, and what is wrong with the stated times of its beginning and end."""
    points = read_float_table(path, LIDAR_FIELDS, min_rows=1)
    sweep = LidarSweep.from_points(
        LIDAR,
        turn.forward_ns,
        points[:, :3],
        intensity=points[:, 3],
        time_offsets_ns=turn.offsets_ns(np.arctan2(points[:, 1], points[:, 0])),
        received_ns=turn.end_ns,
    )
    if not untold:
        return sweep
    return Mended(message=sweep, oddity=f"{'; '.join(str(e) for e in untold)}; the sweep is taken to turn as usual")


def _read_poses(drive: Path, sensor_stamps: dict[int, int]) -> tuple[list[EgoPose], list[PlannedMessage]]:
    """Poses of the ego frame, and a plan for those that cannot be read, so that they count as lost."""
    files = _numbered(drive / OXTS / "data")
    if not files:
        return [], []
    stamps, untimed = _read_good_stamps(drive / OXTS / "timestamps.txt", sorted(files))
    folder = drive if (drive / "calib_imu_to_velo.txt").is_file() else drive.parent
    imu_from_ego = (EGO_FROM_LIDAR @ _read_transform(folder / "calib_imu_to_velo.txt")).inverse
    rows: dict[int, tuple[float, ...]] = {}
    known = sensor_stamps | stamps
    broken = [_lost_pose(_time_near(frame, known), partial(_refuse, error)) for frame, error in untimed.items()]
    for frame, at_ns in stamps.items():
        try:
            rows[at_ns] = _read_oxts(files[frame])
        except (OSError, ValueError):
            # Fails again when it is its turn, and is counted then.
            broken.append(_lost_pose(at_ns, partial(_read_oxts, files[frame])))
    if not rows:
        return [], broken
    first = rows[min(rows)]
    scale = math.cos(math.radians(first[0]))
    origin = _mercator_m(first, scale)
    placed: dict[int, SE3] = {}
    for at_ns, row in rows.items():
        x, y, z = (float(v) for v in _mercator_m(row, scale) - origin)
        roll, pitch, yaw = row[3:6]
        placed[at_ns] = SE3.from_euler(roll, pitch, yaw, (x, y, z)) @ imu_from_ego
    return poses_with_twist(placed), broken


def _time_near(frame: int, stamps: dict[int, int]) -> int:
    """Time of a frame, or of the nearest one that has a time."""
    if frame in stamps or not stamps:
        return stamps.get(frame, 0)
    return stamps[min(stamps, key=lambda other: abs(other - frame))]


def _lost_pose(at_ns: int, load: Any) -> PlannedMessage:
    return PlannedMessage(rank=POSE, channel=POSE_CHANNEL, earliest_ns=at_ns, latest_ns=at_ns, load=load)


def _refuse(error: LogError) -> Message:
    raise error.with_traceback(None)


def _read_oxts(path: Path) -> tuple[float, ...]:
    """Latitude and longitude in degrees, altitude in metres, roll, pitch and yaw in radians."""
    values = tuple(float(v) for v in path.read_text(encoding="ascii").split()[:OXTS_FIELDS])
    if len(values) < OXTS_FIELDS or not all(math.isfinite(v) for v in values) or abs(values[0]) >= 90:
        raise SensorDataError(
            where=str(path),
            got=f"{len(values)} of the numbers {values}",
            expected="latitude, longitude, altitude, roll, pitch, yaw and what follows",
            remedy="unpack the drive again",
        )
    return values


def _mercator_m(row: tuple[float, ...], scale: float) -> NDArray[np.float64]:
    """Place (3,) to the east, to the north and above the sea, at the scale of a latitude's cosine."""
    latitude, longitude, altitude = row[:3]
    north = math.log(math.tan(math.pi / 4 + math.radians(latitude) / 2))
    return np.array([scale * EARTH_RADIUS_M * math.radians(longitude), scale * EARTH_RADIUS_M * north, altitude])
