"""The configuration of nuScenes' size: six cameras, ten sweeps, five radars, ten classes; built, run and trained on."""

import numpy as np
import pytest
import torch

from tricast.configs.strict import load_config
from tricast.perception.batch import BevTransform
from tricast.perception.config import PipelineConfig
from tricast.perception.decoding import DecodingConfig, decode
from tricast.perception.model import Network
from tricast.perception.query_memory import QueryMemory
from tricast.perception.tick_sample import CameraInput, TickSample
from tricast.perception.training.augmentation import AugmentedTick
from tricast.perception.training.batches import make_batch
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.optimization import make_optimizer
from tricast.perception.training.processes import ALONE
from tricast.perception.training.shards import synchronizer_for
from tricast.perception.training.step import LossOfNetwork, backward
from tricast.perception.training.tick_truth import TickTruth
from tricast.sensors.annotations import DETECTION_CLASSES
from tricast.sensors.frames import CameraFrame
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3

EGO_FROM_OPTICAL = SE3.from_matrix(np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]]))
LAGS_S = 0.05 * np.arange(10)
RADARS = 5


@pytest.fixture(scope="module")
def config() -> TrainingRunConfig:
    return load_config(TrainingRunConfig, "nuscenes")


def tick() -> AugmentedTick:
    """Noise in every sensor, and one object of each class in a ring."""
    rng = np.random.default_rng(0)
    lens = PinholeLens(width_px=704, height_px=256, focal_px=(560.0, 560.0), principal_px=(351.5, 127.5))
    cameras = tuple(
        CameraInput(
            channel=f"CAM_{n}",
            image=CameraFrame.from_pixels(f"CAM_{n}", 0, rng.integers(0, 255, (256, 704, 3), dtype=np.uint8)),
            lens=lens,
            tick_from_camera=SE3.from_yaw(n * np.pi / 3, (0.5, 0.1, 1.6)) @ EGO_FROM_OPTICAL,
        )
        for n in range(6)
    )
    count = 20_000
    lidar = [rng.uniform(-50, 50, (count, 2)), rng.uniform(-1, 3, count), rng.uniform(0, 1, count)]
    sight = rng.uniform(-np.pi, np.pi, 60 * RADARS)
    radar = [rng.uniform(-50, 50, (len(sight), 2)), rng.uniform(-1, 10, (len(sight), 4)) * [1, 1, 1, 0.1]]
    sample = TickSample(
        timestamp_ns=0,
        cameras=cameras,
        lidar=np.column_stack([*lidar, rng.choice(LAGS_S, count)]).astype(np.float32),
        radar=np.column_stack([*radar, np.cos(sight), np.sin(sight), np.zeros(len(sight))]).astype(np.float32),
    )
    classes = np.arange(len(DETECTION_CLASSES))
    angle = 2 * np.pi * classes / len(classes)
    steps_s = 0.5 * np.arange(1, 13)
    centers = np.column_stack([20 * np.cos(angle), 20 * np.sin(angle), np.ones(len(classes))])
    futures = centers[:, None, :2] + steps_s[None, :, None] * [3.0, 0.0]
    seen = np.full(len(classes), 9, np.int32)
    truth = TickTruth(
        class_indices=classes,
        instance_indices=classes,
        centers_m=centers.astype(np.float32),
        sizes_m=np.full((len(classes), 3), 2, np.float32),
        yaws_rad=angle.astype(np.float32),
        velocities_mps=np.tile(np.array([3, 0], np.float32), (len(classes), 1)),
        futures_m=futures.astype(np.float32),
        num_lidar_points=seen,
        num_radar_points=seen,
        num_visible_pixels=10 * seen,
    )
    return AugmentedTick(sample=sample, truth=truth, transform=BevTransform(), lidar_before=sample.lidar)


def test_it_is_what_it_says(config: TrainingRunConfig) -> None:
    model = config.model
    assert model.batch.image_size_px == (704, 256) and model.batch.token_size == (16, 44)
    assert (model.camera.token_width, model.camera.heads, model.camera.blocks) == (384, 6, 12)
    assert (model.decoder.queries, model.decoder.layers) == (300, 6)
    assert model.sample.lidar_lags_s == pytest.approx(LAGS_S)
    network = Network(model)
    blocks = sum(p.numel() for p in network.camera_encoder.blocks.parameters())
    # A ViT-S/16 has 21.3 million parameters in its blocks.
    assert blocks == pytest.approx(21.3e6, rel=0.01)


def test_its_replay_keeps_the_sweeps_and_scans_that_it_was_trained_on(config: TrainingRunConfig) -> None:
    replay, trained = load_config(PipelineConfig, "nuscenes_network"), synchronizer_for(config.model.sample)
    assert replay.detector == "network"
    assert replay.synchronizer.lidar_sweeps == trained.lidar_sweeps == 10
    assert replay.synchronizer.lidar_span_s == pytest.approx(trained.lidar_span_s)
    assert replay.synchronizer.radar_scans == trained.radar_scans


@pytest.mark.slow
def test_it_runs_forward_and_learns_a_step_on_a_cpu(config: TrainingRunConfig) -> None:
    torch.manual_seed(0)
    network = Network(config.model)
    batch = make_batch([tick()], config.model.batch, [np.random.default_rng(0)], jitter_m=0.4)
    assert batch.sensors.images.shape == (6, 3, 256, 704)
    optimizer = make_optimizer(network, config.training.optimizer)
    before = {name: value.clone() for name, value in network.named_parameters()}
    ((outputs, table, _),) = backward(LossOfNetwork(network.train(), config), [batch], [QueryMemory()], ALONE)
    assert torch.isfinite(table.total) and len(table.matches) > 0
    assert outputs is not None and outputs.query_cells.shape[1] == 300 + len(DETECTION_CLASSES)
    optimizer.step()
    moved = {name.split(".")[0] for name, value in network.named_parameters() if not torch.equal(value, before[name])}
    assert {"camera_encoder", "lidar_encoder", "radar_encoder", "fusion", "trunk", "decoder"} <= moved
    with torch.inference_mode():
        outputs, _ = network.eval()(batch.sensors, QueryMemory())
    detections = decode(outputs, 0, DecodingConfig(min_score=0.0))
    assert 0 < len(detections) <= 300 and np.isfinite(detections.scores).all()
