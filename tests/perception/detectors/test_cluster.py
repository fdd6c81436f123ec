import numpy as np
import pytest
from numpy.typing import NDArray

from tricast.perception.detectors.box_fitting import fit_box
from tricast.perception.detectors.cluster import ClusterDetector
from tricast.perception.detectors.segmentation import straight_run
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import LidarSweep, RadarScan
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synced_frame import SyncedFrame

RIG = Rig.of(
    [
        SensorCalibration(channel="LIDAR", modality="lidar", ego_from_sensor=SE3()),
        SensorCalibration(channel="RADAR", modality="radar", ego_from_sensor=SE3()),
    ]
)


def sides(x: float, y: float, yaw: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Two visible sides of a car, 4.5 m by 1.9 m by 1.5 m, standing on z = 0."""
    rear = np.stack([np.full(200, -2.25), rng.uniform(-0.95, 0.95, 200), rng.uniform(0.1, 1.5, 200)], axis=1)
    flank = np.stack([rng.uniform(-2.25, 2.25, 400), np.full(400, -0.95), rng.uniform(0.1, 1.5, 400)], axis=1)
    return SE3.from_yaw(yaw, (x, y, 0.0)).apply(np.concatenate([rear, flank]))


def ground(rng: np.random.Generator, slope: float = 0.0) -> NDArray[np.float64]:
    xy = rng.uniform(-40, 40, (8000, 2))
    return np.column_stack([xy, slope * xy[:, 0] + rng.normal(0, 0.02, 8000)])


def detect(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    frame = SyncedFrame.of(RIG, 0, [LidarSweep.from_points("LIDAR", 0, points)])
    found = ClusterDetector().detect(frame)
    return found.boxes.centers_m, found.class_names


@pytest.mark.parametrize("yaw", [0.0, 0.4, 1.2])
def test_an_oriented_box_is_fitted_to_two_sides(yaw: float) -> None:
    center, size, fitted = fit_box(sides(12.0, 5.0, yaw, np.random.default_rng(0)), 0.0)
    assert center[:2] == pytest.approx([12.0, 5.0], abs=0.1)
    assert size == pytest.approx([4.5, 1.9, 1.5], abs=0.1)
    assert (fitted - yaw + np.pi / 2) % np.pi - np.pi / 2 == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("slope", [0.0, 0.05, -0.05])
def test_a_car_on_sloping_ground_is_one_box_in_its_place(slope: float) -> None:
    rng = np.random.default_rng(1)
    car = sides(15.0, 3.0, 0.3, rng) + np.array([0.0, 0.0, slope * 15.0])
    centers, names = detect(np.concatenate([ground(rng, slope), car]))
    assert names == ("car",)
    assert centers[0, :2] == pytest.approx([15.0, 3.0], abs=0.3)


def test_walls_and_empty_ground_are_no_objects() -> None:
    rng = np.random.default_rng(2)
    wall = np.column_stack([rng.uniform(-20, 20, 4000), np.full(4000, 9.0), rng.uniform(0, 3, 4000)])
    assert len(detect(np.concatenate([ground(rng), wall]))[1]) == 0
    assert len(detect(ground(rng))[1]) == 0


def test_a_car_grown_together_with_a_long_wall_is_found() -> None:
    rng = np.random.default_rng(4)
    wall = np.column_stack([rng.uniform(-20, 30, 6000), np.full(6000, 4.2), rng.uniform(0, 2.5, 6000)])
    car = sides(15.0, 3.15, 0.0, rng)
    centers, names = detect(np.concatenate([ground(rng), wall, car]))
    assert names == ("car",)
    assert centers[0, :2] == pytest.approx([15.0, 3.15], abs=0.4)


def test_the_straight_run_of_a_cluster_is_its_wall_and_nothing_else() -> None:
    rng = np.random.default_rng(5)
    along = rng.uniform(0, 12, 1500)
    wall = np.column_stack([along, 0.5 * along, rng.uniform(0, 2, 1500)])
    person = rng.uniform([3.0, -0.9, 0.0], [3.4, -0.5, 1.7], (60, 3))
    run = straight_run(np.concatenate([wall, person]), 5.0)
    assert run is not None
    assert run[:1500].mean() > 0.95
    assert not run[1500:].any()
    assert straight_run(np.concatenate([wall, person]), 14.0) is None


def test_empty_and_nan_clouds_are_ordinary() -> None:
    assert len(detect(np.zeros((0, 3)))[1]) == 0
    assert len(detect(np.full((100, 3), np.nan))[1]) == 0
    rng = np.random.default_rng(1)
    points = np.concatenate([ground(rng), sides(15.0, 3.0, 0.3, rng), np.full((50, 3), np.nan)])
    assert detect(points)[1] == ("car",)


def test_radar_gives_a_box_its_velocity_along_its_heading() -> None:
    rng = np.random.default_rng(3)
    sweep = LidarSweep.from_points("LIDAR", 0, np.concatenate([ground(rng), sides(15.0, 0.0, 0.0, rng)]))
    returns = np.array([[13.0, 0.1, 0.5], [13.2, -0.2, 0.5]])
    scan = RadarScan.from_points("RADAR", 0, returns, compensated_velocities_mps=np.array([7.0, 7.2]))
    found = ClusterDetector().detect(SyncedFrame.of(RIG, 0, [sweep, scan]))
    assert found.boxes.velocities_mps[0] == pytest.approx([7.1, 0.0], abs=0.3)


def test_radar_alone_sees_what_moves_and_nothing_else() -> None:
    points = np.array([[20.0, 0.0, 0.0], [20.5, 0.3, 0.0], [10.0, 8.0, 0.0]])
    scan = RadarScan.from_points("RADAR", 0, points, compensated_velocities_mps=np.array([-6.0, -6.1, 0.1]))
    found = ClusterDetector().detect(SyncedFrame.of(RIG, 0, [scan]))
    assert len(found) == 1
    assert found.boxes.centers_m[0, :2] == pytest.approx([20.25, 0.15])
    assert abs(found.boxes.yaws_rad[0]) == pytest.approx(np.pi, abs=0.05)
    assert len(ClusterDetector().detect(SyncedFrame.of(RIG, 0, []))) == 0
