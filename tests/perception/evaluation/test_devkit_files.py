"""Reading of the devkit's JSON, and what is refused."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tricast.configs.errors import InputError
from tricast.perception.evaluation.box_table import ATTRIBUTES
from tricast.perception.evaluation.detection import evaluate_detection
from tricast.perception.evaluation.devkit_files import read_detection_files, read_tracking_files
from tricast.sensors.annotations import DETECTION_CLASSES


def box(**changes: Any) -> dict[str, Any]:
    return {
        "sample_token": "a",
        "translation": [10.0, 20.0, 1.0],
        "size": [2.0, 4.0, 1.5],
        "rotation": [math.cos(0.25), 0.0, 0.0, math.sin(0.25)],
        "velocity": [1.0, math.nan],
        "ego_translation": [3.0, 4.0, 7.0],
        "num_pts": 5,
        "detection_name": "truck",
        "detection_score": 0.5,
        "attribute_name": "vehicle.moving",
        **changes,
    }


def track(**changes: Any) -> dict[str, Any]:
    return box(**{"tracking_id": "x", "tracking_name": "car", "tracking_score": 0.5, **changes})


def files(folder: Path, results: Any, truth: Any) -> tuple[Path, Path]:
    paths = folder / "results.json", folder / "truth.json"
    for path, document in zip(paths, (results, truth), strict=True):
        path.write_text(json.dumps(document))
    return paths


def test_a_box_is_read_into_the_projects_own_conventions(tmp_path: Path) -> None:
    table, truth = read_detection_files(*files(tmp_path, {"meta": {}, "results": {"a": [box()]}}, {"a": [box()]}))
    assert table.sizes_m.tolist() == [[4.0, 2.0, 1.5]]
    assert table.yaws_rad[0] == pytest.approx(0.5)
    assert table.ego_distance_m.tolist() == [5.0]
    assert (table.velocities_mps[0, 0], np.isnan(table.velocities_mps[0, 1])) == (1.0, True)
    assert DETECTION_CLASSES[table.class_index[0]] == "truck"
    assert ATTRIBUTES[table.attribute_index[0]] == "vehicle.moving"
    assert truth.num_points.tolist() == [5]


def test_tracks_get_scene_time_and_identity(tmp_path: Path) -> None:
    samples = {"a": {"scene": "s", "timestamp": 1}, "b": {"scene": "s", "timestamp": 2}}
    truth = {"results": {"a": [track()], "b": [track(tracking_id="y"), track()]}, "samples": samples}
    _, table = read_tracking_files(*files(tmp_path, {"b": [], "a": []}, truth))
    assert table.track_ids.tolist() == [0, 1, 0]
    assert table.sample_time_ns.tolist() == [1000, 2000]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"detection_name": "tram"}, "'tram'"),
        ({"detection_score": math.nan}, "detection_score nan"),
        ({"detection_score": None}, "no detection_score"),
        ({"translation": [1.0, 2.0]}, "3 numbers"),
        ({"translation": [1.0, 2.0, math.nan]}, "none of them NaN"),
        ({"size": [0.0, 1.0, 1.0]}, "positive width"),
        ({"attribute_name": "vehicle.flying"}, "vehicle.flying"),
    ],
)
def test_a_wrong_box_is_named_by_its_sample(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        read_detection_files(*files(tmp_path, {"a": [], "bad": [box(), box(**changes)]}, {"a": [], "bad": []}))
    assert "sample 'bad'" in str(error.value)


def test_tracking_refuses_a_class_it_does_not_have(tmp_path: Path) -> None:
    truth = {"results": {"a": []}, "samples": {"a": {"scene": "s", "timestamp": 1}}}
    with pytest.raises(InputError, match="barrier"):
        read_tracking_files(*files(tmp_path, {"a": [track(tracking_name="barrier")]}, truth))


def test_tracking_refuses_truth_without_scenes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'a' without scene"):
        read_tracking_files(*files(tmp_path, {"a": []}, {"a": [track()]}))


@pytest.mark.parametrize("time", [1e308, float("inf"), float("nan"), 1 << 62])
def test_tracking_refuses_times_that_are_none(tmp_path: Path, time: float) -> None:
    truth = {"results": {"a": [track()]}, "samples": {"a": {"scene": "s", "timestamp": time}}}
    with pytest.raises(InputError, match="sample 'a'"):
        read_tracking_files(*files(tmp_path, {"a": []}, truth))


@pytest.mark.parametrize("document", [[], {}, {"a": 1}, {"results": []}])
def test_something_else_than_samples_is_refused(tmp_path: Path, document: Any) -> None:
    with pytest.raises(InputError, match="sample"):
        read_detection_files(*files(tmp_path, document, {"a": []}))


def test_a_missing_file_and_broken_json_are_refused(tmp_path: Path) -> None:
    results, truth = files(tmp_path, {"a": []}, {"a": []})
    with pytest.raises(InputError, match="readable"):
        read_detection_files(tmp_path / "absent.json", truth)
    results.write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        read_detection_files(results, truth)


def test_more_than_500_boxes_in_a_sample_are_refused(tmp_path: Path) -> None:
    tables = read_detection_files(*files(tmp_path, {"full": [box()] * 501}, {"full": []}))
    with pytest.raises(InputError, match="'full': got 501 boxes"):
        evaluate_detection(*tables)


def test_a_sample_of_the_truth_without_results_is_refused(tmp_path: Path) -> None:
    tables = read_detection_files(*files(tmp_path, {"a": []}, {"a": [], "b": []}))
    with pytest.raises(InputError, match="'b'"):
        evaluate_detection(*tables)


def test_results_without_ego_translation_get_it_from_the_truth_of_their_sample(tmp_path: Path) -> None:
    lacking = {name: value for name, value in box(translation=[13.0, 24.0, 1.0]).items() if name != "ego_translation"}
    table, _ = read_detection_files(*files(tmp_path, {"a": [lacking, lacking]}, {"a": [box()]}))
    assert table.ego_distance_m.tolist() == [10.0, 10.0]  # the vehicle is at (7, 16)
    nowhere = files(tmp_path, {"a": [], "b": [{**lacking, "sample_token": "b"}]}, {"a": [box()], "b": []})
    with pytest.raises(InputError, match="no ego_translation"):
        read_detection_files(*nowhere)
    with pytest.raises(InputError, match="no ego_translation"):
        read_detection_files(*files(tmp_path, {"a": [box()]}, {"a": [lacking]}))
