"""All figures of one choice of sensors, from its tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tricast.perception.evaluation.argoverse2 import (
    Argoverse2Config,
    Argoverse2Matches,
    Argoverse2Metrics,
    match_argoverse2,
    score_argoverse2_matches,
)
from tricast.perception.evaluation.box_table import BoxTable
from tricast.perception.evaluation.detection import (
    CLASS_RANGES_M,
    DetectionConfig,
    DetectionMatches,
    DetectionMetrics,
    in_class_range,
    match_detections,
    score_matches,
)
from tricast.perception.evaluation.devkit_files import TRACKING_CLASSES
from tricast.perception.evaluation.forecast_scores import ForecastScores, score_forecasts
from tricast.perception.evaluation.hota import HotaMetrics, HotaTotals, hota_totals, score_hota
from tricast.perception.evaluation.kitti import (
    KittiConfig,
    KittiMatches,
    KittiMetrics,
    match_kitti,
    score_kitti_matches,
)
from tricast.perception.evaluation.run_tables import ResultTables, TruthTables
from tricast.perception.evaluation.track_similarity import similar_by_distance
from tricast.perception.evaluation.tracking import (
    TrackingConfig,
    TrackingMetrics,
    TrackMatches,
    match_all_tracks,
    score_track_matches,
)
from tricast.perception.evaluation.true_positives import (
    MATCH_M,
    Calibration,
    MoverErrors,
    calibration,
    matched_truth,
    mover_errors,
)

RANGE_EDGES_M = (0.0, 10.0, 20.0, 30.0, 40.0, 50.0)


@dataclass(frozen=True, kw_only=True)
class RangeScore:
    """Detection between two distances, where truth and boxes beyond them are left out.

    Args:
        from_m: Nearest distance.
        to_m: Furthest.
        truth: True boxes.
        average_precision: At 2 m, mean over the classes with truth there; NaN without any.
        recall: Share of true boxes found within 2 m by any box.

    """

    from_m: float
    to_m: float
    truth: int
    average_precision: float
    recall: float


@dataclass(frozen=True, kw_only=True, eq=False)
class DetectionScores:
    """The boxes of the ticks, each by itself, against the truth.

    Args:
        metrics: By the nuScenes protocol.
        matches: What they were made of, for intervals.
        calibration: Of scores, at 2 m.
        movers: Errors among boxes that found something that moves.
        ranges: By distance.
        errors: (N, 5) errors of all true positives at 2 m, in the order of `TP_ERRORS`.
        argoverse2: By the Argoverse 2 protocol, within the same class ranges.
        argoverse2_matches: What it was made of, for intervals.
        kitti: By overlap as KITTI does it, likewise.
        kitti_matches: What it was made of.

    """

    metrics: DetectionMetrics
    matches: DetectionMatches
    calibration: Calibration
    movers: MoverErrors
    ranges: tuple[RangeScore, ...]
    errors: NDArray[np.float64]
    argoverse2: Argoverse2Metrics
    argoverse2_matches: Argoverse2Matches
    kitti: KittiMetrics
    kitti_matches: KittiMatches


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackScores:
    """Tracks against the truth, the seven classes of the nuScenes tracking protocol.

    Args:
        metrics: By that protocol.
        matches: What they were made of, for intervals.
        hota: Per class that has any box.
        hota_totals: What they were made of, for intervals.

    """

    metrics: TrackingMetrics
    matches: TrackMatches
    hota: Mapping[str, HotaMetrics]
    hota_totals: Mapping[str, HotaTotals]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """All scores of one choice of sensors.

    Args:
        detections: Of the boxes of the ticks, each by itself.
        tracks: Of the tracks.
        forecasts: Of the tracks' futures.
        num_scenes: Scenes, which intervals are drawn from.

    """

    detections: DetectionScores
    tracks: TrackScores
    forecasts: ForecastScores
    num_scenes: int


def class_ranges(max_range_m: float | None) -> dict[str, float]:
    """Range of each class, none of them further than a range given."""
    limit = np.inf if max_range_m is None else max_range_m
    return {name: min(range_m, limit) for name, range_m in CLASS_RANGES_M.items()}


def score_all(results: ResultTables, truth: TruthTables, max_range_m: float | None = None) -> Scores:
    """Score boxes, tracks and forecasts; nothing further away than a range given."""
    return Scores(
        detections=score_detections(results, truth, max_range_m),
        tracks=score_tracks(results, truth, max_range_m),
        forecasts=score_forecasts(results, truth, class_ranges(max_range_m)),
        num_scenes=int(truth.boxes.sample_scene.max(initial=-1)) + 1,
    )


def score_detections(results: ResultTables, truth: TruthTables, max_range_m: float | None) -> DetectionScores:
    """Score the boxes of the ticks."""
    config = DetectionConfig(class_ranges_m=class_ranges(max_range_m))
    matches = match_detections(results.detections, truth.boxes, config)
    at_2_m = matches.matched[config.match_distances_m.index(MATCH_M)]
    boxes = in_class_range(results.detections, config.class_ranges_m)
    true_boxes = in_class_range(truth.boxes, config.class_ranges_m)
    argoverse2 = match_argoverse2(boxes, true_boxes, Argoverse2Config())
    kitti = match_kitti(boxes, true_boxes, KittiConfig())
    return DetectionScores(
        metrics=score_matches(matches, config),
        matches=matches,
        calibration=calibration(matches.scores, at_2_m),
        movers=mover_errors(boxes, true_boxes, matched_truth(boxes, true_boxes)),
        ranges=tuple(_range_scores(boxes, true_boxes, config)),
        errors=matches.errors[at_2_m],
        argoverse2=score_argoverse2_matches(argoverse2, Argoverse2Config()),
        argoverse2_matches=argoverse2,
        kitti=score_kitti_matches(kitti),
        kitti_matches=kitti,
    )


def _range_scores(boxes: BoxTable, truth: BoxTable, config: DetectionConfig) -> list[RangeScore]:
    made = []
    place = config.match_distances_m.index(MATCH_M)
    for near, far in pairwise(RANGE_EDGES_M):
        part, true_part = (t.where((t.ego_distance_m >= near) & (t.ego_distance_m < far)) for t in (boxes, truth))
        matches = match_detections(part, true_part, config)
        metrics = score_matches(matches, config)
        present = metrics.truth_counts > 0
        made.append(
            RangeScore(
                from_m=near,
                to_m=far,
                truth=len(true_part),
                average_precision=float(metrics.average_precisions[present, place].mean()) if present.any() else np.nan,
                recall=float(matches.matched[place].sum() / len(true_part)) if len(true_part) else np.nan,
            )
        )
    return made


def score_tracks(results: ResultTables, truth: TruthTables, max_range_m: float | None) -> TrackScores:
    """Score tracks."""
    ranges = class_ranges(max_range_m)
    config = TrackingConfig(
        class_ranges_m={name: ranges[name] for name in TRACKING_CLASSES}, sample_period_s=sample_period_s(truth.boxes)
    )
    similar = similar_by_distance(*(in_class_range(t, config.class_ranges_m) for t in (results.tracks, truth.boxes)))
    matches, totals = match_all_tracks(results.tracks, truth.boxes, config), hota_totals(similar)
    metrics = score_track_matches(matches, config)
    return TrackScores(metrics=metrics, matches=matches, hota=score_hota(totals), hota_totals=totals)


def sample_period_s(table: BoxTable) -> float:
    """Median time between samples of a scene; that of nuScenes where no scene has two."""
    same_scene = np.diff(table.sample_scene) == 0
    steps_ns = np.diff(table.sample_time_ns)[same_scene]
    return float(np.median(steps_ns)) / 1e9 if len(steps_ns) else TrackingConfig().sample_period_s
