"""Boxes of many samples in columns: what every protocol here takes as predictions and as truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.annotations import DETECTION_CLASSES, UNKNOWN_COUNT
from tricast.sensors.arrays import checked_array
from tricast.sensors.errors import SensorDataError

ATTRIBUTES = (
    "pedestrian.moving",
    "pedestrian.sitting_lying_down",
    "pedestrian.standing",
    "cycle.with_rider",
    "cycle.without_rider",
    "vehicle.moving",
    "vehicle.parked",
    "vehicle.stopped",
)
"""The nuScenes attribute names, in the devkit's order."""

NO_ATTRIBUTE = -1
NO_TRACK = -1
TRUTH_SCORE = -1.0

BOX_COLUMNS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "sample_index": (np.int64, ()),
    "class_index": (np.int64, ()),
    "centers_m": (np.float64, (3,)),
    "sizes_m": (np.float64, (3,)),
    "yaws_rad": (np.float64, ()),
    "velocities_mps": (np.float64, (2,)),
    "scores": (np.float64, ()),
    "attribute_index": (np.int64, ()),
    "track_ids": (np.int64, ()),
    "ego_distance_m": (np.float64, ()),
    "num_points": (np.int64, ()),
}
"""Columns with one row per box: dtype and shape of a row."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxTable:
    """N boxes over S samples, rows in the order of their samples, with a common frame within each sample.

    A sample without boxes still counts: it is in `sample_tokens` and no row names it.

    Args:
        sample_tokens: S names, each once.
        sample_scene: (S,) int64 scene of each sample; bootstrap draws scenes, tracks live in one.
        sample_time_ns: (S,) int64 time of each sample.
        sample_index: (N,) int64 row of `sample_tokens`, never decreasing.
        class_index: (N,) int64 row of `DETECTION_CLASSES`.
        centers_m: (N, 3) float64.
        sizes_m: (N, 3) float64 length, width, height, positive.
        yaws_rad: (N,) float64 about +z.
        velocities_mps: (N, 2) float64 over ground, NaN where unknown.
        scores: (N,) float64; `TRUTH_SCORE` in truth.
        attribute_index: (N,) int64 row of `ATTRIBUTES`, -1 for none.
        track_ids: (N,) int64 identity within a scene, -1 for none.
        ego_distance_m: (N,) float64 distance to the ego vehicle in the ground plane.
        num_points: (N,) int64 LiDAR and radar returns in the box, -1 where unknown.

    Raises:
        SensorDataError: A column has a wrong shape, type or value.

    """

    sample_tokens: tuple[str, ...]
    sample_scene: NDArray[np.int64]
    sample_time_ns: NDArray[np.int64]
    sample_index: NDArray[np.int64]
    class_index: NDArray[np.int64]
    centers_m: NDArray[np.float64]
    sizes_m: NDArray[np.float64]
    yaws_rad: NDArray[np.float64]
    velocities_mps: NDArray[np.float64]
    scores: NDArray[np.float64]
    attribute_index: NDArray[np.int64]
    track_ids: NDArray[np.int64]
    ego_distance_m: NDArray[np.float64]
    num_points: NDArray[np.int64]

    def __post_init__(self) -> None:
        samples, count = len(self.sample_tokens), len(self.sample_index)
        for name in ("sample_scene", "sample_time_ns"):
            array = checked_array(getattr(self, name), name=name, shape=(samples,), dtype=np.int64)
            object.__setattr__(self, name, array)
        for name, (dtype, row) in BOX_COLUMNS.items():
            array = checked_array(
                getattr(self, name), name=name, shape=(count, *row), dtype=dtype, finite=name != "velocities_mps"
            )
            object.__setattr__(self, name, array)
        self._check_values()

    def _check_values(self) -> None:
        _check_range("sample_index", self.sample_index, 0, len(self.sample_tokens) - 1)
        _check_range("class_index", self.class_index, 0, len(DETECTION_CLASSES) - 1)
        _check_range("attribute_index", self.attribute_index, NO_ATTRIBUTE, len(ATTRIBUTES) - 1)
        if len(set(self.sample_tokens)) != len(self.sample_tokens):
            raise _error("sample_tokens", "a token twice", "every token once", "give every sample a name of its own")
        if np.any(np.diff(self.sample_index) < 0):
            raise _error("sample_index", "rows out of order", "rows by sample", "use BoxTable.of, which sorts them")
        if np.any(self.sizes_m <= 0):
            raise _error("sizes_m", f"{self.sizes_m.min()} m", "positive sizes", "remove boxes without extent")

    @staticmethod
    def of(
        sample_tokens: Sequence[str],
        *,
        sample_index: NDArray[Any],
        class_index: NDArray[Any],
        centers_m: NDArray[Any],
        sizes_m: NDArray[Any],
        yaws_rad: NDArray[Any],
        ego_distance_m: NDArray[Any],
        sample_scene: NDArray[Any] | None = None,
        sample_time_ns: NDArray[Any] | None = None,
        velocities_mps: NDArray[Any] | None = None,
        scores: NDArray[Any] | None = None,
        attribute_index: NDArray[Any] | None = None,
        track_ids: NDArray[Any] | None = None,
        num_points: NDArray[Any] | None = None,
    ) -> BoxTable:
        """Make a table from columns in any order of rows; boxes of one sample keep their order.

        What is left out is unknown: one scene at time 0, NaN velocity, the score of truth, no attribute, no track.
        """
        count, samples = len(sample_index), len(sample_tokens)
        order = np.argsort(sample_index, kind="stable")
        columns: dict[str, NDArray[Any]] = {
            "sample_index": sample_index,
            "class_index": class_index,
            "centers_m": centers_m,
            "sizes_m": sizes_m,
            "yaws_rad": yaws_rad,
            "velocities_mps": np.full((count, 2), np.nan) if velocities_mps is None else velocities_mps,
            "scores": np.full(count, TRUTH_SCORE) if scores is None else scores,
            "attribute_index": np.full(count, NO_ATTRIBUTE) if attribute_index is None else attribute_index,
            "track_ids": np.full(count, NO_TRACK) if track_ids is None else track_ids,
            "ego_distance_m": ego_distance_m,
            "num_points": np.full(count, UNKNOWN_COUNT) if num_points is None else num_points,
        }
        for name, column in columns.items():
            if len(column) != count:
                raise _error(name, f"{len(column)} rows", f"{count} rows as in sample_index", "give one row per box")
        scenes = np.zeros(samples) if sample_scene is None else sample_scene
        times = np.zeros(samples) if sample_time_ns is None else sample_time_ns
        rows: dict[str, Any] = {
            name: np.asarray(columns[name])[order].astype(dtype) for name, (dtype, _) in BOX_COLUMNS.items()
        }
        return BoxTable(
            sample_tokens=tuple(sample_tokens),
            sample_scene=np.asarray(scenes).astype(np.int64),
            sample_time_ns=np.asarray(times).astype(np.int64),
            **rows,
        )

    @staticmethod
    def empty(
        sample_tokens: Sequence[str],
        sample_scene: NDArray[Any] | None = None,
        sample_time_ns: NDArray[Any] | None = None,
    ) -> BoxTable:
        """Samples in which there is nothing."""
        none = np.zeros(0)
        return BoxTable.of(
            sample_tokens,
            sample_index=none,
            class_index=none,
            centers_m=np.zeros((0, 3)),
            sizes_m=np.zeros((0, 3)),
            yaws_rad=none,
            ego_distance_m=none,
            sample_scene=sample_scene,
            sample_time_ns=sample_time_ns,
        )

    def __len__(self) -> int:
        return len(self.sample_index)

    def where(self, keep: NDArray[Any]) -> BoxTable:
        """Only the rows of a boolean mask or of increasing row numbers; every sample stays."""
        return self.replaced(**{name: getattr(self, name)[keep] for name in BOX_COLUMNS})

    def replaced(self, **columns: NDArray[Any]) -> BoxTable:
        """The same table with some columns exchanged, e.g. other scores."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return BoxTable(**{**values, **columns})


def concatenate_tables(tables: Sequence[BoxTable]) -> BoxTable:
    """All samples of several tables in order; scenes of different tables stay different scenes.

    Raises:
        SensorDataError: Two tables share a sample token.

    """
    if not tables:
        return BoxTable.empty(())
    sample_starts = np.cumsum([0, *(len(table.sample_tokens) for table in tables)])
    scene_starts = np.cumsum([0, *(int(table.sample_scene.max(initial=-1)) + 1 for table in tables)])
    columns = {name: np.concatenate([getattr(table, name) for table in tables]) for name in BOX_COLUMNS}
    columns["sample_index"] = np.concatenate([t.sample_index + s for t, s in zip(tables, sample_starts, strict=False)])
    return BoxTable(
        sample_tokens=tuple(token for table in tables for token in table.sample_tokens),
        sample_scene=np.concatenate([t.sample_scene + s for t, s in zip(tables, scene_starts, strict=False)]),
        sample_time_ns=np.concatenate([table.sample_time_ns for table in tables]),
        **columns,
    )


def matching_samples(predictions: BoxTable, truth: BoxTable) -> NDArray[np.int64]:
    """For every sample of the truth, its row in the predictions' samples.

    Raises:
        SensorDataError: The two tables do not hold the same samples.

    """
    rows = {token: row for row, token in enumerate(predictions.sample_tokens)}
    absent = [token for token in truth.sample_tokens if token not in rows]
    extra = set(predictions.sample_tokens) - set(truth.sample_tokens)
    if absent or extra:
        name = absent[0] if absent else min(extra)
        raise _error(
            "samples",
            f"{len(absent)} samples of the truth without predictions and {len(extra)} without truth, e.g. '{name}'",
            "the same samples in both",
            "give every evaluated sample a list of boxes, an empty one where nothing was found",
        )
    return np.array([rows[token] for token in truth.sample_tokens], np.int64)


def scenes_of(predictions: BoxTable, truth: BoxTable) -> NDArray[np.int64]:
    """Scene (N,) of each prediction, as the truth numbers them: predictions need not know."""
    scene_of = dict(zip(truth.sample_tokens, truth.sample_scene.tolist(), strict=True))
    sample_scene = np.array([scene_of[token] for token in predictions.sample_tokens], np.int64)
    return sample_scene[predictions.sample_index]


def counts_by_scene(truth: BoxTable) -> NDArray[np.int64]:
    """Boxes per scene and class of `DETECTION_CLASSES`, (S, C)."""
    scenes, classes = int(truth.sample_scene.max(initial=-1)) + 1, len(DETECTION_CLASSES)
    cells = truth.sample_scene[truth.sample_index] * classes + truth.class_index
    return np.bincount(cells, minlength=scenes * classes).reshape(scenes, classes)


def check_box_counts(predictions: BoxTable, limit: int) -> None:
    """Refuse predictions with more boxes in a sample than a protocol allows.

    Raises:
        SensorDataError: A sample has more than `limit` boxes.

    """
    counts = np.bincount(predictions.sample_index, minlength=len(predictions.sample_tokens))
    if len(counts) and counts.max() > limit:
        token = predictions.sample_tokens[int(counts.argmax())]
        remedy = "keep the boxes with the highest scores"
        raise SensorDataError(
            where=f"sample '{token}'", got=f"{counts.max()} boxes", expected=f"at most {limit}", remedy=remedy
        )


def _check_range(name: str, values: NDArray[np.int64], lowest: int, highest: int) -> None:
    if len(values) and (values.min() < lowest or values.max() > highest):
        got = f"values from {values.min()} to {values.max()}"
        raise _error(name, got, f"{lowest} to {highest}", "index the tuple that the column's description names")


def _error(name: str, got: str, expected: str, remedy: str) -> SensorDataError:
    return SensorDataError(where=f"box table: {name}", got=got, expected=expected, remedy=remedy)
