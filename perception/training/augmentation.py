"""What a sample loses and how it is turned before it is learned from, drawn from one generator per sample."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import Tensor

from tricast.configs.strict import StrictConfig
from tricast.perception.batch import BevTransform
from tricast.perception.tick_sample import CameraInput, TickSample
from tricast.perception.training.own_vehicle import OwnVehicle, without_covered
from tricast.perception.training.tick_truth import TickTruth, with_counts
from tricast.sensors.geometry.se3 import SE3

SUBSETS: dict[str, tuple[str, ...]] = {
    "camera+lidar+radar": ("camera", "lidar", "radar"),
    "camera+lidar": ("camera", "lidar"),
    "camera+radar": ("camera", "radar"),
    "lidar+radar": ("lidar", "radar"),
    "camera": ("camera",),
    "lidar": ("lidar",),
    "radar": ("radar",),
}
"""Every subset of modalities that has one, by name; the first is all of them."""

LIDAR_HEIGHT_M = 1.8
"""Where beams are taken to start, above the ego origin, when some of them are taken out."""
LOG_GAINS, GAMMAS = (math.log(0.15), math.log(2.0)), (0.6, 1.6)
"""Limits within which the gain's logarithm and the gamma of intensities of another make are drawn."""
LONGEST_SWEEP_S = 0.15
"""Returns so much older than the newest are of an earlier sweep."""
NUM_BEAM_BANDS = 32
BEAM_SPAN_RAD = (-0.45, 0.12)


class AugmentationConfig(StrictConfig):
    """Chances, each per sample unless it says otherwise; what is drawn holds for all ticks of a sequence."""

    drop_modalities: float = Field(default=0.5, ge=0, le=1)
    """Keep one of the six smaller subsets of modalities."""
    kept_subsets: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """How often which of them is kept, in proportion, such as `camera+lidar: 3`; empty keeps all alike."""
    drop_camera: float = Field(default=0.05, ge=0, le=1)
    """Per camera; one always stays."""
    thin_beams: float = Field(default=0.1, ge=0, le=1)
    lose_sector: float = Field(default=0.05, ge=0, le=1)
    other_intensities: float = Field(default=0.0, ge=0, le=1)
    """Another gain and gamma of LiDAR intensities: what a surface gives hangs on the make of the sensor."""
    newest_sweep_only: float = Field(default=0.0, ge=0, le=1)
    """No older sweeps: as at the first ticks of a log, or after a gap."""
    lose_radar_returns: float = Field(default=0.1, ge=0, le=1)
    blink: float = Field(default=0.0, ge=0, le=1)
    """One modality more is missing at a single tick of a sequence."""
    stale: float = Field(default=0.0, ge=0, le=1)
    """At a single tick one camera, the LiDARs or the radars still show what they showed at the tick before it."""
    jitter_extrinsics: float = Field(default=0.2, ge=0, le=1)
    jitter_m: float = Field(default=0.05, ge=0, le=1)
    jitter_rad: float = Field(default=0.005, ge=0, le=0.2)
    flip_x: float = Field(default=0.5, ge=0, le=1)
    flip_y: float = Field(default=0.5, ge=0, le=1)
    max_turn_rad: float = Field(default=0.4, ge=0, le=math.pi)
    recolor: float = Field(default=0.25, ge=0, lt=1)
    """How far the contrast and the three colours of each picture go up or down, and half as far its brightness."""
    own_vehicle: float = Field(default=0.0, ge=0, le=1)
    """Per camera: the vehicle's own body covers a part of its pictures, and mirrors others."""

    @field_validator("kept_subsets")
    @classmethod
    def _of_smaller_subsets(cls, shares: dict[str, float]) -> dict[str, float]:
        smaller = list(SUBSETS)[1:]
        if not shares.keys() <= set(smaller) or (shares and not sum(shares.values())):
            raise ValueError(f"shares of subsets among {', '.join(smaller)}, one of them above zero")
        return shares


@dataclass(frozen=True, kw_only=True, eq=False)
class AugmentedTick:
    """A sample with what it lost, the truth as its sensors can know it, and the turn of its frame.

    The truth's counts speak of the remaining data; the arrays are not turned yet. `lidar_before` is what the tick's
    LiDAR gave, also where the sample has lost it: it teaches cameras depth. Pictures are as they came: what is to
    cover a part of them is in `own_vehicle`, by channel.
    """

    sample: TickSample
    truth: TickTruth
    transform: BevTransform
    lidar_before: NDArray[np.float32] | None
    own_vehicle: Mapping[str, OwnVehicle] = field(default_factory=dict)


def augmented(
    sample: TickSample, truth: TickTruth, config: AugmentationConfig, rng: np.random.Generator
) -> AugmentedTick:
    """Draw a turn of the ego frame, modality dropout and losses within sensors.

    Ticks of one sequence are given generators of the same seed, and draw the same: every step has a generator of its
    own, and every camera one by its channel, so that what a tick's sensors saw, or lacked, changes nothing else.
    """
    lidar_before = sample.lidar
    of_frame, of_subset, of_cameras, of_lidar, of_radar, of_mounts, of_make, of_bodies = rng.spawn(8)
    transform = BevTransform(
        yaw_rad=float(of_frame.uniform(-config.max_turn_rad, config.max_turn_rad)),
        flip_x=bool(of_frame.random() < config.flip_x),
        flip_y=bool(of_frame.random() < config.flip_y),
    )
    if of_subset.random() < config.drop_modalities:
        fewer = restricted(sample, _kept_subset(config, of_subset))
        # A vehicle without radars has nothing left of "radar alone".
        sample = fewer if fewer.cameras or fewer.lidar is not None or fewer.radar is not None else sample
    sample, truth = _without_cameras(sample, truth, config, of_cameras)
    if sample.lidar is not None:
        sample, truth = _worse_lidar(sample, truth, config, of_lidar)
    if sample.radar is not None and of_radar.random() < config.lose_radar_returns:
        kept = of_radar.random(len(sample.radar)) < 0.5
        counts = np.where(truth.num_radar_points > 0, truth.num_radar_points // 2, truth.num_radar_points)
        sample = replace(sample, radar=sample.radar[kept])
        truth = with_counts(truth, num_radar_points=counts.astype(np.int32))
    if of_mounts.random() < config.jitter_extrinsics:
        own = _by_channel(sample.cameras, of_mounts)
        cameras = tuple(_jittered(camera, config, own[camera.channel]) for camera in sample.cameras)
        sample = replace(sample, cameras=cameras)
    sample = _of_another_make(sample, config, of_make)
    bodies = _own_vehicle(sample.cameras, config, of_bodies)
    truth = without_covered(truth, sample.cameras, bodies)
    return AugmentedTick(sample=sample, truth=truth, transform=transform, lidar_before=lidar_before, own_vehicle=bodies)


def _kept_subset(config: AugmentationConfig, rng: np.random.Generator) -> tuple[str, ...]:
    smaller = list(SUBSETS)[1:]
    if not config.kept_subsets:
        return SUBSETS[smaller[int(rng.integers(len(smaller)))]]
    shares = np.array([config.kept_subsets.get(name, 0.0) for name in smaller])
    return SUBSETS[smaller[int(rng.choice(len(smaller), p=shares / shares.sum()))]]


def _by_channel(cameras: tuple[CameraInput, ...], rng: np.random.Generator) -> dict[str, np.random.Generator]:
    """A generator for each camera, so that one missing at a tick changes nothing for the others."""
    seed = int(rng.integers(2**32))
    return {c.channel: np.random.default_rng([seed, zlib.crc32(c.channel.encode())]) for c in cameras}


def _own_vehicle(
    cameras: tuple[CameraInput, ...], config: AugmentationConfig, rng: np.random.Generator
) -> dict[str, OwnVehicle]:
    own = _by_channel(cameras, rng)
    return {name: OwnVehicle.drawn(draw) for name, draw in own.items() if draw.random() < config.own_vehicle}


def blinked(sample: TickSample, config: AugmentationConfig, rng: np.random.Generator) -> TickSample:
    """Draw whether a modality is missing at this tick alone; one always stays."""
    there = {"camera": bool(sample.cameras), "lidar": sample.lidar is not None, "radar": sample.radar is not None}
    present = [name for name, is_there in there.items() if is_there]
    if rng.random() >= config.blink or len(present) < 2:
        return sample
    lost = present[int(rng.integers(len(present)))]
    return restricted(sample, [name for name in present if name != lost])


def staled(sample: TickSample, before: TickSample, config: AugmentationConfig, rng: np.random.Generator) -> TickSample:
    """Draw whether one camera, the LiDARs or the radars are still those of the tick before, and so much older."""
    if rng.random() >= config.stale:
        return sample
    now_from_then = sample.odom_from_ego.inverse @ before.odom_from_ego
    age_s = (sample.timestamp_ns - before.timestamp_ns) / 1e9
    earlier = {camera.channel: camera for camera in before.cameras}
    shared = [camera.channel for camera in sample.cameras if camera.channel in earlier]
    choices = [*shared]
    choices += ["lidar"] if sample.lidar is not None and before.lidar is not None else []
    choices += ["radar"] if sample.radar is not None and before.radar is not None else []
    if not choices:
        return sample
    chosen = choices[int(rng.integers(len(choices)))]
    if chosen in shared:
        old = replace(earlier[chosen], tick_from_camera=now_from_then @ earlier[chosen].tick_from_camera)
        return replace(sample, cameras=tuple(old if c.channel == chosen else c for c in sample.cameras))
    rows = before.lidar if chosen == "lidar" else before.radar
    assert rows is not None
    moved = rows.copy()
    moved[:, :3] = now_from_then.apply(rows[:, :3].astype(np.float64))
    moved[:, -1] += age_s
    if chosen == "lidar":
        return replace(sample, lidar=moved)
    moved[:, 6:8] = rows[:, 6:8] @ now_from_then.rotation[:2, :2].T.astype(np.float32)
    return replace(sample, radar=moved)


def restricted(sample: TickSample, modalities: Sequence[str]) -> TickSample:
    """The sample with only the sensors of these modalities; the others are absent."""
    return replace(
        sample,
        cameras=sample.cameras if "camera" in modalities else (),
        lidar=sample.lidar if "lidar" in modalities else None,
        radar=sample.radar if "radar" in modalities else None,
    )


def turned(truth: TickTruth, transform: BevTransform) -> TickTruth:
    """Truth in the turned frame."""
    return replace(
        truth,
        centers_m=transform.vectors(truth.centers_m),
        yaws_rad=transform.yaws_rad(truth.yaws_rad.astype(np.float64)).astype(np.float32),
        velocities_mps=transform.vectors(truth.velocities_mps),
        futures_m=transform.vectors(truth.futures_m),
    )


def _without_cameras(
    sample: TickSample, truth: TickTruth, config: AugmentationConfig, rng: np.random.Generator
) -> tuple[TickSample, TickTruth]:
    """Drop single cameras; objects that no remaining camera sees the centre of have no visible pixels left."""
    if len(sample.cameras) < 2:
        return sample, truth
    draws = np.array([own.random() for own in _by_channel(sample.cameras, rng).values()])
    kept = draws >= min(config.drop_camera, draws.max())
    if kept.all():
        return sample, truth
    cameras = tuple(camera for camera, keep in zip(sample.cameras, kept, strict=True) if keep)
    seen = np.zeros(len(truth), bool)
    for camera in cameras:
        in_camera = camera.tick_from_camera.inverse.apply(truth.centers_m.astype(np.float64))
        seen |= camera.lens.project(in_camera)[1]
    pixels = np.where(seen, truth.num_visible_pixels, 0).astype(np.int32)
    return replace(sample, cameras=cameras), with_counts(truth, num_visible_pixels=pixels)


def _worse_lidar(
    sample: TickSample, truth: TickTruth, config: AugmentationConfig, rng: np.random.Generator
) -> tuple[TickSample, TickTruth]:
    """Fewer beams, or a sector lost, with counts of returns to match."""
    assert sample.lidar is not None
    if rng.random() < config.thin_beams:
        step = int(rng.choice([2, 4]))
        points = sample.lidar[_beam_bands(sample.lidar) % step == int(rng.integers(step))]
        counts = np.where(truth.num_lidar_points > 0, truth.num_lidar_points // step, truth.num_lidar_points)
        sample = replace(sample, lidar=points)
        truth = with_counts(truth, num_lidar_points=counts.astype(np.int32))
    if rng.random() < config.lose_sector:
        assert sample.lidar is not None
        middle, half = rng.uniform(-math.pi, math.pi), rng.uniform(0.3, 1.0)
        sample = replace(sample, lidar=sample.lidar[~_within(sample.lidar, middle, half)])
        lost = _within(truth.centers_m, middle, half) & (truth.num_lidar_points > 0)
        truth = with_counts(truth, num_lidar_points=np.where(lost, 0, truth.num_lidar_points).astype(np.int32))
    return sample, truth


def _of_another_make(sample: TickSample, config: AugmentationConfig, rng: np.random.Generator) -> TickSample:
    """Other LiDAR intensities, in 0 .. 1, and no older sweeps; counts of returns speak of the newest, and stay."""
    chances, gain, gamma = rng.random(2), math.exp(rng.uniform(*LOG_GAINS)), rng.uniform(*GAMMAS)
    points = sample.lidar
    if points is None or not len(points):
        return sample
    if chances[0] < config.other_intensities:
        points = points.copy()
        points[:, 3] = np.clip(gain * np.clip(points[:, 3], 0, 1) ** gamma, 0, 1)
    if chances[1] < config.newest_sweep_only:
        points = points[points[:, 4] < points[:, 4].min() + LONGEST_SWEEP_S]
    return sample if points is sample.lidar else replace(sample, lidar=points)


def _beam_bands(points: NDArray[np.float32]) -> NDArray[np.int64]:
    """Number of the elevation band that each point lies in: an estimate of its beam."""
    low, high = BEAM_SPAN_RAD
    elevation = np.arctan2(points[:, 2] - LIDAR_HEIGHT_M, np.hypot(points[:, 0], points[:, 1]))
    return np.floor((elevation - low) / (high - low) * NUM_BEAM_BANDS).astype(np.int64)


def _within(points: NDArray[np.float32], middle_rad: float, half_rad: float) -> NDArray[np.bool_]:
    """Which points (N, 2 or more) lie in a sector around the vehicle."""
    off = np.arctan2(points[:, 1], points[:, 0]) - middle_rad
    return np.abs((off + math.pi) % (2 * math.pi) - math.pi) < half_rad


def _jittered(camera: CameraInput, config: AugmentationConfig, rng: np.random.Generator) -> CameraInput:
    roll, pitch, yaw = (float(v) for v in rng.normal(0, config.jitter_rad, 3))
    x, y, z = (float(v) for v in rng.normal(0, config.jitter_m, 3))
    shifted = camera.tick_from_camera @ SE3.from_euler(roll, pitch, yaw)
    tx, ty, tz = shifted.translation_m
    pose = SE3(quaternion_wxyz=shifted.quaternion_wxyz, translation_m=(tx + x, ty + y, tz + z))
    return replace(camera, tick_from_camera=pose)


def recolored(images: Tensor, config: AugmentationConfig, rng: np.random.Generator) -> Tensor:
    """Pictures (M, 3, H, W) uint8 with other contrast, colours and brightness, each its own."""
    if not config.recolor or not len(images):
        return images
    spread = config.recolor
    gains = rng.uniform(1 - spread, 1 + spread, (len(images), 1, 1)) * rng.uniform(
        1 - spread / 2, 1 + spread / 2, (len(images), 3, 1)
    )
    offsets = 128 * rng.uniform(-spread / 2, spread / 2, (len(images), 1, 1))
    levels = np.arange(256, dtype=np.float32) * gains.astype(np.float32) + offsets.astype(np.float32)
    tables = levels.clip(0, 255).astype(np.uint8).reshape(-1, 256)
    planes = images.flatten(0, 1).numpy()
    changed = np.empty_like(planes)
    # What becomes of each of 256 levels is looked up: a tenth of the time of working it out for every pixel.
    for new, plane, table in zip(changed, planes, tables, strict=True):
        new[:] = np.frombuffer(plane.tobytes().translate(table.tobytes()), np.uint8).reshape(plane.shape)
    return torch.from_numpy(changed).view_as(images)
