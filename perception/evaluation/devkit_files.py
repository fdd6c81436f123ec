"""Boxes in the nuScenes devkit's own JSON: a mapping of sample tokens to lists of boxes.

A file is that mapping alone, as `EvalBoxes.serialize` gives it, or has it under `results` as a submission does. For
tracking, the file with the truth also has `samples`: for each token its `scene` and its `timestamp` in microseconds;
for detection it may.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.configs.errors import InputError
from tricast.perception.evaluation.box_table import ATTRIBUTES, NO_ATTRIBUTE, TRUTH_SCORE, BoxTable
from tricast.sensors.annotations import DETECTION_CLASSES, UNKNOWN_COUNT

TRACKING_CLASSES = ("bicycle", "bus", "car", "motorcycle", "pedestrian", "trailer", "truck")
"""The nuScenes tracking names, in the devkit's order."""

NS_PER_US = 1000
LATEST_US = (2**63 - 1) // NS_PER_US


@dataclass(frozen=True, kw_only=True)
class _Task:
    name: str
    classes: tuple[str, ...]
    prefix: str


DETECTION = _Task(name="detection", classes=DETECTION_CLASSES, prefix="detection")
TRACKING = _Task(name="tracking", classes=TRACKING_CLASSES, prefix="tracking")


def read_detection_files(results: Path, truth: Path) -> tuple[BoxTable, BoxTable]:
    """Predicted and true boxes of the detection task.

    Raises:
        InputError: A file cannot be read, or a box, class, score or sample in it is not what the task asks for.

    """
    return _read_pair(results, truth, DETECTION)


def read_tracking_files(results: Path, truth: Path) -> tuple[BoxTable, BoxTable]:
    """Predicted and true tracks of the tracking task, with the scene and time of every sample.

    Raises:
        InputError: As for `read_detection_files`, or a sample's scene or time is missing.

    """
    return _read_pair(results, truth, TRACKING)


def _read_pair(results: Path, truth: Path, task: _Task) -> tuple[BoxTable, BoxTable]:
    predicted, true = read_json(results), read_json(truth)
    scenes = None
    if task is TRACKING or (isinstance(true, dict) and "samples" in true):
        scenes = _scenes(true, _samples(true, truth), truth)
    true_boxes = boxes_from_json(true, where=truth, task=task, scored=False, scenes=scenes)
    vehicles_m = _vehicles_m(_samples(true, truth))
    return (
        boxes_from_json(predicted, where=results, task=task, scored=True, scenes=scenes, vehicles_m=vehicles_m),
        true_boxes,
    )


def _vehicles_m(samples: Mapping[str, Sequence[Any]]) -> dict[str, NDArray[np.float64]]:
    """Where the vehicle was, (2,) in global axes, by sample that has a true box."""
    return {
        token: np.array(boxes[0]["translation"][:2], np.float64) - np.array(boxes[0]["ego_translation"][:2], np.float64)
        for token, boxes in samples.items()
        if boxes
    }


def read_json(path: Path) -> Any:
    """Read one JSON document.

    Raises:
        InputError: The file cannot be read or is not JSON.

    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _error(path, error.strerror or str(error), "a readable JSON file", "check the path") from error
    except ValueError as error:
        raise _error(path, f"text that is not JSON ({error})", "a JSON file", "write the file again") from error


def boxes_from_json(
    document: Any,
    *,
    where: Path,
    task: _Task,
    scored: bool,
    scenes: Mapping[str, tuple[int, int]] | None = None,
    vehicles_m: Mapping[str, NDArray[np.float64]] | None = None,
) -> BoxTable:
    """Make a table of a parsed file.

    Args:
        document: What JSON gave.
        where: The file that errors name.
        task: `DETECTION` or `TRACKING`.
        scored: Whether every box must have a score; truth has none.
        scenes: Scene number and time in nanoseconds of each sample; None for one scene without times.
        vehicles_m: Where the vehicle was, (2,) by sample, for boxes that lack `ego_translation`: results need not have
            it, and the devkit works it out from its data set.

    Raises:
        InputError: A box, class, score or sample is not what the task asks for.

    """
    samples = _samples(document, where)
    tokens = tuple(samples)
    boxes = [box for token in tokens for box in samples[token]]
    counts = [len(samples[token]) for token in tokens]
    owners = [token for token in tokens for _ in samples[token]]
    columns = _Columns(boxes=boxes, owners=owners, where=where)
    rotations = columns.numbers("rotation", 4)
    scene_columns = {}
    if scenes is not None:
        absent = [token for token in tokens if token not in scenes]
        if absent:
            got = f"{len(absent)} samples without scene and time, e.g. '{absent[0]}'"
            raise _error(where, got, "every sample in the truth's `samples`", "add them to the truth file")
        times = np.array([scenes[token] for token in tokens], np.int64).reshape(-1, 2)
        scene_columns = {"sample_scene": times[:, 0], "sample_time_ns": times[:, 1]}
    return BoxTable.of(
        tokens,
        sample_index=np.repeat(np.arange(len(tokens)), counts),
        class_index=columns.classes(f"{task.prefix}_name", task.classes),
        centers_m=columns.numbers("translation", 3),
        sizes_m=columns.sizes()[:, [1, 0, 2]],
        yaws_rad=_yaws(rotations),
        velocities_mps=columns.numbers("velocity", 2, default=(np.nan, np.nan), finite=False),
        ego_distance_m=np.hypot(*columns.from_vehicle_m(vehicles_m or {})[:, :2].T),
        scores=columns.numbers(f"{task.prefix}_score", 0, default=None if scored else TRUTH_SCORE),
        num_points=columns.numbers("num_pts", 0, default=UNKNOWN_COUNT),
        attribute_index=columns.attributes() if task is DETECTION else None,
        track_ids=columns.identities() if task is TRACKING else None,
        **scene_columns,
    )


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Fields of all boxes of a file, each checked in one go."""

    boxes: list[Any]
    owners: list[str]
    where: Path

    def numbers(self, field: str, width: int, *, default: Any = None, finite: bool = True) -> NDArray[np.float64]:
        """A field as (N, width) float64, or (N,) for width 0; None and NaN are unknown where allowed."""
        shape = (len(self.boxes), width) if width else (len(self.boxes),)
        values = self._values(field, default)
        if not values:
            return np.zeros(shape)
        try:
            array = np.array(values, np.float64)
        except (TypeError, ValueError):
            array = np.zeros(0)
        if array.shape != shape or (finite and not np.isfinite(array).all()):
            row = next(row for row, value in enumerate(values) if not _fits(value, width, finite))
            kind = f"{width} numbers" if width else "a number"
            raise self._error(row, f"{field} {values[row]!r}", f"{kind}{', none of them NaN' if finite else ''}")
        return array

    def from_vehicle_m(self, vehicles_m: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """(N, 3), or (N, 2), `ego_translation`, worked out where all boxes lack it."""
        if not self.boxes or any("ego_translation" in box for box in self.boxes):
            return self.numbers("ego_translation", 3)
        for row, owner in enumerate(self.owners):
            if owner not in vehicles_m:
                expected = "that field, or a true box in the sample, which tells where the vehicle is"
                raise self._error(row, "no ego_translation", expected)
        return self.numbers("translation", 3)[:, :2] - np.array([vehicles_m[owner] for owner in self.owners])

    def sizes(self) -> NDArray[np.float64]:
        """Width, length, height, all positive."""
        sizes = self.numbers("size", 3)
        flat = np.flatnonzero((sizes <= 0).any(axis=1))
        if len(flat):
            raise self._error(int(flat[0]), f"size {sizes[flat[0]].tolist()}", "positive width, length and height")
        return sizes

    def classes(self, field: str, known: tuple[str, ...]) -> NDArray[np.int64]:
        """Class names as rows of `DETECTION_CLASSES`."""
        rows = {name: DETECTION_CLASSES.index(name) for name in known}
        return self._indices(field, rows, self._values(field, None), f"one of {', '.join(known)}")

    def attributes(self) -> NDArray[np.int64]:
        """Attribute names as rows of `ATTRIBUTES`, -1 for the empty name."""
        rows = {"": NO_ATTRIBUTE, **{name: row for row, name in enumerate(ATTRIBUTES)}}
        values = self._values("attribute_name", "")
        return self._indices("attribute_name", rows, values, f"empty or one of {', '.join(ATTRIBUTES)}")

    def identities(self) -> NDArray[np.int64]:
        """Track names as numbers in order of appearance."""
        numbers: dict[str, int] = {}
        values = self._values("tracking_id", None)
        return np.array([numbers.setdefault(str(value), len(numbers)) for value in values], np.int64)

    def _values(self, field: str, default: Any) -> list[Any]:
        try:
            values = [box.get(field, default) for box in self.boxes]
        except AttributeError:
            row = next(row for row, box in enumerate(self.boxes) if not isinstance(box, dict))
            raise self._error(row, f"{self.boxes[row]!r}", "an object with the fields of a box") from None
        if default is None and None in values:
            raise self._error(values.index(None), f"no {field}", "a box with that field")
        return values

    def _indices(self, field: str, rows: dict[str, int], values: list[Any], expected: str) -> NDArray[np.int64]:
        unknown = [row for row, value in enumerate(values) if not isinstance(value, str) or value not in rows]
        if unknown:
            raise self._error(unknown[0], f"{field} {values[unknown[0]]!r}", expected)
        return np.array([rows[value] for value in values], np.int64)

    def _error(self, row: int, got: str, expected: str) -> InputError:
        where = f"{self.where}: sample '{self.owners[row]}'"
        return InputError(where=where, got=got, expected=expected, remedy="mend this box; the devkit would refuse it")


def _fits(value: Any, width: int, finite: bool) -> bool:
    try:
        array = np.array(value, np.float64)
    except (TypeError, ValueError):
        return False
    return array.shape == ((width,) if width else ()) and (not finite or bool(np.isfinite(array).all()))


def _yaws(quaternions_wxyz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heading of the box's x axis in the ground plane; quaternions need not have unit length."""
    w, x, y, z = quaternions_wxyz.T
    return np.arctan2(2 * (x * y + w * z), w * w + x * x - y * y - z * z)


def _samples(document: Any, where: Path) -> dict[str, Sequence[Any]]:
    samples = document.get("results", document) if isinstance(document, dict) else document
    if isinstance(samples, dict) and samples is document:
        samples = {token: boxes for token, boxes in samples.items() if token not in ("meta", "samples")}
    if not isinstance(samples, dict) or not all(isinstance(boxes, list) for boxes in samples.values()):
        got = "something else than a mapping of sample tokens to lists of boxes"
        raise _error(where, got, "that mapping, alone or under `results`", "write it as the nuScenes devkit does")
    if not samples:
        raise _error(where, "no samples", "at least one sample", "write every evaluated sample, with an empty list too")
    return samples


def _scenes(document: Any, tokens: Mapping[str, Any], where: Path) -> dict[str, tuple[int, int]]:
    """Scene number and time in nanoseconds of every sample of the truth."""
    remedy = "give every sample {'scene': name, 'timestamp': microseconds} under `samples`"
    stated = document.get("samples", {}) if isinstance(document, dict) else {}
    numbers: dict[str, int] = {}
    scenes = {}
    for token in tokens:
        sample = stated.get(token) if isinstance(stated, dict) else None
        try:
            scene, time_us = str(sample["scene"]), int(sample["timestamp"])  # pyright: ignore[reportOptionalSubscript]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            got = f"sample '{token}' without scene and timestamp"
            raise _error(where, got, "both, which tracking needs", remedy) from error
        if abs(time_us) > LATEST_US:
            raise _error(where, f"sample '{token}' at {time_us:g} us", "a time in 64 bits of nanoseconds", remedy)
        scenes[token] = (numbers.setdefault(scene, len(numbers)), time_us * NS_PER_US)
    return scenes


def _error(where: Path, got: str, expected: str, remedy: str) -> InputError:
    return InputError(where=str(where), got=got, expected=expected, remedy=remedy)
