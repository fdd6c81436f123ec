"""Figures of a world: overlapping boxes, counted by hand."""

import numpy as np

from tricast.sensors.geometry.boxes import Boxes
from tricast.tools.measure_world import overlapping_pairs


def test_boxes_that_share_ground_are_counted_by_pairs_and_those_that_touch_are_not() -> None:
    centers = np.array([[0.0, 0, 0], [3, 0, 0], [8, 0, 0], [8.5, 1.5, 0]])
    boxes = Boxes(
        centers_m=centers,
        sizes_m=np.tile([4.0, 2.0, 1.5], (4, 1)),
        yaws_rad=np.array([0, 0, 0, np.pi / 2]),
        velocities_mps=np.zeros((4, 2)),
    )
    assert overlapping_pairs(boxes) == 2
    assert overlapping_pairs(boxes[[0, 2]]) == 0
    assert overlapping_pairs(boxes[:0]) == 0
