"""Percentiles that the count of ticks supports, and no others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tricast.perception.streaming.latency import supports_percentile

LEVELS = (50.0, 90.0, 99.0, 99.9)


def percentiles_of(samples_ms: Sequence[float]) -> dict[str, float | None]:
    """`p50`, `p90`, `p99`, `p99.9`, `max` and `mean`; None where the count does not support one (MLPerf's rule)."""
    figures: dict[str, float | None] = {
        f"p{level:g}": round(float(np.percentile(samples_ms, level)), 3)
        if supports_percentile(len(samples_ms), level)
        else None
        for level in LEVELS
    }
    figures["max"] = round(max(samples_ms), 3) if samples_ms else None
    figures["mean"] = round(float(np.mean(samples_ms)), 3) if samples_ms else None
    return figures
