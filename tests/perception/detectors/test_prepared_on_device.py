"""Ticks that are made on the device of the network, against those that the host makes."""

import dataclasses
from functools import cache

import numpy as np
import pytest
import torch

from tricast.perception.backends.names import BackendName
from tricast.perception.config import chosen_config
from tricast.perception.detectors.network import NetworkDetector
from tricast.perception.detectors.network_config import NetworkConfig
from tricast.perception.device_rows import DeviceRows
from tricast.perception.model import ModelConfig, Network
from tricast.sensors.synced_frame import SyncedFrame
from tricast.tools.benchmark_load import log_ticks
from tricast.tools.demo import demo_log_path

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
# The host under another name goes the way of other devices.
DEVICES = ["cpu:0", pytest.param("cuda", marks=needs_gpu)]
ON_DEVICE = (
    "images",
    "lidar_points",
    "lidar_sample",
    "lift_index",
    "lift_depth_bin",
    "ray_directions",
    "ray_origins_m",
)


@cache
def _ticks() -> tuple[SyncedFrame, ...]:
    return tuple(log_ticks(demo_log_path(), chosen_config(detector="network"), 14))


def _detectors(model: ModelConfig, device: str) -> tuple[NetworkDetector, NetworkDetector]:
    torch.manual_seed(0)
    network = Network(model).eval()
    host, other = (NetworkDetector(NetworkConfig(threads=1), network=network) for _ in range(2))
    other._device, other._rows = device, DeviceRows(device)
    return host, other


def _broken(tick: SyncedFrame) -> SyncedFrame:
    cameras = dict(tick.cameras)
    second = sorted(cameras)[1]
    cameras[second] = dataclasses.replace(cameras[second], encoding="jpeg", data=b"no picture")
    return dataclasses.replace(tick, cameras=cameras)


@pytest.mark.parametrize("device", DEVICES)
def test_a_tick_made_on_a_device_is_that_of_the_host(small_model: ModelConfig, device: str) -> None:
    host, other = _detectors(small_model, device)
    tick = _ticks()[-1]
    for frame in (tick, _broken(tick), tick.restricted_to(set(tick.cameras)), tick.restricted_to(set(tick.lidars))):
        expected, made = host.prepare(frame), other.prepare(frame)
        for field in dataclasses.fields(expected):
            own, there = getattr(made, field.name), getattr(expected, field.name)
            assert own.device.type == (torch.device(device).type if field.name in ON_DEVICE else "cpu"), field.name
            if field.name not in ON_DEVICE[1:]:
                assert torch.equal(own.cpu(), there), field.name
            elif field.name in ("lift_index", "lift_depth_bin"):
                assert (own.cpu() == there).double().mean() > 0.999
            elif device == "cpu:0" or not field.name.startswith("lidar"):
                np.testing.assert_allclose(own.cpu().numpy(), there.numpy(), atol=2e-5, err_msg=field.name)
            else:  # on the border of a voxel another return may be kept
                assert abs(len(own) - len(there)) <= 0.01 * len(there)


@pytest.mark.parametrize("device", DEVICES)
def test_brought_to_one_place_it_goes_through_the_network_there(small_model: ModelConfig, device: str) -> None:
    host, other = _detectors(small_model, device)
    tick = _ticks()[-1]
    batch = other.prepare(tick).to("cpu")
    assert all(getattr(batch, f.name).device.type == "cpu" for f in dataclasses.fields(batch))
    expected, found = host.detect(tick), other.detect(tick)
    assert len(found) == pytest.approx(len(expected), abs=2)


@needs_gpu
@pytest.mark.parametrize("backend", ["eager", "cuda_graphs"])
def test_what_a_gpu_prepares_and_runs_finds_what_the_cpu_finds(backend: BackendName) -> None:
    host = NetworkDetector(NetworkConfig(threads=1))
    other = NetworkDetector(NetworkConfig(threads=1, backend=backend, device="cuda"))
    for tick in _ticks():
        expected, found = host.detect(tick), other.detect(tick)
    sure, own = (d.boxes.centers_m[d.scores > 0.4, :2] for d in (expected, found))
    apart = np.linalg.norm(sure[:, None] - own[None], axis=2).min(axis=1)
    assert len(sure) and np.mean(apart < 0.1) > 0.9
    assert other.ran_by.get("running", "eager") == backend
