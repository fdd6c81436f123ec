"""Tracks with identity: Kalman filters of constant velocity in the odometry frame, all objects at once.

Detections meet tracks by likelihood and the Hungarian method, credible detections first and weak ones after (as in
ByteTrack, Zhang et al., ECCV 2022); only credible ones begin tracks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tricast.configs.strict import StrictConfig
from tricast.perception.outputs import Detections, Tracks
from tricast.perception.tracking.association import best_pairs, pair_costs
from tricast.perception.tracking.motion_filter import MotionFilter
from tricast.perception.tracking.track_table import TrackTable
from tricast.sensors.annotations import DETECTION_CLASSES
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3, wrap_angle

STATIC_CLASSES = ("traffic_cone", "barrier")
SLOW_CLASSES = ("pedestrian", "bicycle")
STATIC = 2
CLASS_KINDS = np.array([STATIC if n in STATIC_CLASSES else 1 if n in SLOW_CLASSES else 0 for n in DETECTION_CLASSES])
MAX_STEP_S = 2.0
SHARE_GAIN = 0.1
VOTE_DECAY = 0.95
COURSE_NOISE_RAD = 0.1
MAX_FRONT_EVIDENCE = 10.0
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


class TrackerConfig(StrictConfig):
    """Settings of the tracker, tuned on validation seeds."""

    birth_score: float = Field(default=0.1, ge=0, le=1)
    """Weaker detections keep tracks alive but begin none."""
    gate_sigmas: float = Field(default=5.0, gt=0)
    max_distance_m: float = Field(default=4.0, gt=0)
    slow_max_distance_m: float = Field(default=2.0, gt=0)
    size_sigma: float = Field(default=0.5, gt=0)
    class_cost: float = Field(default=2.0, ge=0)
    position_noise_m: float = Field(default=0.25, gt=0)
    position_noise_per_m: float = Field(default=0.06, ge=0)
    """Added for every metre of a box's length: of long objects a part is seen."""
    velocity_noise_mps: float = Field(default=1.0, gt=0)
    """Of velocities that detections carry: radar sees one component only."""
    contradicted_sigmas: float = Field(default=4.0, gt=0)
    """A velocity further than this from what the track's places tell is not believed, and the track goes by places: a
    network that never saw a motorway is wrong about speeds there."""
    acceleration_mps2: float = Field(default=3.0, gt=0)
    slow_acceleration_mps2: float = Field(default=1.5, gt=0)
    static_acceleration_mps2: float = Field(default=0.05, gt=0)
    birth_speed_mps: float = Field(default=6.0, gt=0)
    slow_birth_speed_mps: float = Field(default=2.0, gt=0)
    unknown_speed_mps: float = Field(default=15.0, gt=0)
    """How far off the velocity of a first detection may be, for tracks that go by places."""
    slow_unknown_speed_mps: float = Field(default=3.0, gt=0)
    yaw_noise_rad: float = Field(default=0.4, gt=0)
    turn_acceleration_radps2: float = Field(default=0.5, gt=0)
    birth_turn_rate_radps: float = Field(default=0.2, gt=0)
    max_lateral_mps2: float = Field(default=4.0, gt=0)
    """Turn rates that would need more are cut: road users do not corner faster."""
    heading_from_motion: bool = True
    """Whether velocity shows the heading. Not so where poses are missing and all that stands seems to move."""
    heading_speed_mps: float = Field(default=1.0, gt=0)
    """Below this speed motion says nothing about heading and turning."""
    max_unseen_s: float = Field(default=1.0, ge=0)
    max_tentative_unseen_s: float = Field(default=0.25, ge=0)
    confirm_hits: int = Field(default=3, ge=1)
    max_shown_sigma_m: float = Field(default=1.2, ge=0)
    """Unseen tracks whose place is less sure than this are kept, but not shown; with 0 none are."""
    min_seen_share: float = Field(default=0.4, ge=0, le=1)
    """Tracks seen in a smaller share of the recent ticks are not shown."""
    settle_s: float = Field(default=0.25, ge=0)
    """Time after a reset in which tracks are shown from their first hit."""
    score_gain: float = Field(default=0.3, gt=0, le=1)
    class_score_gain: float = Field(default=0.1, gt=0, le=1)
    """Of the scores of all classes: a mean over the first ten hits, and about as long a memory after."""
    unseen_score_decay: float = Field(default=0.85, gt=0, le=1)
    size_gain: float = Field(default=0.3, gt=0, le=1)


class Tracker:
    """Carries objects from tick to tick. Identities count from 1 and are never used again."""

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self.config = config or TrackerConfig()
        self._tracks = TrackTable.empty()
        self._next_identity = 1
        self._last_ns: int | None = None
        self._elapsed_s = 0.0

    def reset(self) -> None:
        """Forget all tracks; identities go on counting."""
        self._tracks = TrackTable.empty()
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
        self._elapsed_s += dt_s if len(self._tracks) else 0.0
        seen = _Seen.of(detections, odom_from_ego)
        tracks = self._predicted(dt_s)
        rows, columns = self._associated(tracks, seen)
        missed, new = np.ones(len(tracks), bool), seen.scores >= self.config.birth_score
        missed[rows], new[columns] = False, False
        tracks = TrackTable.joined(
            [self._coasting(tracks[missed], dt_s), self._corrected(tracks[rows], seen[columns]), self._born(seen[new])]
        )
        tracks = tracks[tracks.unseen_s <= self._patience_s(tracks)]
        self._tracks = tracks[np.argsort(tracks.identities)]
        return self._result(detections.timestamp_ns, odom_from_ego)

    def _patience_s(self, tracks: TrackTable) -> Float64:
        confirmed = tracks.hits >= self.config.confirm_hits
        return np.where(confirmed, self.config.max_unseen_s, self.config.max_tentative_unseen_s)

    def _predicted(self, dt_s: float) -> TrackTable:
        tracks, config = self._tracks, self.config
        turn = np.where(_is_static(tracks), 0.0, config.turn_acceleration_radps2)
        accelerations = self._by_class(tracks.class_indices, *self._accelerations_mps2)
        return replace(
            tracks,
            motion=tracks.motion.predicted(dt_s, accelerations),
            by_place=tracks.by_place.predicted(dt_s, accelerations),
            heading=tracks.heading.predicted(dt_s, turn),
        )

    @property
    def _accelerations_mps2(self) -> tuple[float, float, float]:
        config = self.config
        return config.acceleration_mps2, config.slow_acceleration_mps2, config.static_acceleration_mps2

    def _associated(self, tracks: TrackTable, seen: _Seen) -> tuple[Int64, Int64]:
        """Rows of tracks and of detections that belong together.

        Weak detections take what strong ones leave. Where velocities that detections carry are wrong, a new track is
        not where they have it: it may take what is left by places alone.
        """
        strong, young = seen.scores >= self.config.birth_score, tracks.hits < self.config.confirm_hits
        anyone = np.ones(len(tracks), bool)
        rounds = ((tracks.motion, anyone, strong), (tracks.motion, anyone, ~strong), (tracks.by_place, young, strong))
        # The detection of each track, -1 where there is none.
        column_of, free = np.full(len(tracks), -1), np.ones(len(seen), bool)
        for motion, asking, wanted in rounds:
            rows, columns = np.flatnonzero(asking & (column_of < 0)), np.flatnonzero(wanted & free)
            found_rows, found = self._best_pairs(tracks[rows], motion[rows], seen[columns])
            column_of[rows[found_rows]] = columns[found]
            free[columns[found]] = False
        paired = np.flatnonzero(column_of >= 0)
        return paired, column_of[paired]

    def _best_pairs(self, tracks: TrackTable, motion: MotionFilter, seen: _Seen) -> tuple[Int64, Int64]:
        if not len(tracks) or not len(seen):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        config, classes = self.config, tracks.class_indices
        reach = self._by_class(classes, config.max_distance_m, config.slow_max_distance_m, config.slow_max_distance_m)
        costs = pair_costs(
            predicted_m=motion.positions,
            seen_m=seen.boxes.centers_m[:, :2],
            variances_m2=motion.position_variances,
            seen_variances_m2=self._position_noise_m(seen) ** 2,
            log_sizes=np.log(tracks.sizes_m),
            seen_log_sizes=np.log(seen.boxes.sizes_m),
            classes=classes,
            seen_classes=seen.classes,
            gate_sigmas=config.gate_sigmas,
            max_distances_m=reach * (1 + tracks.unseen_s),
            size_sigma=config.size_sigma,
            class_cost=config.class_cost,
        )
        return best_pairs(costs)

    def _position_noise_m(self, seen: _Seen) -> Float64:
        return self.config.position_noise_m + self.config.position_noise_per_m * seen.boxes.sizes_m[:, 0]

    def _coasting(self, tracks: TrackTable, dt_s: float) -> TrackTable:
        """Tracks without a detection at this tick."""
        return replace(
            tracks,
            unseen_s=tracks.unseen_s + dt_s,
            scores=tracks.scores * self.config.unseen_score_decay,
            class_scores=tracks.class_scores * self.config.unseen_score_decay,
            seen_shares=tracks.seen_shares * (1 - SHARE_GAIN),
            detection_indices=np.full(len(tracks), -1, np.int64),
        )

    def _corrected(self, tracks: TrackTable, seen: _Seen) -> TrackTable:
        """Tracks with the detection of the same row."""
        config = self.config
        by_place, motion = self._moved(tracks, seen)
        votes = tracks.votes * VOTE_DECAY
        votes[np.arange(len(seen)), seen.classes] += seen.scores
        tracks = replace(tracks, motion=motion, by_place=by_place, votes=votes, hits=tracks.hits + 1)
        gain = np.maximum(config.size_gain, 1.0 / tracks.hits)
        class_gain = np.maximum(config.class_score_gain, 1.0 / tracks.hits)[:, None]
        return replace(
            self._turned(tracks, seen.boxes.yaws_rad),
            z_m=tracks.z_m + gain * (seen.boxes.centers_m[:, 2] - tracks.z_m),
            sizes_m=tracks.sizes_m + gain[:, None] * (seen.boxes.sizes_m - tracks.sizes_m),
            scores=tracks.scores + config.score_gain * (seen.scores - tracks.scores),
            class_scores=tracks.class_scores + class_gain * (seen.class_scores - tracks.class_scores),
            unseen_s=np.zeros(len(seen)),
            seen_shares=tracks.seen_shares + SHARE_GAIN * (1 - tracks.seen_shares),
            detection_indices=seen.rows,
        )

    def _moved(self, tracks: TrackTable, seen: _Seen) -> tuple[MotionFilter, MotionFilter]:
        """Motion by places alone, and with the velocities that detections carry where places do not contradict them."""
        places_m, noise_m = seen.boxes.centers_m[:, :2], self._position_noise_m(seen)
        velocities, sigmas = _velocities(seen.boxes, self.config.velocity_noise_mps)
        by_place = tracks.by_place.position_seen(places_m, noise_m)
        apart = np.square(velocities - by_place.rates).sum(axis=1)
        limits = self.config.contradicted_sigmas**2 * (by_place.rate_variances + sigmas**2)
        motion = tracks.motion.position_seen(places_m, noise_m).rate_seen(velocities, sigmas)
        return by_place, motion.replaced(apart > limits, by_place)

    def _turned(self, tracks: TrackTable, seen_rad: Float64) -> TrackTable:
        """Tracks with headings corrected by seen yaws and by the direction of motion."""
        config, heading = self.config, tracks.heading
        speeds = np.linalg.norm(tracks.motion.rates, axis=1)
        moving = (speeds > config.heading_speed_mps) & ~_is_static(tracks) & config.heading_from_motion
        course_rad = np.arctan2(tracks.motion.rates[:, 1], tracks.motion.rates[:, 0])
        course_sigma = np.sqrt(tracks.motion.rate_variances) / np.maximum(speeds, 1e-6) + COURSE_NOISE_RAD
        # A box fitted to one side may be turned by a right angle; in motion the course shows it.
        odd = moving & (np.abs(_axis_difference(seen_rad, course_rad)) > np.pi / 4)
        yaws = heading.positions[:, 0]
        fronts = tracks.fronts + np.sign(np.cos(seen_rad - yaws)) + np.where(moving, 3 * np.cos(course_rad - yaws), 0.0)
        heading = heading.position_seen(
            (yaws + _axis_difference(seen_rad, yaws))[:, None], np.where(odd, np.inf, config.yaw_noise_rad)
        )
        yaws = heading.positions[:, 0]
        heading = heading.position_seen(
            (yaws + _axis_difference(course_rad, yaws))[:, None], np.where(moving, course_sigma, np.inf)
        )
        still = ~moving & config.heading_from_motion
        heading = replace(heading, rates=np.where(still[:, None], 0.0, heading.rates))
        reverse = fronts < 0
        heading = replace(heading, positions=wrap_angle(heading.positions + np.pi * reverse[:, None]))
        return replace(tracks, heading=heading, fronts=np.minimum(np.abs(fronts), MAX_FRONT_EVIDENCE))

    def _born(self, seen: _Seen) -> TrackTable:
        config, count = self.config, len(seen)
        velocities, sigmas = _velocities(seen.boxes, config.velocity_noise_mps)
        # What stands by its class is that sure of standing, whatever its first detection says.
        velocities = np.where((CLASS_KINDS[seen.classes] == STATIC)[:, None], 0.0, velocities)
        guess = self._by_class(seen.classes, config.birth_speed_mps, config.slow_birth_speed_mps, 0.1)
        unknown = self._by_class(seen.classes, config.unknown_speed_mps, config.slow_unknown_speed_mps, 0.1)
        places_m, noise_m = seen.boxes.centers_m[:, :2], self._position_noise_m(seen)
        votes = np.zeros((count, len(DETECTION_CLASSES)))
        votes[np.arange(count), seen.classes] = seen.scores
        first, self._next_identity = self._next_identity, self._next_identity + count
        return TrackTable(
            identities=np.arange(first, first + count),
            motion=MotionFilter.born(places_m, velocities, noise_m, np.minimum(sigmas, guess)),
            by_place=MotionFilter.born(places_m, velocities, noise_m, unknown),
            heading=MotionFilter.born(
                seen.boxes.yaws_rad[:, None],
                np.zeros((count, 1)),
                np.full(count, config.yaw_noise_rad),
                np.full(count, config.birth_turn_rate_radps),
            ),
            fronts=np.zeros(count),
            z_m=seen.boxes.centers_m[:, 2],
            sizes_m=seen.boxes.sizes_m,
            scores=seen.scores,
            votes=votes,
            class_scores=seen.class_scores,
            hits=np.ones(count, np.int64),
            unseen_s=np.zeros(count),
            seen_shares=np.ones(count),
            detection_indices=seen.rows,
        )

    def _by_class(self, classes: Int64, ordinary: float, slow: float, static: float) -> Float64:
        return np.array([ordinary, slow, static])[CLASS_KINDS[classes]]

    def _result(self, timestamp_ns: int, odom_from_ego: SE3) -> Tracks:
        config = self.config
        # Single hits are mostly clutter; after a reset nothing has had the time for more, so all are shown.
        shown = (self._tracks.hits >= config.confirm_hits) & (self._tracks.seen_shares >= config.min_seen_share)
        sure = self._tracks.motion.position_variances <= config.max_shown_sigma_m**2
        shown &= sure | (self._tracks.unseen_s == 0)
        tracks = self._tracks[shown | (self._elapsed_s < config.settle_s)]
        if not len(tracks):
            return Tracks.empty(timestamp_ns)
        world = Boxes(
            centers_m=np.column_stack([tracks.motion.positions, tracks.z_m]),
            sizes_m=tracks.sizes_m,
            yaws_rad=wrap_angle(tracks.heading.positions[:, 0]),
            velocities_mps=tracks.motion.rates,
        )
        speeds = np.linalg.norm(tracks.motion.rates, axis=1)
        limits = config.max_lateral_mps2 / np.maximum(speeds, 1e-6)
        rates = np.clip(tracks.heading.rates[:, 0], -limits, limits)
        return Tracks(
            timestamp_ns=timestamp_ns,
            boxes=world.transformed(odom_from_ego.inverse),
            class_names=tuple(DETECTION_CLASSES[i] for i in tracks.class_indices),
            scores=tracks.scores,
            track_ids=tracks.identities,
            turn_rates_radps=np.where(speeds > config.heading_speed_mps, rates, 0.0),
            detection_indices=tracks.detection_indices,
            class_scores=tracks.class_scores,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Seen:
    """Detections in the odometry frame, in an order that does not depend on theirs.

    Args:
        boxes: M boxes.
        classes: (M,) index into `DETECTION_CLASSES`.
        scores: (M,).
        class_scores: (M, C) of every class that the same box stands there as.
        rows: (M,) their rows among the detections.

    """

    boxes: Boxes
    classes: Int64
    scores: Float64
    class_scores: Float64
    rows: Int64

    @staticmethod
    def of(detections: Detections, odom_from_ego: SE3) -> _Seen:
        centers = detections.boxes.centers_m
        order = np.lexsort((centers[:, 1], centers[:, 0], -detections.scores)).astype(np.int64)
        if detections.alternative is not None:
            order = order[~detections.alternative[order]]
        classes = detections.class_indices
        return _Seen(
            boxes=detections.boxes[order].transformed(odom_from_ego),
            classes=classes[order],
            scores=detections.scores[order],
            class_scores=_class_scores(detections, classes)[order],
            rows=order,
        )

    def __getitem__(self, rows: NDArray[np.bool_] | Int64) -> _Seen:
        return _Seen(
            boxes=self.boxes[rows],
            classes=self.classes[rows],
            scores=self.scores[rows],
            class_scores=self.class_scores[rows],
            rows=self.rows[rows],
        )

    def __len__(self) -> int:
        return len(self.boxes)


def _class_scores(detections: Detections, classes: Int64) -> Float64:
    """For every row (N, C) the scores of all rows of its box, each at its class."""
    boxes = detections.box_numbers
    scores = np.zeros((len(boxes), len(DETECTION_CLASSES)))
    np.maximum.at(scores, (boxes, classes), detections.scores)
    return scores[boxes]


def _is_static(tracks: TrackTable) -> NDArray[np.bool_]:
    return CLASS_KINDS[tracks.class_indices] == STATIC


def _velocities(boxes: Boxes, sigma_mps: float) -> tuple[Float64, Float64]:
    """Velocities (M, 2) and their sigmas (M,), infinite where the box has none."""
    known = np.asarray(np.isfinite(boxes.velocities_mps).all(axis=1))
    return np.where(known[:, None], boxes.velocities_mps, 0.0), np.where(known, sigma_mps, np.inf)


def _axis_difference(angle_rad: Float64, reference_rad: Float64) -> Float64:
    """Difference of two axes without front and rear, in [-pi/2, pi/2)."""
    return (angle_rad - reference_rad + np.pi / 2) % np.pi - np.pi / 2
