"""Velocities of boxes brought to what the radar returns on them say along their lines of sight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tricast.configs.strict import StrictConfig
from tricast.perception.nearness import near_along
from tricast.perception.outputs import Detections
from tricast.sensors.geometry.boxes import Boxes

Float64 = NDArray[np.float64]

ON_FOOT = "pedestrian"
STANDING = ("traffic_cone", "barrier")
SIGMAS_OF_MAD = 1.4826
"""Standard deviations of a normal distribution in a median of absolute deviations."""


class DopplerConfig(StrictConfig):
    """How far off velocities and radial speeds are taken to be; chosen on validation scenes."""

    enabled: bool = True
    margin_m: float = Field(default=0.5, ge=0, le=5)
    """Returns so far outside a box are still on it."""
    along_mps: float = Field(default=1.0, gt=0)
    """Standard deviation of a vehicle's velocity along its heading before the radar is asked."""
    across_mps: float = Field(default=0.4, gt=0)
    """Across it: vehicles go where they point."""
    on_foot_mps: float = Field(default=0.8, gt=0)
    """Of people, in every direction."""
    radial_mps: float = Field(default=0.15, gt=0)
    """Of the median of several returns, beside what they differ by."""
    single_radial_mps: float = Field(default=0.5, gt=0)
    """Of a single return: some are of what stands beside."""
    single_limit_mps: float = Field(default=2.5, gt=0)
    """A single return that is further off is not believed."""


def with_doppler(detections: Detections, radar: NDArray[np.float32], config: DopplerConfig) -> Detections:
    """Detections whose velocities went through a Kalman update with the median Doppler of the returns on each box.

    What a line of sight does not show stays as it was, but for vehicles, whose speed along the heading takes most of
    the correction. What stands by its class, and boxes without a return, stay. Source of the idea that the returns on a
    box tell its velocity: CenterFusion (Nabati and Qi, WACV 2021).

    Args:
        detections: With velocities over ground, in ego axes.
        radar: (R, 9) `RADAR_COLUMNS` in the same axes.
        config: Uncertainties.

    """
    known = radar[radar[:, 5] > 0].astype(np.float64)
    if not len(detections) or not len(known) or not config.enabled:
        return detections
    box, row = _on_boxes(detections, known, config.margin_m)
    moves = ~np.isin(np.array(detections.class_names)[box], STANDING)
    box, row = box[moves], row[moves]
    if not len(box):
        return detections
    velocities, sights = detections.boxes.velocities_mps, known[row, 6:8]
    apart = known[row, 4] - (sights * velocities[box]).sum(axis=1)
    count = np.bincount(box, minlength=len(detections))
    middle = _medians(apart, box, count)
    spread = SIGMAS_OF_MAD * _medians(np.abs(apart - middle[box]), box, count)
    single = count == 1
    noise = np.hypot(np.where(single, config.single_radial_mps, config.radial_mps), spread)
    sight = np.column_stack([np.bincount(box, sights[:, i], minlength=len(detections)) for i in range(2)])
    sight /= np.maximum(np.linalg.norm(sight, axis=1, keepdims=True), 1e-9)
    gain = _gains(detections, sight, noise, config)
    believed = (count > 0) & ~(single & (np.abs(middle) > config.single_limit_mps))
    corrected = velocities + np.where(believed[:, None], gain * middle[:, None], 0.0)
    return replace(detections, boxes=replace(detections.boxes, velocities_mps=corrected))


def _on_boxes(detections: Detections, radar: Float64, margin_m: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of boxes and returns on them, older returns moved on with the box; boxes in order."""
    boxes = detections.boxes
    box, row = _near(boxes, radar, margin_m)
    velocity, center = boxes.velocities_mps[box], boxes.centers_m[box, :2]
    x, y = (radar[row, :2] + radar[row, 8:9] * velocity - center).T
    cosine, sine = np.cos(boxes.yaws_rad)[box], np.sin(boxes.yaws_rad)[box]
    long, wide = (boxes.sizes_m[box, :2] / 2 + margin_m).T
    on = (np.abs(x * cosine + y * sine) < long) & (np.abs(y * cosine - x * sine) < wide)
    return box[on], row[on]


def _near(boxes: Boxes, radar: Float64, margin_m: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs that may be of a box and a return on it: within half a diagonal and what the box drives in a return's age.

    This is asked in single precision, with a centimetre to spare.
    """
    reach = np.linalg.norm(boxes.sizes_m[:, :2] / 2 + margin_m, axis=1) + 0.01
    reach += np.abs(radar[:, 8]).max(initial=0.0) * np.linalg.norm(boxes.velocities_mps, axis=1)
    (x, y), (own_x, own_y) = radar[:, :2].astype(np.float32).T, boxes.centers_m[:, :2].astype(np.float32).T
    box, row = near_along(own_x, reach + 0.01, x)
    squares = (x[row] - own_x[box]) ** 2 + (y[row] - own_y[box]) ** 2
    near = np.flatnonzero(squares < np.square(reach).astype(np.float32)[box])
    near = near[np.lexsort((row[near], box[near]))]
    return box[near], row[near]


def _medians(values: Float64, group: NDArray[np.int64], count: NDArray[np.int64]) -> Float64:
    """The median of the values of each group; 0 of groups without any."""
    ordered = values[np.lexsort((values, group))]
    first = np.cumsum(count) - count
    low, high = (np.minimum(first + np.maximum(count - 1 + i, 0) // 2, len(values) - 1) for i in range(2))
    return np.where(count > 0, (ordered[low] + ordered[high]) / 2, 0.0)


def _gains(detections: Detections, sight: Float64, noise: Float64, config: DopplerConfig) -> Float64:
    """Kalman gains (N, 2) of radial speeds along `sight` for velocities whose covariances lie along the headings."""
    yaws = detections.boxes.yaws_rad
    ahead = np.column_stack([np.cos(yaws), np.sin(yaws)])
    aside = np.column_stack([-ahead[:, 1], ahead[:, 0]])
    on_foot = np.array([name == ON_FOOT for name in detections.class_names])
    along = np.where(on_foot, config.on_foot_mps, config.along_mps) ** 2
    across = np.where(on_foot, config.on_foot_mps, config.across_mps) ** 2
    seen_along, seen_aside = (ahead * sight).sum(axis=1), (aside * sight).sum(axis=1)
    towards = (along * seen_along)[:, None] * ahead + (across * seen_aside)[:, None] * aside
    return towards / ((towards * sight).sum(axis=1) + noise**2)[:, None]
