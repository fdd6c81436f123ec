"""The schedule, the groups of weight decay and the average of weights."""

import math

import pytest
import torch
from torch import nn

from tricast.perception.training.config import OptimizerConfig
from tricast.perception.training.optimization import AveragedModel, learning_rate, make_optimizer

CONFIG = OptimizerConfig(learning_rate=1.0, final_share=0.1, warmup_samples=100)


def test_the_rate_rises_linearly_then_falls_by_a_cosine_to_its_final_share() -> None:
    rates = [learning_rate(samples, 1100, CONFIG) for samples in (0, 49, 99, 100, 600, 1100, 5000)]
    assert rates == pytest.approx([0.01, 0.5, 1.0, 1.0, 0.55, 0.1, 0.1])


def test_another_planned_length_bends_the_rest_of_the_curve() -> None:
    assert learning_rate(600, 600, CONFIG) == pytest.approx(0.1)
    assert learning_rate(600, 2100, CONFIG) == pytest.approx(0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4)))


def test_vectors_do_not_decay() -> None:
    optimizer = make_optimizer(nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2)), OptimizerConfig(weight_decay=0.5))
    decayed, plain = optimizer.param_groups
    assert decayed["weight_decay"] == 0.5 and [p.ndim for p in decayed["params"]] == [2]
    assert plain["weight_decay"] == 0.0 and [p.ndim for p in plain["params"]] == [1, 1, 1]


def test_the_average_follows_parameters_and_statistics_and_forgets_its_start() -> None:
    model = nn.BatchNorm1d(1)
    average = AveragedModel(model, decay=0.5)
    with torch.no_grad():
        model.weight.fill_(3.0)
        model.running_mean.fill_(4.0)  # type: ignore[union-attr]
        model.num_batches_tracked.fill_(7)  # type: ignore[union-attr]
    average.update(model, step=0)  # decay 1 / 10
    assert average.model.weight.item() == pytest.approx(0.1 * 1.0 + 0.9 * 3.0)
    assert average.model.running_mean.item() == pytest.approx(0.9 * 4.0)  # type: ignore[union-attr]
    assert average.model.num_batches_tracked == 7
    average.update(model, step=1000)  # decay 0.5
    assert average.model.weight.item() == pytest.approx(0.5 * 2.8 + 0.5 * 3.0)
    assert not average.model.training and not average.model.weight.requires_grad
