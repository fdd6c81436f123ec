"""KITTI-style average precision by overlap: 3D and bird's eye view, 40 recall points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tricast.configs.strict import StrictConfig
from tricast.perception.evaluation.box_table import BoxTable, counts_by_scene, scenes_of
from tricast.perception.evaluation.matching import Pairs, greedy_match, near_pairs
from tricast.perception.evaluation.overlap import box_ious
from tricast.sensors.annotations import DETECTION_CLASSES

NUM_RECALLS = 40
MIN_IOUS = {
    "car": 0.7,
    "truck": 0.7,
    "bus": 0.7,
    "trailer": 0.7,
    "construction_vehicle": 0.7,
    "pedestrian": 0.5,
    "motorcycle": 0.5,
    "bicycle": 0.5,
    "traffic_cone": 0.5,
    "barrier": 0.5,
}


class KittiConfig(StrictConfig):
    """Settings of the KITTI-style score: KITTI's overlaps for cars, and for people and riders, for all alike."""

    min_ious: dict[str, float] = Field(default_factory=lambda: dict(MIN_IOUS))
    max_range_m: float = 70.0


@dataclass(frozen=True, kw_only=True, eq=False)
class KittiMetrics:
    """Average precision per class of `DETECTION_CLASSES`, (10,) float64; NaN where the truth has none of a class.

    Args:
        ap_3d: By intersection over union in space.
        ap_bev: By intersection over union in the ground plane.

    """

    ap_3d: NDArray[np.float64]
    ap_bev: NDArray[np.float64]

    @property
    def mean_ap_3d(self) -> float:
        """Average of `ap_3d` over the classes that the truth has; NaN if it has none."""
        return _mean_of_known(self.ap_3d)

    @property
    def mean_ap_bev(self) -> float:
        """The same of `ap_bev`."""
        return _mean_of_known(self.ap_bev)


@dataclass(frozen=True, kw_only=True, eq=False)
class KittiMatches:
    """N boxes of all scenes, the best score first, and whether each found a true box; S scenes, C = 10 classes.

    Args:
        class_index: (N,) int64 index into `DETECTION_CLASSES`.
        scene: (N,) int64.
        hit_3d: (N,) bool by overlap in space.
        hit_bev: (N,) bool by overlap in the ground plane.
        truth_counts: (S, C) int64 true boxes.

    """

    class_index: NDArray[np.int64]
    scene: NDArray[np.int64]
    hit_3d: NDArray[np.bool_]
    hit_bev: NDArray[np.bool_]
    truth_counts: NDArray[np.int64]


def evaluate_kitti(predictions: BoxTable, truth: BoxTable, config: KittiConfig | None = None) -> KittiMetrics:
    """Score boxes by overlap as KITTI's object benchmark does since 2019, without what needs its images.

    KITTI sorts truth into difficulties by height in the image, occlusion and truncation, and ignores neighbouring
    classes; here every true box within range with a return, where that is known, counts once. A box takes the free
    true box of its class that it overlaps most, best score first. Precision at each of 40 recalls 1/40 to 1 is the
    best at that recall or beyond.

    Raises:
        SensorDataError: The two tables do not hold the same samples.

    Source: Geiger et al. 2012; Simonelli et al. 2019 for the 40 recall points.

    """
    return score_kitti_matches(match_kitti(predictions, truth, config or KittiConfig()))


def match_kitti(predictions: BoxTable, truth: BoxTable, config: KittiConfig) -> KittiMatches:
    """Match once; `score_kitti_matches` makes figures of it for any choice of scenes.

    Raises:
        SensorDataError: As for `evaluate_kitti`.

    """
    near = [table.where(table.ego_distance_m < config.max_range_m) for table in (predictions, truth)]
    predictions, truth = near[0], near[1].where(near[1].num_points != 0)
    # Boxes whose centres are further apart than their half diagonals together share nothing.
    reach = sum(float(np.hypot(*table.sizes_m[:, :2].T).max(initial=0)) / 2 for table in (predictions, truth))
    pairs = near_pairs(predictions, truth, reach)
    ours = (column[pairs.prediction] for column in (predictions.centers_m, predictions.sizes_m, predictions.yaws_rad))
    theirs = (column[pairs.truth] for column in (truth.centers_m, truth.sizes_m, truth.yaws_rad))
    bev, space = box_ious(*ours, *theirs)
    order = np.argsort(-predictions.scores, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    least = np.array([config.min_ious.get(name, np.inf) for name in DETECTION_CLASSES])
    hits = []
    for ious in (space, bev):
        enough = ious >= least[predictions.class_index[pairs.prediction]]
        hits.append(greedy_match(_by_overlap(pairs, ious, enough), rank, len(truth))[order] >= 0)
    return KittiMatches(
        class_index=predictions.class_index[order],
        scene=scenes_of(predictions, truth)[order],
        hit_3d=hits[0],
        hit_bev=hits[1],
        truth_counts=counts_by_scene(truth),
    )


def score_kitti_matches(matches: KittiMatches, scene_counts: NDArray[Any] | None = None) -> KittiMetrics:
    """Figures over all scenes, or over scenes taken as often as `scene_counts` (S,) says."""
    times = np.ones(len(matches.truth_counts), np.int64) if scene_counts is None else scene_counts
    counts = times @ matches.truth_counts
    values = np.full((2, len(DETECTION_CLASSES)), np.nan)
    for row in np.flatnonzero(counts):
        own = np.flatnonzero(matches.class_index == row)
        own = np.repeat(own, times[matches.scene[own]])
        values[:, row] = [_average_precision(hit[own], counts[row]) for hit in (matches.hit_3d, matches.hit_bev)]
    return KittiMetrics(ap_3d=values[0], ap_bev=values[1])


def _by_overlap(pairs: Pairs, ious: NDArray[np.float64], chosen: NDArray[np.bool_]) -> Pairs:
    """Chosen pairs, those of one prediction sorted from the greatest overlap to the least."""
    rows = np.flatnonzero(chosen)
    rows = rows[np.lexsort((-ious[rows], pairs.prediction[rows]))]
    return Pairs(prediction=pairs.prediction[rows], truth=pairs.truth[rows], distance_m=pairs.distance_m[rows])


def _average_precision(hit: NDArray[np.bool_], num_truth: int) -> float:
    """Mean over 40 recalls of the best precision at that recall or beyond."""
    hits = np.cumsum(hit)
    precision = np.maximum.accumulate((hits / np.arange(1, len(hit) + 1))[::-1])[::-1]
    # The first box with which each recall is reached; counts are compared, so that none is lost to rounding.
    place = np.searchsorted(NUM_RECALLS * hits, np.arange(1, NUM_RECALLS + 1) * num_truth)
    return float(np.append(precision, 0.0)[place].mean())


def _mean_of_known(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
