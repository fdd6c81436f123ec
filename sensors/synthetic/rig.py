"""Synthetic rigs: where the sensors really are, and what the log's calibration says."""

from __future__ import annotations

import math

import numpy as np

from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synthetic.world_config import WorldConfig

CAMERA_YAWS_RAD = {"CAM_FRONT": 0.0, "CAM_LEFT": math.pi / 2, "CAM_RIGHT": -math.pi / 2, "CAM_BACK": math.pi}
OPTICAL = SE3(quaternion_wxyz=(0.5, -0.5, 0.5, -0.5))
"""Body axes (x forward, y left, z up) from optical axes (x right, y down, z forward)."""


def make_rigs(config: WorldConfig, seed: int) -> tuple[Rig, Rig]:
    """The true rig of a seed, and the one that its log states, which is a little off."""
    rng = np.random.default_rng([seed, 3])
    camera, spread = config.camera, config.rig
    focal = camera.focal_px * float(1 + rng.uniform(-spread.focal_spread, spread.focal_spread))
    lens = PinholeLens(
        width_px=camera.width_px,
        height_px=camera.height_px,
        focal_px=(focal, focal),
        principal_px=((camera.width_px - 1) / 2, (camera.height_px - 1) / 2),
    )
    mounts: list[tuple[str, str, SE3]] = [("LIDAR_TOP", "lidar", SE3(translation_m=(1.0, 0.0, 1.9)))]
    for channel, yaw in CAMERA_YAWS_RAD.items():
        mounts.append((channel, "camera", SE3.from_yaw(yaw, (1.0 + 0.6 * math.cos(yaw), 0.6 * math.sin(yaw), 1.6))))
    mounts.append(("RADAR_FRONT", "radar", SE3(translation_m=(3.7, 0.0, 0.6))))
    mounts.append(("RADAR_BACK", "radar", SE3.from_yaw(math.pi, (-1.0, 0.0, 0.6))))
    true: list[SensorCalibration] = []
    stated: list[SensorCalibration] = []
    for channel, modality, mount in mounts:
        body = mount @ _jitter(rng, spread.position_spread_m, spread.angle_spread_rad, uniform=True)
        off = _jitter(rng, spread.calibration_error_m, spread.calibration_error_rad, uniform=False)
        optical = OPTICAL if modality == "camera" else SE3()
        for rig, place in ((true, body), (stated, body @ off)):
            rig.append(
                SensorCalibration(
                    channel=channel,
                    modality=modality,  # pyright: ignore[reportArgumentType]
                    ego_from_sensor=place @ optical,
                    lens=lens if modality == "camera" else None,
                )
            )
    return Rig.of(true), Rig.of(stated)


def _jitter(rng: np.random.Generator, shift_m: float, angle_rad: float, *, uniform: bool) -> SE3:
    values = rng.uniform(-1, 1, 6) if uniform else rng.normal(0, 1, 6)
    shift, (roll, pitch, yaw) = values[:3] * shift_m, values[3:] * angle_rad
    return SE3.from_euler(float(roll), float(pitch), float(yaw), (float(shift[0]), float(shift[1]), float(shift[2])))
