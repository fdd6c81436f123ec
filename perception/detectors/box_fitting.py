"""Oriented boxes from clusters: the L-shape search by closeness of Zhang et al., IEEE IV 2017."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ANGLES_RAD = np.linspace(0, np.pi / 2, 45, endpoint=False)
DIRECTIONS = np.stack([np.cos(ANGLES_RAD), np.sin(ANGLES_RAD)], axis=1)
NORMALS = np.stack([-np.sin(ANGLES_RAD), np.cos(ANGLES_RAD)], axis=1)
MIN_DISTANCE_M = 0.05
MIN_SIZE_M = 0.2
MAX_FIT_POINTS = 200


def fit_box(points_m: NDArray[np.float64], ground_m: float) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Fit an upright box to the points (P, 3) of one object that stands on the ground.

    Returns:
        Centre (3,), size (length, width, height) with length >= width, and yaw in [-pi/2, pi/2).

    """
    flat = points_m[:: max(1, len(points_m) // MAX_FIT_POINTS), :2]
    along, across = flat @ DIRECTIONS.T, flat @ NORMALS.T  # (P, angles)
    to_edge = np.minimum(_edge_distance(along), _edge_distance(across))
    closeness = (1.0 / np.maximum(to_edge, MIN_DISTANCE_M)).sum(axis=0)
    best = int(closeness.argmax())
    axes = np.stack([DIRECTIONS[best], NORMALS[best]])
    local = points_m[:, :2] @ axes.T
    low, high = local.min(axis=0), local.max(axis=0)
    extent = np.maximum(high - low, MIN_SIZE_M)
    middle = (low + high) / 2 @ axes
    yaw = float(ANGLES_RAD[best])
    length, width = (float(v) for v in extent)
    if width > length:
        length, width, yaw = width, length, yaw - np.pi / 2
    top = max(float(points_m[:, 2].max()), ground_m + MIN_SIZE_M)
    center = np.array([middle[0], middle[1], (ground_m + top) / 2])
    return center, np.array([length, width, top - ground_m]), yaw


def _edge_distance(coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each point to the nearer of the two edges, per angle."""
    return np.minimum(coordinates.max(axis=0) - coordinates, coordinates - coordinates.min(axis=0))
