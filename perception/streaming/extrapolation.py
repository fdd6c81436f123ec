"""Results carried on to a later time by their own forecasts, and how far that was."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tricast.perception.outputs import FUTURE_STEP_S, NUM_FUTURE_STEPS, TickResult, Tracks
from tricast.sensors.geometry.se3 import wrap_angle

SECOND_NS = 1_000_000_000
HORIZON_NS = round(NUM_FUTURE_STEPS * FUTURE_STEP_S * SECOND_NS)


@dataclass(frozen=True, kw_only=True, eq=False)
class Extrapolated:
    """Tracks at a later time.

    Args:
        tracks: Each moved along its most probable future and turned by its turn rate; still in ego axes at the tick,
            which `TickResult.odom_from_ego` places in the world.
        by_ns: How far they were carried, at least 0 and at most the 6 s that forecasts reach.
        beyond: Whether the time asked for lies after that.

    """

    tracks: Tracks
    by_ns: int
    beyond: bool


def extrapolated(result: TickResult, now_ns: int) -> Extrapolated:
    """Tracks of a result at `now_ns`, on the clock of its tick; a time before the tick leaves them where they are."""
    by_ns = min(max(now_ns - result.timestamp_ns, 0), HORIZON_NS)
    tracks, by_s = result.tracks, by_ns / SECOND_NS
    boxes = tracks.boxes
    centers = boxes.centers_m.copy()
    if len(boxes):
        centers[:, :2] = along_futures(centers[:, :2], result.trajectories.points_m[:, 0], by_s)
    moved = replace(boxes, centers_m=centers, yaws_rad=wrap_angle(boxes.yaws_rad + by_s * tracks.turn_rates_radps))
    return Extrapolated(
        tracks=replace(tracks, boxes=moved, timestamp_ns=result.timestamp_ns + by_ns),
        by_ns=by_ns,
        beyond=now_ns - result.timestamp_ns > HORIZON_NS,
    )


def along_futures(starts_m: NDArray[np.float64], paths_m: NDArray[np.float64], after_s: float) -> NDArray[np.float64]:
    """Positions (N, 2) after a time on paths (N, 12, 2) in steps of 0.5 s; at most at their ends."""
    points = np.concatenate([starts_m[:, None], paths_m], axis=1)
    place = min(max(after_s / FUTURE_STEP_S, 0.0), float(NUM_FUTURE_STEPS))
    before = min(int(place), NUM_FUTURE_STEPS - 1)
    return points[:, before] + (place - before) * (points[:, before + 1] - points[:, before])
