import numpy as np
import pytest

from tricast.perception.evaluation.ab3dmot import Ab3dmot
from tricast.perception.evaluation.generalized_overlap import box_gious, hull_areas


def box(x: float, y: float = 0.0) -> np.ndarray:
    return np.array([[x, y, 0.8, 0.0, 4.0, 2.0, 1.6]])


def test_generalised_overlap_of_equal_and_of_parted_boxes_is_as_by_hand() -> None:
    centers, sizes, yaw = np.zeros((1, 3)), np.full((1, 3), 2.0), np.zeros(1)
    assert box_gious(centers, sizes, yaw, centers, sizes, yaw) == pytest.approx([1.0])
    # Two cubes of 2 m, 4 m apart: union 16, hull 6 x 2 x 2 = 24.
    moved = centers + np.array([4.0, 0, 0])
    assert box_gious(centers, sizes, yaw, moved, sizes, yaw) == pytest.approx([-8 / 24])


def test_a_box_overlaps_itself_turned_by_half_a_turn_wholly_in_spite_of_rounding() -> None:
    yaws = np.linspace(-3, 3, 2000)
    centers = np.column_stack([20 * np.sin(7 * yaws), 20 * np.cos(5 * yaws), yaws])
    sizes = np.tile([4.0, 2.0, 1.5], (len(yaws), 1))
    np.testing.assert_allclose(box_gious(centers, sizes, yaws, centers, sizes, yaws + np.pi), 1.0, atol=1e-9)


def test_a_hull_counts_corners_once_whatever_lies_inside_or_on_an_edge() -> None:
    square = [(0, 0), (2, 0), (2, 2), (0, 2)]
    points = np.array([[*square, (1, 1), (1, 0), (2, 2), (0, 1)], [*square, (3, 1), (1, 1), (1, 1), (1, 1)]], float)
    assert hull_areas(points) == pytest.approx([4.0, 5.0])


def test_a_moving_box_keeps_its_identity_and_dies_after_two_misses() -> None:
    tracker = Ab3dmot()
    for frame in range(10):
        states, identities, rows = tracker.update(box(1.5 * frame))
    assert identities.tolist() == [1]
    assert rows.tolist() == [0]
    assert states[0, 0] == pytest.approx(13.5, abs=0.2)
    none = np.zeros((0, 7))
    _, identities, rows = tracker.update(none)
    assert (identities.tolist(), rows.tolist()) == ([1], [-1])
    assert len(tracker.update(none)[1]) == 0


def test_a_new_box_is_shown_from_its_third_hit_on() -> None:
    tracker = Ab3dmot()
    for _ in range(5):
        tracker.update(box(0.0))
    counts = [len(tracker.update(np.concatenate([box(0.0), box(40.0)]))[1]) for _ in range(3)]
    assert counts == [1, 1, 2]
