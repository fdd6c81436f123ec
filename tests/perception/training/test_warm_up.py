"""A tick out of its scene is looked at as if the vehicle had come to it."""

from pathlib import Path

import pytest
import torch

from tricast.perception.batch import SensorBatch
from tricast.perception.collation import collate
from tricast.perception.model import Network
from tricast.perception.query_memory import QueryMemory
from tricast.perception.training.augmentation import restricted
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.shards import ShardSet
from tricast.perception.training.validation import spread_runs
from tricast.perception.training.warm_up import EARLIER_TICKS, WarmNetwork

SENSORS = ("lidar", "radar")


@pytest.fixture
def network(small_config: TrainingRunConfig) -> Network:
    torch.manual_seed(0)
    network = Network(small_config.model)
    for value in network.parameters():
        if value.dim() > 1 and not value.any():
            torch.nn.init.normal_(value, std=0.1)
    return network.eval()


def batch_of(shards: ShardSet, index: int, network: Network) -> SensorBatch:
    return collate([restricted(shards[index].sample, SENSORS)], network.config.batch)


def test_it_has_the_memory_of_the_ticks_before_it(shards: Path, network: Network) -> None:
    ticks = ShardSet(shards)
    memory = QueryMemory()
    with torch.inference_mode():
        for index in range(5 - EARLIER_TICKS, 5):
            _, memory = network(batch_of(ticks, index, network), memory)
        expected, _ = network(batch_of(ticks, 5, network), memory)
        fresh, _ = network(batch_of(ticks, 5, network), QueryMemory())
    found = WarmNetwork(network, ticks, SENSORS)(5, batch_of(ticks, 5, network))
    assert torch.equal(found.layers[-1].centers_m, expected.layers[-1].centers_m)
    assert not torch.equal(found.layers[-1].centers_m, fresh.layers[-1].centers_m)
    first = WarmNetwork(network, ticks, SENSORS)(0, batch_of(ticks, 0, network))
    with torch.inference_mode():
        alone, _ = network(batch_of(ticks, 0, network), QueryMemory())
    assert torch.equal(first.layers[-1].centers_m, alone.layers[-1].centers_m)


def test_ticks_in_a_row_go_on_from_each_other(shards: Path, network: Network) -> None:
    ticks, calls = ShardSet(shards), []
    network.register_forward_pre_hook(lambda *_: calls.append(1))
    warm = WarmNetwork(network, ticks, SENSORS)
    for index in (3, 4, 5):
        warm(index, batch_of(ticks, index, network))
    assert len(calls) == EARLIER_TICKS + 3
    warm(2, batch_of(ticks, 2, network))
    assert len(calls) == EARLIER_TICKS + 3 + 3


def test_runs_of_ticks_are_spread_over_all() -> None:
    assert spread_runs(12, 8) == [0, 1, 2, 3, 8, 9, 10, 11]
    assert spread_runs(3, 8) == [0, 1, 2]
    assert spread_runs(100, 1) == [0, 1, 2, 3]
    assert len(spread_runs(360, 120)) == 120
