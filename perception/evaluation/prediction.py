"""Prediction: minADE, minFDE, miss rates by the nuScenes devkit's definition, brier-minFDE, and EPA end to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.perception.evaluation.box_table import BoxTable, scenes_of
from tricast.perception.evaluation.matching import assign_nearest
from tricast.sensors.annotations import DETECTION_CLASSES
from tricast.sensors.arrays import checked_array

Float64 = NDArray[np.float64]

TOP_KS = (1, 5, 6, 10)
"""How many of the most probable modes count."""

MISS_M = 2.0
EPA_MATCH_M = 2.0
EPA_PENALTY = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class ForecastErrors:
    """Errors of N forecasts, each the best of the k most probable modes for K values of k.

    Args:
        ks: K values; with fewer modes than k all count.
        ade_m: (N, K) mean distance over the future.
        fde_m: (N, K) distance at its end.
        missed: (N, K) whether every mode is at some time 2 m or more away: the nuScenes miss.
        missed_final: (N, K) whether every mode ends more than 2 m away: the miss of UniAD and ViP3D.
        brier_fde_m: (N, K) `fde_m` plus (1 - p)², p the probability of the mode that ends nearest.

    """

    ks: tuple[int, ...]
    ade_m: Float64
    fde_m: Float64
    missed: NDArray[np.bool_]
    missed_final: NDArray[np.bool_]
    brier_fde_m: Float64

    def __len__(self) -> int:
        return len(self.ade_m)

    def figures(self, rows: NDArray[np.integer] | NDArray[np.bool_] | None = None) -> dict[str, float]:
        """Means over all forecasts or some rows of them, named as the devkit names them; NaN where there are none."""
        columns = {
            "minADE": self.ade_m,
            "minFDE": self.fde_m,
            "MissRate": self.missed,
            "MissRateFinal": self.missed_final,
            "brier-minFDE": self.brier_fde_m,
        }
        figures = {}
        for name, column in columns.items():
            chosen = column if rows is None else column[rows]
            means = chosen.mean(axis=0) if len(chosen) else np.full(len(self.ks), np.nan)
            figures |= {f"{name}_{k}": float(mean) for k, mean in zip(self.ks, means, strict=True)}
        return figures


def forecast_errors(
    points_m: Float64, probabilities: Float64, futures_m: Float64, ks: tuple[int, ...] = TOP_KS
) -> ForecastErrors:
    """Compare forecasts with what came.

    Args:
        points_m: (N, M, H, 2) positions of M modes at H times.
        probabilities: (N, M) of the modes.
        futures_m: (N, H, 2) true positions, in the same frame.
        ks: Numbers of modes to report.

    Raises:
        SensorDataError: Shapes do not fit, or a value is not finite.

    Source: nuscenes-devkit 1.2.0 `eval/prediction/metrics.py`; brier-minFDE of Argoverse 2.

    """
    agents, modes, steps = (*points_m.shape, 0, 0, 0)[:3]
    checked_array(points_m, name="forecasts", shape=(agents, modes, steps, 2), dtype=np.float64, finite=True)
    checked_array(probabilities, name="probabilities", shape=(agents, modes), dtype=np.float64, finite=True)
    checked_array(futures_m, name="futures", shape=(agents, steps, 2), dtype=np.float64, finite=True)
    # Among equal probabilities the devkit takes the later mode first.
    order = np.argsort(probabilities, axis=1, kind="stable")[:, ::-1]
    distances = np.linalg.norm(points_m - futures_m[:, None], axis=-1)
    distances = np.take_along_axis(distances, order[..., None], axis=1)
    sorted_probabilities = np.take_along_axis(probabilities, order, axis=1)
    ends, farthest = distances[..., -1], distances.max(axis=-1)
    columns = [min(k, modes) - 1 for k in ks]
    nearest = np.stack([ends[:, : column + 1].argmin(axis=1) for column in columns], axis=1)
    fde = np.take_along_axis(ends, nearest, axis=1)
    return ForecastErrors(
        ks=ks,
        ade_m=np.minimum.accumulate(distances.mean(axis=-1), axis=1)[:, columns],
        fde_m=fde,
        missed=np.minimum.accumulate(farthest >= MISS_M, axis=1)[:, columns],
        missed_final=fde > MISS_M,
        brier_fde_m=fde + (1 - np.take_along_axis(sorted_probabilities, nearest, axis=1)) ** 2,
    )


def concatenate_errors(parts: Sequence[ForecastErrors]) -> ForecastErrors:
    """Errors of several sets of forecasts, made with the same `ks`, in one."""
    columns = ("ade_m", "fde_m", "missed", "missed_final", "brier_fde_m")
    joined: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in columns}
    return ForecastErrors(ks=parts[0].ks, **joined)


@dataclass(frozen=True, kw_only=True, eq=False)
class PredictionAccuracy:
    """End-to-end prediction accuracy; counts (10,) int64 per class of `DETECTION_CLASSES`.

    Args:
        hits: Objects found within 2 m whose end some mode foresees within 2 m.
        unmatched: Predicted agents without an object: false alarms.
        futures: Objects with a known end of their future.
        by_scene: (S, 3) int64 the same three of each scene, all classes together.

    """

    hits: NDArray[np.int64]
    unmatched: NDArray[np.int64]
    futures: NDArray[np.int64]
    by_scene: NDArray[np.int64]

    @property
    def epa(self) -> float:
        """EPA over all classes together; NaN without a known future."""
        return epa_of(int(self.hits.sum()), int(self.unmatched.sum()), int(self.futures.sum()))

    def of_class(self, name: str) -> float:
        """EPA of one class."""
        row = DETECTION_CLASSES.index(name)
        return epa_of(int(self.hits[row]), int(self.unmatched[row]), int(self.futures[row]))


def epa_of(hits: int, unmatched: int, futures: int) -> float:
    """EPA from its counts, not below 0; NaN without a known future."""
    return max(0.0, (hits - EPA_PENALTY * unmatched) / futures) if futures else float("nan")


def evaluate_prediction_accuracy(
    predictions: BoxTable, points_m: Float64, truth: BoxTable, futures_m: Float64
) -> PredictionAccuracy:
    """Score forecasts from sensors to futures by EPA, where missed objects and false alarms count too.

    Agents and objects of a class are assigned one to one at the least sum of distances, at most 2 m. An object whose
    future is not known to its end can be matched, but neither hits nor counts.

    Args:
        predictions: P agents with a forecast; every one counts whatever its score.
        points_m: (P, M, H, 2) their modes, in the frame of the table.
        truth: G objects.
        futures_m: (G, H, 2) true positions; NaN where unknown.

    Raises:
        InputError: The samples differ.

    Source: Gu et al. 2023, ViP3D, and its `tools/prediction_eval.py`, applied to each class as UniAD does.

    """
    ours, theirs = assign_nearest(predictions, truth, np.nextafter(EPA_MATCH_M, np.inf))
    known = np.asarray(np.isfinite(futures_m[:, -1]).all(axis=1), bool)
    ends = np.linalg.norm(points_m[ours, :, -1] - futures_m[theirs, None, -1], axis=-1)
    hit = known[theirs] & (ends.min(axis=1, initial=np.inf) <= MISS_M)
    count, num_scenes = len(DETECTION_CLASSES), int(truth.sample_scene.max(initial=-1)) + 1
    alone = np.setdiff1d(np.arange(len(predictions)), ours)
    scene, true_scene = scenes_of(predictions, truth), truth.sample_scene[truth.sample_index]
    scenes = (true_scene[theirs[hit]], scene[alone], true_scene[known])
    return PredictionAccuracy(
        hits=np.bincount(truth.class_index[theirs[hit]], minlength=count),
        unmatched=np.bincount(predictions.class_index[alone], minlength=count),
        futures=np.bincount(truth.class_index[known], minlength=count),
        by_scene=np.stack([np.bincount(of, minlength=num_scenes) for of in scenes], axis=1),
    )
