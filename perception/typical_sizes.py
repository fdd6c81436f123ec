"""Typical sizes of road users."""

from __future__ import annotations

TYPICAL_SIZES_M: dict[str, tuple[float, float, float]] = {
    "car": (4.6, 1.95, 1.7),
    "truck": (6.9, 2.5, 2.8),
    "bus": (11.0, 2.9, 3.5),
    "trailer": (12.3, 2.9, 3.9),
    "construction_vehicle": (6.4, 2.8, 3.2),
    "pedestrian": (0.7, 0.7, 1.75),
    "motorcycle": (2.1, 0.8, 1.5),
    "bicycle": (1.7, 0.6, 1.3),
    "traffic_cone": (0.4, 0.4, 1.0),
    "barrier": (0.5, 2.5, 1.0),
}
"""Mean (length, width, height) per class, rounded from the statistics that the nuScenes paper's authors publish."""
