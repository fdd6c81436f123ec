"""InfoNCE and recall by hand."""

import math

import pytest
import torch

from tricast.perception.losses.contrastive import alignment_losses, info_nce, recall_at_1

AXES = torch.eye(2)


def test_two_ticks_that_match_cost_the_odds_of_the_scale() -> None:
    # Logits are log 3 on the diagonal and 0 beside it: 3 / (3 + 1) for the own one, from either side.
    loss = info_nce(AXES, AXES, torch.tensor(math.log(3)))
    assert float(loss) == pytest.approx(math.log(4 / 3))


def test_two_ticks_that_are_swapped_cost_more_than_guessing() -> None:
    loss = info_nce(AXES, AXES.flip(0), torch.tensor(math.log(3)))
    assert float(loss) == pytest.approx(math.log(4))


def test_each_side_seeks_among_those_of_the_other() -> None:
    # From the first both of the second are the same (log 2 each); back, each has its own at 1 and another at 0.
    second = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    loss = info_nce(AXES, second, torch.tensor(math.log(3)))
    there, back = math.log(2), (math.log(4 / 3) + math.log(4)) / 2
    assert float(loss) == pytest.approx((there + back) / 2)


def test_a_pair_counts_the_samples_that_have_both() -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.nn.functional.normalize(torch.randn(3, 3, 2, generator=generator), dim=2)
    present = torch.tensor([[True, True, False], [True, True, False], [True, False, False]])
    scale = torch.tensor(5.0)
    losses = alignment_losses(embeddings, present, scale)
    assert list(losses) == ["alignment camera-lidar"]
    expected = info_nce(embeddings[:2, 0], embeddings[:2, 1], scale)
    assert torch.equal(losses["alignment camera-lidar"], expected)
    assert alignment_losses(embeddings, torch.eye(3, dtype=torch.bool), scale) == {}


def test_recall_counts_those_whose_nearest_is_their_own() -> None:
    first = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [-1.0, 0.0]])
    second = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [1.0, 0.0]])
    # The third is as near to its own (0.96) as to nobody else; the last has product -1 with its own, 0 with another.
    assert recall_at_1(first, second) == pytest.approx(3 / 4)
