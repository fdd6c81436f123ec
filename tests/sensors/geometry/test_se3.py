"""Rigid transforms against hand-computed values and the group's own laws."""

import math

import numpy as np
import pytest

from tricast.sensors.errors import CalibrationError
from tricast.sensors.geometry.se3 import SE3, interpolate, wrap_angle

QUARTER = math.pi / 2
A = SE3.from_euler(0.1, -0.2, 0.7, (1.0, -2.0, 0.5))
B = SE3.from_euler(-0.4, 0.3, -2.5, (-3.0, 0.2, 4.0))
C = SE3.from_yaw(3.0, (0.0, 1.0, 0.0))


def assert_same(first: SE3, second: SE3) -> None:
    np.testing.assert_allclose(first.matrix, second.matrix, atol=1e-12)


def test_yaw_turns_forward_to_the_left_and_then_translates() -> None:
    map_from_ego = SE3.from_yaw(QUARTER, (10.0, 20.0, 1.0))
    np.testing.assert_allclose(
        map_from_ego.apply(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 2.0]])), [[10, 21, 1], [9, 20, 3]]
    )
    np.testing.assert_allclose(map_from_ego.rotate(np.array([1.0, 0.0, 0.0])), [0, 1, 0], atol=1e-15)


@pytest.mark.parametrize(
    ("angles", "quaternion"),
    [
        ((QUARTER, 0.0, 0.0), (math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0)),
        ((0.0, QUARTER, 0.0), (math.sqrt(0.5), 0.0, math.sqrt(0.5), 0.0)),
        ((0.0, 0.0, QUARTER), (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5))),
        ((QUARTER, 0.0, QUARTER), (0.5, 0.5, 0.5, 0.5)),
    ],
)
def test_euler_angles_give_the_quaternion_worked_out_by_hand(
    angles: tuple[float, float, float], quaternion: tuple[float, float, float, float]
) -> None:
    np.testing.assert_allclose(SE3.from_euler(*angles).quaternion_wxyz, quaternion, atol=1e-15)


def test_positive_pitch_lowers_the_nose_and_positive_roll_lowers_the_right_side() -> None:
    np.testing.assert_allclose(SE3.from_euler(0, QUARTER, 0).rotate(np.array([1.0, 0, 0])), [0, 0, -1], atol=1e-15)
    np.testing.assert_allclose(SE3.from_euler(QUARTER, 0, 0).rotate(np.array([0.0, -1, 0])), [0, 0, -1], atol=1e-15)


def test_euler_angles_are_applied_roll_first_about_fixed_axes() -> None:
    both = SE3.from_euler(0.3, 0.0, 0.9)
    assert_same(both, SE3.from_yaw(0.9) @ SE3.from_euler(0.3, 0.0, 0.0))


def test_composition_applies_the_right_one_first() -> None:
    points = np.random.default_rng(1).normal(size=(5, 3))
    np.testing.assert_allclose((A @ B).apply(points), A.apply(B.apply(points)))
    np.testing.assert_allclose((A @ B).matrix, A.matrix @ B.matrix, atol=1e-12)
    assert_same((A @ B) @ C, A @ (B @ C))


def test_the_inverse_undoes() -> None:
    for transform in (A, B, C, SE3()):
        assert_same(transform @ transform.inverse, SE3())
        assert_same(transform.inverse @ transform, SE3())
        assert_same(transform.inverse.inverse, transform)


def test_a_matrix_gives_back_the_transform() -> None:
    for transform in (
        A,
        B,
        C,
        SE3(),
        SE3.from_yaw(math.pi),
        SE3.from_euler(math.pi, 0, 0),
        SE3.from_euler(0, math.pi, 0),
    ):
        assert_same(SE3.from_matrix(transform.matrix), transform)
        assert_same(SE3.from_matrix(transform.matrix[:3]), transform)


def test_yaw_is_read_back() -> None:
    for yaw in (-3.0, -1.0, 0.0, 0.5, 3.1):
        assert SE3.from_yaw(yaw).yaw_rad == pytest.approx(yaw)


def test_points_keep_their_dtype_shape_and_nan() -> None:
    points = np.array([[1.0, 2.0, 3.0], [np.nan, 0.0, 0.0]], np.float32)
    moved = A.apply(points)
    assert moved.dtype == np.float32
    assert np.isnan(moved[1]).all()
    np.testing.assert_allclose(moved[0], A.apply(points.astype(np.float64))[0], rtol=1e-6)
    assert A.apply(np.zeros((0, 3))).shape == (0, 3)
    assert A.apply(np.zeros((2, 4, 3))).shape == (2, 4, 3)


def test_interpolation_halves_angle_and_way() -> None:
    half = interpolate(SE3(), SE3.from_yaw(1.0, (4.0, 2.0, 0.0)), 0.5)
    assert_same(half, SE3.from_yaw(0.5, (2.0, 1.0, 0.0)))
    assert_same(interpolate(A, B, 0.0), A)
    assert_same(interpolate(A, B, 1.0), B)
    assert_same(interpolate(A, A, 0.3), A)


def test_interpolation_takes_the_short_way_round_and_extrapolates() -> None:
    assert_same(interpolate(SE3.from_yaw(3.0), SE3.from_yaw(-3.0), 0.5), SE3.from_yaw(math.pi))
    assert_same(interpolate(SE3(), SE3.from_yaw(0.2, (1.0, 0.0, 0.0)), 2.0), SE3.from_yaw(0.4, (2.0, 0.0, 0.0)))


def test_angles_wrap_into_minus_pi_to_pi() -> None:
    np.testing.assert_allclose(
        wrap_angle(np.array([0.0, math.pi, -math.pi, 7.0])), [0, -math.pi, -math.pi, 7 - 2 * math.pi]
    )


@pytest.mark.parametrize("quaternion", [(0.0, 0.0, 0.0, 0.0), (2.0, 0.0, 0.0, 0.0), (math.nan, 0.0, 0.0, 1.0)])
def test_a_quaternion_that_is_not_of_unit_length_is_refused(quaternion: tuple[float, float, float, float]) -> None:
    with pytest.raises(CalibrationError, match="length 1"):
        SE3(quaternion_wxyz=quaternion)
    with pytest.raises(CalibrationError):
        SE3(translation_m=(math.inf, 0.0, 0.0))


@pytest.mark.parametrize(
    "matrix",
    [
        np.diag([1.0, 2.0, 1.0, 1.0]),
        np.diag([1.0, 1.0, -1.0, 1.0]),
        np.full((4, 4), np.nan),
        np.eye(3),
        np.eye(4).ravel(),
        np.eye(4)[None],
        np.array(1.0),
    ],
)
def test_a_matrix_that_is_no_rigid_transform_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(CalibrationError):
        SE3.from_matrix(matrix)
