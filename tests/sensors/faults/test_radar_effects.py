"""What faults do to a scan, on scans by hand."""

import numpy as np
import pytest

from tricast.sensors.faults.fault_config import DopplerNoise, RadarAngleNoise, RadarFault, RadarGhosts, RadarLoss
from tricast.sensors.faults.radar_effects import faulty_scan
from tricast.sensors.frames import RadarScan


def scan(count: int = 10_000) -> RadarScan:
    points = np.tile([30.0, 40.0, 1.0], (count, 1))
    return RadarScan.from_points("RADAR", 0, points, radial_velocities_mps=np.full(count, 5.0))


def after(fault: RadarFault, before: RadarScan) -> RadarScan:
    return faulty_scan(before, fault, np.random.default_rng(0))


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_returns_are_lost_as_stated(share: float) -> None:
    assert len(after(RadarLoss(kind="radar_loss", share=share), scan())) == pytest.approx(10_000 * (1 - share), abs=200)


def test_doppler_scatters_and_unknown_velocities_stay_unknown() -> None:
    noisy = after(DopplerNoise(kind="doppler_noise", sigma_mps=2.0), scan())
    assert noisy.radial_velocities_mps.mean() == pytest.approx(5.0, abs=0.1)
    assert noisy.radial_velocities_mps.std() == pytest.approx(2.0, rel=0.03)
    assert np.isnan(noisy.compensated_velocities_mps).all()


def test_azimuths_scatter_and_ranges_and_heights_stay() -> None:
    noisy = after(RadarAngleNoise(kind="radar_angle_noise", sigma_rad=0.05), scan())
    np.testing.assert_allclose(np.linalg.norm(noisy.points_m[:, :2], axis=1), 50.0, rtol=1e-5)
    assert (noisy.points_m[:, 2] == 1.0).all()
    angles = np.arctan2(noisy.points_m[:, 1], noisy.points_m[:, 0])
    assert angles.mean() == pytest.approx(np.arctan2(4, 3), abs=0.002)
    assert angles.std() == pytest.approx(0.05, rel=0.03)


@pytest.mark.parametrize(
    "fault",
    [
        RadarGhosts(kind="radar_ghosts", per_return=2.0),
        RadarLoss(kind="radar_loss", share=0.5),
        DopplerNoise(kind="doppler_noise", sigma_mps=1.0),
        RadarAngleNoise(kind="radar_angle_noise", sigma_rad=0.1),
    ],
)
def test_an_empty_scan_stays_empty(fault: RadarFault) -> None:
    assert len(after(fault, scan(0))) == 0


def test_a_ghost_of_a_standing_thing_moves_over_ground_as_what_was_measured_says() -> None:
    """At 10 m/s towards a post: it is measured at -10 m/s, and stands; its ghost at -10 f moves by 10 (1 - f)."""
    post = RadarScan.from_points(
        "RADAR",
        0,
        np.tile([30.0, 0.0, 0.0], (50, 1)),
        radial_velocities_mps=np.full(50, -10.0),
        compensated_velocities_mps=np.zeros(50),
    )
    ghosts = after(RadarGhosts(kind="radar_ghosts", per_return=1.0), post)
    measured, over_ground = ghosts.radial_velocities_mps[50:], ghosts.compensated_velocities_mps[50:]
    assert len(measured) > 10 and measured.max() < -10
    np.testing.assert_allclose(over_ground, measured + 10, atol=1e-5)
