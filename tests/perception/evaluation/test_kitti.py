"""KITTI-style average precision by hand."""

import numpy as np
import pytest

from tricast.perception.evaluation.box_table import BoxTable
from tricast.perception.evaluation.kitti import evaluate_kitti


def boxes(
    places: list[tuple[float, float, float]], scores: list[float] | None = None, *, class_index: int = 0
) -> BoxTable:
    count = len(places)
    return BoxTable.of(
        ["s"],
        sample_index=np.zeros(count),
        class_index=np.full(count, class_index),
        centers_m=np.array(places, float).reshape(-1, 3),
        sizes_m=np.tile([4.0, 2.0, 2.0], (count, 1)),
        yaws_rad=np.zeros(count),
        ego_distance_m=np.zeros(count),
        scores=None if scores is None else np.array(scores),
    )


def test_perfect_boxes_score_one_and_absent_classes_nothing() -> None:
    truth = boxes([(0, 0, 0), (10, 0, 0)])
    metrics = evaluate_kitti(boxes([(0, 0, 0), (10, 0, 0)], [0.5, 0.6]), truth)
    assert (metrics.ap_3d[0], metrics.ap_bev[0]) == (1.0, 1.0)
    assert np.isnan(metrics.ap_3d[1:]).all()


def test_height_counts_in_space_but_not_from_above() -> None:
    metrics = evaluate_kitti(boxes([(0, 0, 0.6)], [0.5]), boxes([(0, 0, 0)]))
    assert (metrics.ap_3d[0], metrics.ap_bev[0]) == (0.0, 1.0)


def test_precision_at_forty_recalls_by_hand() -> None:
    # A hit, a false box, a hit, of four: recalls to 1/4 at precision 1, to 2/4 at 2/3.
    found = boxes([(0, 0, 0), (50, 50, 0), (10, 0, 0)], [0.9, 0.8, 0.7])
    truth = boxes([(0, 0, 0), (10, 0, 0), (20, 0, 0), (30, 0, 0)])
    assert evaluate_kitti(found, truth).ap_3d[0] == pytest.approx((10 * 1 + 10 * 2 / 3) / 40)


def test_a_second_box_on_an_object_is_false_and_the_better_overlap_is_taken() -> None:
    truth = boxes([(0, 0, 0), (0.5, 0, 0)])
    found = boxes([(0.4, 0, 0), (0.1, 0, 0)], [0.9, 0.8])
    assert evaluate_kitti(found, truth).ap_3d[0] == 1.0
    twice = boxes([(0, 0, 0), (0, 0, 0)], [0.9, 0.8])
    assert evaluate_kitti(twice, boxes([(0, 0, 0), (20, 0, 0)])).ap_3d[0] == pytest.approx(0.5)


def test_people_need_less_overlap_than_cars() -> None:
    # 1 m of 4 aside: 3/5 overlap.
    for class_index, expected in ((0, 0.0), (5, 1.0)):
        found = boxes([(1, 0, 0)], [0.5], class_index=class_index)
        metrics = evaluate_kitti(found, boxes([(0, 0, 0)], class_index=class_index))
        assert metrics.ap_3d[class_index] == expected


def test_nothing_predicted_scores_zero() -> None:
    assert evaluate_kitti(boxes([], []), boxes([(0, 0, 0)])).ap_3d[0] == 0.0
