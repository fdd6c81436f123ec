"""Figures equal those of the official tools; `tools/make_oracle_fixtures.py` says how the answers were made."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tricast.perception.evaluation.argoverse2 import evaluate_argoverse2
from tricast.perception.evaluation.box_table import BoxTable
from tricast.perception.evaluation.clear import evaluate_clear
from tricast.perception.evaluation.detection import TP_ERRORS, DetectionConfig, evaluate_detection
from tricast.perception.evaluation.devkit_files import read_detection_files, read_tracking_files
from tricast.perception.evaluation.hota import evaluate_hota
from tricast.perception.evaluation.prediction import forecast_errors
from tricast.perception.evaluation.track_similarity import similar_by_distance
from tricast.perception.evaluation.tracking import evaluate_tracking
from tricast.sensors.annotations import DETECTION_CLASSES

FIXTURES = Path(__file__).parent / "fixtures"
CASES = ("random", "noisy", "perfect", "empty", "equal_scores", "ties", "borders", "class_missing")
DEVKIT_ERRORS = ("trans_err", "scale_err", "orient_err", "vel_err", "attr_err")


def fixture(name: str) -> dict[str, Any]:
    return json.loads((FIXTURES / f"{name}.json").read_text())


def devkit_json(made: dict[str, Any], columns: dict[str, list[Any]], task: str) -> dict[str, Any]:
    """The boxes of a case as the devkit writes them."""
    per_scene = made["samples_per_scene"]
    tokens = [f"s{i}" for i in range(made["scenes"] * per_scene)]
    results: dict[str, list[Any]] = {token: [] for token in tokens}
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        box = {
            "translation": [row["x"], row["y"], row["z"]],
            "size": [row["w"], row["l"], row["h"]],
            "rotation": [math.cos(row["yaw"] / 2), 0.0, 0.0, math.sin(row["yaw"] / 2)],
            "velocity": [row["vx"], row["vy"]],
            "ego_translation": [row["ex"], row["ey"], 0.0],
            "num_pts": row["points"],
            f"{task}_name": row["class"],
            f"{task}_score": row["score"],
            "attribute_name": row.get("attribute", ""),
            "tracking_id": str(row.get("id")),
        }
        results[f"s{row['sample']}"].append(box)
    samples = {
        token: {"scene": str(i // per_scene), "timestamp": 500_000 * (i % per_scene)} for i, token in enumerate(tokens)
    }
    return {"results": results, "samples": samples}


def tables(folder: Path, made: dict[str, Any], case: dict[str, Any], task: str) -> tuple[BoxTable, BoxTable]:
    paths = folder / "results.json", folder / "truth.json"
    for path, part in zip(paths, ("results", "truth"), strict=True):
        path.write_text(json.dumps(devkit_json(made, case[part], task)))
    return (read_detection_files if task == "detection" else read_tracking_files)(*paths)


@pytest.mark.parametrize("name", CASES)
def test_detection_equals_the_devkit(tmp_path: Path, name: str) -> None:
    made = fixture("nuscenes_detection")
    answer = made["cases"][name]["answer"]
    metrics = evaluate_detection(*tables(tmp_path, made, made["cases"][name], "detection"))
    for row, class_name in enumerate(DETECTION_CLASSES):
        distances = [answer["label_aps"][class_name][str(d)] for d in DetectionConfig().match_distances_m]
        np.testing.assert_allclose(metrics.average_precisions[row], distances, atol=1e-6, err_msg=class_name)
        errors = [answer["label_tp_errors"][class_name][error] for error in DEVKIT_ERRORS]
        np.testing.assert_allclose(metrics.class_errors[row], errors, atol=1e-6, err_msg=class_name)
    assert metrics.mean_ap == pytest.approx(answer["mean_ap"], abs=1e-6)
    assert metrics.nds == pytest.approx(answer["nd_score"], abs=1e-6)
    for ours, theirs in zip(TP_ERRORS, DEVKIT_ERRORS, strict=True):
        assert metrics.mean_errors[ours] == pytest.approx(answer["tp_errors"][theirs], abs=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_tracking_equals_the_devkit(tmp_path: Path, name: str) -> None:
    made = fixture("nuscenes_tracking")
    answer = made["cases"][name]["answer"]
    metrics = evaluate_tracking(*tables(tmp_path, made, made["cases"][name], "tracking"))
    for metric, value in answer["all"].items():
        for class_name, expected in answer["classes"][metric].items():
            ours = metrics.classes[class_name][metric]
            assert ours == pytest.approx(expected, abs=1e-6, nan_ok=True), (class_name, metric)
        assert metrics.overall(metric) == pytest.approx(value, abs=1e-6, nan_ok=True), metric


@pytest.mark.parametrize("name", CASES)
def test_hota_and_clear_equal_trackeval(tmp_path: Path, name: str) -> None:
    made = fixture("trackeval")
    answer = made["cases"][name]["answer"]
    tracks = similar_by_distance(*tables(tmp_path, made, made["cases"][name], "tracking"))
    hota, clear = evaluate_hota(tracks), evaluate_clear(tracks)
    assert set(hota) == set(clear) == set(answer)
    for class_name, expected in answer.items():
        ours = hota[class_name]
        arrays = {
            "HOTA": ours.curve,
            "DetA": ours.detection_accuracy,
            "AssA": ours.association_accuracy,
            "AssRe": ours.association_recall,
            "AssPr": ours.association_precision,
            "LocA": ours.localization_accuracy,
            "HOTA_TP": ours.true_positives,
            "HOTA_FN": ours.false_negatives,
            "HOTA_FP": ours.false_positives,
        }
        for key, values in arrays.items():
            np.testing.assert_allclose(values, expected[key], atol=1e-6, err_msg=f"{class_name} {key}")
        counts = clear[class_name]
        figures = {
            "MOTA": counts.mota,
            "MOTP": counts.motp,
            "IDSW": counts.identity_switches,
            "Frag": counts.fragmentations,
            "MT": counts.mostly_tracked,
            "ML": counts.mostly_lost,
            "CLR_TP": counts.true_positives,
            "CLR_FN": counts.false_negatives,
            "CLR_FP": counts.false_positives,
        }
        for key, value in figures.items():
            assert value == pytest.approx(expected[key], abs=1e-6), (class_name, key)


@pytest.mark.parametrize("name", CASES)
def test_argoverse_2_equals_the_av2_package(tmp_path: Path, name: str) -> None:
    made = fixture("argoverse2")
    answer = made["cases"][name]["answer"]
    metrics = evaluate_argoverse2(*tables(tmp_path, made, made["cases"][name], "detection"))
    for class_name, expected in answer.items():
        row = DETECTION_CLASSES.index(class_name)
        figures = [metrics.average_precisions[row].mean(), *metrics.errors[row], metrics.scores[row]]
        np.testing.assert_allclose(figures, expected, atol=1e-6, err_msg=class_name)
    assert metrics.mean_score(tuple(answer)) == pytest.approx(np.mean([v[-1] for v in answer.values()]), abs=1e-6)


@pytest.mark.parametrize("name", ["random", "one_mode", "ties"])
def test_prediction_equals_the_devkit(name: str) -> None:
    made = fixture("nuscenes_prediction")
    case = made["cases"][name]
    arrays = (np.array(case[key]) for key in ("points", "probabilities", "futures"))
    figures = forecast_errors(*arrays, ks=tuple(made["ks"])).figures()
    for ours, theirs in (("minADE", "MinADEK"), ("minFDE", "MinFDEK"), ("MissRate", "MissRateTopK_2.0")):
        values = [figures[f"{ours}_{k}"] for k in made["ks"]]
        np.testing.assert_allclose(values, case["answer"][theirs], atol=1e-6, err_msg=ours)
