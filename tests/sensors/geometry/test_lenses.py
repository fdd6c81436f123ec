"""Lenses against projections worked out by hand, and against their own inverse."""

import math
from dataclasses import replace

import numpy as np
import pytest

from tricast.sensors.errors import CalibrationError
from tricast.sensors.geometry.lenses import FisheyeLens, Lens, MeiLens, PinholeLens

PLAIN = PinholeLens(width_px=640, height_px=480, focal_px=(500.0, 400.0), principal_px=(320.0, 240.0))
BARREL = replace(PLAIN, distortion=(-0.3, 0.1, 0.001, -0.002, 0.01))
RATIONAL = replace(BARREL, rational=(0.2, -0.05, 0.02))
FISHEYE = FisheyeLens(width_px=640, height_px=480, focal_px=(200.0, 200.0), principal_px=(320.0, 240.0))
BENT_FISHEYE = replace(FISHEYE, distortion=(0.05, -0.01, 0.002, -0.0003))
MEI = MeiLens(width_px=640, height_px=480, focal_px=(300.0, 300.0), principal_px=(320.0, 240.0), mirror=1.0)
BENT_MEI = replace(MEI, mirror=1.02, distortion=(0.03, -0.08, 0.001, -0.001))
LENSES = [
    PLAIN,
    BARREL,
    RATIONAL,
    FISHEYE,
    BENT_FISHEYE,
    MEI,
    BENT_MEI,
    replace(MEI, mirror=0.0),
    replace(MEI, mirror=0.7),
]


def pixel(lens: Lens, point: tuple[float, float, float]) -> list[float]:
    return lens.project(np.array([point]))[0][0].tolist()


def test_a_pinhole_divides_by_depth() -> None:
    # 320 + 500 * 1/10, 240 + 400 * -2/10
    assert pixel(PLAIN, (1.0, -2.0, 10.0)) == [370.0, 160.0]


def test_brown_conrady_distorts_radially_and_tangentially() -> None:
    lens = replace(PLAIN, distortion=(0.1, 0.2, 0.01, 0.02, 0.3))
    # u = 0.5, v = 0, r2 = 0.25: radial 1 + 0.025 + 0.0125 + 0.0046875 = 1.0421875;
    # x = 0.52109375 + 0.02 * (0.25 + 0.5), y = 0.01 * 0.25.
    np.testing.assert_allclose(pixel(lens, (0.5, 0.0, 1.0)), [320 + 500 * 0.53609375, 240 + 400 * 0.0025])


def test_a_rational_lens_divides_its_radial_factor() -> None:
    lens = replace(PLAIN, distortion=(0.1, 0.2, 0.01, 0.02, 0.3), rational=(0.4, -0.8, 1.6))
    # As above, with 1.0421875 / (1 + 0.1 - 0.05 + 0.025) = 0.969476744; x = 0.5 * that + 0.015.
    np.testing.assert_allclose(pixel(lens, (0.5, 0.0, 1.0)), [320 + 500 * (0.5 * 1.0421875 / 1.075 + 0.015), 241.0])


def test_a_rational_lens_is_seen_up_to_its_pole_or_its_fold() -> None:
    # The factor 1 / (1 - r^2 / 4) grows without limit towards r = 2, and comes back negative beyond it.
    pole = replace(PLAIN, rational=(-0.25, 0.0, 0.0))
    assert np.isfinite(pole.project(np.array([[1.9, 0.0, 1.0]]))[0]).all()
    assert not pole.project(np.array([[2.1, 0.0, 1.0], [40.0, 0.0, 1.0]]))[1].any()
    # r / (1 + r^2) grows up to r = 1; r = 4 would come back to 4 / 17, within the image.
    fold = replace(PLAIN, rational=(1.0, 0.0, 0.0))
    assert fold.project(np.array([[0.9, 0.0, 1.0], [4.0, 0.0, 1.0]]))[1].tolist() == [True, False]


def test_a_pinhole_without_distortion_is_that_of_the_slightest_one() -> None:
    points = np.random.default_rng(0).uniform((-9, -6, -2), (9, 6, 12), (500, 3))
    pixels, seen = PLAIN.project(points)
    bent_pixels, bent_seen = replace(PLAIN, distortion=(1e-300, 0.0, 0.0, 0.0, 0.0)).project(points)
    assert 50 < seen.sum() < 450
    np.testing.assert_array_equal(seen, bent_seen)
    np.testing.assert_array_equal(pixels, bent_pixels)


def test_an_equidistant_fisheye_is_linear_in_the_angle() -> None:
    np.testing.assert_allclose(pixel(FISHEYE, (1.0, 0.0, 1.0)), [320 + 200 * math.pi / 4, 240])
    np.testing.assert_allclose(pixel(FISHEYE, (0.0, -1.0, 1.0)), [320, 240 - 200 * math.pi / 4])
    bent = replace(FISHEYE, distortion=(0.1, 0.0, 0.0, 0.0))
    radius = math.pi / 4 * (1 + 0.1 * (math.pi / 4) ** 2)
    np.testing.assert_allclose(pixel(bent, (1.0, 0.0, 1.0)), [320 + 200 * radius, 240])


def test_a_mei_lens_with_mirror_one_is_stereographic() -> None:
    # Sideways: unit sphere (1, 0, 0), shifted by the mirror to depth 1: u = 1, which is 2 tan(45 deg) / 2.
    np.testing.assert_allclose(pixel(MEI, (3.0, 0.0, 0.0)), [620, 240])
    # 3-4-5: (3, 0, 4) lies at (0.6, 0, 0.8): u = 0.6 / 1.8.
    np.testing.assert_allclose(pixel(MEI, (3.0, 0.0, 4.0)), [320 + 300 / 3, 240])


def test_a_mei_lens_without_mirror_is_a_pinhole() -> None:
    points = np.array([[1.0, 2.0, 10.0], [-3.0, 0.5, 8.0]])
    flat = replace(MEI, mirror=0.0)
    pinhole = PinholeLens(width_px=640, height_px=480, focal_px=(300.0, 300.0), principal_px=(320.0, 240.0))
    np.testing.assert_allclose(flat.project(points)[0], pinhole.project(points)[0])


@pytest.mark.parametrize("lens", LENSES)
def test_rays_invert_the_projection(lens: Lens) -> None:
    x, y = np.meshgrid(np.linspace(0, 639, 23), np.linspace(0, 479, 17))
    pixels = np.stack([x.ravel(), y.ravel()], axis=-1)
    rays = lens.rays(pixels)
    known = np.isfinite(rays).all(axis=1)
    assert known.mean() > 0.85  # the corners lie beyond the bent lens
    np.testing.assert_allclose(np.linalg.norm(rays[known], axis=1), 1.0)
    again, seen = lens.project(rays[known] * 7.5)
    assert seen.all()
    np.testing.assert_allclose(again, pixels[known], atol=1e-4)


@pytest.mark.parametrize("distortion", [(0.3, -0.2, 0.08, -0.01), (0.339, -0.0276, 0.0, 0.0)])
def test_a_fisheye_has_rays_up_to_its_limit(distortion: tuple[float, float, float, float]) -> None:
    # Towards the limit the radius grows by ever less, where Newton's method leaps out of the interval and back.
    lens = FisheyeLens(
        width_px=4000, height_px=400, focal_px=(330.0, 330.0), principal_px=(0.0, 200.0), distortion=distortion
    )
    angles = np.linspace(0.0, 3.13, 300)
    directions = np.stack([np.sin(angles), np.zeros(300), np.cos(angles)], axis=1)
    pixels, seen = lens.project(directions)
    assert seen.mean() > 0.6
    np.testing.assert_allclose(lens.rays(pixels[seen]), directions[seen], atol=1e-6)
    np.testing.assert_allclose(lens.rays(pixels[seen][-5]), directions[seen][-5], atol=1e-6)


@pytest.mark.parametrize("lens", LENSES)
def test_the_middle_of_the_image_looks_straight_ahead(lens: Lens) -> None:
    np.testing.assert_allclose(lens.rays(np.array([[320.0, 240.0]])), [[0, 0, 1]], atol=1e-12)
    assert pixel(lens, (0.0, 0.0, 5.0)) == [320.0, 240.0]


@pytest.mark.parametrize("lens", LENSES)
def test_points_behind_at_the_camera_and_nan_are_not_seen(lens: Lens) -> None:
    points = np.array([[0.0, 0.0, -5.0], [0.0, 0.0, 0.0], [np.nan, 0.0, 5.0]])
    pixels, seen = lens.project(points)
    assert not seen.any()
    assert pixels.shape == (3, 2)


@pytest.mark.parametrize("lens", [PLAIN, BARREL])
def test_a_pinhole_gives_no_pixel_to_points_behind_it(lens: Lens) -> None:
    assert np.isnan(lens.project(np.array([[1.0, 1.0, -5.0], [1.0, 1.0, 0.0]]))[0]).all()


@pytest.mark.parametrize("lens", [FISHEYE, BENT_MEI])
def test_a_wide_lens_sees_beyond_ninety_degrees(lens: Lens) -> None:
    # 100 degrees off the axis, in an image large enough to hold it.
    wide = replace(lens, width_px=2000, principal_px=(1000.0, 240.0))  # type: ignore[type-var]
    angle = math.radians(100)
    pixels, seen = wide.project(np.array([[math.sin(angle), 0.0, math.cos(angle)]]))
    assert seen.all()
    np.testing.assert_allclose(wide.rays(pixels), [[math.sin(angle), 0.0, math.cos(angle)]], atol=1e-6)


def test_points_outside_the_image_have_pixels_but_are_not_seen() -> None:
    pixels, seen = PLAIN.project(np.array([[10.0, 0.0, 10.0], [0.0, -10.0, 10.0]]))
    np.testing.assert_allclose(pixels, [[820, 240], [320, -160]])
    assert not seen.any()


def test_points_that_distortion_would_fold_back_into_the_image_are_not_seen() -> None:
    folding = replace(PLAIN, distortion=(-0.3, 0.0, 0.0, 0.0, 0.0))
    # The radius grows up to u = sqrt(1 / 0.9) = 1.05; u = 1.8 would come back to 1.8 * (1 - 0.972) = 0.05.
    assert not folding.project(np.array([[1.8, 0.0, 1.0]]))[1].any()


def test_no_points_give_no_pixels() -> None:
    for lens in LENSES:
        pixels, seen = lens.project(np.zeros((0, 3)))
        assert pixels.shape == (0, 2)
        assert seen.shape == (0,)
        assert lens.rays(np.zeros((0, 2))).shape == (0, 3)


def test_the_image_reaches_half_a_pixel_beyond_the_outer_centres() -> None:
    rays = PLAIN.rays(np.array([[-0.49, 0.0], [639.49, 0.0], [-0.51, 0.0], [639.51, 0.0]]))
    assert PLAIN.project(rays)[1].tolist() == [True, True, False, False]


@pytest.mark.parametrize("lens", LENSES)
def test_scaling_moves_pixels_as_resizing_the_image_does(lens: Lens) -> None:
    half = lens.scaled(320, 120)
    assert (half.width_px, half.height_px) == (320, 120)
    points = np.array([[0.3, -0.2, 2.0], [-0.5, 0.4, 3.0]])
    expected = (lens.project(points)[0] + 0.5) * [0.5, 0.25] - 0.5
    np.testing.assert_allclose(half.project(points)[0], expected)


@pytest.mark.parametrize(
    "change",
    [{"focal_px": (0.0, 400.0)}, {"focal_px": (500.0, math.nan)}, {"width_px": 0}, {"principal_px": (math.inf, 0.0)}],
)
@pytest.mark.parametrize("lens", [PLAIN, FISHEYE, MEI])
def test_impossible_intrinsics_are_refused(lens: PinholeLens, change: dict[str, float]) -> None:
    with pytest.raises(CalibrationError, match="positive focal lengths"):
        replace(lens, **change)


def test_pixels_beyond_the_fold_have_no_ray_and_the_others_the_right_one() -> None:
    folding = PinholeLens(
        width_px=1280,
        height_px=720,
        focal_px=(800.0, 800.0),
        principal_px=(640.0, 360.0),
        distortion=(-0.4, 0.0, 0.0, 0.0, 0.0),
    )
    x, y = np.meshgrid(np.arange(0, 1280, 40.0), np.arange(0, 720, 40.0))
    pixels = np.stack([x.ravel(), y.ravel()], axis=1)
    rays = folding.rays(pixels)
    known = np.isfinite(rays[:, 0])
    assert not known[0] and 0.5 < known.mean() < 1
    towards = (pixels[known] - folding.principal_px) * rays[known, :2]
    assert (towards >= -1e-9).all()
    again, seen = folding.project(rays[known])
    assert seen.all()
    np.testing.assert_allclose(again, pixels[known], atol=1e-3)


def test_a_rational_coefficient_that_is_no_number_is_refused() -> None:
    with pytest.raises(CalibrationError, match="nan"):
        replace(PLAIN, rational=(math.nan, 0.0, 0.0))
