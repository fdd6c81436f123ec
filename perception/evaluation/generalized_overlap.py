"""Generalised intersection over union of upright boxes, which also tells how far apart boxes are that do not meet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tricast.perception.evaluation.overlap import UNIT_CORNERS, bev_intersections_m2

Float64 = NDArray[np.float64]


def box_gious(
    centers_a: Float64, sizes_a: Float64, yaws_a: Float64, centers_b: Float64, sizes_b: Float64, yaws_b: Float64
) -> Float64:
    """GIoU in space of N pairs of boxes, in (-1, 1]; arguments as for `bev_intersections_m2`.

    The enclosing body is the hull in the ground plane times the height of both together. Source: Rezatofighi et al.,
    CVPR 2019; in space as AB3DMOT defines it.
    """
    shared = bev_intersections_m2(centers_a, sizes_a, yaws_a, centers_b, sizes_b, yaws_b)
    half_a, half_b = sizes_a[:, 2] / 2, sizes_b[:, 2] / 2
    tops = np.stack([centers_a[:, 2] + half_a, centers_b[:, 2] + half_b])
    bottoms = np.stack([centers_a[:, 2] - half_a, centers_b[:, 2] - half_b])
    volume = shared * np.maximum(tops.min(axis=0) - bottoms.max(axis=0), 0)
    union = sizes_a.prod(axis=1) + sizes_b.prod(axis=1) - volume
    corners = [_corners(centers_a, sizes_a, yaws_a), _corners(centers_b, sizes_b, yaws_b)]
    hull = hull_areas(np.concatenate(corners, axis=1)) * (tops.max(axis=0) - bottoms.min(axis=0))
    return volume / union - (hull - union) / hull


def hull_areas(points: Float64) -> Float64:
    """Areas (N,) of the convex hulls of N sets of P points (N, P, 2), by wrapping all of them at once."""
    rows = np.arange(len(points))
    start = np.lexsort((points[..., 1], points[..., 0]))[:, 0]
    current, done, area = start, np.zeros(len(points), bool), np.zeros(len(points))
    for _ in range(points.shape[1]):
        here = points[rows, current]
        ahead = points - here[:, None]
        # A point is the next corner when no other lies to the right of the line to it; of points in a row, the last.
        cross = ahead[:, :, None, 0] * ahead[:, None, :, 1] - ahead[:, :, None, 1] * ahead[:, None, :, 0]
        length = (ahead**2).sum(axis=2)
        tolerance = 1e-12 * length.max(axis=1)
        outermost = (cross >= -tolerance[:, None, None]).all(axis=2) & (length > 0)
        following = np.where(outermost, length, -1.0).argmax(axis=1)
        # Where corners of both boxes coincide but for rounding, the walk may come back to the start's twin.
        home = ((points[rows, following] - points[rows, start]) ** 2).sum(axis=1) <= tolerance
        following = np.where(home, start, following)
        there = points[rows, following]
        area += np.where(done, 0.0, here[:, 0] * there[:, 1] - here[:, 1] * there[:, 0])
        done |= following == start
        current = following
    return area / 2


def _corners(centers: Float64, sizes: Float64, yaws: Float64) -> Float64:
    local = UNIT_CORNERS * sizes[:, None, :2]
    cos, sin = np.cos(yaws)[:, None], np.sin(yaws)[:, None]
    turned = np.stack([cos * local[..., 0] - sin * local[..., 1], sin * local[..., 0] + cos * local[..., 1]], axis=-1)
    return turned + centers[:, None, :2]
