"""Means of a curve's row."""

import torch

from tricast.perception.losses.criterion import LossTable
from tricast.perception.losses.matching import Matches
from tricast.perception.training.interval import Interval

NOBODY = Matches(samples=torch.zeros(0), queries=torch.zeros(0), objects=torch.zeros(0))


def table(total: float, **terms: float) -> LossTable:
    named = {name: torch.tensor(value) for name, value in terms.items()}
    return LossTable(total=torch.tensor(total), terms=named, matches=NOBODY)


def test_a_loss_that_some_steps_lack_is_a_mean_over_those_that_have_it() -> None:
    interval = Interval()
    interval.add([table(1.0, near=2.0, rare=3.0)], torch.tensor(1.0))
    for total in (2.0, 3.0, 6.0):
        interval.add([table(total, near=4.0)], torch.tensor(1.0))
    means = {name: float(value) for name, value in interval.means().items()}
    assert means == {"loss": 3.0, "near": 3.5, "rare": 3.0, "gradient_norm": 1.0}


def test_parts_of_a_step_count_as_one() -> None:
    interval = Interval()
    interval.add([table(1.0), table(3.0)], torch.tensor(1.0))
    assert (interval.steps, float(interval.means()["loss"])) == (1, 2.0)
