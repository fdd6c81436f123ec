"""Results carried on to a later time by their own forecasts, and how far that was."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tricast.perception.outputs import FUTURE_STEP_S, NUM_FUTURE_STEPS, TickResult, Tracks, Trajectories
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3, wrap_angle
from tricast.sensors.motion_compensation import EgoMotion

SECOND_NS = 1_000_000_000
HORIZON_NS = round(NUM_FUTURE_STEPS * FUTURE_STEP_S * SECOND_NS)


@dataclass(frozen=True, kw_only=True, eq=False)
class Extrapolated:
    """What a result says about a later time.

    Args:
        result: The result at that time. Tracks are moved along their most probable future and turned, with their
            velocity, by their turn rate; futures begin at that time and go on straight where the forecast ends.
            Detections, inputs and health are still those of the tick.
        by_ns: How far it was carried, at least 0 and at most the 6 s that forecasts reach.
        beyond: Whether the time asked for lies after that.

    """

    result: TickResult
    by_ns: int
    beyond: bool


def extrapolated(result: TickResult, now_ns: int, ego_motion: EgoMotion | None = None) -> Extrapolated:
    """A result at `now_ns`, on the clock of its tick; a time before the tick leaves it as it is.

    Args:
        result: At its tick.
        now_ns: The time asked for.
        ego_motion: Of the tick's frame; with it the answer is in ego axes at that time, without in those of the tick.
            `odom_from_ego` of the answer is the pose of the axes that it is in.

    """
    by_ns = min(max(now_ns - result.timestamp_ns, 0), HORIZON_NS)
    at_ns, by_s = result.timestamp_ns + by_ns, by_ns / SECOND_NS
    odom_from_ego, ego_from_then = result.odom_from_ego, SE3()
    if ego_motion is not None:
        odom_from_ego = ego_motion.odom_from_ego(at_ns)
        ego_from_then = odom_from_ego.inverse @ result.odom_from_ego
    moved = replace(
        result,
        timestamp_ns=at_ns,
        odom_from_ego=odom_from_ego,
        tracks=_moved_tracks(result, by_s, at_ns, ego_from_then),
        trajectories=_moved_futures(result, by_s, ego_from_then),
    )
    return Extrapolated(result=moved, by_ns=by_ns, beyond=now_ns - result.timestamp_ns > HORIZON_NS)


def _moved_tracks(result: TickResult, by_s: float, at_ns: int, ego_from_then: SE3) -> Tracks:
    tracks, boxes = result.tracks, result.tracks.boxes
    centers_m = boxes.centers_m.copy()
    if len(boxes):
        centers_m[:, :2] = along_futures(centers_m[:, :2], result.trajectories.points_m[:, 0], by_s)
    turns_rad = by_s * tracks.turn_rates_radps
    c, s = np.cos(turns_rad), np.sin(turns_rad)
    vx, vy = boxes.velocities_mps.T
    moved = Boxes(
        centers_m=centers_m,
        sizes_m=boxes.sizes_m,
        yaws_rad=wrap_angle(boxes.yaws_rad + turns_rad),
        velocities_mps=np.stack([c * vx - s * vy, s * vx + c * vy], axis=1),
    )
    return replace(tracks, boxes=moved.transformed(ego_from_then), timestamp_ns=at_ns)


def _moved_futures(result: TickResult, by_s: float, ego_from_then: SE3) -> Trajectories:
    futures = result.trajectories
    count, modes = futures.probabilities.shape
    starts_m = np.repeat(result.tracks.boxes.centers_m, modes, axis=0)  # (N * M, 3)
    paths_m = futures.points_m.reshape(count * modes, NUM_FUTURE_STEPS, 2)
    steps_s = by_s + FUTURE_STEP_S * np.arange(1, NUM_FUTURE_STEPS + 1)
    points_m = np.zeros((count * modes, NUM_FUTURE_STEPS, 3))
    points_m[..., 2] = starts_m[:, None, 2]
    for step, after_s in enumerate(steps_s):
        points_m[:, step, :2] = along_futures(starts_m[:, :2], paths_m, float(after_s))
        # Forecasts end after 6 s; what lies after that goes on as their last step did.
        after_end = max(after_s / FUTURE_STEP_S - NUM_FUTURE_STEPS, 0.0)
        points_m[:, step, :2] += after_end * (paths_m[:, -1] - paths_m[:, -2])
    moved_m = ego_from_then.apply(points_m.reshape(-1, 3))[:, :2]
    return replace(futures, points_m=moved_m.reshape(count, modes, NUM_FUTURE_STEPS, 2))


def along_futures(starts_m: NDArray[np.float64], paths_m: NDArray[np.float64], after_s: float) -> NDArray[np.float64]:
    """Positions (N, 2) after a time on paths (N, 12, 2) in steps of 0.5 s; at most at their ends."""
    points = np.concatenate([starts_m[:, None], paths_m], axis=1)
    place = min(max(after_s / FUTURE_STEP_S, 0.0), float(NUM_FUTURE_STEPS))
    before = min(int(place), NUM_FUTURE_STEPS - 1)
    return points[:, before] + (place - before) * (points[:, before + 1] - points[:, before])
