"""Results in the official formats: by hand, and read back by this package's own readers of those formats."""

import json
from pathlib import Path

import numpy as np
import pytest

from tricast.configs.errors import InputError
from tricast.perception.config import PipelineConfig
from tricast.perception.evaluation.devkit_files import DETECTION, TRACKING, boxes_from_json
from tricast.perception.evaluation.held_log import HeldLog
from tricast.perception.evaluation.run_log import run_log
from tricast.perception.evaluation.submission import (
    Sample,
    argoverse2_detections,
    collect_samples,
    nuscenes_detection,
    nuscenes_prediction,
    nuscenes_tracking,
    used_modalities,
    write_feather,
)
from tricast.perception.outputs import Detections, TickResult, Tracks, Trajectories
from tricast.sensors.annotations import Annotations
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.open_log import open_log
from tricast.tools.cli import main
from tricast.tools.demo import demo_log_path

POSE = SE3.from_yaw(np.pi / 2, (100.0, 200.0, 0.0))


def boxes(*centers: tuple[float, float, float], velocity: tuple[float, float] = (2.0, 0.0)) -> Boxes:
    count = len(centers)
    return Boxes(
        centers_m=np.array(centers, np.float64).reshape(-1, 3),
        sizes_m=np.tile([4.0, 2.0, 1.5], (count, 1)),
        yaws_rad=np.zeros(count),
        velocities_mps=np.tile(np.array(velocity), (count, 1)),
    )


def sample(names: tuple[str, ...] = ("car", "barrier"), *, truth: Annotations | None = None) -> Sample:
    """Objects ten metres ahead and further to the left; the vehicle looks along the map's y axis."""
    placed = boxes(*((10.0, 5.0 * i, 1.0) for i in range(len(names))))
    scores = np.linspace(0.9, 0.5, len(names))
    tracks = Tracks(
        timestamp_ns=7,
        boxes=placed,
        class_names=names,
        scores=scores,
        track_ids=np.arange(len(names)) + 3,
        turn_rates_radps=np.zeros(len(names)),
        detection_indices=np.arange(len(names)),
        class_scores=np.zeros((len(names), 10)),
    )
    steps = np.arange(1, 13)[:, None] * np.array([1.0, 0.0])
    points = placed.centers_m[:, None, None, :2] + np.stack([steps, 2 * steps])[None]
    result = TickResult(
        timestamp_ns=7,
        odom_from_ego=POSE,
        detections=Detections(timestamp_ns=7, boxes=placed, class_names=names, scores=scores),
        tracks=tracks,
        trajectories=Trajectories(probabilities=np.tile([0.6, 0.4], (len(names), 1)), points_m=points),
        inputs=(),
        health={},
    )
    return Sample(token="token", result=result, truth=truth)


def test_a_detection_in_the_map() -> None:
    document = nuscenes_detection([sample()], {"lidar"})
    car, barrier = document["results"]["token"]
    np.testing.assert_allclose(car["translation"], [100, 210, 1])
    assert car["size"] == [2.0, 4.0, 1.5]  # width, length, height
    np.testing.assert_allclose(car["rotation"], [np.sqrt(0.5), 0, 0, np.sqrt(0.5)])
    np.testing.assert_allclose(car["velocity"], [0, 2], atol=1e-9)
    np.testing.assert_allclose(car["ego_translation"], [0, 10, 1], atol=1e-9)
    assert (car["detection_name"], car["detection_score"]) == ("car", 0.9)
    assert car["attribute_name"] == "vehicle.moving"
    assert barrier["attribute_name"] == ""
    assert document["meta"] == {
        "use_camera": False,
        "use_lidar": True,
        "use_radar": False,
        "use_map": False,
        "use_external": False,
    }


def test_tracking_takes_its_seven_classes_only() -> None:
    document = nuscenes_tracking([sample(("barrier", "car", "traffic_cone"))], {"camera", "radar"})
    (box,) = document["results"]["token"]
    assert (box["tracking_id"], box["tracking_name"], box["tracking_score"]) == ("4", "car", pytest.approx(0.7))
    assert document["meta"]["use_radar"]


def test_the_best_five_hundred_of_a_sample_are_submitted() -> None:
    document = nuscenes_detection([sample(("car",) * 600)], ())
    scores = [box["detection_score"] for box in document["results"]["token"]]
    assert len(scores) == 500
    assert min(scores) > np.linspace(0.9, 0.5, 600)[500]


def test_an_unknown_velocity_counts_as_standing_still() -> None:
    given = sample(("car",))
    unknown = boxes((10, 0, 1), velocity=(np.nan, np.nan))
    detections = Detections(timestamp_ns=7, boxes=unknown, class_names=("car",), scores=np.array([0.5]))
    result = TickResult(**{**vars(given.result), "detections": detections})
    (box,) = nuscenes_detection([Sample(token="t", result=result)], ())["results"]["t"]
    assert (box["velocity"], box["attribute_name"]) == ([0.0, 0.0], "vehicle.parked")


def test_forecasts_are_given_for_annotated_objects_within_two_metres() -> None:
    truth = Annotations.from_boxes(7, boxes((10.5, 5, 0), (10, 20, 0)), ("car", "car"), ("near", "missed"))
    (entry,) = nuscenes_prediction([sample(("car", "car"), truth=truth)])
    assert (entry["instance"], entry["sample"], entry["probabilities"]) == ("near", "token", [0.6, 0.4])
    prediction = np.array(entry["prediction"])
    assert prediction.shape == (2, 12, 2)
    # Five metres to the left of the vehicle's axis is five metres towards -x in the map.
    np.testing.assert_allclose(prediction[1, 11], [95, 234])
    with pytest.raises(InputError, match="no annotations"):
        nuscenes_prediction([sample()])


def test_argoverse_2_wants_boxes_in_the_vehicles_frame_and_has_no_barriers() -> None:
    columns = argoverse2_detections([sample(("barrier", "traffic_cone"))], "log")
    assert columns["category"].tolist() == ["CONSTRUCTION_CONE"]
    assert [columns[name][0] for name in ("tx_m", "ty_m", "tz_m")] == [10, 5, 1]
    assert [columns[name][0] for name in ("length_m", "width_m", "height_m")] == [4, 2, 1.5]
    assert [columns[name][0] for name in ("qw", "qx", "qy", "qz")] == [1, 0, 0, 0]
    assert (columns["timestamp_ns"].dtype, columns["timestamp_ns"][0]) == (np.int64, 7)


@pytest.mark.parametrize("names", [("car", "bus"), ()])
def test_a_feather_file_holds_the_columns_with_their_types(names: tuple[str, ...], tmp_path: Path) -> None:
    feather = pytest.importorskip("pyarrow.feather")
    columns = argoverse2_detections([sample(names)], "log")
    write_feather(columns, tmp_path / "out.feather")
    table = feather.read_table(tmp_path / "out.feather")
    assert table.num_rows == len(names)
    assert {f.name: str(f.type) for f in table.schema} == {
        **{name: "double" for name in columns if name not in ("log_id", "timestamp_ns", "category")},
        "log_id": "string",
        "timestamp_ns": "int64",
        "category": "string",
    }
    assert table.column("category").to_pylist() == columns["category"].tolist()


def test_what_is_submitted_is_what_is_scored(tmp_path: Path) -> None:
    held = HeldLog(open_log(demo_log_path()), 1.0)
    config = PipelineConfig()
    samples = collect_samples(held, config, token_of=lambda at_ns: f"demo/{at_ns}")
    scored = run_log(held, config, {"all": None}, name="demo").results["all"]
    modalities = used_modalities(held.rig, None, config)
    assert modalities == {"lidar", "radar"}, "the classical detector does not look at pictures"
    assert used_modalities(held.rig, ("LIDAR_TOP", "camera"), config) == {"lidar"}
    documents = nuscenes_detection(samples, modalities), nuscenes_tracking(samples, modalities)
    detections = boxes_from_json(documents[0], where=tmp_path, task=DETECTION, scored=True)
    assert detections.sample_tokens == scored.detections.sample_tokens
    for column in ("sample_index", "class_index", "centers_m", "sizes_m", "velocities_mps", "scores"):
        np.testing.assert_allclose(getattr(detections, column), getattr(scored.detections, column), atol=1e-9)
    np.testing.assert_array_equal(detections.attribute_index, scored.detections.attribute_index)
    # The devkit measures distance in the map's plane, the tables here in the vehicle's own, which may be tilted.
    np.testing.assert_allclose(detections.ego_distance_m, scored.detections.ego_distance_m, atol=0.3)
    tracks = boxes_from_json(documents[1], where=tmp_path, task=TRACKING, scored=True)
    assert 0 < len(tracks.scores) <= len(scored.tracks.scores)


def test_a_folder_as_the_file_to_write_is_refused_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submission", str(demo_log_path()), "--format", "nuscenes-tracking", "--out", str(tmp_path)]) == 2
    assert f"--out: got the folder {tmp_path}; expected a file" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_file_and_says_how_many_samples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.json"
    assert main(["submission", str(demo_log_path()), "--format", "nuscenes-tracking", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"6 samples in {out}\n"
    assert len(json.loads(out.read_text())["results"]) == 6
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results.json.partial").symlink_to("/dev/full")
    command = ["submission", str(demo_log_path()), "--format", "nuscenes-tracking", "--detector", "cluster"]
    assert main([*command, "--out", str(tmp_path / "results.json")]) == 2
    assert "results.json: got No space left on device" in capsys.readouterr().err
