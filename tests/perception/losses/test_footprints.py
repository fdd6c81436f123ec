"""Footprints against cells counted by hand; the grid has 16 cells of 1 m around the origin."""

import math

import torch

from tricast.perception.losses.focal import class_or_nothing_loss
from tricast.perception.losses.footprints import EMPTY_WEIGHT, footprint_targets

GRID = {"num_classes": 10, "num_cells": 16, "range_m": 8.0}


def test_a_box_fills_the_cells_it_covers(truth_of) -> None:
    targets = footprint_targets(truth_of({"centers_m": [0.0, 0.0, 0.0], "class_indices": 3}), **GRID)[0]
    expected = torch.full((16, 16), 10)
    expected[7:9, 6:10] = 3  # 4 m along x, 2 m along y
    assert torch.equal(targets, expected)


def test_a_turned_box_fills_turned_cells(truth_of) -> None:
    targets = footprint_targets(truth_of({"yaws_rad": math.pi / 2}), **GRID)[0]
    assert (targets == 0).nonzero().min(dim=0).values.tolist() == [6, 7]
    assert (targets == 0).nonzero().max(dim=0).values.tolist() == [9, 8]


def test_a_thing_smaller_than_a_cell_has_the_cell_of_its_centre(truth_of) -> None:
    targets = footprint_targets(truth_of({"centers_m": [3.01, 3.01, 0.0], "sizes_m": [0.1, 0.1, 0.5]}), **GRID)[0]
    assert (targets == 0).nonzero().tolist() == [[11, 11]]


def test_hidden_objects_leave_their_cells_open_and_padding_draws_nothing(truth_of) -> None:
    hidden = truth_of({"positive": False, "ignored": True}, {"positive": False, "centers_m": [5.0, 5.0, 0.0]})
    targets = footprint_targets(hidden, **GRID)[0]
    assert (targets == -1).sum() == 8
    assert (targets == 10).sum() == 256 - 8


def test_empty_cells_weigh_little_and_open_ones_nothing() -> None:
    logits = torch.zeros(1, 11, 1, 3)
    logits[0, 4, 0, 0] = 5.0
    weights = torch.full((10,), 2.0)
    loss = class_or_nothing_loss(logits, torch.tensor([[[4, 10, -1]]]), weights, nothing_weight=EMPTY_WEIGHT)
    hit, empty = math.log(math.exp(5) + 10) - 5, math.log(11)
    assert math.isclose(float(loss), (2 * hit + EMPTY_WEIGHT * empty) / (2 + EMPTY_WEIGHT), rel_tol=1e-5)
    unknown = torch.full((1, 1, 3), -1)
    assert float(class_or_nothing_loss(logits, unknown, weights, nothing_weight=EMPTY_WEIGHT)) == 0
