"""What the pipeline gives for a tick: detections, tracks, trajectories and the manifest of inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.annotations import DETECTION_CLASSES, FUTURE_STEP_S, NUM_FUTURE_STEPS
from tricast.sensors.arrays import checked_array
from tricast.sensors.calibration import MODALITIES
from tricast.sensors.errors import SensorDataError
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synced_frame import ChannelHealth, InputUsed

__all__ = ["FUTURE_STEP_S", "NUM_FUTURE_STEPS", "Detections", "SensorShares", "TickResult", "Tracks", "Trajectories"]

CLASS_INDICES = {name: index for index, name in enumerate(DETECTION_CLASSES)}


@dataclass(frozen=True, kw_only=True, eq=False)
class SensorShares:
    """How much each kind of sensor had to do with each of N boxes; columns are `MODALITIES`, 0 where it is absent.

    Args:
        attention: (N, 3) float64, shares of the decoder's attention; rows sum to 1.
        score_drop: (N, 3) float64, the part of its score that a box loses where the detector runs again without that
            kind of sensor: 1 where nothing of its class is left there, below 0 where the box is surer without.
        camera_channels: C cameras.
        camera_attention: (N, C) float64, the part of `attention` that goes straight to each camera's picture.

    """

    attention: NDArray[np.float64]
    score_drop: NDArray[np.float64]
    camera_channels: tuple[str, ...]
    camera_attention: NDArray[np.float64]

    def __post_init__(self) -> None:
        count = len(self.attention)
        columns = {
            "attention": len(MODALITIES),
            "score_drop": len(MODALITIES),
            "camera_attention": len(self.camera_channels),
        }
        for name, width in columns.items():
            array = checked_array(getattr(self, name), name=name, shape=(count, width), dtype=np.float64, finite=True)
            object.__setattr__(self, name, array)

    @staticmethod
    def empty() -> SensorShares:
        """Of no box."""
        nothing = np.zeros((0, len(MODALITIES)))
        return SensorShares(
            attention=nothing, score_drop=nothing, camera_channels=(), camera_attention=np.zeros((0, 0))
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Detections:
    """N scored boxes in ego axes at `timestamp_ns`, best score first or in any order.

    Args:
        timestamp_ns: The tick.
        boxes: Boxes with velocity over ground, NaN where the detector has none.
        class_names: N detection names.
        scores: (N,) float64 in [0, 1].
        trajectories: N futures, row by row those of the boxes; None from a detector that forecasts nothing.
        sensor_shares: What each sensor had to do with each box; None where nobody asked.
        alternative: (N,) bool, boxes that are there already and stand here once more as another class that they may
            be; None: none are. They count as detections, and no track is made of them.

    """

    timestamp_ns: int
    boxes: Boxes
    class_names: tuple[str, ...]
    scores: NDArray[np.float64]
    trajectories: Trajectories | None = None
    sensor_shares: SensorShares | None = None
    alternative: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        count = len(self.boxes)
        scores = checked_array(self.scores, name="scores", shape=(count,), dtype=np.float64, finite=True)
        object.__setattr__(self, "scores", scores)
        if self.alternative is not None:
            checked_array(self.alternative, name="alternative", shape=(count,), dtype=np.bool_)
        if len(self.class_names) != count:
            raise SensorDataError(
                where=f"detections at {self.timestamp_ns} ns",
                got=f"{count} boxes and {len(self.class_names)} classes",
                expected="one class per box",
                remedy="give every box a class",
            )
        if self.trajectories is not None and len(self.trajectories.points_m) != count:
            raise SensorDataError(
                where=f"detections at {self.timestamp_ns} ns",
                got=f"{count} boxes and {len(self.trajectories.points_m)} futures",
                expected="futures for every box, or None",
                remedy="give every box its futures",
            )
        if self.sensor_shares is not None and len(self.sensor_shares.attention) != count:
            raise SensorDataError(
                where=f"detections at {self.timestamp_ns} ns",
                got=f"{count} boxes and sensor shares of {len(self.sensor_shares.attention)}",
                expected="shares for every box, or None",
                remedy="give every box its shares",
            )

    @staticmethod
    def empty(timestamp_ns: int) -> Detections:
        """Nothing detected."""
        return Detections(timestamp_ns=timestamp_ns, boxes=Boxes.empty(), class_names=(), scores=np.zeros(0))

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def class_indices(self) -> NDArray[np.int64]:
        """(N,) int64 rows of `DETECTION_CLASSES`."""
        return np.array([CLASS_INDICES[name] for name in self.class_names], np.int64)

    @property
    def box_numbers(self) -> NDArray[np.int64]:
        """(N,) int64 from 0, the same for rows that are one box as several classes: those with the same centre."""
        if self.alternative is None:
            return np.arange(len(self))
        _, numbers = np.unique(self.boxes.centers_m[:, 0] + 1j * self.boxes.centers_m[:, 1], return_inverse=True)
        return numbers.astype(np.int64, copy=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Tracks:
    """N tracked objects in ego axes at `timestamp_ns`, sorted by identity.

    Args:
        timestamp_ns: The tick.
        boxes: Boxes with finite velocity over ground.
        class_names: N detection names.
        scores: (N,) float64 in [0, 1].
        track_ids: (N,) int64, constant over an object's life and never used again.
        turn_rates_radps: (N,) float64 estimated turn rates.
        detection_indices: (N,) int64, the row of this tick's detections that updated the track; -1 where none did.
        class_scores: (N, C) float64 scores in [0, 1] of each of `DETECTION_CLASSES`, a mean over its last detections.

    """

    timestamp_ns: int
    boxes: Boxes
    class_names: tuple[str, ...]
    scores: NDArray[np.float64]
    track_ids: NDArray[np.int64]
    turn_rates_radps: NDArray[np.float64]
    detection_indices: NDArray[np.int64]
    class_scores: NDArray[np.float64]

    @staticmethod
    def empty(timestamp_ns: int) -> Tracks:
        """Nothing tracked."""
        return Tracks(
            timestamp_ns=timestamp_ns,
            boxes=Boxes.empty(),
            class_names=(),
            scores=np.zeros(0),
            track_ids=np.zeros(0, np.int64),
            turn_rates_radps=np.zeros(0),
            detection_indices=np.zeros(0, np.int64),
            class_scores=np.zeros((0, len(DETECTION_CLASSES))),
        )

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, kw_only=True, eq=False)
class Trajectories:
    """M weighted futures of each of N tracks, in ego axes at the tick.

    Args:
        probabilities: (N, M) float64, rows sum to 1, most probable first.
        points_m: (N, M, 12, 2) float64 positions 0.5 s to 6 s ahead.
        scales_m: (N, M, 12, 2) float64 how sure each position is, as the scales of Laplace distributions along and
            across the heading of the detection that the future is of; NaN in rows of physics, None where all are.

    """

    probabilities: NDArray[np.float64]
    points_m: NDArray[np.float64]
    scales_m: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        probabilities = checked_array(
            self.probabilities, name="probabilities", shape=(None, None), dtype=np.float64, finite=True
        )
        points = checked_array(
            self.points_m,
            name="trajectory points",
            shape=(*probabilities.shape, NUM_FUTURE_STEPS, 2),
            dtype=np.float64,
            finite=True,
        )
        object.__setattr__(self, "probabilities", probabilities)
        object.__setattr__(self, "points_m", points)
        if self.scales_m is not None:
            scales = checked_array(self.scales_m, name="trajectory scales", shape=points.shape, dtype=np.float64)
            object.__setattr__(self, "scales_m", scales)


@dataclass(frozen=True, kw_only=True, eq=False)
class TickResult:
    """The whole answer for one tick. Nothing in it depends on the clock of the machine.

    Args:
        timestamp_ns: The tick.
        odom_from_ego: Pose that places the result in the world.
        detections: The detector's boxes; those that tracks took know what the tracks know (`refined`).
        tracks: Objects with identity.
        trajectories: Futures, row by row those of `tracks`.
        inputs: Manifest of every message used.
        health: State per channel.
        pose_stamps_ns: Times of the ego poses known at the tick; with `inputs` the whole manifest.
        discontinuity: Whether everything learned before was forgotten at this tick.

    """

    timestamp_ns: int
    odom_from_ego: SE3
    detections: Detections
    tracks: Tracks
    trajectories: Trajectories
    inputs: tuple[InputUsed, ...]
    health: Mapping[str, ChannelHealth]
    pose_stamps_ns: tuple[int, ...] = ()
    discontinuity: bool = False
