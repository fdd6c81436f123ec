"""Overlap of turned boxes, by hand and by counting points."""

import numpy as np
import pytest

from tricast.perception.evaluation.overlap import bev_intersections_m2, box_ious
from tricast.sensors.geometry.boxes import Boxes


def pair(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[np.ndarray, ...]:
    """Two boxes as x, y, z, length, width, height, yaw."""
    rows = [np.array([values]) for values in (a, b)]
    return tuple(part for row in rows for part in (row[:, :3], row[:, 3:6], row[:, 6]))


@pytest.mark.parametrize(
    ("a", "b", "bev", "space"),
    [
        ((0, 0, 0, 4, 2, 1.5, 0.3), (0, 0, 0, 4, 2, 1.5, 0.3), 1.0, 1.0),
        ((0, 0, 0, 2, 2, 2, 0), (1, 0, 0, 2, 2, 2, 0), 1 / 3, 1 / 3),
        ((0, 0, 0, 2, 2, 2, 0), (0, 0, 1, 2, 2, 2, 0), 1.0, 1 / 3),
        ((0, 0, 0, 4, 2, 2, 0), (0, 0, 0, 4, 2, 2, np.pi / 2), 4 / 12, 4 / 12),
        ((0, 0, 0, 2, 2, 2, 0), (0, 0, 0, 2, 2, 2, np.pi / 4), 1 / np.sqrt(2), 1 / np.sqrt(2)),
        ((0, 0, 0, 8, 8, 2, 0), (1, 1, 0, 2, 2, 2, 0.7), 4 / 64, 4 / 64),
        ((0, 0, 0, 2, 2, 2, 0), (2, 0, 0, 2, 2, 2, 0), 0.0, 0.0),
        ((0, 0, 0, 2, 2, 2, 0), (9, 9, 0, 2, 2, 2, 1), 0.0, 0.0),
        ((0, 0, 0, 2, 2, 2, 0), (0, 0, 2, 2, 2, 2, 0), 1.0, 0.0),
    ],
)
def test_overlap_by_hand(a: tuple[float, ...], b: tuple[float, ...], bev: float, space: float) -> None:
    for first, second in ((a, b), (b, a)):
        flat, solid = box_ious(*pair(first, second))
        assert flat[0] == pytest.approx(bev, abs=1e-9)
        assert solid[0] == pytest.approx(space, abs=1e-9)


def test_overlap_is_the_share_of_points_in_both() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(-4, 4, (200_000, 2)), np.zeros((200_000, 1))], axis=1)
    count = 12
    centers = np.concatenate([rng.uniform(-1.5, 1.5, (2, count, 2)), np.zeros((2, count, 1))], axis=2)
    sizes, yaws = rng.uniform(1, 4, (2, count, 3)), rng.uniform(-4, 4, (2, count))
    inside = [
        Boxes(centers_m=c, sizes_m=s, yaws_rad=y, velocities_mps=np.zeros((count, 2))).contains(points)
        for c, s, y in zip(centers, sizes, yaws, strict=True)
    ]
    counted = (inside[0] & inside[1]).mean(axis=1) * 64
    areas = bev_intersections_m2(centers[0], sizes[0], yaws[0], centers[1], sizes[1], yaws[1])
    np.testing.assert_allclose(areas, counted, atol=0.1)
    assert (areas > 0.3).sum() > 5


def test_large_coordinates_cost_no_digits() -> None:
    far = np.array([1e6, -2e6, 0.0])
    a = pair((0, 0, 0, 4, 2, 2, 0.3), (1, 0.5, 0, 4, 2, 2, 1.0))
    shifted = (a[0] + far, a[1], a[2], a[3] + far, a[4], a[5])
    np.testing.assert_allclose(bev_intersections_m2(*shifted), bev_intersections_m2(*a), rtol=1e-7)


def test_no_pairs_have_no_overlap() -> None:
    none = np.zeros((0, 3))
    assert len(bev_intersections_m2(none, none, np.zeros(0), none, none, np.zeros(0))) == 0
