"""An evaluation as a whole: tables of all logs into all figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tricast.perception.evaluation.resampling import differences, headline_score, intervals
from tricast.perception.evaluation.run_tables import (
    LogTables,
    ResultTables,
    TruthTables,
    joined_results,
    joined_truth,
)
from tricast.perception.evaluation.scores import DetectionScores, Scores, score_all
from tricast.perception.evaluation.summary import (
    baseline_summary,
    calibration_summary,
    latency_summary,
    prediction_summary,
    scored_detection_summary,
    scored_tracking_summary,
    without_nan,
)

SUMMARY_SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """Tables and figures of a detector on logs.

    Args:
        truth: What should have been found.
        results: What was found, by choice of sensors; the first is what the summary is about.
        detections: Curves and errors of the first.
        summary: Figures as plain values.

    """

    truth: TruthTables
    results: dict[str, ResultTables]
    detections: DetectionScores
    summary: dict[str, Any]


def evaluate_tables(
    logs: Sequence[LogTables], facts: Mapping[str, Any], *, max_range_m: float | None = None
) -> Evaluation:
    """Score the tables of all logs together.

    Args:
        logs: One entry per log, each with the same choices of sensors.
        facts: What was evaluated (detector, names of logs), for the head of the summary.
        max_range_m: Score nothing further away.

    """
    truth = joined_truth([log.truth for log in logs])
    results = {key: joined_results([log.results[key] for log in logs]) for key in logs[0].results}
    scores = {key: score_all(tables, truth, max_range_m) for key, tables in results.items()}
    first = next(iter(results))
    resampled = {key: headline_score(one) for key, one in scores.items()}
    num_scenes = scores[first].num_scenes
    figures = {key: {**_figures(one), "interval": intervals(resampled[key], num_scenes)} for key, one in scores.items()}
    summary = {
        "schema_version": SUMMARY_SCHEMA_VERSION,
        **facts,
        "sensors": first,
        "max_range_m": max_range_m,
        "scenes": num_scenes,
        "samples": len(truth.boxes.sample_tokens),
        "ticks": results[first].ticks,
        "late_truth": sum(log.late_truth for log in logs),
        "lost_messages": sum(log.losses.total for log in logs),
        "damaged_logs": {
            str(log.path): {"by_channel": log.losses.messages, "details": log.losses.details}
            for log in logs
            if log.losses.total
        },
        "tables": list(results),
        **figures[first],
        "latency_ms": latency_summary(results[first].latencies_ms),
        "subsets": figures if len(figures) > 1 else {},
        "ahead_of": {key: differences(resampled[key], resampled[first], num_scenes) for key in results if key != first},
    }
    return Evaluation(truth=truth, results=results, detections=scores[first].detections, summary=without_nan(summary))


def _figures(scores: Scores) -> dict[str, Any]:
    return {
        "detection": scored_detection_summary(scores.detections),
        "calibration": calibration_summary(scores.detections.calibration),
        "tracking": scored_tracking_summary(scores.tracks),
        "prediction": prediction_summary(scores.forecasts),
        "baseline": baseline_summary(scores.forecasts),
    }
