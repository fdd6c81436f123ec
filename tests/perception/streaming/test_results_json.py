"""The lines of results.jsonl, against one written by hand."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tricast.perception.outputs import NUM_FUTURE_STEPS, Detections, SensorShares, TickResult, Tracks, Trajectories
from tricast.perception.streaming.results_json import ResultsJsonWriter, result_line, result_to_json
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synced_frame import ChannelHealth, InputUsed


def one_car(score: float = 0.1234567891) -> TickResult:
    boxes = Boxes(
        centers_m=np.array([[10.0, -2.5, 0.8]]),
        sizes_m=np.array([[4.5, 1.9, 1.6]]),
        yaws_rad=np.array([-1e-9]),
        velocities_mps=np.array([[3.0, -0.0]]),
    )
    steps = 1.5 * np.arange(1, NUM_FUTURE_STEPS + 1)
    return TickResult(
        timestamp_ns=1_700_000_000_123_456_789,
        odom_from_ego=SE3(translation_m=(1.0, 2.0, 0.0)),
        detections=Detections.empty(1_700_000_000_123_456_789),
        tracks=Tracks(
            timestamp_ns=1_700_000_000_123_456_789,
            boxes=boxes,
            class_names=("car",),
            scores=np.array([score]),
            track_ids=np.array([7]),
            turn_rates_radps=np.zeros(1),
            detection_indices=np.zeros(1, np.int64),
            class_scores=np.zeros((1, 10)),
        ),
        trajectories=Trajectories(
            probabilities=np.ones((1, 1)),
            points_m=np.column_stack([10.0 + steps, np.full(NUM_FUTURE_STEPS, -2.5)])[None, None],
        ),
        inputs=(InputUsed(channel="LIDAR_TOP", timestamp_ns=1_700_000_000_100_000_000, reused=False),),
        health={
            "LIDAR_TOP": ChannelHealth(state="ok", age_ns=23_456_789),
            "CAM_FRONT": ChannelHealth(state="waiting", age_ns=None),
        },
    )


def nothing() -> TickResult:
    return TickResult(
        timestamp_ns=5,
        odom_from_ego=SE3(),
        detections=Detections.empty(5),
        tracks=Tracks.empty(5),
        trajectories=Trajectories(probabilities=np.zeros((0, 1)), points_m=np.zeros((0, 1, NUM_FUTURE_STEPS, 2))),
        inputs=(),
        health={},
    )


def test_a_line_is_as_written_by_hand() -> None:
    points = ",".join(f"[{10 + 1.5 * k},-2.5]" for k in range(1, 13))
    assert result_line(one_car()) == (
        '{"schema_version":1,"timestamp_ns":1700000000123456789,"frame":"ego",'
        '"inputs":[{"channel":"LIDAR_TOP","timestamp_ns":1700000000100000000,"reused":false}],'
        '"odom_from_ego":{"quaternion_wxyz":[1.0,0.0,0.0,0.0],"translation_m":[1.0,2.0,0.0]},'
        '"objects":[{"track_id":7,"class":"car","score":0.123457,"center_m":[10.0,-2.5,0.8],'
        '"size_m":[4.5,1.9,1.6],"yaw_rad":0.0,"velocity_mps":[3.0,0.0],'
        '"trajectories":[{"probability":1.0,"points_m":[' + points + "]}]}],"
        '"health":{"CAM_FRONT":{"state":"waiting","age_ns":null},"LIDAR_TOP":{"state":"ok","age_ns":23456789}}}'
    )


def with_shares(detection: int) -> TickResult:
    """The car, updated by one of two detections or by none (-1)."""
    result = one_car()
    boxes = result.tracks.boxes[np.zeros(2, np.int64)]
    shares = SensorShares(
        attention=np.array([[0.0, 1.0, 0.0], [0.25, 0.5, 0.25]]),
        score_drop=np.array([[0.0, 1.0, 0.0], [-0.1, 0.75, 0.0]]),
        camera_channels=("CAM_BACK", "CAM_FRONT"),
        camera_attention=np.array([[0.0, 0.0], [0.0, 0.125]]),
    )
    detections = Detections(
        timestamp_ns=result.timestamp_ns,
        boxes=boxes,
        class_names=("car", "car"),
        scores=np.array([0.5, 0.4]),
        sensor_shares=shares,
    )
    return replace(
        result, detections=detections, tracks=replace(result.tracks, detection_indices=np.array([detection]))
    )


def test_an_object_tells_the_shares_of_the_detection_that_updated_it() -> None:
    assert result_to_json(with_shares(1))["objects"][0]["sensor_share"] == {
        "attention": {"camera": 0.25, "lidar": 0.5, "radar": 0.25},
        "score_drop": {"camera": -0.1, "lidar": 0.75, "radar": 0.0},
        "camera_attention": {"CAM_BACK": 0.0, "CAM_FRONT": 0.125},
    }


def test_an_object_that_no_detection_updated_has_no_shares() -> None:
    assert result_to_json(with_shares(-1))["objects"][0]["sensor_share"] is None
    assert "sensor_share" not in result_to_json(one_car())["objects"][0]


def test_a_future_tells_its_scales_where_it_is_learned() -> None:
    result = one_car()
    scales = np.tile([1.5, 0.25], (1, 1, NUM_FUTURE_STEPS, 1))
    learned = replace(result, trajectories=replace(result.trajectories, scales_m=scales))
    assert result_to_json(learned)["objects"][0]["trajectories"][0]["scales_m"] == [[1.5, 0.25]] * NUM_FUTURE_STEPS
    physics = replace(result, trajectories=replace(result.trajectories, scales_m=np.full_like(scales, np.nan)))
    assert result_line(physics) == result_line(result)


def test_a_tick_without_objects_is_a_whole_line() -> None:
    assert result_line(nothing()) == (
        '{"schema_version":1,"timestamp_ns":5,"frame":"ego","inputs":[],'
        '"odom_from_ego":{"quaternion_wxyz":[1.0,0.0,0.0,0.0],"translation_m":[0.0,0.0,0.0]},'
        '"objects":[],"health":{}}'
    )


def test_a_line_reads_back_as_what_was_written() -> None:
    assert json.loads(result_line(one_car())) == result_to_json(one_car())


def test_differences_below_a_micrometre_do_not_show() -> None:
    assert result_line(one_car(0.5)) == result_line(one_car(0.5 + 1e-9))


def test_values_that_are_no_numbers_never_reach_the_file() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        result_line(one_car(float("nan")))


def test_the_file_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with ResultsJsonWriter(path) as writer:
        writer.write(nothing())
        assert not path.exists()
        writer.write(one_car())
    assert [json.loads(line)["timestamp_ns"] for line in path.read_text().splitlines()] == [
        5,
        1_700_000_000_123_456_789,
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["results.jsonl"]


def test_an_interrupted_file_keeps_its_partial_name(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), ResultsJsonWriter(tmp_path / "results.jsonl") as writer:
        writer.write(nothing())
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["results.jsonl.partial"]
