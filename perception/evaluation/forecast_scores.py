"""Forecasts of tracks that found an object, beside physics from the same tracks' estimates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tricast.perception.evaluation.baselines import PHYSICS_MODES, physics_modes
from tricast.perception.evaluation.box_table import BoxTable
from tricast.perception.evaluation.detection import rows_in_class_range
from tricast.perception.evaluation.prediction import (
    ForecastErrors,
    PredictionAccuracy,
    evaluate_prediction_accuracy,
    forecast_errors,
)
from tricast.perception.evaluation.run_tables import ResultTables, TruthTables
from tricast.perception.evaluation.true_positives import matched_truth

MOVER_MPS = 0.5
EPA_SCORES = np.linspace(0.0, 0.95, 20)
"""Scores from which on tracks count, tried for the best EPA."""

BASELINES = {
    "constant_velocity": ("constant_velocity",),
    "constant_turn_rate_and_acceleration": ("constant_turn_rate_and_acceleration",),
    "physics_modes": PHYSICS_MODES,
}
"""Baselines by name: the physics modes that each offers."""

Float64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Accuracy:
    """End-to-end prediction accuracy.

    Args:
        epa: With every track counting.
        best_epa: With tracks from the best score on, as a tracker's best threshold is found for MOTA.
        best_score: That score.
        every: What the first was made of.
        best: What the second was made of.

    """

    epa: float
    best_epa: float
    best_score: float
    every: PredictionAccuracy
    best: PredictionAccuracy


@dataclass(frozen=True, kw_only=True, eq=False)
class ForecastScores:
    """Forecasts of A tracks that are within 2 m of an object whose next 6 s are known.

    Args:
        errors: Of the tracks' own forecasts.
        baselines: Of the baselines, for the same tracks.
        movers: (A,) whether the object is faster than `MOVER_MPS`.
        scene: (A,) int64 scene of each.
        accuracy: EPA of the tracks' own forecasts.

    """

    errors: ForecastErrors
    baselines: dict[str, ForecastErrors]
    movers: NDArray[np.bool_]
    scene: NDArray[np.int64]
    accuracy: Accuracy


def score_forecasts(results: ResultTables, truth: TruthTables, ranges_m: dict[str, float]) -> ForecastScores:
    """Score forecasts of tracks within their class's range."""
    ours = np.flatnonzero(rows_in_class_range(results.tracks, ranges_m))
    theirs = np.flatnonzero(rows_in_class_range(truth.boxes, ranges_m))
    tracks, objects = results.tracks.where(ours), truth.boxes.where(theirs)
    futures = truth.futures_m[theirs]
    found = matched_truth(tracks, objects)
    known = np.isfinite(futures.sum(axis=(1, 2)))  # NaN anywhere shows in the sum
    pairs = np.flatnonzero((found >= 0) & known[found]) if len(objects) else np.zeros(0, np.int64)
    other = found[pairs]
    forecasts, rows = results.forecasts, ours[pairs]
    physics = physics_modes(
        tracks.centers_m[pairs, :2],
        tracks.velocities_mps[pairs],
        forecasts.turn_rates_radps[rows],
        forecasts.accelerations_mps2[rows],
    )
    points = tracks.centers_m[:, None, None, :2] + forecasts.offsets_m[ours]
    return ForecastScores(
        errors=forecast_errors(points[pairs], forecasts.probabilities[rows], futures[other]),
        baselines={
            name: forecast_errors(*_chosen(physics, modes), futures[other]) for name, modes in BASELINES.items()
        },
        movers=np.linalg.norm(np.nan_to_num(objects.velocities_mps[other]), axis=1) > MOVER_MPS,
        scene=objects.sample_scene[objects.sample_index[other]],
        accuracy=_accuracy(tracks, points, objects, futures),
    )


def _chosen(physics_m: Float64, modes: tuple[str, ...]) -> tuple[Float64, Float64]:
    """Points and probabilities of some physics modes, the first one the most probable."""
    points = physics_m[:, [PHYSICS_MODES.index(mode) for mode in modes]]
    weights = np.arange(len(modes), 0, -1, dtype=np.float64)
    return points, np.tile(weights / weights.sum(), (len(points), 1))


def _accuracy(tracks: BoxTable, points_m: Float64, objects: BoxTable, futures_m: Float64) -> Accuracy:
    made = []
    for score in EPA_SCORES:
        shown = tracks.scores >= score
        made.append(evaluate_prediction_accuracy(tracks.where(shown), points_m[shown], objects, futures_m))
    values = [accuracy.epa for accuracy in made]
    best = int(np.nanargmax(values)) if np.isfinite(values).any() else 0
    return Accuracy(
        epa=values[0],
        best_epa=values[best],
        best_score=float(EPA_SCORES[best]),
        every=made[0],
        best=made[best],
    )
