"""Heatmap targets against values worked out by hand; the grid has 16 cells of 1 m around the origin."""

import math

import torch

from tricast.perception.losses.targets import cell_centers_m, cells_of, heatmap_targets

GRID = {"num_cells": 16, "range_m": 8.0}


def drawn(truth):
    return heatmap_targets(truth, truth.positive, truth.ignored, num_classes=10, **GRID)


def test_cells_count_along_x_then_y_from_the_negative_corner() -> None:
    points = torch.tensor([[-7.9, -7.9], [-6.5, -7.5], [-7.5, -6.5], [7.9, 7.9], [99.0, -99.0]])
    assert cells_of(points, **GRID).tolist() == [0, 1, 16, 255, 15]
    assert cell_centers_m(torch.tensor([0, 1, 16, 255]), **GRID).tolist() == [
        [-7.5, -7.5],
        [-6.5, -7.5],
        [-7.5, -6.5],
        [7.5, 7.5],
    ]


def test_a_centre_is_a_peak_of_its_class_and_falls_off_as_a_gaussian(truth_of) -> None:
    targets = drawn(truth_of({"centers_m": [0.5, 2.5, 0.0]}))
    sigma_m = 0.15 * math.sqrt(4.0 * 2.0)
    assert targets.peaks[0, 0, 10, 8] == 1.0
    torch.testing.assert_close(targets.peaks[0, 0, 10, 9], torch.tensor(math.exp(-0.5 / sigma_m**2)))
    torch.testing.assert_close(targets.peaks[0, 0, 11, 9], torch.tensor(math.exp(-1.0 / sigma_m**2)))
    assert targets.peaks[0, 1:].max() == 0
    assert targets.counted.all()


def test_two_cells_that_share_a_centre_are_both_high_and_one_is_the_peak(truth_of) -> None:
    row = drawn(truth_of({"centers_m": [1.0, 2.5, 0.0]})).peaks[0, 0, 10]
    assert row[9] == 1.0
    sigma_m = 0.15 * math.sqrt(8.0)
    torch.testing.assert_close(row[8], torch.tensor(math.exp(-0.5 * 0.25 / sigma_m**2)))


def test_an_object_that_nobody_sees_leaves_a_disc_of_its_class_open(truth_of) -> None:
    targets = drawn(truth_of({"centers_m": [0.5, 0.5, 0.0], "positive": False, "ignored": True}))
    assert targets.peaks.max() == 0
    assert not targets.counted[0, 0, 8, 8]
    assert not targets.counted[0, 0, 8, 10]  # 2 m off: within half the length and the margin
    assert targets.counted[0, 0, 8, 11]  # 3 m off
    assert targets.counted[0, 1:].all()


def test_a_long_object_that_nobody_sees_is_open_to_its_ends(truth_of) -> None:
    trailer = {"centers_m": [0.5, 0.5, 0.0], "sizes_m": [12.0, 2.5, 3.5], "positive": False, "ignored": True}
    targets = drawn(truth_of(trailer))
    assert not targets.counted[0, 0, 8, 2:15].any()  # up to 6 m off: half the length, and the margin
    assert targets.counted[0, 0, 8, :2].all()
    assert targets.counted[0, 0, 8, 15]


def test_a_seen_object_within_an_open_disc_still_counts(truth_of) -> None:
    hidden = {"centers_m": [0.5, 0.5, 0.0], "positive": False, "ignored": True}
    targets = drawn(truth_of(hidden, {"centers_m": [1.5, 0.5, 0.0]}))
    assert targets.counted[0, 0, 8, 9]
    assert not targets.counted[0, 0, 8, 8]


def test_an_object_at_the_border_keeps_to_the_grid(truth_of) -> None:
    targets = drawn(truth_of({"centers_m": [7.9, -7.9, 0.0]}))
    assert targets.peaks[0, 0, 0, 15] == 1.0
    assert targets.peaks[0, 0, 1:, 0].max() == 0
    assert targets.peaks[0, 0, -1].max() == 0


def test_padding_draws_nothing(truth_of) -> None:
    targets = drawn(truth_of({"positive": False}))
    assert targets.peaks.max() == 0
    assert targets.counted.all()
