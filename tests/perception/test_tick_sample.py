import numpy as np
import pytest

from tricast.perception.tick_sample import SampleConfig, TickSample, _within, sample_of
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.errors import SensorDataError
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synced_frame import SyncedFrame

MS_NS = 1_000_000
SECOND_NS = 1000 * MS_NS
LENS = PinholeLens(width_px=64, height_px=32, focal_px=(40.0, 40.0), principal_px=(31.5, 15.5))
RIG = Rig.of(
    [
        SensorCalibration(
            channel="CAM", modality="camera", ego_from_sensor=SE3(translation_m=(1.0, 0, 1.5)), lens=LENS
        ),
        SensorCalibration(channel="LIDAR", modality="lidar", ego_from_sensor=SE3(translation_m=(0, 0, 2.0))),
        SensorCalibration(channel="RADAR", modality="radar", ego_from_sensor=SE3(translation_m=(2.0, 0, 0.5))),
    ]
)


def _poses(speed_mps: float) -> list[EgoPose]:
    """Driving along x since time 0, by a pose every 100 ms."""
    return [
        EgoPose(
            timestamp_ns=t * 100 * MS_NS,
            received_ns=t * 100 * MS_NS,
            odom_from_ego=SE3(translation_m=(speed_mps * t / 10, 0, 0)),
            linear_velocity_mps=(speed_mps, 0.0, 0.0),
        )
        for t in range(11)
    ]


def _sweep(age_ms: int, points: list[list[float]]) -> LidarSweep:
    return LidarSweep.from_points("LIDAR", SECOND_NS - age_ms * MS_NS, np.array(points))


def test_nothing_delivered_is_none_and_an_empty_sweep_is_not() -> None:
    nothing = sample_of(SyncedFrame.of(RIG, SECOND_NS, []), SampleConfig())
    assert (nothing.cameras, nothing.lidar, nothing.radar) == ((), None, None)
    empty = sample_of(
        SyncedFrame.of(RIG, SECOND_NS, [LidarSweep.from_points("LIDAR", SECOND_NS, np.zeros((0, 3)))]), SampleConfig()
    )
    assert empty.lidar is not None
    assert empty.lidar.shape == (0, 5)


def test_sweeps_near_the_lags_are_taken_in_ego_axes_at_the_tick() -> None:
    """At 10 m/s a standing post seen 10 m ahead 0.2 s ago is now 8 m ahead."""
    sweeps = [_sweep(age, [[10.0, 0, 0], [20.0, 0, 0]]) for age in (0, 100, 200, 300, 400)]
    lidar = sample_of(SyncedFrame.of(RIG, SECOND_NS, [*sweeps, *_poses(10.0)]), SampleConfig()).lidar
    assert lidar is not None
    # Of older sweeps one of two returns is taken.
    expected = [[10, 0, 2, 0, 0], [20, 0, 2, 0, 0], [8, 0, 2, 0, 0.2], [6, 0, 2, 0, 0.4]]
    assert lidar == pytest.approx(np.array(expected), abs=0.02)


def test_a_lidar_of_another_rate_gives_the_sweeps_it_has() -> None:
    frame = SyncedFrame.of(RIG, SECOND_NS, [_sweep(0, [[1.0, 0, 0]]), _sweep(500, [[1.0, 0, 0]])])
    lidar = sample_of(frame, SampleConfig()).lidar
    assert lidar is not None
    assert lidar[:, 4].tolist() == [0.0]


def test_radar_carries_velocity_over_ground_and_a_flag_where_it_is_unknown() -> None:
    known = RadarScan.from_points(
        "RADAR", SECOND_NS, np.array([[10.0, 0, 0]]), rcs_dbsm=np.array([5.0]), radial_velocities_mps=np.array([-10.0])
    )
    unknown = RadarScan.from_points("RADAR", SECOND_NS - 75 * MS_NS, np.array([[0.0, 10.0, 0]]))
    radar = sample_of(SyncedFrame.of(RIG, SECOND_NS, [known, unknown, *_poses(10.0)]), SampleConfig()).radar
    assert radar is not None
    assert radar[0] == pytest.approx([12, 0, 0.5, 5, 0, 1, 1, 0, 0], abs=1e-4)
    assert radar[1] == pytest.approx([1.25, 10, 0.5, 0, 0, 0, 0, 1, 0.075], abs=1e-4)


def test_a_camera_is_placed_where_it_was_when_it_looked() -> None:
    frame = CameraFrame.from_pixels("CAM", SECOND_NS - 100 * MS_NS, np.zeros((32, 64, 3), np.uint8))
    (camera,) = sample_of(SyncedFrame.of(RIG, SECOND_NS, [frame, *_poses(10.0)]), SampleConfig()).cameras
    assert camera.tick_from_camera.translation_m == pytest.approx((0.0, 0.0, 1.5))
    assert camera.image is frame


def test_returns_out_of_range_are_left_out() -> None:
    frame = SyncedFrame.of(RIG, SECOND_NS, [_sweep(0, [[10.0, 0, 0], [70.0, 0, 0], [np.nan, 0, 0]])])
    lidar = sample_of(frame, SampleConfig(range_m=50)).lidar
    assert lidar is not None
    assert lidar[:, 0].tolist() == [10.0]


def test_a_sample_refuses_arrays_of_another_shape() -> None:
    with pytest.raises(SensorDataError, match="lidar at 0 ns"):
        TickSample(timestamp_ns=0, cameras=(), lidar=np.zeros((3, 4), np.float32), radar=None)


@pytest.mark.parametrize(
    ("stated", "expected"), [([0.0, 0.4, 1.0], [0.0, 0.4, 1.0]), ([0.0, 51.0, 255.0], [0.0, 0.2, 1.0]), ([], [])]
)
def test_intensity_is_a_share_of_full_scale_whatever_the_sensor_states(
    stated: list[float], expected: list[float]
) -> None:
    points = np.ones((len(stated), 3))
    sweep = LidarSweep.from_points("LIDAR", SECOND_NS, points, intensity=np.array(stated))
    lidar = sample_of(SyncedFrame.of(RIG, SECOND_NS, [sweep]), SampleConfig()).lidar
    assert lidar is not None
    assert lidar[:, 3] == pytest.approx(np.array(expected))


@pytest.mark.parametrize("range_m", [64.0, 49.3, 0.7])
def test_what_lies_on_the_border_of_the_range_is_judged_as_by_its_distance(range_m: float) -> None:
    rng = np.random.default_rng(0)
    angle = rng.uniform(-np.pi, np.pi, 20000)
    radius = range_m * (1 + rng.uniform(-1, 1, 20000) * 10.0 ** rng.uniform(-8, 0, 20000))
    x, y = (radius * np.cos(angle)).astype(np.float32), (radius * np.sin(angle)).astype(np.float32)
    x[:3], y[:3] = [np.inf, np.nan, 1e30], [0, 0, 1e30]
    assert _within(x, y, range_m).tolist() == (np.hypot(x, y) < range_m).tolist()


def test_older_sweeps_keep_all_beams_in_whatever_order_their_returns_come() -> None:
    rings = np.arange(32)
    for order in (np.tile(rings, 100), np.repeat(rings, 100)):  # column by column, beam by beam
        points = np.column_stack([order + 1.0, np.zeros((len(order), 2))])
        sweeps = [LidarSweep.from_points("LIDAR", SECOND_NS - age * MS_NS, points, rings=order) for age in (0, 200)]
        lidar = sample_of(SyncedFrame.of(RIG, SECOND_NS, sweeps), SampleConfig()).lidar
        assert lidar is not None
        older = lidar[lidar[:, 4] > 0.1]
        assert len(older) == pytest.approx(1600, rel=0.05)
        counts = np.bincount(older[:, 0].astype(int) - 1, minlength=32)
        assert counts.min() > 25
