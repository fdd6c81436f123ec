"""The choice of samples that a person should look at."""

import numpy as np

from tricast.perception.evaluation.box_table import BoxTable
from tricast.perception.evaluation.true_positives import matched_truth
from tricast.perception.evaluation.worst_samples import best_thresholds, worst_samples


def table(places: list[list[float]], scores: list[list[float]] | None = None) -> BoxTable:
    """Cars at these x, by sample; two samples a scene."""
    counts = [len(row) for row in places]
    x = np.array([value for row in places for value in row], np.float64)
    return BoxTable.of(
        [f"s{i}" for i in range(len(places))],
        sample_scene=np.arange(len(places)) // 2,
        sample_index=np.repeat(np.arange(len(places)), counts),
        class_index=np.zeros(len(x)),
        centers_m=np.column_stack([x, np.zeros((len(x), 2))]),
        sizes_m=np.ones((len(x), 3)),
        yaws_rad=np.zeros(len(x)),
        ego_distance_m=np.abs(x),
        scores=None if scores is None else np.array([value for row in scores for value in row]),
    )


TRUTH = [[0.0, 10.0, 20.0, 30.0, 40.0]] * 4


def test_the_worst_sample_comes_first_and_one_of_each_scene() -> None:
    found = [TRUTH[0], TRUTH[0][:2], TRUTH[0][:1], TRUTH[0][:3]]
    scores = worst_samples(table(found, [[0.9] * len(row) for row in found]), table(TRUTH), 4)
    assert [(s.sample, s.found, s.missed, s.false_boxes) for s in scores] == [(2, 1, 4, 0), (1, 2, 3, 0)]


def test_boxes_below_the_best_threshold_of_their_class_do_not_count() -> None:
    # Three right boxes at 0.9; at 0.1 five false ones that only cost precision.
    boxes = table([[0.0, 10.0, 20.0, *np.arange(100.0, 105.0)]], [[0.9] * 3 + [0.1] * 5])
    truth = table([TRUTH[0]])
    thresholds = best_thresholds(boxes, truth, matched_truth(boxes, truth))
    assert thresholds[0] == 0.9
    assert np.isinf(thresholds[1:]).all()
    assert worst_samples(boxes, truth, 1)[0].false_boxes == 0


def test_samples_with_little_truth_are_not_looked_at() -> None:
    assert worst_samples(table([[]], [[]]), table([[0.0, 10.0]]), 3) == []
