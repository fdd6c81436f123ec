"""Headline figures over any choice of scenes, for intervals of one run and of the difference between two."""

from __future__ import annotations

from typing import Any

import numpy as np

from tricast.perception.evaluation.argoverse2 import Argoverse2Config
from tricast.perception.evaluation.interval import (
    SceneCounts,
    Score,
    accuracy_score,
    argoverse2_score,
    bootstrap,
    bootstrap_difference,
    detection_score,
    kitti_score,
    mean_score,
    tracking_score,
)
from tricast.perception.evaluation.prediction import ForecastErrors
from tricast.perception.evaluation.scores import DetectionScores, Scores
from tricast.perception.evaluation.true_positives import MATCH_M, NUM_BINS, score_bins


def headline_score(scores: Scores) -> Score:
    """Figures by their dotted names in a summary; each choice of scenes is worked out once."""
    movers = scores.forecasts.movers
    columns, scene, num_scenes = forecast_columns(scores.forecasts.errors), scores.forecasts.scene, scores.num_scenes
    of_movers = {name: column[movers] for name, column in columns.items()}
    parts = (
        ("detection", detection_score(scores.detections.matches, scores.detections.metrics.config)),
        ("detection.argoverse2", argoverse2_score(scores.detections.argoverse2_matches, Argoverse2Config())),
        ("detection.kitti", kitti_score(scores.detections.kitti_matches)),
        ("tracking", tracking_score(scores.tracks.matches, scores.tracks.hota_totals)),
        ("prediction", mean_score(columns, scene, num_scenes)),
        ("prediction", accuracy_score(scores.forecasts.accuracy)),
        ("prediction.movers", mean_score(of_movers, scene[movers], num_scenes)),
        ("calibration", calibration_score(scores.detections, num_scenes)),
    )
    known: dict[bytes, dict[str, float]] = {}

    def score(counts: SceneCounts) -> dict[str, float]:
        key = counts.tobytes()
        if key not in known:
            known[key] = {f"{part}.{name}": v for part, figures in parts for name, v in figures(counts).items()}
        return known[key]

    return score


def forecast_columns(errors: ForecastErrors) -> dict[str, np.ndarray[Any, Any]]:
    """Errors (A,) of single forecasts by the names of their means."""
    columns: dict[str, np.ndarray[Any, Any]] = {}
    for place, k in enumerate(errors.ks):
        columns[f"minADE_{k}"] = errors.ade_m[:, place]
        columns[f"minFDE_{k}"] = errors.fde_m[:, place]
        columns[f"MissRate_{k}"] = errors.missed[:, place].astype(np.float64)
    return columns


def calibration_score(scores: DetectionScores, num_scenes: int) -> Score:
    """Figure `ECE`."""
    matches = scores.matches
    right = matches.matched[scores.metrics.config.match_distances_m.index(MATCH_M)]
    cells = matches.scene * NUM_BINS + score_bins(matches.scores)
    shape, size = (num_scenes, NUM_BINS), num_scenes * NUM_BINS
    boxes = np.bincount(cells, minlength=size).reshape(shape)
    excess = np.bincount(cells, matches.scores - right, size).reshape(shape)

    def score(counts: SceneCounts) -> dict[str, float]:
        total = counts @ boxes.sum(axis=1)
        return {"ECE": float(np.abs(counts @ excess).sum() / total) if total else float("nan")}

    return score


def intervals(score: Score, num_scenes: int) -> dict[str, list[float]]:
    """`[low, high]` by figure; none from a single scene, which has nothing to be drawn from."""
    if num_scenes < 2:
        return {}
    return {name: [one.low, one.high] for name, one in bootstrap(score, num_scenes).items()}


def differences(score_a: Score, score_b: Score, num_scenes: int) -> dict[str, dict[str, float]]:
    """B minus A by figure, with the interval of the paired bootstrap."""
    once = np.ones(num_scenes, np.int64)
    whole_a, whole_b = score_a(once), score_b(once)
    spread = bootstrap_difference(score_a, score_b, num_scenes)
    return {
        name: {
            "difference": whole_b[name] - whole_a[name],
            "low": one.low,
            "high": one.high,
            "share_above_zero": one.share_above_zero,
        }
        for name, one in spread.items()
    }
