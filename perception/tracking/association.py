"""Which detection belongs to which track: the likeliest pairs, one to one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Float64 = NDArray[np.float64]

NO_PAIR = 1e6


def pair_costs(
    *,
    predicted_m: Float64,
    seen_m: Float64,
    variances_m2: Float64,
    log_size_differences: Float64,
    same_class: NDArray[np.bool_],
    gate_sigmas: float,
    max_distances_m: Float64,
    size_sigma: float,
    class_cost: float,
) -> Float64:
    """Twice the negative log likelihood (N, M), up to a constant, that each detection is that track.

    Args:
        predicted_m: (N, 2) places where the tracks are expected.
        seen_m: (M, 2) places of detections.
        variances_m2: (N, M) of their distance, along each axis.
        log_size_differences: (N, M, 3) of length, width and height.
        same_class: (N, M).
        gate_sigmas: Pairs further apart are impossible.
        max_distances_m: (N,) likewise, whatever the variance.
        size_sigma: Standard deviation of a log size.
        class_cost: Added where the classes differ.

    Returns:
        Costs, `NO_PAIR` where a pair is impossible.

    """
    squares = ((predicted_m[:, None] - seen_m[None]) ** 2).sum(axis=2)
    # Where a track is unsure of its place, many detections are near it: the logarithm makes the sure one win.
    costs = squares / variances_m2 + 2 * np.log(variances_m2)
    costs += np.minimum((log_size_differences**2).sum(axis=2) / size_sigma**2, 9.0)
    costs += np.where(same_class, 0.0, class_cost)
    possible = (squares <= gate_sigmas**2 * variances_m2) & (squares <= max_distances_m[:, None] ** 2)
    return np.where(possible, costs, NO_PAIR)


def best_pairs(costs: Float64) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the possible pairs that the Hungarian method joins at the least total cost."""
    rows, columns = linear_sum_assignment(costs)
    possible = costs[rows, columns] < NO_PAIR
    return rows[possible].astype(np.int64), columns[possible].astype(np.int64)
