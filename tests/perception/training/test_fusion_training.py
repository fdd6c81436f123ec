"""Every way of fusion learns: the loss of one batch goes down, and a run of two steps ends with weights that load."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.perception.training.test_trainer import STILL
from tricast.perception.model import ModelConfig, Network
from tricast.perception.model_weights import load_network
from tricast.perception.query_memory import QueryMemory
from tricast.perception.training.batches import BatchSource, TrainingBatches
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.optimization import make_optimizer
from tricast.perception.training.processes import ALONE
from tricast.perception.training.step import LossOfNetwork, backward
from tricast.perception.training.trainer import Trainer

CHANGES: dict[str, dict[str, Any]] = {
    "early": {"fusion": "early", "grid_fusion": "concatenation"},
    "late": {"fusion": "late"},
    "cross_attention": {},
    "co_attention": {"fusion": "co_attention"},
    "concatenation": {"grid_fusion": "concatenation"},
    "learned": {"decoder": {"starts": "learned"}},
}


def changed(config: TrainingRunConfig, change: dict[str, Any]) -> TrainingRunConfig:
    values = config.model.model_dump()
    nested = {key: values[key] | value for key, value in change.items() if isinstance(value, dict)}
    model = ModelConfig.model_validate({**values, **change, **nested})
    training = config.training.model_copy(update={"max_samples": 4, "augmentation": STILL})
    return config.model_copy(update={"model": model, "training": training})


@pytest.mark.parametrize("name", CHANGES)
def test_the_loss_of_one_batch_goes_down(name: str, shards: Path, small_config: TrainingRunConfig) -> None:
    config = changed(small_config, CHANGES[name])
    source = BatchSource(
        folder=shards,
        scenes=("demo",),
        batch_size=2,
        seed=0,
        batch_config=config.model.batch,
        augmentation=STILL,
        seed_jitter_m=0.4,
        memory=config.model.memory,
    )
    torch.manual_seed(0)
    batch = TrainingBatches(source)[0]
    module = LossOfNetwork(Network(config.model).train(), config)
    optimizer = make_optimizer(module, config.training.optimizer)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        ((_, table, _),) = backward(module, [batch], [QueryMemory()], ALONE)
        assert torch.isfinite(table.total)
        torch.nn.utils.clip_grad_norm_(module.parameters(), config.training.optimizer.clip_norm)
        optimizer.step()
        losses.append(float(table.total))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["early", "late", "co_attention", "learned"])
def test_a_run_of_two_steps_leaves_weights_that_know_their_fusion(
    name: str, shards: Path, small_config: TrainingRunConfig, tmp_path: Path
) -> None:
    config = changed(small_config, CHANGES[name])
    assert Trainer(config, tmp_path, folder=shards, scenes=("demo",), report=lambda line: None).run()
    loaded = load_network(tmp_path / "weights.safetensors")
    assert type(loaded) is type(Network(config.model))
    assert loaded.config == config.model
