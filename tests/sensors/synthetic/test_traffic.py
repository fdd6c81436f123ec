"""Traffic: cars keep their distance, stop at red, turn with the lane, and people wait for them."""

import numpy as np

from tricast.sensors.synthetic.roads import Streets, lane_path, polyline_path
from tricast.sensors.synthetic.town_ground import TownGround
from tricast.sensors.synthetic.traffic import GREEN_S, Agent, simulate

STREETS = Streets()
LANE_M = STREETS.lane_m
GROUND = TownGround(junction_m=np.array([30.0, 0.0]), waves=np.zeros((0, 4)), curb_m=0.1)
FAR = TownGround(junction_m=np.array([900.0, 0.0]), waves=np.zeros((0, 4)), curb_m=0.1)
CAR_M = np.array([4.5, 1.9, 1.6])
NOBODY = np.zeros((0, 3))


def test_turns_end_in_the_lane_of_the_cross_street() -> None:
    right = lane_path(0, "right", GROUND.junction_m, 60.0, STREETS)
    left = lane_path(0, "left", GROUND.junction_m, 60.0, STREETS)
    np.testing.assert_allclose(right.points_m[-1, 0], 30 - LANE_M / 2, atol=0.3)
    assert right.points_m[-1, 1] < -40
    np.testing.assert_allclose(left.points_m[-1, 0], 30 + LANE_M / 2, atol=0.3)
    assert left.points_m[-1, 1] > 40
    np.testing.assert_allclose(np.linalg.norm(np.diff(left.points_m, axis=0), axis=1), 0.5, atol=0.02)


def test_a_car_stops_behind_what_stands_in_its_lane() -> None:
    path = lane_path(0, "straight", FAR.junction_m, 900.0, STREETS)
    car = Agent(path=path, start_s_m=0.0, size_m=CAR_M, clear_speed_mps=10.0)
    motion = simulate((car,), np.array([[50.0, -LANE_M / 2, 0.5]]), FAR, 20.0, np.random.default_rng(0))
    points, _, speeds = motion.at(20.0)
    assert speeds[0] < 0.3
    assert 40.0 < points[0, 0] + CAR_M[0] / 2 < 50.0


def test_a_car_waits_at_red_and_goes_at_green() -> None:
    path = lane_path(0, "straight", GROUND.junction_m, 120.0, STREETS)
    car = Agent(path=path, start_s_m=90.0, size_m=CAR_M, clear_speed_mps=9.0)
    ends = [simulate((car,), NOBODY, GROUND, 4 * GREEN_S, np.random.default_rng(seed)) for seed in range(8)]
    waited = [bool(((m.speeds_mps[:, 0] < 0.2) & (m.points_m[:, 0, 0] < 20)).any()) for m in ends]
    assert 0 < sum(waited) < 8  # the phase of the signal is the seed's
    assert all(m.points_m[-1, 0, 0] > 30 for m in ends)


def test_somebody_at_the_curb_lets_a_car_pass() -> None:
    way = polyline_path(np.array([[40.0, 7.0], [40.0, -7.0]]))
    walker = Agent(path=way, start_s_m=0.0, size_m=np.array([0.6, 0.6, 1.7]), clear_speed_mps=1.4, on_foot=True)
    path = lane_path(0, "straight", FAR.junction_m, 900.0, STREETS)
    car = Agent(path=path, start_s_m=24.0, size_m=CAR_M, clear_speed_mps=9.0)
    alone = simulate((walker,), NOBODY, FAR, 12.0, np.random.default_rng(3))
    both = simulate((walker, car), NOBODY, FAR, 12.0, np.random.default_rng(3))
    assert both.points_m[30, 0, 1] > alone.points_m[30, 0, 1] + 1.0
    gaps = np.linalg.norm(both.points_m[:, 0] - both.points_m[:, 1], axis=1)
    assert gaps.min() > 1.2
    assert both.points_m[-1, 0, 1] < 0


def test_nobody_drives_through_the_car_in_front() -> None:
    path = lane_path(0, "straight", FAR.junction_m, 900.0, STREETS)
    speeds = (4.0, 12.0, 12.0)
    cars = tuple(
        Agent(path=path, start_s_m=40.0 - 15.0 * i, size_m=CAR_M, clear_speed_mps=v) for i, v in enumerate(speeds)
    )
    motion = simulate(cars, NOBODY, FAR, 20.0, np.random.default_rng(0))
    gaps = -np.diff(motion.points_m[:, :, 0], axis=1) - CAR_M[0]
    assert gaps.min() > 0.5
