"""What faults do to a sweep, on sweeps by hand."""

import numpy as np
import pytest

from tricast.sensors.faults.fault_config import (
    BeamThinning,
    PointLoss,
    PointMisalignment,
    PointShake,
    Snow,
)
from tricast.sensors.faults.lidar_effects import LidarFault, faulty_sweep
from tricast.sensors.frames import LidarSweep


def sweep(count: int = 1000, range_m: float = 20.0, *, rings: bool = True) -> LidarSweep:
    angles = -0.4 + 0.5 * (np.arange(count) % 32) / 31
    azimuths = np.linspace(0, 6, count)
    points = range_m * np.stack(
        [np.cos(angles) * np.cos(azimuths), np.cos(angles) * np.sin(azimuths), np.sin(angles)], axis=1
    )
    beams = np.arange(count) % 32 if rings else None
    return LidarSweep.from_points("LIDAR", 0, points, intensity=np.ones(count), rings=beams)


def after(fault: LidarFault | Snow, before: LidarSweep, seed: int = 0) -> LidarSweep:
    return faulty_sweep(before, fault, np.random.default_rng(seed), np.random.default_rng(99))


@pytest.mark.parametrize(("one_in", "left"), [(2, 16), (4, 8), (8, 4)])
def test_thinning_leaves_the_published_beams_of_a_lidar_of_32(one_in: int, left: int) -> None:
    thinned = after(BeamThinning(kind="beam_thinning", one_in=one_in), sweep())
    assert np.unique(thinned.rings).tolist() == list(range(1, 32, one_in))
    assert len(np.unique(thinned.rings)) == left


def test_thinning_goes_by_elevation_where_there_are_no_rings() -> None:
    thinned = after(BeamThinning(kind="beam_thinning", one_in=4), sweep(rings=False))
    assert 0 < len(np.unique(np.round(thinned.points_m[:, 2], 2))) <= 10


def test_the_stated_share_of_points_is_lost_and_the_rest_keeps_order_and_fields() -> None:
    before = sweep()
    left = after(PointLoss(kind="point_loss", share=0.7), before)
    assert len(left) == 300
    places = [int(np.flatnonzero((before.points_m == p).all(axis=1))[0]) for p in left.points_m]
    assert places == sorted(places)
    np.testing.assert_array_equal(left.rings, before.rings[places])
    other = after(PointLoss(kind="point_loss", share=0.7), before, seed=1)
    assert not np.array_equal(other.points_m, left.points_m)


def test_a_shaken_sweep_moves_as_a_whole_and_its_points_a_little_against_each_other() -> None:
    before = sweep(20_000)
    moved = after(PointShake(kind="point_shake", sigma_m=0.1), before).points_m - before.points_m
    assert np.abs(moved.mean(axis=0)).max() > 0.01
    np.testing.assert_allclose(moved.std(axis=0), [0.015, 0.02, 0.012], rtol=0.05)


def test_a_misaligned_sweep_is_turned_about_all_axes_and_shifted() -> None:
    before = LidarSweep.from_points("LIDAR", 0, np.array([[10.0, 0, 0], [0, 10, 0]]))
    fault = PointMisalignment(kind="point_misalignment", probability=1, angle_rad=0.02, shift_m=(2.0, 0, 0))
    moved = after(fault, before)
    # To first order a turn by a about all axes adds a * (1, 1, 1) x point.
    np.testing.assert_allclose(moved.points_m, [[12, 0.2, -0.2], [1.8, 10, 0.2]], atol=0.01)


def test_sweeps_are_misaligned_as_often_as_stated() -> None:
    fault = PointMisalignment(kind="point_misalignment", probability=0.4, angle_rad=0.05)
    before = sweep(10)
    hit = [not np.array_equal(after(fault, before, seed).points_m, before.points_m) for seed in range(500)]
    assert 0.33 < np.mean(hit) < 0.47


def test_snow_takes_returns_by_twice_the_way_and_adds_near_ones() -> None:
    before = sweep(20_000, range_m=40.0)
    snowy = after(Snow(kind="snow", occupancy=1e-5, flake_share=0.1, flake_px=3), before)
    ranges = np.linalg.norm(snowy.points_m, axis=1)
    through = np.exp(-2 * 0.01 * 40)  # three times 1e-5 over 3 mm is 0.01 per metre
    assert (ranges > 39.9).sum() / 20_000 == pytest.approx(through, abs=0.02)
    assert (ranges < 20).sum() / 20_000 == pytest.approx(0.3 * (1 - through), abs=0.02)
    assert snowy.intensity.max() == pytest.approx(through, abs=1e-3)


@pytest.mark.parametrize(
    "fault",
    [
        BeamThinning(kind="beam_thinning", one_in=2),
        PointLoss(kind="point_loss", share=0.9),
        PointShake(kind="point_shake", sigma_m=0.1),
        PointMisalignment(kind="point_misalignment", probability=1, angle_rad=0.1),
        Snow(kind="snow", occupancy=1e-5, flake_share=0.1, flake_px=3),
    ],
)
def test_an_empty_sweep_stays_empty(fault: LidarFault | Snow) -> None:
    assert len(after(fault, sweep(0))) == 0


@pytest.mark.parametrize(
    "fault",
    [
        PointShake(kind="point_shake", sigma_m=0.1),
        PointMisalignment(kind="point_misalignment", probability=1.0, angle_rad=0.01, shift_m=(2.0, 0.0, 0.0)),
    ],
)
def test_marks_of_missing_returns_do_not_become_returns(fault: LidarFault) -> None:
    marked = LidarSweep.from_points("LIDAR", 0, np.concatenate([sweep(100).points_m, np.zeros((50, 3))]))
    assert len(after(fault, marked).without_invalid()[0]) == 100
