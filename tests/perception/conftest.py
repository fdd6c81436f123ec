"""Ticks of a made-up vehicle with four cameras, a LiDAR and radars, and a network small enough for tests."""

import numpy as np
import pytest

from tricast.perception.batch import BatchConfig, BevTransform
from tricast.perception.encoders.camera_vit import CameraConfig
from tricast.perception.fusion.query_decoder import DecoderConfig
from tricast.perception.model import ModelConfig
from tricast.perception.query_memory import MemoryConfig
from tricast.perception.tick_sample import CameraInput, TickSample
from tricast.sensors.frames import CameraFrame
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3

EGO_FROM_OPTICAL = SE3.from_matrix(np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]]))
"""A camera at the origin that looks ahead: its z is ego x, its x is ego -y, its y is ego -z."""


@pytest.fixture
def small_model() -> ModelConfig:
    return ModelConfig(
        batch=BatchConfig(cells=16, image_size_px=(64, 32), depth_bins=8),
        camera=CameraConfig(stem_width=8, width=16, token_width=24, heads=2, blocks=1),
        decoder=DecoderConfig(width=32, heads=2, layers=2, queries=20),
        memory=MemoryConfig(objects=6),
        width=16,
        trunk_blocks=1,
        heatmap_width=8,
    )


@pytest.fixture(
    params=[
        BevTransform(yaw_rad=0.7),
        BevTransform(flip_x=True),
        BevTransform(flip_y=True),
        BevTransform(yaw_rad=-2.0, flip_x=True),
        BevTransform(yaw_rad=0.4, flip_x=True, flip_y=True),
    ]
)
def transform(request: pytest.FixtureRequest) -> BevTransform:
    return request.param


@pytest.fixture
def ticks() -> list[TickSample]:
    return [_tick(seed) for seed in range(3)]


def _tick(seed: int) -> TickSample:
    rng = np.random.default_rng(seed)
    lens = PinholeLens(width_px=64, height_px=32, focal_px=(34.0, 34.0), principal_px=(31.5, 15.5))
    cameras = [
        CameraInput(
            channel=name,
            image=CameraFrame.from_pixels(name, 0, rng.integers(0, 255, (32, 64, 3), dtype=np.uint8)),
            lens=lens,
            tick_from_camera=SE3.from_yaw(yaw, (0.5, 0.1, 1.6)) @ EGO_FROM_OPTICAL,
        )
        for name, yaw in (("BACK", np.pi), ("FRONT", 0.0), ("LEFT", np.pi / 2), ("RIGHT", -np.pi / 2))
    ]
    place = rng.uniform(-50, 50, (400, 2))
    lidar = np.column_stack(
        [place, rng.uniform(-1, 2, 400), rng.uniform(0, 1, 400), rng.choice([0.02, 0.22, 0.42], 400)]
    )
    sight = rng.uniform(-np.pi, np.pi, 60)
    radar = np.column_stack(
        [
            rng.uniform(-50, 50, (60, 2)),
            rng.uniform(0, 1, 60),
            rng.uniform(-10, 20, 60),
            rng.uniform(-8, 8, 60),
            np.ones(60),
            np.cos(sight),
            np.sin(sight),
            rng.uniform(0, 0.2, 60),
        ]
    )
    return TickSample(
        timestamp_ns=seed,
        cameras=tuple(cameras),
        lidar=lidar.astype(np.float32),
        radar=radar.astype(np.float32),
    )
