"""Overlap of upright boxes that may be turned against each other, pair by pair."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

UNIT_CORNERS = np.array([[0.5, 0.5], [-0.5, 0.5], [-0.5, -0.5], [0.5, -0.5]])
TOLERANCE = 1e-9
PAIRS_AT_ONCE = 100_000


def bev_intersections_m2(
    centers_a: Float64, sizes_a: Float64, yaws_a: Float64, centers_b: Float64, sizes_b: Float64, yaws_b: Float64
) -> Float64:
    """Area that each of N pairs of boxes shares in the ground plane.

    The corners of the shared polygon are corners of one box inside the other, or crossings of edges.

    Args:
        centers_a: (N, 3) centres.
        sizes_a: (N, 3) length, width, height.
        yaws_a: (N,) headings.
        centers_b: (N, 3) centres of the other boxes.
        sizes_b: (N, 3) their sizes.
        yaws_b: (N,) their headings.

    """
    columns = (centers_a, sizes_a, yaws_a, centers_b, sizes_b, yaws_b)
    parts = [
        _intersections(*(column[start : start + PAIRS_AT_ONCE] for column in columns))
        for start in range(0, len(centers_a), PAIRS_AT_ONCE)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def box_ious(
    centers_a: Float64, sizes_a: Float64, yaws_a: Float64, centers_b: Float64, sizes_b: Float64, yaws_b: Float64
) -> tuple[Float64, Float64]:
    """Intersection over union of N pairs of boxes: in the ground plane (N,), and in space (N,).

    Arguments as for `bev_intersections_m2`.
    """
    shared = bev_intersections_m2(centers_a, sizes_a, yaws_a, centers_b, sizes_b, yaws_b)
    area_a, area_b = sizes_a[:, :2].prod(axis=1), sizes_b[:, :2].prod(axis=1)
    half_a, half_b = sizes_a[:, 2] / 2, sizes_b[:, 2] / 2
    top = np.minimum(centers_a[:, 2] + half_a, centers_b[:, 2] + half_b)
    bottom = np.maximum(centers_a[:, 2] - half_a, centers_b[:, 2] - half_b)
    volume = shared * np.maximum(top - bottom, 0)
    whole = sizes_a.prod(axis=1) + sizes_b.prod(axis=1) - volume
    return shared / (area_a + area_b - shared), volume / whole


def _intersections(
    centers_a: Float64, sizes_a: Float64, yaws_a: Float64, centers_b: Float64, sizes_b: Float64, yaws_b: Float64
) -> Float64:
    # In axes of the first box, so that large coordinates cost no digits.
    offset = _turned(centers_b[:, None, :2] - centers_a[:, None, :2], -yaws_a)
    corners_a = UNIT_CORNERS * sizes_a[:, None, :2]
    corners_b = _turned(UNIT_CORNERS * sizes_b[:, None, :2], yaws_b - yaws_a) + offset
    in_a = (np.abs(corners_b) <= sizes_a[:, None, :2] / 2 + TOLERANCE).all(axis=2)
    seen_from_b = _turned(corners_a - offset, yaws_a - yaws_b)
    in_b = (np.abs(seen_from_b) <= sizes_b[:, None, :2] / 2 + TOLERANCE).all(axis=2)
    crossings, crossed = _crossings(corners_a, corners_b)
    points = np.concatenate([corners_a, corners_b, crossings], axis=1)
    valid = np.concatenate([in_b, in_a, crossed], axis=1)
    return _convex_areas(points, valid)


def _turned(points: Float64, yaws_rad: Float64) -> Float64:
    cos, sin = np.cos(yaws_rad)[:, None], np.sin(yaws_rad)[:, None]
    x, y = points[..., 0], points[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)


def _crossings(corners_a: Float64, corners_b: Float64) -> tuple[Float64, NDArray[np.bool_]]:
    """Where each edge of one box (N, 4) meets each of the other, as (N, 16, 2), and whether it does."""
    start_a, start_b = corners_a[:, :, None], corners_b[:, None]
    along_a = np.roll(corners_a, -1, axis=1)[:, :, None] - start_a
    along_b = np.roll(corners_b, -1, axis=1)[:, None] - start_b
    between = start_b - start_a
    determinant = along_a[..., 0] * along_b[..., 1] - along_a[..., 1] * along_b[..., 0]
    parallel = np.abs(determinant) < TOLERANCE
    safe = np.where(parallel, 1.0, determinant)
    share_a = (between[..., 0] * along_b[..., 1] - between[..., 1] * along_b[..., 0]) / safe
    share_b = (between[..., 0] * along_a[..., 1] - between[..., 1] * along_a[..., 0]) / safe
    crossed = ~parallel & (share_a >= 0) & (share_a <= 1) & (share_b >= 0) & (share_b <= 1)
    points = start_a + share_a[..., None] * along_a
    return points.reshape(len(points), 16, 2), crossed.reshape(len(points), 16)


def _convex_areas(points: Float64, valid: NDArray[np.bool_]) -> Float64:
    """Areas (N,) of the convex polygons whose corners, in any order and more than once, are the valid points."""
    counts = valid.sum(axis=1)
    middle = (points * valid[..., None]).sum(axis=1) / np.maximum(counts, 1)[:, None]
    around = np.where(valid[..., None], points - middle[:, None], 0.0)
    angles = np.where(valid, np.arctan2(around[..., 1], around[..., 0]), np.inf)
    order = np.argsort(angles, axis=1)
    around = np.take_along_axis(around, order[..., None], axis=1)
    # Invalid points come last and stand in the first corner, where they add no area.
    place = np.arange(points.shape[1])
    around = np.where((place < counts[:, None])[..., None], around, around[:, :1])
    following = np.roll(around, -1, axis=1)
    area = (around[..., 0] * following[..., 1] - around[..., 1] * following[..., 0]).sum(axis=1) / 2
    return np.where(counts >= 3, np.maximum(area, 0.0), 0.0)
