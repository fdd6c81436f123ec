"""What a fault does to one image; pure functions of the image and a generator."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from functools import lru_cache
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from tricast.sensors.calibration import SensorCalibration
from tricast.sensors.errors import SensorDataError
from tricast.sensors.faults.fault_config import Blur, Brightness, CameraFault, Darkness, Fog, MotionBlur, Snow
from tricast.sensors.frames import CameraFrame

JPEG_QUALITY = 90
FOG_COLOR = 205.0
SKY_DISTANCE_M = 80.0
REFERENCE_WIDTH_PX = 1600
"""Sizes in images are stated for this width, which is nuScenes'."""
SMEAR_PX = 30.0
STREAK_PX = 15.0
SNOW_LIGHT = 0.9
"""Clouds that bring snow take a tenth of the light."""


def faulty_image(
    frame: CameraFrame, fault: CameraFault | Fog | Snow, sensor: SensorCalibration, rng: np.random.Generator
) -> CameraFrame:
    """The image after a fault, encoded as it was (JPEG where it was a PNG); a broken image passes as it is."""
    try:
        pixels = frame.pixels()
    except SensorDataError:
        # It is the reader's to report.
        return frame
    match fault:
        case Fog():
            return _encoded(frame, _foggy(pixels, sensor, fault.visibility_m))
        case Snow():
            return _encoded(frame, _snowy(pixels, fault, rng))
        case Darkness():
            return _encoded(frame, _dark(pixels, fault, rng))
        case Brightness():
            return _encoded(frame, _bright(pixels, fault.added))
        case Blur():
            blurred = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(fault.sigma_px))
            return _encoded(frame, np.asarray(blurred))
        case MotionBlur():
            scale = pixels.shape[1] / REFERENCE_WIDTH_PX
            angle_rad = rng.uniform(-math.pi / 4, math.pi / 4)
            return _encoded(frame, _smeared(pixels, SMEAR_PX * scale, fault.sigma_px * scale, angle_rad))
    assert_never(fault)


def _foggy(pixels: NDArray[np.uint8], sensor: SensorCalibration, visibility_m: float) -> NDArray[Any]:
    """Fog gets thicker with the distance to the ground along each pixel's ray."""
    if sensor.lens is None:
        return pixels
    height, width = pixels.shape[:2]
    through = np.exp(-math.log(20) / visibility_m * _ground_distances_m(sensor, width, height))
    return pixels * through + FOG_COLOR * (1 - through)


@lru_cache(maxsize=16)
def _ground_distances_m(sensor: SensorCalibration, width: int, height: int) -> NDArray[np.float32]:
    """Distance to level ground along each pixel's ray, (height, width, 1); at most that of the sky."""
    assert sensor.lens is not None
    lens = sensor.lens.scaled(width, height)
    y, x = np.mgrid[0:height, 0:width]
    rays = sensor.ego_from_sensor.rotate(lens.rays(np.stack([x.ravel(), y.ravel()], axis=1)))
    downward = np.nan_to_num(-rays[:, 2])
    above_ground = max(float(sensor.ego_from_sensor.translation[2]), 0.5)
    distances = np.minimum(above_ground / np.maximum(downward, 1e-6), SKY_DISTANCE_M)
    return distances.reshape(height, width, 1).astype(np.float32)


def _snowy(pixels: NDArray[np.uint8], fault: Snow, rng: np.random.Generator) -> NDArray[Any]:
    height, width = pixels.shape[:2]
    scale = width / REFERENCE_WIDTH_PX
    cell = max(1, round(fault.flake_px * scale))
    cells = (-(-height // cell), -(-width // cell))
    flakes = np.where(rng.random(cells) < fault.flake_share, rng.uniform(0.8, 1.0, cells), 0.0)
    flakes = np.repeat(np.repeat(flakes, cell, axis=0), cell, axis=1)[:height, :width, None]
    # They fall, more or less straight.
    falling_rad = rng.uniform(math.pi / 4, 3 * math.pi / 4)
    streaks = _smeared(flakes.astype(np.float32), max(STREAK_PX * scale, 1.0), STREAK_PX * scale / 2, falling_rad)
    veiled = pixels.astype(np.float32) + fault.veil * (255.0 - pixels)
    return SNOW_LIGHT * veiled + 255.0 * streaks


def _dark(pixels: NDArray[np.uint8], fault: Darkness, rng: np.random.Generator) -> NDArray[Any]:
    light: NDArray[np.float64] = fault.light * (pixels / 255.0) ** fault.gamma
    if fault.photons is not None:
        light = np.asarray(rng.poisson(light * fault.photons) / fault.photons, np.float64)
    return 255.0 * (light + fault.noise * rng.standard_normal(pixels.shape))


def _bright(pixels: NDArray[np.uint8], added: float) -> NDArray[Any]:
    """Hue and saturation stay: all three colours grow by one factor."""
    value: NDArray[np.float64] = pixels.max(axis=2, keepdims=True) / 255.0
    brighter = np.minimum(value + added, 1.0)
    scaled = pixels * (brighter / np.maximum(value, 1e-9))
    return np.asarray(np.where(value > 0, scaled, 255.0 * brighter), np.float64)


def _smeared(values: NDArray[Any], reach_px: float, sigma_px: float, angle_rad: float) -> NDArray[np.float32]:
    """Weighted mean of copies (height, width, channels) shifted up to `reach_px` along a direction."""
    offsets = np.linspace(0.0, reach_px, math.ceil(reach_px) + 1)
    weights = np.exp(-0.5 * (offsets / sigma_px) ** 2)
    weights /= weights.sum()
    columns = np.rint(offsets * math.cos(angle_rad)).astype(int)
    rows = np.rint(offsets * math.sin(angle_rad)).astype(int)
    margin = math.ceil(reach_px) + 1
    padded = np.pad(values.astype(np.float32), ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    height, width = values.shape[:2]
    smeared = np.zeros(values.shape, np.float32)
    for weight, row, column in zip(weights, rows, columns, strict=True):
        top, left = margin - row, margin - column
        smeared += np.float32(weight) * padded[top : top + height, left : left + width]
    return smeared


def _encoded(frame: CameraFrame, pixels: NDArray[Any]) -> CameraFrame:
    whole = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    if frame.encoding == "rgb8":
        return replace(frame, data=whole.tobytes())
    buffer = io.BytesIO()
    Image.fromarray(whole).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return replace(frame, encoding="jpeg", data=buffer.getvalue())
