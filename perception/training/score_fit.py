"""Temperatures and biases of scores, fitted so that a score is the share of boxes that are right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from tricast.perception.collation import collate
from tricast.perception.decoding import DecodingConfig, decode
from tricast.perception.evaluation.detection import DetectionConfig, match_detections
from tricast.perception.evaluation.true_positives import MATCH_M, calibration
from tricast.perception.model import Network
from tricast.perception.outputs import Detections
from tricast.perception.score_calibration import ScoreScale, SubsetName, score_logits
from tricast.perception.training.augmentation import restricted
from tricast.perception.training.shards import ShardSet
from tricast.perception.training.tick_truth import TickTruth, countable
from tricast.perception.training.validation import found_table, truth_table
from tricast.perception.training.warm_up import WarmNetwork

Float64 = NDArray[np.float64]

FEWEST = 20
"""So many boxes must be right, and so many wrong, for numbers to be fitted."""
SMALLEST_TEMPERATURE, LARGEST_TEMPERATURE, LARGEST_BIAS = 0.01, 100.0, 20.0


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredBoxes:
    """N boxes of some ticks with their scores before calibration.

    Args:
        scores: (N,).
        right: (N,) bool, whether each found a true object of its class within 2 m.
        scenes: (N,) int64.

    """

    scores: Float64
    right: NDArray[np.bool_]
    scenes: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SubsetFit:
    """The outcome for one subset of sensors; `error`s are expected calibration errors as `tricast evaluate` has them.

    Args:
        boxes: How many there were.
        right: How many were right.
        scale: None where there are too few boxes of either kind.
        error_before: Of the scores as they are.
        error_after: On the boxes that were fitted.
        error_held_out: Of scales fitted on the other half of the scenes; NaN with a single scene.

    """

    boxes: int
    right: int
    scale: ScoreScale | None
    error_before: float
    error_after: float
    error_held_out: float


def fit_scale(scores: Float64, right: NDArray[np.bool_]) -> ScoreScale | None:
    """The temperature and bias of greatest likelihood for scores (N,) of boxes that are right or not (N,).

    Returns:
        None where fewer than `FEWEST` are right, or wrong.

    """
    if min(right.sum(), (~right).sum()) < FEWEST:
        return None
    logits, sign = score_logits(scores), np.where(right, 1.0, -1.0)

    def loss(values: Float64) -> tuple[float, Float64]:
        """Mean negative log likelihood of slope and bias, convex in both, and its gradient."""
        margin = sign * (values[0] * logits + values[1])
        pull = -sign / (1 + np.exp(np.clip(margin, -500, 500)))
        return float(np.logaddexp(0, -margin).mean()), np.array([(pull * logits).mean(), pull.mean()])

    limits = [(1 / LARGEST_TEMPERATURE, 1 / SMALLEST_TEMPERATURE), (-LARGEST_BIAS, LARGEST_BIAS)]
    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=limits, options={"ftol": 1e-12})
    slope, bias = (float(value) for value in found.x)
    return ScoreScale(temperature=1 / slope, bias=bias)


def fit_subset(boxes: ScoredBoxes) -> SubsetFit:
    """Fit one subset on all scenes, and on either half of them for the error that is to be expected elsewhere."""
    scale = fit_scale(boxes.scores, boxes.right)
    return SubsetFit(
        boxes=len(boxes.scores),
        right=int(boxes.right.sum()),
        scale=scale,
        error_before=calibration(boxes.scores, boxes.right).error,
        error_after=calibration(_scaled(boxes.scores, scale), boxes.right).error,
        error_held_out=_held_out_error(boxes),
    )


def scored_boxes(
    network: Network, shards: ShardSet, indices: Sequence[int], modalities: Sequence[str], config: DecodingConfig
) -> ScoredBoxes:
    """What the network finds where exactly these sensors are there, matched as `tricast evaluate` does it.

    Truth is what any sensor sees, whichever the network was given. Ticks that lack one of the sensors are left out.
    """
    truths: list[TickTruth] = []
    found: list[Detections] = []
    used: list[int] = []
    warm = WarmNetwork(network, shards, modalities)
    for index in indices:
        tick = shards[index]
        batch = collate([restricted(tick.sample, modalities)], network.config.batch)
        if int(batch.present.sum()) < len(modalities):
            continue
        outputs = warm(index, batch)
        used.append(index)
        truths.append(tick.truth[countable(tick.truth)])
        found.append(decode(outputs, tick.sample.timestamp_ns, config))
    if not used:
        return ScoredBoxes(scores=np.zeros(0), right=np.zeros(0, bool), scenes=np.zeros(0, np.int64))
    tokens, rules = [str(index) for index in used], DetectionConfig()
    scenes = np.array([shards.scene_of(index) for index in used])
    matches = match_detections(found_table(tokens, scenes, found), truth_table(tokens, scenes, truths), rules)
    right = matches.matched[rules.match_distances_m.index(MATCH_M)]
    return ScoredBoxes(scores=matches.scores, right=right, scenes=matches.scene)


def fit_all(
    network: Network,
    shards: ShardSet,
    indices: Sequence[int],
    config: DecodingConfig,
    *,
    told: Callable[[SubsetName, SubsetFit], None] = lambda name, fit: None,
) -> dict[SubsetName, SubsetFit]:
    """Fit every subset; `told` hears of each as it is done. The settings' own calibration counts for nothing."""
    plain = config.model_copy(update={"calibration": None})
    fits: dict[SubsetName, SubsetFit] = {}
    for name in get_args(SubsetName):
        modalities = name.split("+")
        fits[name] = fit_subset(scored_boxes(network, shards, indices, modalities, plain))
        told(name, fits[name])
    return fits


def _held_out_error(boxes: ScoredBoxes) -> float:
    # Every second scene by its place among those that have boxes: numbers of scenes may be all even.
    if len(np.unique(boxes.scenes)) < 2:
        return float("nan")
    half = np.unique(boxes.scenes, return_inverse=True)[1] % 2 == 0
    probabilities = np.empty(len(boxes.scores))
    for part in (half, ~half):
        probabilities[~part] = _scaled(boxes.scores[~part], fit_scale(boxes.scores[part], boxes.right[part]))
    return calibration(probabilities, boxes.right).error


def _scaled(scores: Float64, scale: ScoreScale | None) -> Float64:
    return scores if scale is None else scale.apply(scores)
