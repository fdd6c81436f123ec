"""Argoverse 2's score by hand."""

import numpy as np
import pytest

from tricast.perception.evaluation.argoverse2 import Argoverse2Config, evaluate_argoverse2
from tricast.perception.evaluation.box_table import BoxTable


def cars(xs: list[float], scores: list[float] | None = None, *, yaw_rad: float = 0.0) -> BoxTable:
    count = len(xs)
    centers = np.stack([np.array(xs, float), np.zeros(count), np.zeros(count)], axis=1)
    return BoxTable.of(
        ["s"],
        sample_index=np.zeros(count),
        class_index=np.zeros(count),
        centers_m=centers,
        sizes_m=np.full((count, 3), 2.0),
        yaws_rad=np.full(count, yaw_rad),
        ego_distance_m=np.abs(centers[:, 0]),
        scores=None if scores is None else np.array(scores),
    )


def test_one_turned_box_of_two_by_hand() -> None:
    metrics = evaluate_argoverse2(cars([10.7], [0.9], yaw_rad=np.pi / 2), cars([10.0, 50.0]))
    # Found from 1 m on, at recalls 0 to 0.5 of 1: 51 of 101 points.
    np.testing.assert_allclose(metrics.average_precisions[0], [0, 51 / 101, 51 / 101, 51 / 101])
    np.testing.assert_allclose(metrics.errors[0], [0.7, 0.0, np.pi / 2], atol=1e-12)
    cds = 3 / 4 * 51 / 101 * np.mean([1 - 0.7 / 2, 1, 0.5])
    assert metrics.mean_score(("car",)) == pytest.approx(cds)
    assert metrics.mean_score() == pytest.approx(cds / 10)


def test_a_far_box_with_a_better_score_takes_the_object_from_a_near_one() -> None:
    metrics = evaluate_argoverse2(cars([10.0, 40.0], [0.5, 0.9]), cars([10.0]))
    assert metrics.mean_ap(("car",)) == 0.0


def test_only_the_best_hundred_boxes_of_a_class_count() -> None:
    far = [100.0] * 100
    metrics = evaluate_argoverse2(cars([*far, 10.0], [*[0.9] * 100, 0.5]), cars([10.0, 100.0]))
    # Precision 1 below recall 1/2, 1/100 there after the false boxes, and nothing beyond.
    assert metrics.average_precisions[0, 0] == pytest.approx((50 + 1 / 100) / 101)


def test_boxes_out_of_range_do_not_count() -> None:
    config = Argoverse2Config(max_range_m=20.0)
    metrics = evaluate_argoverse2(cars([10.0, 30.0], [0.5, 0.9]), cars([10.0, 30.0]), config)
    assert metrics.truth_counts[0] == 1
    assert metrics.mean_ap(("car",)) == pytest.approx(1.0)


def test_nothing_predicted_scores_nothing() -> None:
    metrics = evaluate_argoverse2(cars([], []), cars([10.0]))
    np.testing.assert_allclose(metrics.errors[0], [2.0, 1.0, np.pi])
    assert metrics.mean_score() == 0.0
