"""Boxes of KITTI raw: tracklets, each a road user of one size that is followed from a first frame on.

Source: Geiger et al., "Vision meets Robotics: The KITTI Dataset", IJRR 2013, and the raw data's development kit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.annotations import Annotations
from tricast.sensors.class_ladder import CLASSES_FROM
from tricast.sensors.errors import LogError, cause_of
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.track_history import TrackHistory, track_histories, with_motion
from tricast.sensors.motion_compensation import EgoMotion

CLASS_NAMES = CLASSES_FROM["kitti"]


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackletBoxes:
    """Every box of a drive, of the classes that are known, in ego axes.

    Args:
        frames: (N,) int64.
        boxes: N boxes without velocities.
        class_names: N detection names.
        ids: N identities.

    """

    frames: NDArray[np.int64]
    boxes: Boxes
    class_names: tuple[str, ...]
    ids: tuple[str, ...]


def read_tracklets(path: Path, ego_from_lidar: SE3) -> TrackletBoxes:
    """Read `tracklet_labels.xml`: bottom centres and turns about the vertical in the LiDAR's frame.

    Raises:
        LogError: The file is no such table.

    """
    rows: list[tuple[float, ...]] = []
    names: list[tuple[str, str]] = []
    try:
        for number, entry in enumerate(ElementTree.fromstring(path.read_bytes()).iterfind("./tracklets/item")):
            kind = (entry.findtext("objectType") or "").strip()
            if kind not in CLASS_NAMES:
                continue
            size = [float(entry.findtext(name) or "") for name in ("l", "w", "h")]
            first = int(entry.findtext("first_frame") or "")
            for step, pose in enumerate(entry.iterfind("./poses/item")):
                place = [float(pose.findtext(name) or "") for name in ("tx", "ty", "tz", "rz")]
                rows.append((first + step, *size, *place))
                names.append((CLASS_NAMES[kind], f"tracklet-{number}"))
        numbers = np.array(rows, np.float64).reshape(-1, 8)
        boxes = Boxes(
            centers_m=ego_from_lidar.apply(numbers[:, 4:7] + numbers[:, 3:4] * np.array([[0.0, 0.0, 0.5]])),
            sizes_m=np.ascontiguousarray(numbers[:, 1:4]),
            yaws_rad=np.ascontiguousarray(numbers[:, 7]),
            velocities_mps=np.full((len(numbers), 2), np.nan),
        )
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise LogError(
            where=str(path),
            got=cause_of(error),
            expected="tracklets with objectType, h, w, l, first_frame and poses",
            remedy="unpack it again, or remove it to replay without truth",
        ) from error
    return TrackletBoxes(
        frames=numbers[:, 0].astype(np.int64),
        boxes=boxes,
        class_names=tuple(name for name, _ in names),
        ids=tuple(name for _, name in names),
    )


def tracklet_histories(boxes: TrackletBoxes, stamps: dict[int, int], motion: EgoMotion) -> dict[str, TrackHistory]:
    """Where each road user was in the odometry frame, by identity; nothing without poses.

    Args:
        boxes: Boxes of the drive.
        stamps: Time in nanoseconds of every frame.
        motion: Poses of the whole drive.

    """
    if not motion.known:
        return {}
    rows = np.flatnonzero(np.isin(boxes.frames, list(stamps)))
    at_ns = np.array([stamps[int(frame)] for frame in boxes.frames[rows]], np.int64)
    placed = [
        motion.odom_from_ego(int(stamp)).apply(center)
        for stamp, center in zip(at_ns, boxes.boxes.centers_m[rows], strict=True)
    ]
    return track_histories([boxes.ids[row] for row in rows], at_ns, np.array(placed, np.float64).reshape(-1, 3))


def tracklet_truth(
    boxes: TrackletBoxes, histories: dict[str, TrackHistory], odom_from_ego: SE3, frame: int, timestamp_ns: int
) -> Annotations:
    """Boxes of one frame as truth, with velocities and futures by the histories."""
    rows = np.flatnonzero(boxes.frames == frame)
    annotations = Annotations.from_boxes(
        timestamp_ns,
        boxes.boxes[rows],
        tuple(boxes.class_names[row] for row in rows),
        tuple(boxes.ids[row] for row in rows),
    )
    return with_motion(annotations, histories, odom_from_ego)
