"""What a backend must give to be used: what the network gives, but for the few queries that look at a border."""

import dataclasses

import pytest

from tests.perception.backends.networks import random_network, subset_batches
from tricast.configs.errors import InputError
from tricast.perception.backends.interface import EagerBackend
from tricast.perception.backends.parity import HALF, check_parity
from tricast.perception.batch import SensorBatch
from tricast.perception.collation import collate
from tricast.perception.model import ModelConfig, Network
from tricast.perception.query_memory import QueryMemory
from tricast.perception.query_outputs import QueryOutputs
from tricast.perception.tick_sample import TickSample

QUERIES = 50


class ShiftedFutures(EagerBackend):
    """The network with the futures of its first queries moved by a metre."""

    def __init__(self, network: Network, count: int, by_m: float = 1.0) -> None:
        super().__init__(network)
        self.count, self.by_m = count, by_m

    def __call__(self, batch: SensorBatch, memory: QueryMemory) -> tuple[QueryOutputs, QueryMemory]:
        outputs, memory = super().__call__(batch, memory)
        points = outputs.mode_points_m.clone()
        points[:, : self.count] += self.by_m
        return dataclasses.replace(outputs, mode_points_m=points), memory


@pytest.fixture
def network(small_model: ModelConfig) -> Network:
    decoder = small_model.decoder.model_copy(update={"queries": QUERIES})
    return random_network(small_model.model_copy(update={"decoder": decoder}), seed=0)


def test_other_weights_and_no_ticks_are_refused(network: Network, ticks: list[TickSample]) -> None:
    batches = subset_batches(network, ticks)
    assert check_parity(EagerBackend(network), network, batches) == 0
    with pytest.raises(InputError, match="parity of eager"):
        check_parity(EagerBackend(random_network(network.config, seed=1)), network, batches)
    nothing = collate([dataclasses.replace(ticks[0], cameras=(), lidar=None, radar=None)], network.config.batch)
    with pytest.raises(InputError, match="no tick with a sensor"):
        check_parity(EagerBackend(network), network, [nothing])


def test_one_query_of_fifty_may_differ_and_two_may_not(network: Network, ticks: list[TickSample]) -> None:
    batches = subset_batches(network, ticks)
    assert check_parity(ShiftedFutures(network, 1), network, batches) == 0
    for count, by_m in ((2, 1.0), (1, float("nan"))):
        with pytest.raises(InputError, match="mode_points_m off by"):
            check_parity(ShiftedFutures(network, count, by_m), network, batches)


def test_in_16_bits_a_tenth_of_the_numbers_may_differ(network: Network, ticks: list[TickSample]) -> None:
    batches = subset_batches(network, ticks)
    assert check_parity(ShiftedFutures(network, QUERIES // 20), network, batches, HALF) >= 1
    with pytest.raises(InputError, match="mode_points_m off by"):
        check_parity(ShiftedFutures(network, QUERIES // 5), network, batches, HALF)


def test_an_output_of_another_shape_is_refused(network: Network, ticks: list[TickSample]) -> None:
    class OneModeLess(EagerBackend):
        def __call__(self, batch: SensorBatch, memory: QueryMemory) -> tuple[QueryOutputs, QueryMemory]:
            outputs, memory = super().__call__(batch, memory)
            return dataclasses.replace(outputs, mode_logits=outputs.mode_logits[..., 1:]), memory

    with pytest.raises(InputError, match="mode_logits of shape"):
        check_parity(OneModeLess(network), network, subset_batches(network, ticks))
