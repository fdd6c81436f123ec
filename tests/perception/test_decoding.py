import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tricast.perception.decoding import DecodingConfig, decode, distinct
from tricast.perception.losses.trajectories import TrajectoryLossConfig
from tricast.perception.query_outputs import LayerOutputs, QueryOutputs
from tricast.perception.score_calibration import ScoreScale

PLAIN = DecodingConfig(classes_per_query=1, heat_share=0.5, quality_power=1.0, min_score=0.1, duplicate_share=0.5)


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _outputs(**changes: torch.Tensor) -> QueryOutputs:
    """Three queries on a heatmap of 4 x 4: a car, the same car half a metre on, a pedestrian."""
    class_logits = torch.full((1, 3, 10), -20.0)
    class_logits[0, 0, 0], class_logits[0, 1, 0], class_logits[0, 2, 5] = _logit(0.8), _logit(0.5), _logit(0.5)
    heatmap = torch.full((1, 10, 4, 4), -20.0)
    heatmap[0, 0, 1, 2], heatmap[0, 5, 0, 3] = _logit(0.45), _logit(0.5)
    points = torch.zeros(1, 3, 2, 12, 2)
    points[:, :, 1, :, 0] = torch.arange(1, 13)
    points[:, :, 1, 11, 1] = 5.0
    layer = LayerOutputs(
        class_logits=class_logits,
        centers_m=torch.tensor([[[10.0, 2.0, 0.8], [10.5, 2.0, 0.8], [-3.0, 4.0, 0.9]]]),
        log_sizes=torch.tensor([[[4.0, 2.0, 1.5], [4.0, 2.0, 1.5], [0.6, 0.7, 1.8]]]).log(),
        yaw_sin_cos=torch.tensor([[[2.0, 0.1], [0.0, 1.0], [0.3, 1.0]]]),
        axis_sin_cos=torch.tensor([[[0.0, -2.0], [0.0, 1.0], [0.0, 1.0]]]),
        velocities_mps=torch.tensor([[[0.0, 3.0], [0.0, 0.0], [1.0, 0.0]]]),
        quality_logits=torch.full((1, 3), _logit(0.5)),
    )
    values = {
        "heatmap": heatmap,
        "camera_heatmap": None,
        "radar_heatmap": None,
        "query_cells": torch.tensor([[6, 6, 3]]),
        "query_classes": torch.tensor([[0, 0, 5]]),
        "query_mask": torch.ones(1, 3, dtype=torch.bool),
        "num_seeded": 3,
        "layers": (layer,),
        "mode_points_m": points,
        "mode_log_scales": torch.zeros(1, 3, 2, 12, 2),
        "mode_logits": torch.tensor([[[0.0, math.log(3.0)]] * 3]),
    }
    return QueryOutputs(**{**values, **changes})  # type: ignore[arg-type]


def test_a_score_is_heat_and_class_times_quality() -> None:
    detections = decode(_outputs(), 7, PLAIN)
    assert detections.timestamp_ns == 7
    assert detections.class_names == ("car", "pedestrian")
    assert detections.scores == pytest.approx([0.5 * math.sqrt(0.8 * 0.45), 0.5 * math.sqrt(0.5 * 0.5)])


def test_the_heat_where_a_learned_query_began_does_not_count() -> None:
    learned = decode(replace(_outputs(), from_peaks=False), 7, PLAIN)
    without_heat = _outputs(heatmap=torch.full_like(_outputs().heatmap, -9.0))
    cold = decode(replace(without_heat, from_peaks=False), 7, PLAIN)
    assert learned.scores.tolist() == cold.scores.tolist()
    assert learned.scores[0] > decode(_outputs(), 7, PLAIN).scores[0]


def test_boxes_are_read_as_stated() -> None:
    boxes = decode(_outputs(), 7, PLAIN).boxes
    assert boxes.centers_m == pytest.approx(np.array([[10, 2, 0.8], [-3, 4, 0.9]]))
    assert boxes.sizes_m == pytest.approx(np.array([[4, 2, 1.5], [0.6, 0.7, 1.8]]))
    assert boxes.yaws_rad == pytest.approx([math.pi / 2, 0.0])
    assert boxes.velocities_mps == pytest.approx(np.array([[0, 3], [1, 0]]))


def test_a_worse_box_of_the_class_within_reach_of_a_better_one_is_left_out() -> None:
    assert len(decode(_outputs(), 7, PLAIN)) == 2
    # Half the car's width is 1 m, the other car is 0.5 m away; a tenth of it is 0.2 m.
    assert len(decode(_outputs(), 7, PLAIN.model_copy(update={"duplicate_share": 0.1}))) == 3


def test_suppression_passes_over_boxes_that_are_gone_and_has_its_own_radius_between_classes() -> None:
    places = np.array([[0.0, 0.0], [0.9, 0.0], [1.8, 0.0], [0.3, 0.0]])
    classes = np.array([0, 0, 0, 1])
    assert distinct(places, np.ones(4), np.full(4, 0.2), classes).tolist() == [0, 2, 3]
    assert distinct(places, np.ones(4), np.full(4, 0.4), classes).tolist() == [0, 2]


@pytest.mark.parametrize("count", [0, 1, 40, 300])
def test_suppression_of_all_at_once_is_that_of_one_after_the_other(count: int) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        # On a grid, so that distances also equal radii to the bit, and boxes share places.
        places, classes = rng.integers(0, 64, (count, 2)) / 4, rng.integers(0, 3, count)
        own, other = rng.integers(0, 12, count) / 4, rng.integers(0, 6, count) / 4
        kept: list[int] = []
        for box in range(count):
            better = [
                k for k in kept if math.dist(places[k], places[box]) < (own if classes[k] == classes[box] else other)[k]
            ]
            kept += [] if better else [box]
        assert distinct(places, own, other, classes).tolist() == kept
        assert count < 300 or len(kept) < count


def test_a_long_row_of_boxes_loses_every_second_one() -> None:
    places = np.zeros((101, 2))
    places[:, 0] = np.arange(101) * 0.9
    kept = distinct(places, np.ones(101), np.zeros(101), np.zeros(101, np.int64))
    assert kept.tolist() == list(range(0, 101, 2))


def test_futures_turn_with_the_heading_and_begin_at_the_centre() -> None:
    trajectories = decode(_outputs(), 7, PLAIN).trajectories
    assert trajectories is not None
    assert trajectories.probabilities == pytest.approx(np.array([[0.75, 0.25]] * 2))
    car = trajectories.points_m[0, 0]
    # Heading +y: 1 m along is 1 m of y, 5 m across (to the left) is -5 m of x.
    assert car[0] == pytest.approx([10.0, 3.0])
    assert car[11] == pytest.approx([5.0, 14.0])
    assert trajectories.points_m[0, 1] == pytest.approx(np.tile([10.0, 2.0], (12, 1)))


def test_padding_low_scores_and_values_that_are_not_finite_are_left_out() -> None:
    assert decode(_outputs(query_mask=torch.tensor([[False, True, False]])), 7, PLAIN).class_names == ("car",)
    assert len(decode(_outputs(), 7, PLAIN.model_copy(update={"min_score": 0.9}))) == 0
    for wrong in ("centers_m", "log_sizes", "velocities_mps", "axis_sin_cos", "mode_logits", "mode_points_m"):
        outputs = _outputs()
        values = getattr(outputs, wrong) if wrong.startswith("mode") else getattr(outputs.layers[-1], wrong)
        values[0, 0].view(-1)[0] = float("nan")
        assert decode(outputs, 7, PLAIN).boxes.centers_m[:, 0] == pytest.approx([-3.0, 10.5]), wrong


def test_no_more_boxes_are_given_than_asked_for() -> None:
    assert len(decode(_outputs(), 7, PLAIN.model_copy(update={"max_detections": 1}))) == 1


def test_scores_are_calibrated_by_the_sensors_that_are_present() -> None:
    plain = decode(_outputs(), 7, PLAIN)
    scales = {"camera+lidar": ScoreScale(temperature=2.0, bias=-1.0), "radar": ScoreScale(temperature=0.5)}
    config = DecodingConfig.model_validate({**PLAIN.model_dump(), "calibration": scales})
    for present, scale in (((True, True, False), scales["camera+lidar"]), ((False, False, True), scales["radar"])):
        calibrated = decode(_outputs(), 7, config, present=present)
        assert calibrated.scores == pytest.approx(scale.apply(plain.scores))
        # The same boxes in the same order, whatever the least score is.
        assert np.array_equal(calibrated.boxes.centers_m, plain.boxes.centers_m)
        assert calibrated.class_names == plain.class_names
    for present in ((True, True, True), None):
        assert np.array_equal(decode(_outputs(), 7, config, present=present).scores, plain.scores)


def _scales_m(outputs: QueryOutputs) -> np.ndarray:
    trajectories = decode(outputs, 7, PLAIN).trajectories
    assert trajectories is not None and trajectories.scales_m is not None
    return trajectories.scales_m


def test_futures_tell_their_scales_mode_by_mode() -> None:
    log_scales = torch.zeros(1, 3, 2, 12, 2)
    log_scales[:, :, 1, :, 0], log_scales[:, :, 1, :, 1] = math.log(3.0), math.log(0.5)
    scales = _scales_m(_outputs(mode_log_scales=log_scales))
    # The second mode is the more probable one and comes first.
    assert scales[0, 0] == pytest.approx(np.tile([3.0, 0.5], (12, 1)))
    assert scales[0, 1] == pytest.approx(np.ones((12, 2)))


def test_no_scale_is_told_that_training_does_not_teach() -> None:
    wild = torch.full((1, 3, 2, 12, 2), 9.0)
    config = TrajectoryLossConfig()
    assert _scales_m(_outputs(mode_log_scales=wild)) == pytest.approx(math.exp(config.max_log_scale))
    assert _scales_m(_outputs(mode_log_scales=-wild)) == pytest.approx(math.exp(config.min_log_scale))


def test_a_query_in_doubt_is_there_once_for_each_of_its_likeliest_classes() -> None:
    outputs = _outputs()
    outputs.layers[0].class_logits[0, 0, 1] = _logit(0.6)
    detections = decode(outputs, 7, PLAIN.model_copy(update={"classes_per_query": 2}))
    assert detections.class_names == ("car", "truck", "pedestrian")
    assert detections.scores[1] == pytest.approx(0.5 * math.sqrt(0.6 * 0.45))
    assert detections.boxes.centers_m[1].tolist() == detections.boxes.centers_m[0].tolist()
    assert detections.alternative is not None and detections.alternative.tolist() == [False, True, False]
