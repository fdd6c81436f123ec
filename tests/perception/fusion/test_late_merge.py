import math

import pytest
import torch

from tricast.perception.fusion.late_merge import LateMerge, merged, merged_boxes
from tricast.perception.query_outputs import LayerOutputs

PRESENT = torch.tensor([[True, True, True], [True, False, True], [False, False, False]])


def test_heatmaps_are_means_over_the_sensors_that_are_there() -> None:
    merge = LateMerge()
    logits = tuple(torch.full((3, 10, 1, 1), value) for value in (1.0, 2.0, 6.0))
    assert merge.heatmap(logits, PRESENT)[:, 0, 0, 0].tolist() == pytest.approx([3.0, 3.5, 3.0])
    with torch.no_grad():
        merge.class_says[2, 0] = math.log(3)  # of class 0 the radar counts three times
    heatmap = merge.heatmap(logits, PRESENT)
    assert heatmap[1, :2, 0, 0].tolist() == pytest.approx([(1 + 3 * 6) / 4, 3.5])


def test_weights_are_of_confidence_and_nothing_where_absent() -> None:
    told = tuple(torch.full((3, 1), value) for value in (0.0, math.log(2), math.log(3)))
    weights = LateMerge().weights(told, PRESENT)[:, 0]
    assert weights[0].tolist() == pytest.approx([1 / 6, 2 / 6, 3 / 6])
    assert weights[1].tolist() == pytest.approx([1 / 4, 0, 3 / 4])
    assert weights[1, 1] == 0 and weights.isfinite().all()


def test_values_of_any_shape_are_weighted_query_by_query() -> None:
    values = tuple(torch.full((1, 2, 3, 4), value) for value in (1.0, 2.0, 4.0))
    weights = torch.tensor([[[0.5, 0.5, 0.0], [0.0, 0.25, 0.75]]])
    assert merged(values, weights)[0, :, 0, 0].tolist() == [1.5, 3.5]
    flat = tuple(value[:, :, 0, 0] for value in values)
    assert merged(flat, weights).tolist() == [[1.5, 3.5]]


def test_headings_are_merged_as_vectors() -> None:
    def box(yaw_rad: float) -> LayerOutputs:
        zeros = torch.zeros(1, 1, 2)
        turn = torch.tensor([[[math.sin(yaw_rad), math.cos(yaw_rad)]]])
        twice = torch.tensor([[[math.sin(2 * yaw_rad), math.cos(2 * yaw_rad)]]])
        return LayerOutputs(
            class_logits=torch.zeros(1, 1, 10),
            centers_m=torch.zeros(1, 1, 3),
            log_sizes=torch.zeros(1, 1, 3),
            yaw_sin_cos=turn,
            axis_sin_cos=twice,
            velocities_mps=zeros,
            quality_logits=torch.zeros(1, 1),
        )

    # Across the seam at half a turn: numbers would average to 0.
    both = merged_boxes((box(math.pi - 0.2), box(math.pi + 0.2), box(0.0)), torch.tensor([[[0.5, 0.5, 0.0]]]))
    assert both.headings[0, 0].tolist() == pytest.approx([0.0, -1.0], abs=1e-6)
