"""Shards of the packaged demo log, and a network small enough to train in a test."""

from pathlib import Path

import pytest

from tricast.perception.model import ModelConfig
from tricast.perception.tick_sample import SampleConfig
from tricast.perception.training.config import TrainingRunConfig
from tricast.tools.demo import demo_log_path
from tricast.tools.make_shards import shards_of_logs

SMALL_MODEL = {
    "batch": {"range_m": 25.6, "cells": 32, "image_size_px": [96, 64], "depth_bins": 4},
    "camera": {"stem_width": 8, "width": 16, "token_width": 24, "heads": 2, "blocks": 1},
    "lidar": {"point_width": 16, "fine_width": 16},
    "decoder": {"width": 32, "heads": 2, "layers": 1, "queries": 40},
    "memory": {"objects": 8},
    "width": 16,
    "trunk_blocks": 1,
    "heatmap_width": 16,
}


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one scene, `demo`, of six ticks."""
    folder = tmp_path_factory.mktemp("shards")
    assert shards_of_logs([demo_log_path()], folder, SampleConfig(), source="demo") == 1
    return folder


@pytest.fixture(scope="session")
def small_config() -> TrainingRunConfig:
    """A run of two samples a step on the small network."""
    training = {
        "threads": 1,
        "loading_processes": 0,
        "batch_size": 2,
        "max_samples": 20,
        "log_every_steps": 5,
        "optimizer": {"warmup_samples": 4},
        "validation": {"every_samples": 10, "ticks": 2, "subset_ticks": 1},
    }
    return TrainingRunConfig.model_validate(
        {"model": ModelConfig.model_validate(SMALL_MODEL).model_dump(), "training": training}
    )
