"""Synthetic rigs: where the sensors really are, what the log's calibration says, and how each sensor measures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.geometry.lenses import Lens, PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synthetic.random_rig import CameraLook, SensorPlan, random_plans
from tricast.sensors.synthetic.world_config import LidarConfig, RadarConfig, WorldConfig

CAMERA_YAWS_RAD = {"CAM_FRONT": 0.0, "CAM_LEFT": math.pi / 2, "CAM_RIGHT": -math.pi / 2, "CAM_BACK": math.pi}
OPTICAL = SE3(quaternion_wxyz=(0.5, -0.5, 0.5, -0.5))
"""Body axes (x forward, y left, z up) from optical axes (x right, y down, z forward)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SyntheticRig:
    """The sensors of a seed.

    Args:
        true: Where they are.
        stated: Where the log says that they are, which is a little off.
        lidars: How each LiDAR measures, by channel.
        radars: How each radar measures.
        looks: How each camera renders; empty in version 1 of the world, where all cameras are the same.

    """

    true: Rig
    stated: Rig
    lidars: dict[str, LidarConfig]
    radars: dict[str, RadarConfig]
    looks: dict[str, CameraLook]


def make_rig(config: WorldConfig, seed: int) -> SyntheticRig:
    """The rig of a seed: the world's own, a little moved, or one drawn from the world's ranges."""
    rng = np.random.default_rng([seed, 3])
    plans = _standard_plans(config, rng) if config.rigs is None else random_plans(config, config.rigs, seed)
    spread = config.rig
    true: list[SensorCalibration] = []
    stated: list[SensorCalibration] = []
    for plan in plans:
        body = plan.mount @ _jitter(rng, spread.position_spread_m, spread.angle_spread_rad, uniform=True)
        off = _jitter(rng, spread.calibration_error_m, spread.calibration_error_rad, uniform=False)
        optical = OPTICAL if plan.modality == "camera" else SE3()
        for rig, place in ((true, body), (stated, body @ off)):
            rig.append(
                SensorCalibration(
                    channel=plan.channel,
                    modality=plan.modality,
                    ego_from_sensor=place @ optical,
                    lens=plan.lens,
                )
            )
    return SyntheticRig(
        true=Rig.of(true),
        stated=Rig.of(stated),
        lidars={p.channel: p.lidar or config.lidar for p in plans if p.modality == "lidar"},
        radars={p.channel: p.radar or config.radar for p in plans if p.modality == "radar"},
        looks={p.channel: p.look for p in plans if p.look is not None},
    )


def _standard_plans(config: WorldConfig, rng: np.random.Generator) -> list[SensorPlan]:
    """One LiDAR, four cameras and two radars, the same for every seed but for the cameras' focal length."""
    camera, spread = config.camera, config.rig.focal_spread
    focal = camera.focal_px * float(1 + rng.uniform(-spread, spread))
    lens: Lens = PinholeLens(
        width_px=camera.width_px,
        height_px=camera.height_px,
        focal_px=(focal, focal),
        principal_px=((camera.width_px - 1) / 2, (camera.height_px - 1) / 2),
    )
    plans = [SensorPlan(channel="LIDAR_TOP", modality="lidar", mount=SE3(translation_m=(1.0, 0.0, 1.9)))]
    for channel, yaw in CAMERA_YAWS_RAD.items():
        mount = SE3.from_yaw(yaw, (1.0 + 0.6 * math.cos(yaw), 0.6 * math.sin(yaw), 1.6))
        plans.append(SensorPlan(channel=channel, modality="camera", mount=mount, lens=lens))
    front, back = SE3(translation_m=(3.7, 0.0, 0.6)), SE3.from_yaw(math.pi, (-1.0, 0.0, 0.6))
    plans.append(SensorPlan(channel="RADAR_FRONT", modality="radar", mount=front))
    plans.append(SensorPlan(channel="RADAR_BACK", modality="radar", mount=back))
    return plans


def _jitter(rng: np.random.Generator, shift_m: float, angle_rad: float, *, uniform: bool) -> SE3:
    values = rng.uniform(-1, 1, 6) if uniform else rng.normal(0, 1, 6)
    shift, (roll, pitch, yaw) = values[:3] * shift_m, values[3:] * angle_rad
    return SE3.from_euler(float(roll), float(pitch), float(yaw), (float(shift[0]), float(shift[1]), float(shift[2])))
