"""Pairs of queries and objects, where the right answer can be seen."""

import pytest
import torch

from tricast.perception.losses.matching import Matches, MatchingConfig, match_by_box, match_by_cell, seed_matches

CONFIG = MatchingConfig()


def pairs(matches: Matches) -> set[tuple[int, int, int]]:
    return set(zip(matches.samples.tolist(), matches.queries.tolist(), matches.objects.tolist(), strict=True))


def all_queries(count: int) -> torch.Tensor:
    return torch.ones(1, count, dtype=torch.bool)


def test_boxes_are_paired_at_least_total_distance(truth_of, layer_of) -> None:
    truth = truth_of({"centers_m": [0.0, 0.0, 0.0]}, {"centers_m": [2.0, 0.0, 0.0]})
    # The nearest query to both objects is query 0; only one may have it.
    layer = layer_of([[1.1, 0.0, 0.0], [2.9, 0.0, 0.0], [-7.0, 0.0, 0.0]])
    assert pairs(match_by_box(layer, all_queries(3), truth, CONFIG)) == {(0, 0, 0), (0, 1, 1)}


def test_a_box_of_the_right_class_wins_over_a_slightly_nearer_one(truth_of, layer_of) -> None:
    logits = torch.full((1, 2, 10), -4.0)
    logits[0, 0, 3], logits[0, 1, 0] = 4.0, 4.0
    layer = layer_of([[0.1, 0.0, 0.0], [0.4, 0.0, 0.0]], class_logits=logits)
    assert pairs(match_by_box(layer, all_queries(2), truth_of({}), CONFIG)) == {(0, 1, 0)}


def test_nothing_is_paired_beyond_the_gate_or_with_hidden_objects_or_masked_queries(truth_of, layer_of) -> None:
    layer = layer_of([[0.0, 0.0, 0.0]])
    gate_m = CONFIG.gate_m + 2.0
    far, near = [gate_m + 0.01, 0.0, 0.0], [gate_m - 0.01, 0.0, 0.0]
    assert pairs(match_by_box(layer, all_queries(1), truth_of({"centers_m": far}), CONFIG)) == set()
    assert pairs(match_by_box(layer, all_queries(1), truth_of({"centers_m": near}), CONFIG)) == {(0, 0, 0)}
    hidden = truth_of({"positive": False, "ignored": True})
    assert pairs(match_by_box(layer, all_queries(1), hidden, CONFIG)) == set()
    assert pairs(match_by_box(layer, ~all_queries(1), truth_of({}), CONFIG)) == set()


@pytest.mark.parametrize("logit", [float("inf"), float("nan")])
def test_a_query_whose_cost_is_not_finite_is_paired_with_nothing(truth_of, layer_of, logit: float) -> None:
    logits = torch.zeros(1, 2, 10)
    logits[0, 0] = logit
    layer = layer_of([[0.1, 0.0, 0.0], [0.4, 0.0, 0.0]], class_logits=logits)
    assert pairs(match_by_box(layer, all_queries(2), truth_of({}), CONFIG)) == {(0, 1, 0)}


def test_more_objects_than_queries_leaves_objects_over(truth_of, layer_of) -> None:
    truth = truth_of({"centers_m": [0.0, 0.0, 0.0]}, {"centers_m": [0.5, 0.0, 0.0]})
    assert pairs(match_by_box(layer_of([[0.6, 0.0, 0.0]]), all_queries(1), truth, CONFIG)) == {(0, 0, 1)}


def test_starting_cells_are_paired_by_place_and_class(truth_of) -> None:
    centers = torch.tensor([[[0.2, 0.0], [0.9, 0.0]]])
    classes = torch.tensor([[5, 0]])
    assert pairs(match_by_cell(centers, classes, all_queries(2), truth_of({}), CONFIG)) == {(0, 1, 0)}


def test_seeds_answer_for_the_objects_they_were_made_of() -> None:
    mask = torch.tensor([[True, False], [False, True]])
    objects = torch.tensor([[4, 7], [4, 7]])
    assert pairs(seed_matches(objects, mask, num_seeded=100)) == {(0, 100, 4), (1, 101, 7)}
