"""What a fault does to one measurement; pure functions of the measurement and a generator."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from tricast.sensors.calibration import SensorCalibration
from tricast.sensors.errors import SensorDataError
from tricast.sensors.faults.fault_config import Darkness
from tricast.sensors.frames import UNKNOWN_RING, CameraFrame, LidarSweep, RadarScan

JPEG_QUALITY = 90
FOG_COLOR = 205.0
SKY_DISTANCE_M = 80.0
BACKSCATTER_SHARE = 0.3
BACKSCATTER_RANGE_M = 8.0
ELEVATION_BINS = 32
ELEVATION_SPAN_RAD = (-0.5, 0.3)


def beams_lost(sweep: LidarSweep, share: float, rng: np.random.Generator) -> LidarSweep:
    """A sweep without a share of its beams; the generator chooses which, so seed it by channel alone."""
    beams = sweep.rings.astype(int)
    if len(beams) and (beams == UNKNOWN_RING).all():
        elevations = np.arctan2(sweep.points_m[:, 2], np.hypot(sweep.points_m[:, 0], sweep.points_m[:, 1]))
        low, high = ELEVATION_SPAN_RAD
        beams = np.floor(np.nan_to_num((elevations - low) / (high - low)) * ELEVATION_BINS).astype(int)
    beams = np.clip(beams, 0, 1023)
    # One number per beam for good: a higher share loses the same beams and more.
    return _chosen(sweep, rng.random(1024)[beams] >= share)


def foggy_sweep(sweep: LidarSweep, visibility_m: float, rng: np.random.Generator) -> LidarSweep:
    """A sweep through fog: far returns fade, some are replaced by the fog's own near ones."""
    extinction = math.log(20) / visibility_m
    ranges = np.linalg.norm(sweep.points_m.astype(np.float64), axis=1)
    through = rng.random(len(ranges)) < np.exp(-2 * extinction * np.nan_to_num(ranges))
    scattered = ~through & (rng.random(len(ranges)) < BACKSCATTER_SHARE)
    near = np.minimum(1.0 + rng.exponential(BACKSCATTER_RANGE_M, len(ranges)), ranges)
    scale = np.where(scattered, near / np.maximum(ranges, 1e-3), 1.0)
    faded = replace(
        sweep,
        points_m=(sweep.points_m * scale[:, None]).astype(np.float32),
        intensity=(sweep.intensity * np.exp(-2 * extinction * np.nan_to_num(ranges))).astype(np.float32),
    )
    return _chosen(faded, through | scattered)


def foggy_image(frame: CameraFrame, sensor: SensorCalibration, visibility_m: float) -> CameraFrame:
    """An image through fog, thicker with the distance to the ground along each pixel's ray."""
    pixels = _decoded(frame)
    if pixels is None or sensor.lens is None:
        return frame
    height, width = pixels.shape[:2]
    lens = sensor.lens.scaled(width, height)
    y, x = np.mgrid[0:height, 0:width]
    rays = sensor.ego_from_sensor.rotate(lens.rays(np.stack([x.ravel(), y.ravel()], axis=1)))
    downward = np.nan_to_num(-rays[:, 2])
    above_ground = max(float(sensor.ego_from_sensor.translation[2]), 0.5)
    distances = np.minimum(above_ground / np.maximum(downward, 1e-6), SKY_DISTANCE_M).reshape(height, width, 1)
    through = np.exp(-math.log(20) / visibility_m * distances)
    return _encoded(frame, pixels * through + FOG_COLOR * (1 - through))


def dark_image(frame: CameraFrame, fault: Darkness, rng: np.random.Generator) -> CameraFrame:
    """An image with less light and more noise."""
    pixels = _decoded(frame)
    if pixels is None:
        return frame
    return _encoded(frame, pixels * fault.light + 255 * fault.noise * rng.standard_normal(pixels.shape))


def blurred_image(frame: CameraFrame, sigma_px: float) -> CameraFrame:
    """An image out of focus."""
    pixels = _decoded(frame)
    if pixels is None:
        return frame
    return _encoded(frame, np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(sigma_px))))


def ghostly_scan(scan: RadarScan, per_return: float, rng: np.random.Generator) -> RadarScan:
    """A scan with ghosts: returns that went to and fro once more."""
    count = int(rng.poisson(per_return * len(scan)))
    if not len(scan) or not count:
        return scan
    chosen = rng.integers(len(scan), size=count)
    factor = rng.uniform(1.4, 2.2, count).astype(np.float32)
    parts = {
        "points_m": scan.points_m[chosen] * factor[:, None],
        "rcs_dbsm": scan.rcs_dbsm[chosen] - np.float32(6.0),
        "radial_velocities_mps": scan.radial_velocities_mps[chosen] * factor,
        "compensated_velocities_mps": scan.compensated_velocities_mps[chosen] * factor,
    }
    return replace(scan, **{name: np.concatenate([getattr(scan, name), part]) for name, part in parts.items()})


def _chosen(sweep: LidarSweep, keep: NDArray[np.bool_]) -> LidarSweep:
    return replace(
        sweep,
        points_m=sweep.points_m[keep],
        intensity=sweep.intensity[keep],
        time_offsets_ns=sweep.time_offsets_ns[keep],
        rings=sweep.rings[keep],
    )


def _decoded(frame: CameraFrame) -> NDArray[np.uint8] | None:
    """Pixels, or None for a broken image, which passes as it is: it is the reader's to report."""
    try:
        return frame.pixels()
    except SensorDataError:
        return None


def _encoded(frame: CameraFrame, pixels: NDArray[Any]) -> CameraFrame:
    whole = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    if frame.encoding == "rgb8":
        return replace(frame, data=whole.tobytes())
    buffer = io.BytesIO()
    Image.fromarray(whole).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return replace(frame, encoding="jpeg", data=buffer.getvalue())
