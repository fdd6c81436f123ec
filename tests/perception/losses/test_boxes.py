"""Box losses of matched queries against values worked out by hand."""

import math
from dataclasses import replace

import torch

from tricast.perception.losses.boxes import BoxLossConfig, box_losses, layer_at, truth_at
from tricast.perception.losses.matching import Matches

CONFIG = BoxLossConfig()
FIRST = Matches(samples=torch.tensor([0]), queries=torch.tensor([0]), objects=torch.tensor([0]))
BOTH = Matches(samples=torch.tensor([0, 0]), queries=torch.tensor([0, 1]), objects=torch.tensor([0, 1]))


def losses(layer, truth, matches=FIRST):
    return {k: float(v) for k, v in box_losses(layer_at(layer, matches), truth_at(truth, matches), CONFIG).items()}


def test_a_perfect_box_costs_nothing_but_doubt_about_its_quality(truth_of, layer_of) -> None:
    costs = losses(layer_of([[0.0, 0.0, 0.0]]), truth_of({}))
    assert costs.pop("quality") == torch.tensor(math.log(2)).item()
    assert set(costs.values()) == {0.0}


def test_every_channel_is_its_error_over_its_scale(truth_of, layer_of) -> None:
    truth = truth_of({"centers_m": [0.3, -0.4, 0.2], "sizes_m": [8.0, 2.0, 1.5], "yaws_rad": math.pi / 2})
    costs = losses(layer_of([[0.0, 0.0, 0.0]]), truth)
    assert math.isclose(costs["center"], 0.7 / CONFIG.center_scale_m, rel_tol=1e-5)
    assert math.isclose(costs["height"], 0.2 / CONFIG.height_scale_m, rel_tol=1e-5)
    assert math.isclose(costs["size"], math.log(2) / CONFIG.log_size_scale, rel_tol=1e-5)
    assert math.isclose(costs["yaw"], 2.0 / CONFIG.yaw_scale, rel_tol=1e-5)
    assert math.isclose(costs["axis"], 2.0 / CONFIG.yaw_scale, rel_tol=1e-5)  # the cosine of twice the heading, 1 to -1


def test_a_reversed_box_lies_along_the_right_axis(truth_of, layer_of) -> None:
    costs = losses(layer_of([[0.0, 0.0, 0.0]]), truth_of({"yaws_rad": math.pi}))
    assert costs["axis"] < 1e-5
    assert math.isclose(costs["yaw"], 2.0 / CONFIG.yaw_scale, rel_tol=1e-5)


def test_quality_is_right_at_the_exponential_of_the_distance(truth_of, layer_of) -> None:
    truth = truth_of({"centers_m": [0.3, -0.4, 9.0]})
    wanted = math.exp(-0.5)
    layer = layer_of([[0.0, 0.0, 0.0]])
    costs = [
        losses(replace(layer, quality_logits=torch.tensor([[math.log(p / (1 - p))]])), truth)["quality"]
        for p in (wanted - 0.1, wanted, wanted + 0.1)
    ]
    entropy = -(wanted * math.log(wanted) + (1 - wanted) * math.log(1 - wanted))
    assert math.isclose(costs[1], entropy, rel_tol=1e-5)
    assert costs[1] < min(costs[0], costs[2])


def test_a_mover_weighs_more_than_one_that_stands(truth_of, layer_of) -> None:
    truth = truth_of({"velocities_mps": [5.0, 0.0]}, {})
    layer = layer_of([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], velocity=(3.0, 0.0))
    # Smooth L1 of the mover: 2 - 0.5, of the one that stands: 3 - 0.5.
    expected = (CONFIG.mover_weight * 1.5 + 2.5) / (CONFIG.mover_weight + 1)
    assert math.isclose(losses(layer, truth, BOTH)["velocity"], expected, rel_tol=1e-5)


def test_an_unknown_velocity_teaches_nothing(truth_of, layer_of) -> None:
    layer = layer_of([[0.0, 0.0, 0.0]], velocity=(3.0, 0.0))
    assert losses(layer, truth_of({"velocity_known": False}))["velocity"] == 0.0


def test_no_match_costs_nothing_and_still_has_a_gradient(truth_of, layer_of) -> None:
    none = Matches(**{name: torch.zeros(0, dtype=torch.long) for name in ("samples", "queries", "objects")})
    layer = layer_of([[0.0, 0.0, 0.0]])
    layer.centers_m.requires_grad_()
    costs = box_losses(layer_at(layer, none), truth_at(truth_of({}), none), CONFIG)
    assert {float(value.detach()) for value in costs.values()} == {0.0}
    costs["center"].backward()
    assert layer.centers_m.grad is not None
