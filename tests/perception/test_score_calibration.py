"""Temperatures and biases: by hand, in the order of boxes, and as a part of the file of weights."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from tricast.configs.errors import InputError
from tricast.perception.decoding import DecodingConfig
from tricast.perception.detectors.network import NetworkDetector
from tricast.perception.detectors.network_config import NetworkConfig
from tricast.perception.model import ModelConfig, Network
from tricast.perception.model_weights import load_network, read_score_scales, save_weights, write_score_scales
from tricast.perception.score_calibration import ScoreScale, subset_name

WARM = ScoreScale(temperature=2.0, bias=-0.5)


@pytest.fixture
def weights(small_model: ModelConfig, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_weights(tmp_path / "w.safetensors", Network(small_model), dtype=torch.float16, notes={"samples": "5"})
    return tmp_path / "w.safetensors"


def test_a_logit_is_divided_by_the_temperature_and_moved_by_the_bias() -> None:
    # Odds of 4 to 1 become those of their square root, less half a unit.
    odds = 2 * math.exp(-0.5)
    assert WARM.apply(np.array([0.8])) == pytest.approx([odds / (1 + odds)])
    assert ScoreScale().apply(np.array([0.03, 0.5, 0.97])) == pytest.approx([0.03, 0.5, 0.97])


def test_order_stays_and_probabilities_stay_inside() -> None:
    scores = np.linspace(0.001, 0.999, 400)
    for temperature in (0.1, 0.7, 3.0):
        for bias in (-4.0, 0.0, 2.0):
            probabilities = ScoreScale(temperature=temperature, bias=bias).apply(scores)
            assert (np.diff(probabilities) >= 0).all() and probabilities[0] < probabilities[-1]
            assert (probabilities >= 0).all() and (probabilities <= 1).all()
    assert np.isfinite(ScoreScale(temperature=0.01, bias=20.0).apply(np.array([0.0, 1.0]))).all()


def test_subsets_are_named_in_the_order_of_modalities() -> None:
    assert subset_name([True, True, True]) == "camera+lidar+radar"
    assert subset_name([True, False, True]) == "camera+radar"
    assert subset_name([False, True, False]) == "lidar"


def test_a_subset_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError, match="radar\\+lidar"):
        DecodingConfig.model_validate({"calibration": {"radar+lidar": {"temperature": 2.0}}})
    with pytest.raises(ValidationError, match="temperature"):
        DecodingConfig.model_validate({"calibration": {"lidar": {"temperature": 0.0}}})


def test_a_file_of_weights_keeps_its_tensors_to_the_bit_and_tells_its_numbers(weights: Path, tmp_path: Path) -> None:
    assert read_score_scales(weights) == {}
    out = tmp_path / "calibrated.safetensors"
    write_score_scales(weights, out, {"lidar": WARM})
    assert read_score_scales(out) == {"lidar": WARM}
    before, after = load_file(weights), load_file(out)
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert value.dtype == after[name].dtype and torch.equal(value, after[name]), name
    assert load_network(out).config == load_network(weights).config
    write_score_scales(out, out, {"camera": WARM})
    assert read_score_scales(out) == {"camera": WARM}


def test_numbers_that_are_not_readable_are_refused(weights: Path, tmp_path: Path) -> None:
    write_score_scales(weights, weights, {"lidar": WARM})
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(weights.read_bytes().replace(b"temperature", b"temperatura"))
    with pytest.raises(InputError, match=r"damaged\.safetensors: got no readable calibration of scores"):
        read_score_scales(damaged)


def test_the_detector_takes_the_numbers_of_its_weights_unless_the_settings_have_some(weights: Path) -> None:
    write_score_scales(weights, weights, {"lidar": WARM})
    assert NetworkDetector(NetworkConfig(weights=str(weights))).decoding.calibration == {"lidar": WARM}
    for own in ({}, {"camera": WARM}):
        config = NetworkConfig(weights=str(weights), decoding=DecodingConfig.model_validate({"calibration": own}))
        assert NetworkDetector(config).decoding.calibration == own
