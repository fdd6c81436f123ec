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

COMPARED = tuple((path, name) for path, name in HEADLINES if path != "prediction.EPA_best")
"""Those that can be worked out for any choice of scenes."""

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
