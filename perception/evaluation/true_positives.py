"""What lies behind the protocols' means: which box found which object, errors of movers, calibration of scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tricast.perception.evaluation.box_table import BoxTable
from tricast.perception.evaluation.matching import greedy_match, near_pairs

MATCH_M = 2.0
MOVER_MPS = 1.0
NUM_BINS = 10

Float64 = NDArray[np.float64]


def matched_truth(predictions: BoxTable, truth: BoxTable, distance_m: float = MATCH_M) -> NDArray[np.int64]:
    """For each of N boxes the row of the true box of its class that it found, best score first; -1 where none."""
    # The later of equal scores first, as the detection protocol has it.
    order = np.lexsort((np.arange(len(predictions)), predictions.scores))[::-1]
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return greedy_match(near_pairs(predictions, truth, distance_m), rank, len(truth))


@dataclass(frozen=True, kw_only=True)
class MoverErrors:
    """Errors of the boxes that found an object faster than `MOVER_MPS`; NaN where there was none.

    Args:
        count: Such boxes.
        velocity_error_mps: Mean.
        speed_mps: Mean speed of the objects: the error of a detector that says they all stand still.
        yaw_error_rad: Mean over the full turn.
        reversed_share: How many face the wrong way: more than a quarter turn off.

    """

    count: int
    velocity_error_mps: float
    speed_mps: float
    yaw_error_rad: float
    reversed_share: float


def mover_errors(predictions: BoxTable, truth: BoxTable, matched: NDArray[np.int64]) -> MoverErrors:
    """Errors among movers, by a matching from `matched_truth`; unknown velocities count as standing still."""
    speeds = np.linalg.norm(np.nan_to_num(truth.velocities_mps), axis=1)
    rows = np.flatnonzero(matched >= 0)
    rows = rows[speeds[matched[rows]] > MOVER_MPS]
    other = matched[rows]
    if not len(rows):
        nan = float("nan")
        return MoverErrors(count=0, velocity_error_mps=nan, speed_mps=nan, yaw_error_rad=nan, reversed_share=nan)
    off = np.nan_to_num(predictions.velocities_mps[rows]) - truth.velocities_mps[other]
    turn = np.abs((predictions.yaws_rad[rows] - truth.yaws_rad[other] + np.pi) % (2 * np.pi) - np.pi)
    return MoverErrors(
        count=len(rows),
        velocity_error_mps=float(np.linalg.norm(off, axis=1).mean()),
        speed_mps=float(speeds[other].mean()),
        yaw_error_rad=float(turn.mean()),
        reversed_share=float((turn > np.pi / 2).mean()),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """How far scores are from the share of boxes that are right, in `NUM_BINS` equal bins of the score.

    Args:
        counts: (B,) boxes per bin.
        mean_scores: (B,) NaN where a bin is empty.
        precisions: (B,) share of right ones, likewise.

    """

    counts: NDArray[np.int64]
    mean_scores: Float64
    precisions: Float64

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of score and precision over all boxes; NaN without boxes.

        Source: Naeini et al. 2015; equal bins as in Guo et al. 2017.
        """
        filled = self.counts > 0
        if not filled.any():
            return float("nan")
        gaps = np.abs(self.mean_scores[filled] - self.precisions[filled])
        return float(gaps @ self.counts[filled] / self.counts.sum())


def calibration(scores: Float64, right: NDArray[np.bool_]) -> Calibration:
    """Bin scores (N,) in [0, 1] of boxes that are right or not (N,)."""
    bins = score_bins(scores)
    counts = np.bincount(bins, minlength=NUM_BINS)
    share = np.where(counts > 0, counts, np.nan)
    return Calibration(
        counts=counts,
        mean_scores=np.bincount(bins, scores, NUM_BINS) / share,
        precisions=np.bincount(bins, right.astype(np.float64), NUM_BINS) / share,
    )


def score_bins(scores: Float64) -> NDArray[np.int64]:
    """Bin (N,) of each score."""
    return np.clip((scores * NUM_BINS).astype(np.int64), 0, NUM_BINS - 1)
