"""Which detection belongs to which track: the likeliest pairs, one to one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tricast.perception.nearness import near_along

Float64 = NDArray[np.float64]

NO_PAIR = 1e6


def pair_costs(
    *,
    predicted_m: Float64,
    seen_m: Float64,
    variances_m2: Float64,
    seen_variances_m2: Float64,
    log_sizes: Float64,
    seen_log_sizes: Float64,
    classes: NDArray[np.int64],
    seen_classes: NDArray[np.int64],
    gate_sigmas: float,
    max_distances_m: Float64,
    size_sigma: float,
    class_cost: float,
) -> Float64:
    """Twice the negative log likelihood (N, M), up to a constant, that each detection is that track.

    Args:
        predicted_m: (N, 2) places where the tracks are expected.
        seen_m: (M, 2) places of detections.
        variances_m2: (N,) of the tracks' places, along each axis.
        seen_variances_m2: (M,) of the detections' likewise.
        log_sizes: (N, 3) of the tracks' length, width and height.
        seen_log_sizes: (M, 3) of the detections'.
        classes: (N,) of the tracks.
        seen_classes: (M,) of the detections.
        gate_sigmas: Pairs further apart are impossible.
        max_distances_m: (N,) likewise, whatever the variance.
        size_sigma: Standard deviation of a log size.
        class_cost: Added where the classes differ.

    Returns:
        Costs, `NO_PAIR` where a pair is impossible.

    """
    costs = np.full((len(predicted_m), len(seen_m)), NO_PAIR)
    # Of all pairs few are possible: those near in x, with a hair to spare, are looked at.
    track, seen = near_along(predicted_m[:, 0], max_distances_m * (1 + 1e-6), seen_m[:, 0])
    (x, y), (seen_x, seen_y) = predicted_m.T, seen_m.T
    squares = (x[track] - seen_x[seen]) ** 2 + (y[track] - seen_y[seen]) ** 2
    variances = variances_m2[track] + seen_variances_m2[seen]
    possible = (squares <= gate_sigmas**2 * variances) & (squares <= max_distances_m[track] ** 2)
    track, seen, squares, variances = track[possible], seen[possible], squares[possible], variances[possible]
    # Where a track is unsure of its place, many detections are near it: the logarithm makes the sure one win.
    found = squares / variances + 2 * np.log(variances)
    length, width, height = ((log_sizes[track] - seen_log_sizes[seen]) ** 2).T
    found += np.minimum((length + width + height) / size_sigma**2, 9.0)
    found += np.where(classes[track] == seen_classes[seen], 0.0, class_cost)
    costs[track, seen] = found
    return costs


def best_pairs(costs: Float64) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the possible pairs that the Hungarian method joins at the least total cost."""
    rows, columns = linear_sum_assignment(costs)
    possible = costs[rows, columns] < NO_PAIR
    return rows[possible].astype(np.int64), columns[possible].astype(np.int64)
