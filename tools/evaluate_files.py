"""Scoring of result files in the nuScenes devkit's own formats, with no data set at hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tricast.perception.evaluation.detection import evaluate_detection
from tricast.perception.evaluation.devkit_files import read_detection_files, read_tracking_files
from tricast.perception.evaluation.prediction_files import evaluate_prediction_files
from tricast.perception.evaluation.summary import detection_summary, tracking_summary, without_nan
from tricast.perception.evaluation.tracking import evaluate_tracking


def evaluate_files(results: Path, truth: Path, protocol: str) -> dict[str, Any]:
    """Figures of a pair of files as plain values.

    Args:
        results: What was predicted.
        truth: What should have been.
        protocol: `nuscenes-detection`, `nuscenes-tracking` or `nuscenes-prediction`.

    Raises:
        InputError: A file is not what the protocol asks for.

    """
    if protocol == "nuscenes-detection":
        summary = {"detection": detection_summary(evaluate_detection(*read_detection_files(results, truth)))}
    elif protocol == "nuscenes-prediction":
        errors = evaluate_prediction_files(results, truth)
        summary = {"prediction": {"agents": len(errors), **errors.figures()}}
    else:
        summary = {"tracking": tracking_summary(evaluate_tracking(*read_tracking_files(results, truth)))}
    return without_nan({"protocol": protocol, **summary})
