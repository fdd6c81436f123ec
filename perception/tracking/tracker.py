"""Tracks with identity: a constant-velocity Kalman filter per object in the odometry frame.

Association by the Hungarian method within a gate per class, birth from the first hit, death after a time unseen.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import linear_sum_assignment

from tricast.configs.strict import StrictConfig
from tricast.perception.outputs import Detections, Tracks
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3, wrap_angle

STATIC_CLASSES = ("traffic_cone", "barrier")
SLOW_CLASSES = ("pedestrian", "bicycle")
MAX_STEP_S = 2.0


class TrackerConfig(StrictConfig):
    """Settings of the tracker, tuned on validation seeds."""

    gate_m: float = Field(default=2.5, gt=0)
    slow_gate_m: float = Field(default=1.5, gt=0)
    position_noise_m: float = Field(default=0.35, gt=0)
    velocity_noise_mps: float = Field(default=1.5, gt=0)
    """Of velocities that detections carry: radar sees one component only."""
    acceleration_mps2: float = Field(default=3.0, gt=0)
    slow_acceleration_mps2: float = Field(default=1.5, gt=0)
    static_acceleration_mps2: float = Field(default=0.05, gt=0)
    birth_speed_mps: float = Field(default=6.0, gt=0)
    max_unseen_s: float = Field(default=1.0, ge=0)
    max_tentative_unseen_s: float = Field(default=0.25, ge=0)
    confirm_hits: int = Field(default=3, ge=1)
    settle_s: float = Field(default=0.25, ge=0)
    """Time after a reset in which tracks are shown from their first hit."""
    unseen_score_decay: float = Field(default=0.85, gt=0, le=1)
    heading_speed_mps: float = Field(default=1.0, gt=0)
    """Above this speed the heading is that of the velocity, which ends reversals."""


@dataclass(eq=False)
class _Track:
    identity: int
    state: NDArray[np.float64]  # x, y, vx, vy in the odometry frame
    covariance: NDArray[np.float64]
    z_m: float
    size_m: NDArray[np.float64]
    yaw_rad: float
    score: float
    votes: Counter[str] = field(default_factory=Counter)
    hits: int = 1
    unseen_s: float = 0.0
    turn_rate_radps: float = 0.0
    detection_index: int = -1

    @property
    def class_name(self) -> str:
        return self.votes.most_common(1)[0][0]


class Tracker:
    """Carries objects from tick to tick. Identities count from 1 and are never used again."""

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self.config = config or TrackerConfig()
        self._tracks: list[_Track] = []
        self._next_identity = 1
        self._last_ns: int | None = None
        self._elapsed_s = 0.0

    def reset(self) -> None:
        """Forget all tracks; identities go on counting."""
        self._tracks = []
        self._last_ns = None
        self._elapsed_s = 0.0

    def update(self, detections: Detections, odom_from_ego: SE3) -> Tracks:
        """Take the detections of a tick and give all objects known at it, in ego axes.

        Args:
            detections: Boxes in ego axes; any number, any order.
            odom_from_ego: Ego pose at the tick.

        """
        dt_s = 0.0 if self._last_ns is None else (detections.timestamp_ns - self._last_ns) / 1e9
        if dt_s < 0 or dt_s > MAX_STEP_S:
            self.reset()
            dt_s = 0.0
        self._last_ns = detections.timestamp_ns
        # Time counts only once something was seen: a recording may begin with empty ticks.
        self._elapsed_s += dt_s if self._tracks else 0.0
        for track in self._tracks:
            self._predict(track, dt_s)
            track.detection_index = -1
        order = np.lexsort((detections.boxes.centers_m[:, 1], detections.boxes.centers_m[:, 0], -detections.scores))
        world = detections.boxes[order].transformed(odom_from_ego)
        names = [detections.class_names[i] for i in order]
        scores = detections.scores[order]
        pairs = self._associate(world, names)
        for track_index, box_index in pairs:
            self._correct(self._tracks[track_index], world, box_index, names[box_index], float(scores[box_index]), dt_s)
            self._tracks[track_index].detection_index = int(order[box_index])
        taken = {box for _, box in pairs}
        seen = {track for track, _ in pairs}
        for index, track in enumerate(self._tracks):
            if index not in seen:
                track.unseen_s += dt_s
                track.score *= self.config.unseen_score_decay
        self._tracks = [t for t in self._tracks if t.unseen_s <= self._patience_s(t)]
        for index in range(len(world)):
            if index not in taken:
                self._tracks.append(self._born(world, index, names[index], float(scores[index])))
                self._tracks[-1].detection_index = int(order[index])
        return self._result(detections.timestamp_ns, odom_from_ego)

    def _patience_s(self, track: _Track) -> float:
        confirmed = track.hits >= self.config.confirm_hits
        return self.config.max_unseen_s if confirmed else self.config.max_tentative_unseen_s

    def _predict(self, track: _Track, dt_s: float) -> None:
        transition = np.eye(4)
        transition[0, 2] = transition[1, 3] = dt_s
        name = track.class_name
        sigma = self.config.acceleration_mps2
        if name in STATIC_CLASSES:
            sigma = self.config.static_acceleration_mps2
        elif name in SLOW_CLASSES:
            sigma = self.config.slow_acceleration_mps2
        gain = np.array([[dt_s**2 / 2, 0], [0, dt_s**2 / 2], [dt_s, 0], [0, dt_s]])
        track.state = transition @ track.state
        track.covariance = transition @ track.covariance @ transition.T + sigma**2 * gain @ gain.T

    def _associate(self, boxes: Boxes, names: list[str]) -> list[tuple[int, int]]:
        if not self._tracks or not len(boxes):
            return []
        predicted = np.array([track.state[:2] for track in self._tracks])
        distance = np.linalg.norm(predicted[:, None] - boxes.centers_m[None, :, :2], axis=2)
        gates = np.array([self._gate_m(track) for track in self._tracks])[:, None]
        differs = np.array([[track.class_name != name for name in names] for track in self._tracks])
        cost = np.where(distance <= gates, distance + 0.5 * differs, 1e6)
        rows, columns = linear_sum_assignment(cost)
        return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if cost[r, c] < 1e6]

    def _gate_m(self, track: _Track) -> float:
        small = track.class_name in (*SLOW_CLASSES, *STATIC_CLASSES)
        base = self.config.slow_gate_m if small else self.config.gate_m
        # A gate grows while an object is unseen, as its predicted place becomes less sure.
        return base * (1 + track.unseen_s)

    def _correct(self, track: _Track, boxes: Boxes, index: int, name: str, score: float, dt_s: float) -> None:
        velocity = boxes.velocities_mps[index]
        measured = [*boxes.centers_m[index, :2]]
        noise = [self.config.position_noise_m**2] * 2
        if np.isfinite(velocity).all():
            measured += [*velocity]
            noise += [self.config.velocity_noise_mps**2] * 2
        observe = np.eye(4)[: len(measured)]
        innovation = np.array(measured) - observe @ track.state
        spread = observe @ track.covariance @ observe.T + np.diag(noise)
        gain = np.linalg.solve(spread, observe @ track.covariance).T
        track.state = track.state + gain @ innovation
        track.covariance = (np.eye(4) - gain @ observe) @ track.covariance
        track.votes[name] += 1
        track.hits += 1
        track.unseen_s = 0.0
        track.score += 0.5 * (score - track.score)
        track.z_m += 0.3 * (boxes.centers_m[index, 2] - track.z_m)
        # Sides come into view one after another: sizes grow quickly and shrink slowly.
        larger = boxes.sizes_m[index] > track.size_m
        track.size_m = track.size_m + np.where(larger, 0.3, 0.1) * (boxes.sizes_m[index] - track.size_m)
        self._turn(track, float(boxes.yaws_rad[index]), dt_s)

    def _turn(self, track: _Track, measured_rad: float, dt_s: float) -> None:
        speed = float(np.hypot(track.state[2], track.state[3]))
        if speed > self.config.heading_speed_mps and track.class_name not in STATIC_CLASSES:
            measured_rad = float(np.arctan2(track.state[3], track.state[2]))
            delta = float(wrap_angle(measured_rad - track.yaw_rad))
            if abs(delta) > np.pi / 2:
                track.yaw_rad, delta = track.yaw_rad + np.pi, float(wrap_angle(delta + np.pi))
        else:
            # Without motion a box says nothing about front and rear.
            delta = float((measured_rad - track.yaw_rad + np.pi / 2) % np.pi - np.pi / 2)
        track.yaw_rad = float(wrap_angle(track.yaw_rad + 0.4 * delta))
        if dt_s > 0 and track.hits > self.config.confirm_hits:
            rate = float(np.clip(0.4 * delta / dt_s, -1.0, 1.0)) if speed > self.config.heading_speed_mps else 0.0
            track.turn_rate_radps += 0.2 * (rate - track.turn_rate_radps)

    def _born(self, boxes: Boxes, index: int, name: str, score: float) -> _Track:
        velocity = boxes.velocities_mps[index]
        known = bool(np.isfinite(velocity).all())
        spread = self.config.velocity_noise_mps if known else self.config.birth_speed_mps
        if name in STATIC_CLASSES:
            spread = 0.1
        state = np.array([*boxes.centers_m[index, :2], *(velocity if known else (0.0, 0.0))])
        covariance = np.diag([self.config.position_noise_m**2] * 2 + [spread**2] * 2)
        identity, self._next_identity = self._next_identity, self._next_identity + 1
        return _Track(
            identity=identity,
            state=state,
            covariance=covariance,
            z_m=float(boxes.centers_m[index, 2]),
            size_m=boxes.sizes_m[index].copy(),
            yaw_rad=float(boxes.yaws_rad[index]),
            score=score,
            votes=Counter({name: 1}),
        )

    def _result(self, timestamp_ns: int, odom_from_ego: SE3) -> Tracks:
        # Single hits are mostly clutter; after a reset nothing has had the time for more, so all are shown.
        early = self._elapsed_s < self.config.settle_s
        shown = [t for t in self._tracks if early or t.hits >= self.config.confirm_hits]
        tracks = sorted(shown, key=lambda t: t.identity)
        if not tracks:
            return Tracks.empty(timestamp_ns)
        world = Boxes(
            centers_m=np.array([[*t.state[:2], t.z_m] for t in tracks]),
            sizes_m=np.array([t.size_m for t in tracks]),
            yaws_rad=np.array([t.yaw_rad for t in tracks]),
            velocities_mps=np.array([t.state[2:] for t in tracks]),
        )
        return Tracks(
            timestamp_ns=timestamp_ns,
            boxes=world.transformed(odom_from_ego.inverse),
            class_names=tuple(t.class_name for t in tracks),
            scores=np.array([t.score for t in tracks]),
            track_ids=np.array([t.identity for t in tracks], np.int64),
            turn_rates_radps=np.array([t.turn_rate_radps for t in tracks]),
            detection_indices=np.array([t.detection_index for t in tracks], np.int64),
        )
