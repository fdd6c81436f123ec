"""Matches, errors of movers and calibration by hand."""

import numpy as np
import pytest

from tricast.perception.evaluation.box_table import BoxTable
from tricast.perception.evaluation.true_positives import calibration, matched_truth, mover_errors


def table(rows: list[tuple[float, float, float, float, float]], scores: list[float] | None = None) -> BoxTable:
    """Cars of one sample from rows (x, y, yaw, vx, vy)."""
    values = np.array(rows, np.float64).reshape(-1, 5)
    return BoxTable.of(
        ["sample"],
        sample_index=np.zeros(len(values)),
        class_index=np.zeros(len(values)),
        centers_m=np.column_stack([values[:, :2], np.zeros(len(values))]),
        sizes_m=np.ones((len(values), 3)),
        yaws_rad=values[:, 2],
        velocities_mps=values[:, 3:],
        ego_distance_m=np.linalg.norm(values[:, :2], axis=1),
        scores=None if scores is None else np.array(scores),
    )


def test_the_best_score_chooses_first_and_what_is_too_far_finds_nothing() -> None:
    truth = table([(0, 0, 0, 0, 0), (10, 0, 0, 0, 0)])
    boxes = table([(0.5, 0, 0, 0, 0), (0.1, 0, 0, 0, 0), (12.5, 0, 0, 0, 0)], [0.9, 0.8, 0.7])
    assert matched_truth(boxes, truth).tolist() == [0, -1, -1]


def test_errors_of_movers_leave_what_stands_out_and_count_what_faces_backwards() -> None:
    truth = table([(0, 0, 0, 4, 0), (10, 0, 0, 2, 0), (20, 0, 0, 0, 0)])
    boxes = table([(0, 0, 0.2, 3, 0), (10, 0, np.pi, np.nan, np.nan), (20, 0, 1.0, 9, 0)], [0.9, 0.8, 0.7])
    errors = mover_errors(boxes, truth, matched_truth(boxes, truth))
    assert errors.count == 2
    assert errors.velocity_error_mps == pytest.approx((1 + 2) / 2)
    assert errors.speed_mps == pytest.approx(3.0)
    assert errors.yaw_error_rad == pytest.approx((0.2 + np.pi) / 2)
    assert errors.reversed_share == 0.5


def test_nothing_matched_has_no_errors() -> None:
    errors = mover_errors(table([], []), table([(0, 0, 0, 4, 0)]), np.zeros(0, np.int64))
    assert errors.count == 0
    assert np.isnan(errors.velocity_error_mps)


def test_boxes_without_any_truth_have_no_errors_of_movers() -> None:
    boxes, truth = table([(0, 0, 0, 4, 0)], [0.9]), table([])
    assert mover_errors(boxes, truth, matched_truth(boxes, truth)).count == 0


def test_scores_that_say_how_often_they_are_right_have_no_calibration_error() -> None:
    right = np.array([True, False, False, False, True, True, True, False])
    assert calibration(np.array([0.25] * 4 + [0.75] * 4), right).error == pytest.approx(0.0)
    # All of the upper bin at 0.95: the gap there is 0.2, of half the boxes.
    assert calibration(np.array([0.25] * 4 + [0.95] * 4), right).error == pytest.approx(0.1)


def test_calibration_of_no_boxes_is_unknown_and_a_score_of_one_has_a_bin() -> None:
    assert np.isnan(calibration(np.zeros(0), np.zeros(0, bool)).error)
    assert calibration(np.array([1.0]), np.array([True])).counts.tolist() == [0] * 9 + [1]
