"""Lengths, widths and heights of road users and of things that resemble them."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

SizeLimits: TypeAlias = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]

SIZE_RANGES_M: dict[str, SizeLimits] = {
    "car": ((3.8, 7.2), (1.7, 2.6), (1.5, 3.2)),
    "truck": ((4.0, 8.5), (1.75, 2.6), (1.7, 3.4)),
    "bus": ((4.2, 9.0), (1.75, 2.65), (1.7, 3.4)),
    "trailer": ((3.8, 8.5), (1.7, 2.6), (1.5, 3.4)),
    "construction_vehicle": ((3.8, 8.0), (1.7, 2.65), (1.6, 3.4)),
    "pedestrian": ((0.35, 0.9), (0.4, 0.95), (0.95, 1.95)),
    "motorcycle": ((1.4, 2.25), (0.45, 0.9), (1.0, 1.9)),
    "bicycle": ((1.4, 2.15), (0.45, 0.85), (1.0, 1.9)),
    "traffic_cone": ((0.35, 0.85), (0.35, 0.85), (0.7, 1.35)),
    "barrier": ((0.35, 0.9), (0.5, 2.0), (0.75, 1.4)),
}
"""Of a town: they overlap on purpose, so that size alone does not tell the class."""
CITY_SIZES_M: dict[str, SizeLimits] = {
    "car": ((3.6, 5.1), (1.62, 2.0), (1.38, 1.85)),
    "van": ((4.6, 6.4), (1.85, 2.15), (1.85, 2.75)),
    "truck": ((5.5, 9.5), (2.1, 2.55), (2.5, 3.7)),
    "bus": ((9.0, 12.5), (2.4, 2.6), (2.9, 3.4)),
    "trailer": ((3.0, 7.0), (1.6, 2.5), (1.2, 3.2)),
    "construction_vehicle": ((4.0, 8.0), (1.9, 2.6), (2.2, 3.4)),
    "pedestrian": ((0.35, 0.85), (0.4, 0.85), (1.05, 1.95)),
    "motorcycle": ((1.8, 2.25), (0.6, 0.9), (1.35, 1.8)),
    "bicycle": ((1.55, 1.9), (0.45, 0.7), (1.45, 1.85)),
    "traffic_cone": ((0.25, 0.5), (0.25, 0.5), (0.45, 1.0)),
    "barrier": ((0.3, 0.7), (0.8, 2.5), (0.75, 1.2)),
}
"""As they are in real streets; two-wheelers with their riders."""
UNRIDDEN_HEIGHT_M: dict[str, tuple[float, float]] = {"bicycle": (0.95, 1.2), "motorcycle": (1.05, 1.35)}
LOOKALIKE_SIZES_M = {
    "bin": (0.7, 0.7, 1.1),
    "bollard": (0.4, 0.4, 0.9),
    "sign": (0.7, 0.7, 2.1),
    "hydrant": (0.45, 0.45, 0.8),
    "statue": (0.7, 0.7, 1.8),
    "bench": (0.6, 1.7, 0.9),
    "planter": (0.7, 1.9, 1.0),
    "kiosk": (3.6, 2.2, 2.6),
    "skip": (4.4, 2.0, 1.6),
    "cabinet": (0.5, 1.3, 1.3),
    "carton": (0.6, 0.5, 0.5),
    "rack": (1.7, 0.5, 0.9),
    "boulder": (1.5, 1.2, 1.0),
}


def random_size_m(name: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """A size (3,) of a class or look-alike."""
    if name in SIZE_RANGES_M:
        return size_within(SIZE_RANGES_M[name], rng)
    return np.array(LOOKALIKE_SIZES_M[name]) * rng.uniform(0.75, 1.3, 3)


def size_within(limits: SizeLimits, rng: np.random.Generator) -> NDArray[np.float64]:
    """A size (3,) between limits of length, width and height."""
    return np.array([rng.uniform(*pair) for pair in limits])
