"""Reading of forecasts in the devkit's JSON, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tricast.configs.errors import InputError
from tricast.perception.evaluation.prediction_files import evaluate_prediction_files


def forecast(instance: str, *, modes: int = 1, offset_m: float = 0.0) -> dict[str, Any]:
    points = [[[float(t), offset_m] for t in range(12)]] * modes
    return {"instance": instance, "sample": "s", "prediction": points, "probabilities": [1.0 / modes] * modes}


def future(instance: str) -> dict[str, Any]:
    return {"instance": instance, "sample": "s", "future": [[float(t), 0.0] for t in range(12)]}


def files(folder: Path, results: Any, truth: Any) -> tuple[Path, Path]:
    paths = folder / "results.json", folder / "truth.json"
    for path, document in zip(paths, (results, truth), strict=True):
        path.write_text(json.dumps(document))
    return paths


def test_agents_with_different_numbers_of_modes_are_scored_together(tmp_path: Path) -> None:
    results = [forecast("b", modes=3, offset_m=2.0), forecast("a")]
    errors = evaluate_prediction_files(*files(tmp_path, results, [future("a"), future("b")]))
    assert len(errors) == 2
    assert errors.figures()["minADE_5"] == pytest.approx(1.0)
    assert errors.figures()["MissRate_1"] == pytest.approx(0.5)


def test_agents_with_different_numbers_of_times_are_scored_together(tmp_path: Path) -> None:
    short = {**forecast("b", offset_m=2.0), "prediction": [[[2.0, 0.0]] * 10]}
    truth = [future("a"), {**future("b"), "future": [[0.0, 0.0]] * 10}]
    errors = evaluate_prediction_files(*files(tmp_path, [forecast("a"), short], truth))
    np.testing.assert_allclose(errors.ade_m[:, 0], [0.0, 2.0])


@pytest.mark.parametrize(
    ("results", "truth", "words"),
    [
        ([forecast("a")], [future("a"), future("b")], "'b' of sample 's' in one"),
        ([forecast("a"), forecast("a")], [future("a")], "twice"),
        ([], [future("a")], "no agents"),
        ({"a": 1}, [future("a")], "list of agents"),
        ([{**forecast("a"), "probabilities": [0.5, 0.5]}], [future("a")], "probabilities"),
        ([{**forecast("a"), "prediction": [[[float("nan"), 0.0]] * 12]}], [future("a")], "prediction"),
        ([forecast("a", modes=26)], [future("a")], "26 modes"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, results: Any, truth: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        evaluate_prediction_files(*files(tmp_path, results, truth))
