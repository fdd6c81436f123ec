"""Training with and without extra queries near true centres: the same batches, other queries, and both learn."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.perception.training.test_trainer import STILL, changed
from tricast.perception.model import ModelConfig, Network
from tricast.perception.query_memory import QueryMemory
from tricast.perception.training.batches import TrainingBatches
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.optimization import make_optimizer
from tricast.perception.training.processes import ALONE
from tricast.perception.training.step import LossOfNetwork, backward
from tricast.perception.training.trainer import Trainer

OTHER_QUERIES: dict[str, dict[str, Any]] = {
    "peaks": {},
    "learned places": {"decoder": {"starts": "learned"}},
    "heads per sensor": {"fusion": "late"},
}


def of_model(config: TrainingRunConfig, change: dict[str, Any]) -> TrainingRunConfig:
    values = config.model.model_dump()
    nested = {key: values[key] | value for key, value in change.items() if isinstance(value, dict)}
    return config.model_copy(update={"model": ModelConfig.model_validate({**values, **change, **nested})})


@pytest.mark.parametrize("name", OTHER_QUERIES)
def test_without_it_no_query_begins_at_the_truth_and_the_loss_still_goes_down(
    name: str, shards: Path, small_config: TrainingRunConfig, tmp_path: Path
) -> None:
    config = of_model(changed(small_config, augmentation=STILL, denoising=False), OTHER_QUERIES[name])
    trainer = Trainer(config, tmp_path, folder=shards, scenes=("demo",), report=lambda line: None)
    batch = TrainingBatches(trainer._source)[0]
    assert int(batch.seeds.mask.sum()) > 10
    torch.manual_seed(0)
    module = LossOfNetwork(Network(config.model).train(), config)
    optimizer = make_optimizer(module, config.training.optimizer)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        ((outputs, table, _),) = backward(module, [batch], [QueryMemory()], ALONE)
        assert outputs is not None and outputs.query_cells.shape[1] == outputs.num_seeded == 40
        torch.nn.utils.clip_grad_norm_(module.parameters(), config.training.optimizer.clip_norm)
        optimizer.step()
        losses.append(float(table.total))
    assert losses[-1] < losses[0]


def test_batches_are_the_same_and_queries_from_peaks_too(
    shards: Path, small_config: TrainingRunConfig, tmp_path: Path
) -> None:
    """What is switched off is the extra queries alone: peaks and heatmap are those of a network that has them."""
    told = {}
    for on in (True, False):
        config = changed(small_config, denoising=on)
        trainer = Trainer(config, tmp_path / str(on), folder=shards, scenes=("demo",), report=lambda line: None)
        batch = TrainingBatches(trainer._source)[0]
        told[on] = batch, *LossOfNetwork(trainer.model, config)(batch, QueryMemory())[:2]
    (batch, outputs, table), (other_batch, other_outputs, other_table) = told[True], told[False]
    assert torch.equal(batch.sensors.images, other_batch.sensors.images)
    assert torch.equal(batch.seeds.cells, other_batch.seeds.cells)
    assert outputs.query_cells.shape[1] == 40 + batch.seeds.cells.shape[1]
    assert torch.equal(outputs.query_cells[:, :40], other_outputs.query_cells)
    assert torch.equal(table.terms["heatmap"], other_table.terms["heatmap"])
    assert table.terms["center_0"] != other_table.terms["center_0"]
