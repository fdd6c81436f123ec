"""How sure a figure is: percentile bootstrap over scenes, alone and in pairs.

Scenes, not boxes, are drawn, since boxes of a scene go together. A figure is any function of how often each scene was
drawn; matching is done once, and the functions here only weigh what it found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tricast.perception.evaluation.argoverse2 import Argoverse2Config, Argoverse2Matches, score_argoverse2_matches
from tricast.perception.evaluation.detection import DetectionConfig, DetectionMatches, score_matches
from tricast.perception.evaluation.forecast_scores import Accuracy
from tricast.perception.evaluation.hota import HotaTotals, mean_hota, score_hota
from tricast.perception.evaluation.kitti import KittiMatches, score_kitti_matches
from tricast.perception.evaluation.prediction import epa_of
from tricast.perception.evaluation.tracking import TrackMatches, scene_amota

SceneCounts = NDArray[np.int64]
Score = Callable[[SceneCounts], Mapping[str, float]]
"""Figures by name over scenes taken as often as counts (S,) say."""

DRAWS = 500
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Where a figure lies in most of the draws; NaN where it has no value in any.

    Args:
        low: Lower end.
        high: Upper end.
        share_above_zero: Share of the draws in which the figure is above 0: for a difference of scores, how surely it
            is a gain; of errors, how surely a loss.

    """

    low: float
    high: float
    share_above_zero: float


def bootstrap(score: Score, num_scenes: int, *, draws: int = DRAWS, seed: int = 0) -> dict[str, Interval]:
    """Percentile intervals of figures, the same for the same seed.

    Args:
        score: Figures of a choice of scenes.
        num_scenes: Number of scenes to draw from, with replacement, as many each time.
        draws: How often.
        seed: Of the draws.

    Source: Efron and Tibshirani 1993, the percentile method.

    """
    drawn = [score(counts) for counts in scene_draws(num_scenes, draws, seed)]
    return {name: _interval(np.array([figures[name] for figures in drawn])) for name in drawn[0]}


def bootstrap_difference(
    score_a: Score, score_b: Score, num_scenes: int, *, draws: int = DRAWS, seed: int = 0
) -> dict[str, Interval]:
    """Intervals of B minus A for the figures that both have, each draw the same scenes for both.

    Of a single scene every draw is the same, so that all of an interval is NaN.

    Args:
        score_a: Figures of one run.
        score_b: Figures of another run over the same scenes.
        num_scenes: Number of scenes.
        draws: How often.
        seed: Of the draws.

    """
    pairs = [(score_a(counts), score_b(counts)) for counts in scene_draws(num_scenes, draws, seed)]
    names = [name for name in pairs[0][0] if name in pairs[0][1]]
    if num_scenes < 2:
        return dict.fromkeys(names, Interval(low=math.nan, high=math.nan, share_above_zero=math.nan))
    return {name: _interval(np.array([b[name] - a[name] for a, b in pairs])) for name in names}


def scene_draws(num_scenes: int, draws: int, seed: int) -> NDArray[np.int64]:
    """(draws, num_scenes) how often each scene is in each draw."""
    chosen = np.random.default_rng(seed).integers(num_scenes, size=(draws, num_scenes))
    cells = chosen + num_scenes * np.arange(draws)[:, None]
    return np.bincount(cells.reshape(-1), minlength=draws * num_scenes).reshape(draws, num_scenes)


def detection_score(matches: DetectionMatches, config: DetectionConfig) -> Score:
    """Figures `mAP` and `NDS`, over the classes that the truth of the drawn scenes has.

    A class that no scene at all has stays in and counts 0, as in the protocol.
    """
    absent = matches.truth_counts.sum(axis=0) == 0

    def score(counts: SceneCounts) -> dict[str, float]:
        metrics = score_matches(matches, config, counts)
        counted = absent | (metrics.truth_counts > 0)
        metrics = replace(
            metrics,
            average_precisions=metrics.average_precisions[counted],
            class_errors=metrics.class_errors[counted],
        )
        return {"mAP": metrics.mean_ap, "NDS": metrics.nds}

    return score


def argoverse2_score(matches: Argoverse2Matches, config: Argoverse2Config) -> Score:
    """Figures `CDS` and `mAP` of Argoverse 2, over the classes that the truth of the drawn scenes has."""

    def score(counts: SceneCounts) -> dict[str, float]:
        metrics = score_argoverse2_matches(matches, config, counts)
        return {"CDS": metrics.mean_score(metrics.present), "mAP": metrics.mean_ap(metrics.present)}

    return score


def kitti_score(matches: KittiMatches) -> Score:
    """Figures `AP_3D` and `AP_BEV`, over the classes that the truth of the drawn scenes has."""

    def score(counts: SceneCounts) -> dict[str, float]:
        metrics = score_kitti_matches(matches, counts)
        return {"AP_3D": metrics.mean_ap_3d, "AP_BEV": metrics.mean_ap_bev}

    return score


def tracking_score(matches: TrackMatches, totals: Mapping[str, HotaTotals]) -> Score:
    """Figures `AMOTA`, its thresholds kept, and `HOTA`, averaged over classes."""
    amota = scene_amota(matches)
    return lambda counts: {"AMOTA": amota(counts), "HOTA": mean_hota(score_hota(totals, counts))}


def accuracy_score(accuracy: Accuracy) -> Score:
    """Figures `EPA`, and `EPA_best` at the score that is best for all scenes."""

    def score(counts: SceneCounts) -> dict[str, float]:
        every, best = ((counts @ part.by_scene).tolist() for part in (accuracy.every, accuracy.best))
        return {"EPA": epa_of(*every), "EPA_best": epa_of(*best)}

    return score


def mean_score(values: Mapping[str, NDArray[np.float64]], scene: NDArray[np.int64], num_scenes: int) -> Score:
    """Means of values (N,) by name, each of a scene (N,): errors of forecasts, for example. NaN without any."""
    sums = {name: np.bincount(scene, column, num_scenes) for name, column in values.items()}
    sizes = np.bincount(scene, minlength=num_scenes)

    def score(counts: SceneCounts) -> dict[str, float]:
        size = int(counts @ sizes)
        return {name: float(counts @ column) / size if size else float("nan") for name, column in sums.items()}

    return score


def _interval(values: NDArray[np.float64]) -> Interval:
    known = values[~np.isnan(values)]
    if not len(known):
        return Interval(low=float("nan"), high=float("nan"), share_above_zero=float("nan"))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(low=float(low), high=float(high), share_above_zero=float((known > 0).mean()))
