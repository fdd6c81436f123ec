"""What faults do to an image, on images by hand."""

import numpy as np
import pytest

from tricast.sensors.calibration import SensorCalibration
from tricast.sensors.faults.camera_effects import faulty_image
from tricast.sensors.faults.fault_config import Brightness, CameraFault, Darkness, MotionBlur, Snow
from tricast.sensors.frames import CameraFrame
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3

LENS = PinholeLens(width_px=1600, height_px=900, focal_px=(1000.0, 1000.0), principal_px=(799.5, 449.5))
CAMERA = SensorCalibration(channel="CAM", modality="camera", ego_from_sensor=SE3(), lens=LENS)


def after(fault: CameraFault | Snow, pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    frame = CameraFrame.from_pixels("CAM", 0, pixels.astype(np.uint8))
    return faulty_image(frame, fault, CAMERA, np.random.default_rng(seed)).pixels()


def test_brightness_is_added_to_the_value_and_keeps_the_hue() -> None:
    pixel = np.zeros((1, 4, 3))
    pixel[0] = [[100, 50, 0], [200, 100, 50], [0, 0, 0], [255, 255, 255]]
    bright = after(Brightness(kind="brightness", added=0.2), pixel)
    # Value 100 becomes 151 and everything grows by 1.51; 200 becomes 251; black becomes a grey of 0.2.
    assert bright[0].tolist() == [[151, 76, 0], [251, 126, 63], [51, 51, 51], [255, 255, 255]]


def test_darkness_with_a_gamma_takes_more_from_dark_parts() -> None:
    pixels = np.full((4, 4, 3), 255)
    pixels[:2] = 102
    fault = Darkness(kind="darkness", light=0.5, noise=0.0, gamma=2.0)
    dark = after(fault, pixels)
    assert dark[3, 0].tolist() == [128, 128, 128]
    assert dark[0, 0].tolist() == [20, 20, 20]  # 0.5 * 0.4 ** 2 * 255


def test_few_photons_give_shot_noise() -> None:
    fault = Darkness(kind="darkness", light=0.5, noise=0.0, photons=100)
    dark = after(fault, np.full((200, 200, 3), 255)).astype(float)
    assert dark.mean() == pytest.approx(127.5, abs=0.5)
    assert dark.std() == pytest.approx(255 * np.sqrt(50) / 100, rel=0.03)


def test_motion_blur_smears_along_one_direction_only_and_keeps_the_light() -> None:
    pixels = np.zeros((100, 1600, 3))
    pixels[50, 800] = 255
    smeared = after(MotionBlur(kind="motion_blur", sigma_px=10), pixels).astype(int)
    rows, columns = np.nonzero(smeared[..., 0])
    assert len(rows) > 10
    assert abs(np.corrcoef(rows, columns)[0, 1]) > 0.95 or rows.max() == rows.min()
    assert 200 < smeared[..., 0].sum() < 300


def test_blur_scales_with_the_width_of_the_image() -> None:
    def reach(width: int) -> int:
        pixels = np.zeros((width // 2, width, 3))
        pixels[:, width // 2 :] = 255
        row = after(MotionBlur(kind="motion_blur", sigma_px=13), pixels)[width // 4, :, 0]
        return int(((row > 5) & (row < 250)).sum())

    assert reach(1600) == pytest.approx(4 * reach(400), abs=5)


def test_snow_has_as_many_flakes_as_stated_and_a_veil() -> None:
    pixels = np.full((300, 1600, 3), 100)
    veiled = after(Snow(kind="snow", occupancy=1e-6, flake_share=0.0, flake_px=4, veil=0.2), pixels)
    assert np.unique(veiled).tolist() == [118]  # 0.9 * (100 + 0.2 * 155)
    few = after(Snow(kind="snow", occupancy=1e-6, flake_share=0.02, flake_px=4), pixels)
    many = after(Snow(kind="snow", occupancy=1e-6, flake_share=0.2, flake_px=4), pixels)
    added = [float(snowy.mean()) - 90 for snowy in (few, many)]
    assert added[0] == pytest.approx(0.02 * 0.9 * 255, rel=0.25)
    assert added[1] > 5 * added[0]


@pytest.mark.parametrize("size", [(1, 1), (2, 3)])
def test_tiny_images_pass(size: tuple[int, int]) -> None:
    faults: list[CameraFault | Snow] = [
        MotionBlur(kind="motion_blur", sigma_px=13),
        Snow(kind="snow", occupancy=1e-6, flake_share=0.5, flake_px=5),
        Brightness(kind="brightness", added=0.5),
    ]
    for fault in faults:
        assert after(fault, np.full((*size, 3), 9)).shape == (*size, 3)
