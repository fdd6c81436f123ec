"""Physics baselines against closed forms and hand-computed values."""

import numpy as np
import pytest

from tricast.perception.evaluation.baselines import PHYSICS_MODES, SpeedHistory, physics_modes
from tricast.perception.outputs import Tracks
from tricast.sensors.geometry.boxes import Boxes

TIMES_S = 0.5 * np.arange(1, 13)


def modes_of(velocity: tuple[float, float], turn_rate: float = 0.0, acceleration: float = 0.0) -> dict[str, np.ndarray]:
    position = np.array([[10.0, -2.0]])
    points = physics_modes(position, np.array([velocity]), np.array([turn_rate]), np.array([acceleration]))
    assert points.shape == (1, 6, 12, 2)
    return dict(zip(PHYSICS_MODES, points[0] - position[0], strict=True))


def tracks_at(seconds: float, speeds: dict[int, float]) -> Tracks:
    count = len(speeds)
    velocities = np.array([[0.0, speed] for speed in speeds.values()]).reshape(-1, 2)
    boxes = Boxes(
        centers_m=np.zeros((count, 3)), sizes_m=np.ones((count, 3)), yaws_rad=np.zeros(count), velocities_mps=velocities
    )
    return Tracks(
        timestamp_ns=round(seconds * 1e9),
        boxes=boxes,
        class_names=("car",) * count,
        scores=np.ones(count),
        track_ids=np.array(list(speeds), np.int64),
        turn_rates_radps=np.zeros(count),
        detection_indices=np.full(count, -1, np.int64),
        class_scores=np.zeros((count, 10)),
    )


def test_constant_velocity_goes_straight_on() -> None:
    assert modes_of((3.0, -1.0))["constant_velocity"] == pytest.approx(TIMES_S[:, None] * [3.0, -1.0])


def test_a_constant_turn_rate_drives_a_circle_of_speed_over_rate() -> None:
    circle = modes_of((4.0, 0.0), turn_rate=0.5)["constant_turn_rate"]
    expected = 8.0 * np.column_stack([np.sin(0.5 * TIMES_S), 1 - np.cos(0.5 * TIMES_S)])
    assert circle == pytest.approx(expected, abs=1e-6)


def test_constant_acceleration_adds_half_a_t_squared() -> None:
    x = modes_of((0.0, 2.0), acceleration=1.5)["constant_acceleration"][:, 1]
    assert x == pytest.approx(2.0 * TIMES_S + 0.75 * TIMES_S**2)


def test_braking_ends_where_the_speed_is_used_up_and_never_goes_back() -> None:
    x = modes_of((6.0, 0.0))["braking"][:, 0]
    assert x[1] == pytest.approx(6.0 - 1.5)
    assert x[3:] == pytest.approx(6.0, abs=1e-3)  # 6 m/s at 3 m/s2: 2 s, 6 m
    slowing = modes_of((2.0, 0.0), acceleration=-1.0)["constant_acceleration"][:, 0]
    assert slowing[3:] == pytest.approx(2.0, abs=1e-3)


def test_turning_and_accelerating_ends_with_the_speed_and_heading_of_both() -> None:
    path = modes_of((2.0, 0.0), turn_rate=0.2, acceleration=0.5)["constant_turn_rate_and_acceleration"]
    step = path[-1] - path[-2]
    # The chord of the last half second points along the heading in its middle and is as long as the speed there says.
    assert np.arctan2(step[1], step[0]) == pytest.approx(0.2 * 5.75, abs=2e-3)
    assert np.linalg.norm(step) == pytest.approx(0.5 * (2.0 + 0.5 * 5.75), rel=2e-3)


def test_what_stands_still_stays_in_every_mode_that_does_not_push_it() -> None:
    for name, points in modes_of((0.0, 0.0), turn_rate=0.3).items():
        assert points == pytest.approx(0.0), name
    assert modes_of((5.0, 5.0))["standing_still"] == pytest.approx(0.0)


def test_no_objects_have_no_futures() -> None:
    assert physics_modes(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), np.zeros(0)).shape == (0, 6, 12, 2)


def test_acceleration_is_the_slope_of_the_speed_over_the_last_second() -> None:
    history = SpeedHistory()
    for tick in range(31):
        seconds = 0.1 * tick
        # The first two seconds, at another rate, are forgotten by the third.
        speed = 3.0 * seconds if tick <= 20 else 6.0 + 1.25 * (seconds - 2.0)
        now = tracks_at(seconds, {7: speed, 8: 4.0})
        history.add(now)
    assert history.accelerations_mps2(now) == pytest.approx([1.25, 0.0])


def test_young_tracks_have_no_acceleration_and_a_gap_begins_anew() -> None:
    history = SpeedHistory()
    for seconds, speed in ((0.0, 1.0), (0.1, 2.0)):
        history.add(tracks_at(seconds, {1: speed}))
    assert history.accelerations_mps2(tracks_at(0.1, {1: 2.0})).tolist() == [0.0]
    history.add(tracks_at(0.2, {}))
    for seconds, speed in ((0.3, 1.0), (0.4, 2.0)):
        history.add(tracks_at(seconds, {1: speed}))
    assert history.accelerations_mps2(tracks_at(0.4, {1: 2.0})).tolist() == [0.0]
