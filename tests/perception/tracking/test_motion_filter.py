import numpy as np
import pytest

from tricast.perception.tracking.motion_filter import MotionFilter


def test_a_step_equals_the_textbook_kalman_filter() -> None:
    rng = np.random.default_rng(0)
    dt, acceleration, sigma, rate_sigma = 0.1, 2.0, 0.3, 0.8
    born = MotionFilter.born(rng.normal(size=(1, 2)), rng.normal(size=(1, 2)), np.array([0.5]), np.array([3.0]))
    place, rate = rng.normal(size=(1, 2)), rng.normal(size=(1, 2))
    step = born.predicted(dt, np.array([acceleration]))
    step = step.position_seen(place, np.array([sigma])).rate_seen(rate, np.array([rate_sigma]))

    transition = np.array([[1, dt], [0, 1]])
    gain = np.array([dt**2 / 2, dt])
    covariance = transition @ np.diag([0.25, 9.0]) @ transition.T + acceleration**2 * np.outer(gain, gain)
    for axis in range(2):
        state = transition @ [born.positions[0, axis], born.rates[0, axis]]
        both = np.linalg.inv(covariance + np.diag([sigma**2, rate_sigma**2]))
        state = state + covariance @ both @ (np.array([place[0, axis], rate[0, axis]]) - state)
        assert [step.positions[0, axis], step.rates[0, axis]] == pytest.approx(state)
    left = covariance - covariance @ both @ covariance
    variances = [step.position_variances[0], step.cross_covariances[0], step.rate_variances[0]]
    assert variances == pytest.approx([left[0, 0], left[0, 1], left[1, 1]])


def test_what_is_not_measured_changes_nothing() -> None:
    born = MotionFilter.born(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([0.5]), np.array([3.0]))
    step = born.position_seen(np.full((1, 2), np.nan), np.array([np.inf]))
    step = step.rate_seen(np.full((1, 2), np.nan), np.array([np.inf]))
    assert step.positions.tolist() == [[1.0, 2.0]]
    assert step.rates.tolist() == [[3.0, 4.0]]
    assert step.rate_variances[0] == 9.0


def test_many_objects_step_as_each_alone() -> None:
    rng = np.random.default_rng(1)
    many = MotionFilter.born(rng.normal(size=(5, 2)), rng.normal(size=(5, 2)), np.full(5, 0.4), np.full(5, 2.0))
    seen, sigmas = rng.normal(size=(5, 2)), rng.uniform(0.1, 1, 5)
    together = many.predicted(0.1, np.ones(5)).position_seen(seen, sigmas)
    alone = [many[[i]].predicted(0.1, np.ones(1)).position_seen(seen[[i]], sigmas[[i]]) for i in range(5)]
    assert together.positions.tolist() == MotionFilter.joined(alone).positions.tolist()
