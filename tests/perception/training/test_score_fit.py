"""Known temperatures are found again, and what the network finds is matched as an evaluation does."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tricast.perception.decoding import DecodingConfig
from tricast.perception.evaluation.true_positives import calibration
from tricast.perception.model import Network
from tricast.perception.score_calibration import ScoreScale, SubsetName
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.score_fit import ScoredBoxes, SubsetFit, fit_all, fit_scale, fit_subset, scored_boxes
from tricast.perception.training.shards import ShardSet


def drawn(temperature: float, bias: float, count: int = 40_000) -> ScoredBoxes:
    """Boxes whose scores need this temperature and bias to be probabilities, over ten scenes."""
    rng = np.random.default_rng(3)
    logits = rng.normal(-0.5, 2.0, count)
    probabilities = 1 / (1 + np.exp(-(logits / temperature + bias)))
    return ScoredBoxes(
        scores=1 / (1 + np.exp(-logits)),
        right=rng.uniform(size=count) < probabilities,
        scenes=rng.integers(0, 10, count),
    )


@pytest.mark.parametrize(("temperature", "bias"), [(1.0, 0.0), (2.5, -1.0), (0.6, 0.8), (4.0, 0.0)])
def test_a_known_temperature_and_bias_are_found_again(temperature: float, bias: float) -> None:
    boxes = drawn(temperature, bias)
    scale = fit_scale(boxes.scores, boxes.right)
    assert scale is not None
    assert scale.temperature == pytest.approx(temperature, rel=0.05)
    assert scale.bias == pytest.approx(bias, abs=0.05)


def test_the_calibration_error_falls_also_on_scenes_not_fitted() -> None:
    fit = fit_subset(drawn(2.5, -1.0))
    assert fit.error_before > 0.1
    assert fit.error_after < 0.02
    assert fit.error_held_out < 0.02
    assert (fit.boxes, fit.right) == (40_000, int(drawn(2.5, -1.0).right.sum()))


def test_the_error_on_the_other_half_is_of_numbers_from_this_half() -> None:
    """Where the halves contradict each other, what fits one is wrong for the other."""
    scores = np.full(4000, 0.5)
    scenes = np.repeat([0, 1], 2000)
    right = np.concatenate([np.arange(2000) % 10 == 0, np.arange(2000) % 10 != 0])  # 10 % and 90 %
    fit = fit_subset(ScoredBoxes(scores=scores, right=right, scenes=scenes))
    assert fit.error_held_out == pytest.approx(0.8, abs=0.01)
    assert fit.error_after == pytest.approx(0.0, abs=0.01)


def test_scores_that_say_the_opposite_get_the_widest_temperature_not_a_turned_order() -> None:
    boxes = drawn(1.0, 0.0, count=5000)
    scale = fit_scale(boxes.scores, ~boxes.right)
    assert scale is not None
    assert scale.temperature == pytest.approx(100)


def test_too_few_boxes_of_either_kind_stay_as_they_are() -> None:
    scores, right = np.linspace(0.1, 0.9, 100), np.arange(100) < 19
    assert fit_scale(scores, right) is None
    assert fit_scale(scores, ~right) is None
    fit = fit_subset(ScoredBoxes(scores=scores, right=right, scenes=np.zeros(100, np.int64)))
    assert fit.scale is None and fit.error_after == fit.error_before
    assert np.isnan(fit.error_held_out)
    nothing = fit_subset(ScoredBoxes(scores=np.zeros(0), right=np.zeros(0, bool), scenes=np.zeros(0, np.int64)))
    assert nothing.scale is None and nothing.boxes == 0


def test_every_subset_is_run_without_the_calibration_there_is(shards: Path, small_config: TrainingRunConfig) -> None:
    torch.manual_seed(0)
    network, ticks = Network(small_config.model).eval(), ShardSet(shards)
    config = DecodingConfig.model_validate({"min_score": 0.0, "calibration": {"lidar": {"temperature": 9.0}}})
    heard: list[SubsetName] = []

    def told(name: SubsetName, fit: SubsetFit) -> None:
        heard.append(name)

    fits = fit_all(network, ticks, [0, 3], config, told=told)
    assert heard == list(fits) and len(fits) == 7
    alone = scored_boxes(network, ticks, [0, 3], ("lidar",), DecodingConfig(min_score=0.0))
    assert fits["lidar"].boxes == len(alone.scores) > 0
    assert fits["lidar"].error_before == pytest.approx(calibration(alone.scores, alone.right).error)
    assert ScoreScale(temperature=9.0).apply(alone.scores) != pytest.approx(alone.scores)
