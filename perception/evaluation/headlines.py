"""The few figures that every table of an evaluation shows first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADLINES = (
    ("detection.mAP", "mAP"),
    ("detection.NDS", "NDS"),
    ("tracking.AMOTA", "AMOTA"),
    ("tracking.HOTA", "HOTA"),
    ("prediction.movers.minADE_6", "minADE_6 movers, m"),
    ("prediction.movers.minFDE_6", "minFDE_6 movers, m"),
    ("prediction.movers.MissRate_6", "MissRate_6 movers"),
    ("prediction.EPA_best", "EPA, best score"),
    ("calibration.ECE", "ECE"),
)
"""Where each lies in a summary, and its name."""

OTHER_PROTOCOLS = (
    ("detection.argoverse2.CDS", "Argoverse 2 CDS"),
    ("detection.argoverse2.mAP", "Argoverse 2 mAP"),
    ("detection.kitti.AP_3D", "KITTI AP, 3D"),
    ("detection.kitti.AP_BEV", "KITTI AP, BEV"),
)
"""Detection by the protocols of other data sets, over the classes that the truth has."""

OTHER_PROTOCOLS_NOTE = (
    "The same boxes and truth by two other protocols, over Tricast's classes that the truth has, within the nuScenes "
    "class ranges (50, 40 or 30 m, --max-range at most). Argoverse 2: centre distances of 0.5, 1, 2, 4 m in space, "
    "without its map and its 150 m. KITTI: overlap of 0.7 for vehicles and 0.5 for the rest, 40 recalls, every true "
    "box once in place of three difficulties. On logs of other data sets than these they compare runs of Tricast, not "
    "runs with published tables."
)

LOWER_IS_BETTER = (
    "prediction.movers.minADE_6",
    "prediction.movers.minFDE_6",
    "prediction.movers.MissRate_6",
    "calibration.ECE",
)


def figure(summary: Mapping[str, Any], path: str) -> float | None:
    """A figure of a summary by its dotted path; None where the summary does not have it."""
    value: Any = summary
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
