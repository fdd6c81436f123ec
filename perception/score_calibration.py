"""Scores as probabilities: a temperature and a bias for every subset of sensors.

A network that lacks a sensor is wrong more often at the same score, so that each subset has numbers of its own.
Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (temperature); Platt, 1999 (with a bias).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tricast.configs.strict import StrictConfig
from tricast.sensors.calibration import MODALITIES

SubsetName: TypeAlias = Literal[
    "camera+lidar+radar", "camera+lidar", "camera+radar", "lidar+radar", "camera", "lidar", "radar"
]
SURE = 1e-6
"""Scores count as no nearer to 0 and 1 than this."""


class ScoreScale(StrictConfig):
    """How the logits of scores become those of probabilities; increasing, so that the order of boxes stays."""

    temperature: float = Field(default=1.0, ge=0.01, le=100)
    """Logits are divided by it."""
    bias: float = Field(default=0.0, ge=-20, le=20)
    """Added after that."""

    def apply(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores (N,) in [0, 1] to probabilities (N,)."""
        return 1 / (1 + np.exp(-np.clip(score_logits(scores) / self.temperature + self.bias, -500, 500)))


def score_logits(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits (N,) of scores (N,) in [0, 1]."""
    inside = np.clip(scores, SURE, 1 - SURE)
    return np.log(inside) - np.log1p(-inside)


def subset_name(present: Sequence[bool]) -> SubsetName:
    """The name of a subset of sensors, of which there is one at least; in the order of `MODALITIES`."""
    assert any(present), "a subset without a sensor has no name"
    return cast(SubsetName, "+".join(name for name, there in zip(MODALITIES, present, strict=True) if there))
