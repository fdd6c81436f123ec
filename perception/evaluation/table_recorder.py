"""Truth and results of a log's scored ticks, gathered tick by tick into columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tricast.perception.evaluation.attributes import attributes_of
from tricast.perception.evaluation.baselines import SpeedHistory
from tricast.perception.evaluation.box_table import BoxTable
from tricast.perception.evaluation.run_tables import (
    Forecasts,
    ResultTables,
    TruthTables,
    padded_offsets,
    padded_probabilities,
)
from tricast.perception.evaluation.truth_rules import counted_truth
from tricast.perception.outputs import TickResult
from tricast.sensors.annotations import DETECTION_CLASSES, Annotations
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synced_frame import SyncedFrame

MAX_BOXES = 500
"""Boxes of one sample that count, the best by score (nuScenes)."""

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """The scored ticks: S names, scenes (S,) and times (S,)."""

    tokens: tuple[str, ...]
    scenes: NDArray[np.int64]
    times_ns: NDArray[np.int64]


class SampleNames:
    """Names of samples, each once: a clock that is set back gives the same stamps again."""

    def __init__(self) -> None:
        self._given: Counter[str] = Counter()

    def once(self, name: str) -> str:
        """The name, with `#1`, `#2` behind it where it was given before."""
        self._given[name] += 1
        return name if self._given[name] == 1 else f"{name}#{self._given[name] - 1}"


@dataclass
class _Columns:
    """Rows of a box table in the making, one list entry per sample."""

    boxes: list[Boxes] = field(default_factory=list)
    classes: list[NDArray[np.int64]] = field(default_factory=list)
    distances_m: list[Float64] = field(default_factory=list)

    def add(self, boxes: Boxes, class_names: Sequence[str], odom_from_ego: SE3) -> None:
        self.boxes.append(boxes.transformed(odom_from_ego))
        self.classes.append(np.array([DETECTION_CLASSES.index(name) for name in class_names], np.int64))
        self.distances_m.append(np.linalg.norm(boxes.centers_m[:, :2], axis=1))

    def table(
        self, samples: Samples, *, truth: bool = False, **more: list[NDArray[np.int64]] | list[Float64]
    ) -> BoxTable:
        classes = np.concatenate(self.classes)
        velocities = np.concatenate([boxes.velocities_mps for boxes in self.boxes])
        return BoxTable.of(
            samples.tokens,
            sample_scene=samples.scenes,
            sample_time_ns=samples.times_ns,
            sample_index=np.repeat(np.arange(len(self.boxes)), [len(boxes) for boxes in self.boxes]),
            class_index=classes,
            centers_m=np.concatenate([boxes.centers_m for boxes in self.boxes]),
            sizes_m=np.concatenate([boxes.sizes_m for boxes in self.boxes]),
            yaws_rad=np.concatenate([boxes.yaws_rad for boxes in self.boxes]),
            velocities_mps=velocities,
            attribute_index=attributes_of(classes, velocities, unknown_rests=not truth),
            ego_distance_m=np.concatenate(self.distances_m),
            **{name: np.concatenate(parts) for name, parts in more.items()},
        )


class TruthRecorder:
    """Truth at the scored ticks, in columns."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._columns = _Columns()
        self._futures_m: list[Float64] = []
        self._identities: dict[str, int] = {}
        self._track_ids: list[NDArray[np.int64]] = []
        self._returns: list[NDArray[np.int64]] = []
        self._scene, self._scenes, self._times_ns = 0, [], []
        self._begun = self._placed = False
        self._names = SampleNames()
        self.tokens: list[str] = []

    def tick(self, frame: SyncedFrame, truth: Annotations | None) -> None:
        """Take one tick, with all sensors of the log."""
        # The first pose moves everything, but the drive goes on.
        first_pose, self._placed = frame.ego_motion.known and not self._placed, frame.ego_motion.known
        if frame.discontinuity and self._begun and not first_pose:
            self._scene, self._begun = self._scene + 1, False
        if truth is None:
            return
        self._begun = True
        self._scenes.append(self._scene)
        self._times_ns.append(frame.timestamp_ns)
        self.tokens.append(self._names.once(f"{self._name}/{frame.timestamp_ns}"))
        odom_from_ego = frame.ego_motion.odom_from_ego(frame.timestamp_ns)
        counted, returns = counted_truth(truth, frame)
        rows = np.flatnonzero(counted)
        boxes = truth.boxes[rows]
        self._columns.add(boxes, [truth.class_names[i] for i in rows], odom_from_ego)
        self._returns.append(returns[rows])
        identities = [self._identities.setdefault(truth.instance_ids[i], len(self._identities)) for i in rows]
        self._track_ids.append(np.array(identities, np.int64))
        self._futures_m.append(_moved(truth.futures_m[rows], boxes.centers_m[:, 2], odom_from_ego))

    def samples(self) -> Samples:
        """Names, scenes and times of the scored ticks."""
        return Samples(
            tokens=tuple(self.tokens),
            scenes=np.array(self._scenes, np.int64),
            times_ns=np.array(self._times_ns, np.int64),
        )

    def tables(self) -> TruthTables:
        """Everything taken."""
        boxes = self._columns.table(self.samples(), truth=True, track_ids=self._track_ids, num_points=self._returns)
        return TruthTables(boxes=boxes, futures_m=np.concatenate(self._futures_m))


class ResultRecorder:
    """Results at the scored ticks, in columns."""

    def __init__(self) -> None:
        self._history = SpeedHistory()
        self._detections, self._tracks = _Columns(), _Columns()
        self._detection_scores: list[Float64] = []
        self._track_scores: list[Float64] = []
        self._track_ids: list[NDArray[np.int64]] = []
        self._offsets_m: list[Float32] = []
        self._probabilities: list[Float64] = []
        self._turn_rates: list[Float64] = []
        self._accelerations: list[Float64] = []

    def tick(self, result: TickResult, *, scored: bool, discontinuity: bool) -> None:
        """Take one tick; only scored ones are kept."""
        if discontinuity:
            self._history.reset()
        self._history.add(result.tracks)
        if not scored:
            return
        detections, tracks, pose = result.detections, result.tracks, result.odom_from_ego
        best = _best_rows(detections.scores)
        boxes = detections.boxes[best]
        # A detector that leaves velocities out is not excused from them: unknown counts as standing still.
        standing = Boxes(
            centers_m=boxes.centers_m,
            sizes_m=boxes.sizes_m,
            yaws_rad=boxes.yaws_rad,
            velocities_mps=np.nan_to_num(boxes.velocities_mps),
        )
        self._detections.add(standing, [detections.class_names[i] for i in best], pose)
        self._detection_scores.append(detections.scores[best])
        best = _best_rows(tracks.scores)
        self._tracks.add(tracks.boxes[best], [tracks.class_names[i] for i in best], pose)
        self._track_scores.append(tracks.scores[best])
        self._track_ids.append(tracks.track_ids[best])
        paths = _moved(result.trajectories.points_m[best], tracks.boxes.centers_m[best, 2], pose)
        starts = pose.apply(tracks.boxes.centers_m[best])[:, None, None, :2]
        self._offsets_m.append((paths - starts).astype(np.float32))
        self._probabilities.append(result.trajectories.probabilities[best])
        self._turn_rates.append(tracks.turn_rates_radps[best])
        self._accelerations.append(self._history.accelerations_mps2(tracks)[best])

    def tables(self, samples: Samples, ticks_count: int, latencies_ms: Mapping[str, list[float]]) -> ResultTables:
        """Everything taken."""
        modes = max((part.shape[1] for part in self._probabilities), default=0)
        return ResultTables(
            detections=self._detections.table(samples, scores=self._detection_scores),
            tracks=self._tracks.table(samples, scores=self._track_scores, track_ids=self._track_ids),
            forecasts=Forecasts(
                offsets_m=np.concatenate([padded_offsets(part, modes) for part in self._offsets_m]),
                probabilities=np.concatenate([padded_probabilities(part, modes) for part in self._probabilities]),
                turn_rates_radps=np.concatenate(self._turn_rates),
                accelerations_mps2=np.concatenate(self._accelerations),
            ),
            ticks=ticks_count,
            latencies_ms={stage: np.array(samples_ms) for stage, samples_ms in latencies_ms.items()},
        )


def _best_rows(scores: Float64) -> NDArray[np.int64]:
    """Rows of the boxes that count, in their own order."""
    return np.sort(np.argsort(-scores, kind="stable")[:MAX_BOXES])


def _moved(paths_m: Float64, heights_m: Float64, odom_from_ego: SE3) -> Float64:
    """Paths (N, ..., 12, 2) in ego axes at the heights (N,) of their objects, in the odometry frame."""
    heights = np.broadcast_to(heights_m.reshape(-1, *[1] * (paths_m.ndim - 1)), (*paths_m.shape[:-1], 1))
    points = np.concatenate([paths_m, heights], axis=-1)
    return odom_from_ego.apply(points.reshape(-1, 3)).reshape(points.shape)[..., :2]
