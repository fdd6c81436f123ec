"""Boxes against corners and containment worked out by hand."""

import math

import numpy as np
import pytest

from tricast.sensors.errors import SensorDataError
from tricast.sensors.geometry.boxes import Boxes, concatenate_boxes
from tricast.sensors.geometry.se3 import SE3

QUARTER = math.pi / 2


def boxes(*rows: tuple[float, float, float, float, float, float, float, float, float]) -> Boxes:
    """Rows of centre, (length, width, height), yaw, velocity."""
    values = np.array(rows, np.float64).reshape(-1, 9)
    return Boxes(
        centers_m=values[:, 0:3].copy(),
        sizes_m=values[:, 3:6].copy(),
        yaws_rad=values[:, 6].copy(),
        velocities_mps=values[:, 7:9].copy(),
    )


AHEAD = (10.0, 2.0, 1.0, 4.0, 2.0, 1.5, 0.0, 5.0, 0.0)
ACROSS = (0.0, 0.0, 0.0, 4.0, 2.0, 2.0, QUARTER, 0.0, 1.0)


def test_corners_go_round_from_front_left_bottom_first() -> None:
    expected = [(12, 3), (12, 1), (8, 1), (8, 3)]
    corners = boxes(AHEAD).corners_m()[0]
    np.testing.assert_allclose(corners[:4], [(x, y, 0.25) for x, y in expected])
    np.testing.assert_allclose(corners[4:], [(x, y, 1.75) for x, y in expected])


def test_corners_turn_with_the_box() -> None:
    # Turned left by 90 degrees, front left is at (-width / 2, length / 2).
    np.testing.assert_allclose(boxes(ACROSS).corners_m()[0, :4, :2], [(-1, 2), (1, 2), (1, -2), (-1, -2)], atol=1e-12)


def test_containment_follows_the_turned_box_borders_included() -> None:
    points = np.array([[0, 1.9, 0], [1.9, 0, 0], [0, 0, 1.0], [0, 0, 1.01], [10, 2, 1], [np.nan, 0, 0]])
    inside = boxes(ACROSS, AHEAD).contains(points)
    assert inside.tolist() == [[True, False, True, False, False, False], [False] * 4 + [True, False]]


def test_another_frame_moves_centre_heading_and_velocity() -> None:
    moved = boxes(AHEAD).transformed(SE3.from_yaw(QUARTER, (1.0, 0.0, 0.5)))
    np.testing.assert_allclose(moved.centers_m, [[-1, 10, 1.5]])
    np.testing.assert_allclose(moved.yaws_rad, [QUARTER])
    np.testing.assert_allclose(moved.velocities_mps, [[0, 5]], atol=1e-12)
    np.testing.assert_allclose(moved.sizes_m, [[4, 2, 1.5]])


def test_going_there_and_back_changes_nothing() -> None:
    there = SE3.from_yaw(2.5, (-3.0, 7.0, 0.2))
    original = boxes(AHEAD, ACROSS)
    back = original.transformed(there).transformed(there.inverse)
    for name in ("centers_m", "sizes_m", "yaws_rad", "velocities_mps"):
        np.testing.assert_allclose(getattr(back, name), getattr(original, name), atol=1e-12)


def test_corners_and_frames_commute() -> None:
    there = SE3.from_yaw(0.8, (2.0, 1.0, -1.0))
    original = boxes(AHEAD, ACROSS)
    np.testing.assert_allclose(original.transformed(there).corners_m(), there.apply(original.corners_m()), atol=1e-12)


def test_an_unknown_velocity_stays_unknown() -> None:
    unknown = boxes((*AHEAD[:7], math.nan, math.nan)).transformed(SE3.from_yaw(1.0))
    assert np.isnan(unknown.velocities_mps).all()


def test_selection_and_concatenation_keep_order() -> None:
    both = boxes(AHEAD, ACROSS)
    assert both[np.array([False, True])].yaws_rad.tolist() == [QUARTER]
    again = concatenate_boxes([both[1:], both[:1], Boxes.empty()])
    assert again.yaws_rad.tolist() == [QUARTER, 0.0]
    assert len(concatenate_boxes([])) == 0


def test_no_boxes_are_ordinary() -> None:
    none = Boxes.empty()
    assert len(none) == 0
    assert none.corners_m().shape == (0, 8, 3)
    assert none.contains(np.zeros((4, 3))).shape == (0, 4)
    assert boxes(AHEAD).contains(np.zeros((0, 3))).shape == (1, 0)
    assert len(none.transformed(SE3.from_yaw(1.0))) == 0


def test_arrays_cannot_be_written_through_the_boxes() -> None:
    with pytest.raises(ValueError, match="read-only"):
        boxes(AHEAD).centers_m[0, 0] = 1.0


@pytest.mark.parametrize("row", [(math.nan, *AHEAD[1:]), (*AHEAD[:6], math.inf, 0.0, 0.0)])
def test_a_box_without_a_place_or_heading_is_refused(row: tuple[float, ...]) -> None:
    with pytest.raises(SensorDataError, match="NaN or infinite"):
        boxes(row)  # type: ignore[arg-type]


def test_wrong_shapes_and_types_are_refused() -> None:
    good = boxes(AHEAD)
    fields = {"centers_m": good.centers_m, "sizes_m": good.sizes_m, "yaws_rad": good.yaws_rad}
    with pytest.raises(SensorDataError, match="velocities_mps"):
        Boxes(**fields, velocities_mps=np.zeros((2, 2)))
    with pytest.raises(SensorDataError, match="float32"):
        Boxes(**fields, velocities_mps=np.zeros((1, 2), np.float32))  # type: ignore[arg-type]
