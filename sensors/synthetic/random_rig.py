"""Rigs drawn from a world's ranges: how many sensors, where they are, and what each one is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tricast.sensors.frames import Modality
from tricast.sensors.geometry.lenses import FisheyeLens, Lens, PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synthetic.rig_ranges import BeamPattern, RadarKind, RigRanges
from tricast.sensors.synthetic.world_config import CameraConfig, LidarConfig, RadarConfig, WorldConfig

FRONT_M, BACK_M, HALF_WIDTH_M, MIDDLE_M = 3.7, -1.0, 0.85, 1.0
"""Bumpers and side of the vehicle, and where its roof is fullest, from the middle of its rear axle."""
RADAR_PLACES = (
    (0.0, FRONT_M, 0.0),
    (math.pi, BACK_M, 0.0),
    (1.0, FRONT_M - 0.2, HALF_WIDTH_M),
    (-1.0, FRONT_M - 0.2, -HALF_WIDTH_M),
    (2.3, BACK_M + 0.2, HALF_WIDTH_M),
    (-2.3, BACK_M + 0.2, -HALF_WIDTH_M),
)
"""Yaw, x and y in the order in which rigs get them: front, back, then the corners."""


@dataclass(frozen=True, kw_only=True)
class CameraLook:
    """How a camera turns light into pixels.

    Args:
        colour: Saturation, as a factor.
        contrast: Spread about the mean, as a factor.
        exposure: Mean brightness that the automatic gain aims at.
        noise: Standard deviation by day at middle grey, of full scale.
        pixel_rad: Angle that one pixel spans in the middle of the picture.

    """

    colour: float
    contrast: float
    exposure: float
    noise: float
    pixel_rad: float


@dataclass(frozen=True, kw_only=True)
class SensorPlan:
    """One sensor of a rig before it is mounted.

    Args:
        channel: Its channel.
        modality: `camera`, `lidar` or `radar`.
        mount: Where it belongs, in body axes.
        lens: Of a camera.
        lidar: How a LiDAR measures; None as the world says.
        radar: How a radar measures; None as the world says.
        look: How a camera renders; None as version 1 of the world does.

    """

    channel: str
    modality: Modality
    mount: SE3
    lens: Lens | None = None
    lidar: LidarConfig | None = None
    radar: RadarConfig | None = None
    look: CameraLook | None = None


def random_plans(config: WorldConfig, ranges: RigRanges, seed: int) -> list[SensorPlan]:
    """The sensors of a seed, LiDARs first; the same seed gives the same."""
    rng = np.random.default_rng([seed, 5])
    return [
        *_lidars(config.lidar, ranges, rng),
        *_cameras(config.camera, ranges, rng),
        *_radars(config.radar, ranges, rng),
    ]


def _lidars(config: LidarConfig, ranges: RigRanges, rng: np.random.Generator) -> list[SensorPlan]:
    pattern = ranges.lidar_patterns[_drawn(ranges.lidar_patterns, rng)]
    height = _within(ranges.lidar_height_m, rng)
    count = int(rng.integers(ranges.num_lidars[0], ranges.num_lidars[1] + 1))
    smallest = min(ranges.lidar_patterns, key=lambda p: p.num_beams * p.num_columns)
    plans: list[SensorPlan] = []
    for number in range(count):
        # A second LiDAR is the smallest kind, at one side of the roof.
        aside = 0.0 if number == 0 else HALF_WIDTH_M * float(rng.choice([-1, 1]))
        mount = SE3(translation_m=(MIDDLE_M, aside, height - 0.15 * number))
        own = _lidar_config(config, ranges, pattern if number == 0 else smallest, rng)
        plans.append(SensorPlan(channel=f"LIDAR_{number}", modality="lidar", mount=mount, lidar=own))
    return plans


def _lidar_config(
    config: LidarConfig, ranges: RigRanges, pattern: BeamPattern, rng: np.random.Generator
) -> LidarConfig:
    assert config.optics is not None
    optics = config.optics.model_copy(
        update={
            "horizon_density": pattern.horizon_density,
            "gain": _within(ranges.lidar_gain, rng),
            "gamma": _within(ranges.lidar_gamma, rng),
            "zero_share": _within(ranges.lidar_zero_share, rng),
        }
    )
    beams = pattern.model_dump(include={"num_beams", "num_columns", "lowest_rad", "highest_rad"})
    return config.model_copy(update={**beams, "optics": optics})


def _cameras(config: CameraConfig, ranges: RigRanges, rng: np.random.Generator) -> list[SensorPlan]:
    count = int(rng.integers(ranges.num_cameras[0], ranges.num_cameras[1] + 1))
    fisheye = bool(rng.random() < ranges.fisheye_share)
    view = _within(ranges.fisheye_view_rad if fisheye else ranges.camera_view_rad, rng)
    lens, pixel_rad = _lens(config, view, fisheye=fisheye)
    height, colour = _within(ranges.camera_height_m, rng), _within(ranges.camera_colour, rng)
    contrast, exposure = _within(ranges.camera_contrast, rng), _within(ranges.camera_exposure, rng)
    noise = _within(ranges.camera_noise, rng)
    look = CameraLook(colour=colour, contrast=contrast, exposure=exposure, noise=noise, pixel_rad=pixel_rad)
    plans: list[SensorPlan] = []
    for number in range(count):
        yaw = 2 * math.pi * number / count + _within(ranges.camera_yaw_rad, rng)
        place = (MIDDLE_M + 0.6 * math.cos(yaw), 0.6 * math.sin(yaw), height)
        mount = SE3.from_euler(0.0, _within(ranges.camera_pitch_rad, rng), yaw, place)
        plans.append(SensorPlan(channel=f"CAM_{number}", modality="camera", mount=mount, lens=lens, look=look))
    return plans


def _lens(config: CameraConfig, view_rad: float, *, fisheye: bool) -> tuple[Lens, float]:
    """A lens of a horizontal field of view, and the angle of a pixel in its middle."""
    width, height = config.width_px, config.height_px
    focal = width / 2 / (view_rad / 2 if fisheye else math.tan(view_rad / 2))
    kind = FisheyeLens if fisheye else PinholeLens
    lens = kind(
        width_px=width,
        height_px=height,
        focal_px=(focal, focal),
        principal_px=((width - 1) / 2, (height - 1) / 2),
    )
    return lens, 1 / focal


def _radars(config: RadarConfig, ranges: RigRanges, rng: np.random.Generator) -> list[SensorPlan]:
    count = int(rng.integers(ranges.num_radars[0], ranges.num_radars[1] + 1))
    height = _within(ranges.radar_height_m, rng)
    plans: list[SensorPlan] = []
    for number in range(count):
        yaw, x, y = RADAR_PLACES[number]
        own = _radar_config(config, ranges.radar_kinds[_drawn(ranges.radar_kinds, rng)])
        mount = SE3.from_yaw(yaw, (x, y, height))
        plans.append(SensorPlan(channel=f"RADAR_{number}", modality="radar", mount=mount, radar=own))
    return plans


def _radar_config(config: RadarConfig, kind: RadarKind) -> RadarConfig:
    assert config.echoes is not None
    hearing = {"threshold_dbsm", "points_per_m", "measures_elevation"}
    echoes = config.echoes.model_copy(update=kind.model_dump(include=hearing))
    return config.model_copy(update={**kind.model_dump(exclude={*hearing, "weight"}), "echoes": echoes})


def _drawn(kinds: Sequence[BeamPattern | RadarKind], rng: np.random.Generator) -> int:
    weights = np.array([kind.weight for kind in kinds])
    return int(rng.choice(len(kinds), p=weights / weights.sum()))


def _within(limits: tuple[float, float], rng: np.random.Generator) -> float:
    return float(rng.uniform(*limits))
