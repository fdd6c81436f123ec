"""Files of the KITTI tracking benchmark: labels, a detector's boxes, and the camera's matrix.

Boxes come in sensor axes: the origin is the rectified left colour camera, x forward, y left, z up. There are no poses,
so nothing here is over ground. Source: Geiger et al., CVPR 2012, the benchmark's development kit; boxes of detectors
in the form that AB3DMOT (Weng et al., IROS 2020) publishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.errors import CalibrationError, LogError
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import wrap_angle

LABEL_FIELDS, DETECTION_FIELDS = 17, 15
IGNORED = "DontCare"
DETECTED_KINDS = {"1": "Pedestrian", "2": "Car", "3": "Cyclist"}
CAMERA_FROM_SENSOR = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])


@dataclass(frozen=True, kw_only=True, eq=False)
class KittiBoxes:
    """N boxes of one sequence, in the order of the file.

    Args:
        frames: (N,) int64 number of the frame.
        kinds: (N,) KITTI's types: Car, Van, Pedestrian, DontCare and so on.
        track_ids: (N,) int64 identity, -1 where there is none.
        truncations: (N,) int64, 0 whole to 2.
        occlusions: (N,) int64, 0 in full view to 3.
        rectangles_px: (N, 4) left, top, right, bottom in the image.
        boxes: N boxes in sensor axes; those of `DontCare` regions are placeholders of 1 m at the origin.
        scores: (N,) as the detector wrote them, on a scale of its own; 1 in labels.

    """

    frames: NDArray[np.int64]
    kinds: NDArray[np.str_]
    track_ids: NDArray[np.int64]
    truncations: NDArray[np.int64]
    occlusions: NDArray[np.int64]
    rectangles_px: NDArray[np.float64]
    boxes: Boxes
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, rows: Any) -> KittiBoxes:
        """Select boxes by an index array or a boolean mask."""
        return KittiBoxes(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def read_labels(path: Path) -> KittiBoxes:
    """Read a file of `label_02`.

    Raises:
        LogError: The file is missing or a line is not a label.

    """
    rows = _rows(path, " ", LABEL_FIELDS)
    kinds = np.array([row[2] for row in rows], dtype=np.str_)
    numbers = _numbers(path, [[*row[:2], *row[3:]] for row in rows], LABEL_FIELDS - 1)
    regions = kinds == IGNORED
    numbers[regions, 9:] = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    return KittiBoxes(
        frames=numbers[:, 0].astype(np.int64),
        kinds=kinds,
        track_ids=numbers[:, 1].astype(np.int64),
        truncations=numbers[:, 2].astype(np.int64),
        occlusions=numbers[:, 3].astype(np.int64),
        rectangles_px=numbers[:, 5:9],
        boxes=_boxes(numbers[:, 9:16]),
        scores=np.ones(len(rows)),
    )


def read_detections(path: Path) -> KittiBoxes:
    """Read a detector's boxes: frame, type, rectangle, score, box, observation angle, parted by commas.

    Raises:
        LogError: The file is missing or a line is not a detection.

    """
    rows = _rows(path, ",", DETECTION_FIELDS)
    numbers = _numbers(path, rows, DETECTION_FIELDS)
    unknown = np.full(len(rows), -1, np.int64)
    return KittiBoxes(
        frames=numbers[:, 0].astype(np.int64),
        kinds=np.array([DETECTED_KINDS.get(row[1], row[1]) for row in rows], dtype=np.str_),
        track_ids=unknown,
        truncations=unknown,
        occlusions=unknown,
        rectangles_px=numbers[:, 2:6],
        boxes=_boxes(numbers[:, 7:14]),
        scores=numbers[:, 6],
    )


def read_camera_matrix(path: Path) -> NDArray[np.float64]:
    """Matrix (3, 4) from sensor axes to pixels of the left colour camera, of a file of `calib`.

    Raises:
        CalibrationError: The file has no line `P2:` of 12 numbers.
        LogError: The file is missing or no text.

    """
    got = "no such line"
    for line in _text(path).splitlines():
        name, _, values = line.partition(":")
        if name.strip() == "P2":
            got = repr(line[:80])
            try:
                matrix = np.array([float(v) for v in values.split()])
            except ValueError:
                continue
            if matrix.shape == (12,) and np.isfinite(matrix).all():
                return matrix.reshape(3, 4) @ _homogeneous(CAMERA_FROM_SENSOR)
    raise CalibrationError(
        where=str(path), got=got, expected="a line P2: of 12 numbers", remedy="use the sequence's calib file"
    )


def _homogeneous(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    return matrix


def _boxes(columns: NDArray[np.float64]) -> Boxes:
    """Boxes of columns height, width, length, x, y, z of the bottom's middle in camera axes, turn about camera y."""
    height, width, length, x, y, z, turn = columns.reshape(-1, 7).T
    return Boxes(
        centers_m=np.stack([z, -x, height / 2 - y], axis=1),
        sizes_m=np.stack([length, width, height], axis=1),
        yaws_rad=wrap_angle(-turn - np.pi / 2),
        velocities_mps=np.full((len(columns), 2), np.nan),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise LogError(
            where=str(path),
            got=f"no readable text ({error.__class__.__name__})",
            expected="a file of the KITTI tracking benchmark",
            remedy="check the path",
        ) from error


def _rows(path: Path, separator: str, count: int) -> list[list[str]]:
    rows: list[list[str]] = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        row = line.split(separator)
        if len(row) != count:
            raise LogError(
                where=f"{path} line {number}",
                got=f"{len(row)} fields",
                expected=f"{count} fields parted by {separator!r}",
                remedy="check that the file is whole",
            )
        rows.append(row)
    return rows


def _numbers(path: Path, rows: Sequence[Sequence[str]], count: int) -> NDArray[np.float64]:
    try:
        numbers = np.array(rows, dtype=np.float64).reshape(-1, count)
    except ValueError as error:
        raise LogError(
            where=str(path), got=str(error), expected="numbers", remedy="check that the file is whole"
        ) from error
    if not np.isfinite(numbers).all():
        raise LogError(where=str(path), got="NaN or infinity", expected="finite numbers", remedy="repair the file")
    return numbers
