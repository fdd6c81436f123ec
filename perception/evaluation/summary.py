"""Figures as plain values: what `tricast evaluate --json` prints and a run directory keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tricast.perception.evaluation.argoverse2 import Argoverse2Metrics
from tricast.perception.evaluation.detection import TP_ERRORS, DetectionMetrics
from tricast.perception.evaluation.forecast_scores import ForecastScores
from tricast.perception.evaluation.hota import mean_hota
from tricast.perception.evaluation.kitti import KittiMetrics
from tricast.perception.evaluation.prediction import ForecastErrors
from tricast.perception.evaluation.scores import DetectionScores, RangeScore, TrackScores
from tricast.perception.evaluation.tracking import SUMMED, TrackingMetrics
from tricast.perception.evaluation.true_positives import MATCH_M, Calibration, MoverErrors
from tricast.perception.streaming.latency import percentiles
from tricast.sensors.annotations import DETECTION_CLASSES

TRACKING_NAMES = {
    "amota": "AMOTA",
    "amotp": "AMOTP",
    "mota": "MOTA",
    "motp": "MOTP",
    "recall": "recall",
    "gt": "truth",
    "mt": "MT",
    "ml": "ML",
    "tp": "TP",
    "fp": "FP",
    "fn": "FN",
    "ids": "IDS",
    "frag": "FRAG",
    "tid": "TID",
    "lgd": "LGD",
}
"""The protocol's figures, and their names in a summary."""


def detection_summary(metrics: DetectionMetrics) -> dict[str, Any]:
    """Figures of the nuScenes detection protocol; None where a class does not have an error."""
    present = metrics.truth_counts > 0
    distances = metrics.config.match_distances_m
    return {
        "mAP": metrics.mean_ap,
        "mAP_present_classes": float(metrics.average_precisions[present].mean()) if present.any() else None,
        "NDS": metrics.nds,
        **{f"m{name}": error for name, error in metrics.mean_errors.items()},
        "per_class": {
            name: {
                "truth": int(metrics.truth_counts[row]),
                "AP": {str(d): float(ap) for d, ap in zip(distances, metrics.average_precisions[row], strict=True)},
                "mean_AP": float(metrics.average_precisions[row].mean()),
                **dict(zip(TP_ERRORS, metrics.class_errors[row].tolist(), strict=True)),
            }
            for row, name in enumerate(DETECTION_CLASSES)
        },
    }


def scored_detection_summary(scores: DetectionScores) -> dict[str, Any]:
    """The same with what the protocol does not ask for: movers, distances, other data sets' protocols."""
    return {
        **detection_summary(scores.metrics),
        "argoverse2": _argoverse2(scores.argoverse2),
        "kitti": _kitti(scores.kitti),
        "movers": _movers(scores.movers),
        "per_range": [_range(score) for score in scores.ranges],
    }


def _argoverse2(metrics: Argoverse2Metrics) -> dict[str, Any]:
    return {
        "CDS": metrics.mean_score(metrics.present),
        "mAP": metrics.mean_ap(metrics.present),
        "per_class": {name: metrics.mean_score((name,)) for name in metrics.present},
    }


def _kitti(metrics: KittiMetrics) -> dict[str, Any]:
    present = np.flatnonzero(~np.isnan(metrics.ap_3d))
    return {
        "AP_3D": metrics.mean_ap_3d,
        "AP_BEV": metrics.mean_ap_bev,
        "per_class": {
            DETECTION_CLASSES[row]: {"AP_3D": float(metrics.ap_3d[row]), "AP_BEV": float(metrics.ap_bev[row])}
            for row in present
        },
    }


def tracking_summary(metrics: TrackingMetrics) -> dict[str, Any]:
    """Figures of the nuScenes tracking protocol by its names; None where no class has one."""
    return {
        **{name: _counted(key, metrics.overall(key)) for key, name in TRACKING_NAMES.items() if key != "gt"},
        "per_class": {
            class_name: {name: _counted(key, figures[key]) for key, name in TRACKING_NAMES.items()}
            for class_name, figures in metrics.classes.items()
        },
    }


def _counted(key: str, value: float) -> float | int:
    """Counts as whole numbers."""
    return int(value) if key in (*SUMMED, "gt") and math.isfinite(value) else value


def scored_tracking_summary(scores: TrackScores) -> dict[str, Any]:
    """The same with HOTA and its parts, averaged over the classes that have any box."""
    parts = {
        "HOTA": mean_hota(scores.hota),
        "DetA": mean_of([h.detection_accuracy.mean() for h in scores.hota.values()]),
        "AssA": mean_of([h.association_accuracy.mean() for h in scores.hota.values()]),
    }
    summary = tracking_summary(scores.metrics)
    per_class = {
        name: {**figures, "HOTA": scores.hota[name].hota if name in scores.hota else None}
        for name, figures in summary.pop("per_class").items()
    }
    return {**parts, **summary, "per_class": per_class}


def prediction_summary(scores: ForecastScores) -> dict[str, Any]:
    """Figures of the tracks' own forecasts: over all matched objects, and over movers alone."""
    return {
        **_forecast_figures(scores.errors, scores.movers),
        "EPA": scores.accuracy.epa,
        "EPA_best": scores.accuracy.best_epa,
        "EPA_best_score": scores.accuracy.best_score,
    }


def baseline_summary(scores: ForecastScores) -> dict[str, Any]:
    """The same figures of physics, by name, for the same tracks."""
    return {name: _forecast_figures(errors, scores.movers) for name, errors in scores.baselines.items()}


def _forecast_figures(errors: ForecastErrors, movers: np.ndarray[Any, Any]) -> dict[str, Any]:
    return {
        "agents": len(errors),
        **errors.figures(),
        "movers": {"agents": int(movers.sum()), **errors.figures(movers)},
    }


def mean_of(values: Sequence[float]) -> float:
    """Mean; NaN of nothing."""
    return float(np.mean(values)) if values else float("nan")


def calibration_summary(calibration: Calibration) -> dict[str, Any]:
    """Expected calibration error, and what it is made of."""
    return {
        "ECE": calibration.error,
        "match_m": MATCH_M,
        "bins": {
            "boxes": calibration.counts.tolist(),
            "mean_score": calibration.mean_scores.tolist(),
            "precision": calibration.precisions.tolist(),
        },
    }


def latency_summary(latencies_ms: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Any]:
    """Percentiles per stage; None where there are too few ticks for one."""
    return {stage: percentiles(samples.tolist()) for stage, samples in latencies_ms.items()}


def without_nan(value: Any) -> Any:
    """The same plain values with None in place of what is no number: JSON has no word for it."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _movers(errors: MoverErrors) -> dict[str, Any]:
    return {
        "count": errors.count,
        "velocity_error_mps": errors.velocity_error_mps,
        "velocity_error_of_zero_mps": errors.speed_mps,
        "yaw_error_rad": errors.yaw_error_rad,
        "reversed_share": errors.reversed_share,
    }


def _range(score: RangeScore) -> dict[str, Any]:
    return {
        "from_m": score.from_m,
        "to_m": score.to_m,
        "truth": score.truth,
        "AP_2m": score.average_precision,
        "recall_2m": score.recall,
    }
