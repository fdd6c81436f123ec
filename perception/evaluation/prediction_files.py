"""Forecasts in the nuScenes devkit's JSON, and the futures to score them against.

Results are a submission to the prediction challenge: a list of `{instance, sample, prediction, probabilities}`, with
`prediction` (modes, times, 2) and at most 25 modes. The truth is a list of `{instance, sample, future}`, with
`future` (times, 2) in the same frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.configs.errors import InputError
from tricast.perception.evaluation.devkit_files import read_json
from tricast.perception.evaluation.prediction import TOP_KS, ForecastErrors, concatenate_errors, forecast_errors

MAX_MODES = 25

Agent = tuple[str, str]


def evaluate_prediction_files(results: Path, truth: Path, ks: tuple[int, ...] = TOP_KS) -> ForecastErrors:
    """Errors of the forecasts of a file, agents in the order of the truth but grouped by their numbers of points.

    Raises:
        InputError: A file cannot be read, an agent is in one file only, or an array does not have its shape.

    """
    forecasts, futures = _agents(results), _agents(truth)
    if set(forecasts) != set(futures):
        agent = min(set(forecasts) ^ set(futures))
        got = f"agent '{agent[0]}' of sample '{agent[1]}' in one of the files only"
        raise _error(results, got, "a forecast for every agent of the truth", "write both for the same agents")
    groups: dict[tuple[int, ...], list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]] = {}
    for agent, true in futures.items():
        future = _array(truth, agent, true, "future", (None, 2))
        points = _array(results, agent, forecasts[agent], "prediction", (None, len(future), 2))
        probabilities = _array(results, agent, forecasts[agent], "probabilities", (len(points),))
        if not 0 < len(points) <= MAX_MODES:
            got = f"agent '{agent[0]}' of sample '{agent[1]}' with {len(points)} modes"
            raise _error(results, got, f"1 to {MAX_MODES}", "keep the most probable")
        groups.setdefault(points.shape, []).append((points, probabilities, future))
    return concatenate_errors([_errors(group, ks) for group in groups.values()])


def _errors(
    group: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]], ks: tuple[int, ...]
) -> ForecastErrors:
    points, probabilities, futures = (np.stack(column) for column in zip(*group, strict=True))
    return forecast_errors(points, probabilities, futures, ks)


def _agents(path: Path) -> dict[Agent, Mapping[str, Any]]:
    document = read_json(path)
    agents = {}
    try:
        for entry in document:
            agents[str(entry["instance"]), str(entry["sample"])] = entry
    except (TypeError, KeyError) as error:
        got = "something else than a list of agents with instance and sample"
        raise _error(path, got, "that list", "write it as for the nuScenes prediction challenge") from error
    if not agents or len(agents) != len(document):
        got = "an agent twice" if agents else "no agents"
        raise _error(path, got, "every agent of a sample once", "mend the list")
    return agents


def _array(
    path: Path, agent: Agent, entry: Mapping[str, Any], field: str, shape: tuple[int | None, ...]
) -> NDArray[np.float64]:
    try:
        array = np.array(entry[field], np.float64)
    except (KeyError, TypeError, ValueError):
        array = np.full(1, np.nan)
    fits = array.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
    if not fits or not np.isfinite(array).all():
        label = " x ".join("n" if size is None else str(size) for size in shape)
        got = f"agent '{agent[0]}' of sample '{agent[1]}' with another {field}"
        raise _error(path, got, f"{label} finite numbers", "mend this agent")
    return array


def _error(where: Path, got: str, expected: str, remedy: str) -> InputError:
    return InputError(where=str(where), got=got, expected=expected, remedy=remedy)
