"""Ego poses with velocities, for recordings that state poses alone."""

from __future__ import annotations

import bisect
from collections.abc import Mapping

from tricast.sensors.frames import EgoPose
from tricast.sensors.geometry.se3 import SE3

TWIST_WINDOW_NS = 100_000_000
"""Ego velocity is taken over the poses within this time of a pose: neighbours a few ms apart would give noise."""
MIN_TWIST_SPAN_NS = 20_000_000


def poses_with_twist(odom_from_ego: Mapping[int, SE3]) -> list[EgoPose]:
    """One pose per time in nanoseconds, sorted, with the twist over its neighbourhood where poses are dense enough."""
    stamps = sorted(odom_from_ego)
    poses: list[EgoPose] = []
    for at_ns in stamps:
        first = stamps[bisect.bisect_left(stamps, at_ns - TWIST_WINDOW_NS)]
        last = stamps[bisect.bisect_right(stamps, at_ns + TWIST_WINDOW_NS) - 1]
        linear = angular = None
        if last - first >= MIN_TWIST_SPAN_NS:
            span_s = (last - first) / 1e9
            moved_m = odom_from_ego[last].translation - odom_from_ego[first].translation
            velocity = odom_from_ego[at_ns].inverse.rotate(moved_m) / span_s
            linear = (float(velocity[0]), float(velocity[1]), float(velocity[2]))
            angular = (0.0, 0.0, (odom_from_ego[first].inverse @ odom_from_ego[last]).yaw_rad / span_s)
        poses.append(
            EgoPose(
                timestamp_ns=at_ns,
                received_ns=at_ns,
                odom_from_ego=odom_from_ego[at_ns],
                linear_velocity_mps=linear,
                angular_velocity_radps=angular,
            )
        )
    return poses
