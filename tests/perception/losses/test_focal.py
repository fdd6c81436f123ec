"""Focal losses against values worked out by hand."""

import math

import torch

from tricast.perception.losses.focal import class_focal_loss, depth_loss, heatmap_focal_loss
from tricast.perception.losses.targets import HeatmapTargets

YES = torch.tensor([True])
ALIKE = torch.ones(1)


def targets(peaks: list[float], counted: list[bool]) -> HeatmapTargets:
    return HeatmapTargets(peaks=torch.tensor([[[peaks]]]), counted=torch.tensor([[[counted]]]))


def test_heatmap_loss_is_the_hand_computed_sum_over_peaks() -> None:
    logits = torch.zeros(1, 1, 1, 3)  # probability a half everywhere
    loss = heatmap_focal_loss(logits, targets([1.0, 0.5, 0.0], [True] * 3), YES, ALIKE)
    expected = 0.25 * math.log(2) + 0.5**4 * 0.25 * math.log(2) + 0.25 * math.log(2)
    torch.testing.assert_close(loss, torch.tensor(expected))


def test_a_peak_weighs_as_its_class_does_and_empty_cells_do_not() -> None:
    logits = torch.zeros(1, 1, 1, 2)
    loss = heatmap_focal_loss(logits, targets([1.0, 0.0], [True, True]), YES, torch.tensor([3.0]))
    torch.testing.assert_close(loss, torch.tensor((3 + 1) * 0.25 * math.log(2)))


def test_cells_that_do_not_count_and_samples_without_the_sensor_cost_nothing() -> None:
    logits = torch.full((1, 1, 1, 2), 5.0)
    assert heatmap_focal_loss(logits, targets([0.0, 0.0], [False, False]), YES, ALIKE) == 0
    assert heatmap_focal_loss(logits, targets([1.0, 0.0], [True, True]), ~YES, ALIKE) == 0


def test_extreme_logits_stay_finite() -> None:
    logits = torch.tensor([[[[200.0, -200.0]]]], requires_grad=True)
    loss = heatmap_focal_loss(logits, targets([0.0, 1.0], [True, True]), YES, ALIKE)
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None and torch.isfinite(logits.grad).all()


def test_class_loss_weighs_positives_negatives_and_easy_entries_as_stated() -> None:
    logits, wanted = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    loss = class_focal_loss(logits, wanted, torch.ones(1, 2), alpha=0.25, gamma=2.0)
    torch.testing.assert_close(loss, torch.tensor((0.25 + 0.75) * 0.25 * math.log(2)))
    weights = torch.tensor([[1.0, 0.0]])
    loss = class_focal_loss(logits, wanted, weights, alpha=0.25, gamma=0.0)
    torch.testing.assert_close(loss, torch.tensor(0.25 * math.log(2)))


def test_depth_loss_is_averaged_over_the_features_whose_depth_is_known() -> None:
    logits = torch.tensor([[0.0, 0.0], [9.0, -9.0], [0.0, 0.0]])
    torch.testing.assert_close(depth_loss(logits, torch.tensor([1, -1, 0])), torch.tensor(math.log(2)))
    assert depth_loss(logits, torch.tensor([-1, -1, -1])) == 0
