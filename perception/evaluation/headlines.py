"""The few figures that every table of an evaluation shows first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADLINES = (
    ("detection.mAP", "mAP"),
    ("detection.NDS", "NDS"),
    ("tracking.AMOTA", "AMOTA"),
    ("tracking.HOTA", "HOTA"),
    ("prediction.minADE_6", "minADE_6, m"),
    ("prediction.minFDE_6", "minFDE_6, m"),
    ("prediction.MissRate_6", "MissRate_6"),
    ("prediction.EPA", "EPA"),
    ("calibration.ECE", "ECE"),
)
"""Where each lies in a summary, and its name."""

LOWER_IS_BETTER = ("prediction.minADE_6", "prediction.minFDE_6", "prediction.MissRate_6", "calibration.ECE")


def figure(summary: Mapping[str, Any], path: str) -> float | None:
    """A figure of a summary by its dotted path; None where the summary does not have it."""
    value: Any = summary
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
