"""Forecast losses: the right mode learns, in the query's own axes, over the steps that are known."""

import math
from dataclasses import replace

import torch

from tricast.perception.losses.boxes import MatchedTruth, truth_at
from tricast.perception.losses.matching import Matches
from tricast.perception.losses.trajectories import TrajectoryLossConfig, displacements, trajectory_losses

CONFIG = TrajectoryLossConfig(mode_temperature_m=0.0)
FIRST = Matches(samples=torch.tensor([0]), queries=torch.tensor([0]), objects=torch.tensor([0]))


def moving(truth_of, **more) -> MatchedTruth:
    """Truth that starts at (1, 2) and goes 1 m a step along +y."""
    futures = [[1.0, 3.0 + step] for step in range(12)]
    given = {"centers_m": [1.0, 2.0, 0.0], "futures_m": futures, "velocities_mps": [0.0, 2.0], **more}
    return truth_at(truth_of(given), FIRST)


def test_displacements_run_along_and_across_the_heading(truth_of) -> None:
    offsets = displacements(moving(truth_of), torch.tensor([math.pi / 2]))
    steps = torch.arange(1.0, 13.0)
    torch.testing.assert_close(offsets[0, :, 0], steps)
    torch.testing.assert_close(offsets[0, :, 1], torch.zeros(12), atol=1e-5, rtol=0)


def test_only_the_mode_nearest_to_the_truth_learns(truth_of) -> None:
    target = moving(truth_of)
    offsets = displacements(target, torch.tensor([math.pi / 2]))
    points = torch.stack([torch.zeros(12, 2), offsets[0] + 0.5])[None].requires_grad_()
    scales = torch.zeros(1, 2, 12, 2, requires_grad=True)
    logits = torch.zeros(1, 2, requires_grad=True)
    losses = trajectory_losses(points, scales, logits, offsets, target, CONFIG)
    torch.testing.assert_close(losses["forecast"], torch.tensor(1.0))  # 0.5 m off on both axes, scale 1
    torch.testing.assert_close(losses["mode"], torch.tensor(math.log(2)))
    (losses["forecast"] + losses["mode"]).backward()
    assert points.grad is not None and logits.grad is not None
    assert points.grad[0, 0].abs().sum() == 0 and points.grad[0, 1].abs().sum() > 0
    assert logits.grad[0, 1] < 0 < logits.grad[0, 0]


def test_modes_that_come_near_share_the_probability_that_is_asked_for(truth_of) -> None:
    target = moving(truth_of)
    offsets = displacements(target, torch.tensor([math.pi / 2]))
    points = torch.stack([offsets[0] + torch.tensor([d, 0.0]) for d in (1.0, 1.0, 50.0)])[None]
    scales, logits = torch.zeros(1, 3, 12, 2), torch.zeros(1, 3, requires_grad=True)
    shared = TrajectoryLossConfig(mode_temperature_m=2.0)
    losses = trajectory_losses(points, scales, logits, offsets, target, shared)
    torch.testing.assert_close(losses["mode"], torch.tensor(math.log(3)))  # even logits, whatever is asked for
    losses["mode"].backward()
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad[0], torch.tensor([1 / 3 - 0.5, 1 / 3 - 0.5, 1 / 3]))


def test_losing_modes_learn_as_little_as_their_share(truth_of) -> None:
    target = moving(truth_of)
    offsets = displacements(target, torch.tensor([math.pi / 2]))
    points = torch.stack([offsets[0] + 4.0, offsets[0] + 0.5])[None]
    scales, logits = torch.zeros(1, 2, 12, 2), torch.zeros(1, 2)
    given = TrajectoryLossConfig(loser_share=0.1)
    found = trajectory_losses(points, scales, logits, offsets, target, given)["forecast"]
    torch.testing.assert_close(found, torch.tensor(0.95 * 1.0 + 0.05 * 8.0))


def test_steps_that_nobody_knows_change_nothing(truth_of) -> None:
    target = moving(truth_of, future_known=[True] * 3 + [False] * 9)
    offsets = displacements(target, torch.tensor([math.pi / 2]))
    points = offsets[:, None] + 0.25
    wild = points.clone()
    wild[:, :, 3:] += 100
    scales, logits = torch.zeros(1, 1, 12, 2), torch.zeros(1, 1)
    tame = trajectory_losses(points, scales, logits, offsets, target, CONFIG)["forecast"]
    torch.testing.assert_close(trajectory_losses(wild, scales, logits, offsets, target, CONFIG)["forecast"], tame)
    torch.testing.assert_close(tame, torch.tensor(0.5))


def test_an_object_without_a_future_costs_nothing(truth_of) -> None:
    target = replace(moving(truth_of), future_known=torch.zeros(1, 12, dtype=torch.bool))
    losses = trajectory_losses(
        torch.ones(1, 2, 12, 2), torch.zeros(1, 2, 12, 2), torch.zeros(1, 2), torch.zeros(1, 12, 2), target, CONFIG
    )
    assert losses["forecast"] == 0 and losses["mode"] == 0
