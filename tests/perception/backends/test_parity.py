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
    """The network with the futures of its first queries moved by a metre, in all or in the first few ticks."""

    def __init__(self, network: Network, count: int, by_m: float = 1.0, ticks: int | None = None) -> None:
        super().__init__(network)
        self.count, self.by_m, self.left = count, by_m, ticks

    def __call__(self, batch: SensorBatch, memory: QueryMemory) -> tuple[QueryOutputs, QueryMemory]:
        outputs, memory = super().__call__(batch, memory)
        if self.left is not None:
            if self.left == 0:
                return outputs, memory
            self.left -= 1
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


def test_one_query_of_fifty_may_differ_everywhere_and_two_may_not(network: Network, ticks: list[TickSample]) -> None:
    batches = subset_batches(network, ticks)
    assert check_parity(ShiftedFutures(network, 1), network, batches) == 0
    with pytest.raises(InputError, match=f"other outputs for {2 * len(batches)} of {QUERIES * len(batches)} queries"):
        check_parity(ShiftedFutures(network, 2), network, batches)
    with pytest.raises(InputError, match="mode_points_m that is no finite number"):
        check_parity(ShiftedFutures(network, 1, float("nan")), network, batches)


def test_a_tenth_of_the_queries_of_one_tick_may_differ_and_no_more(network: Network, ticks: list[TickSample]) -> None:
    """One that looks elsewhere carries others along; it is rare, so that other ticks have none."""
    batches = subset_batches(network, ticks)
    assert len(batches) >= 5
    assert check_parity(ShiftedFutures(network, QUERIES // 10, ticks=1), network, batches) == 0
    with pytest.raises(InputError, match="tick 0: got mode_points_m off by"):
        check_parity(ShiftedFutures(network, QUERIES // 10 + 1, ticks=1), network, batches)
    with pytest.raises(InputError, match="eager, 2 ticks: got other outputs for 5 of 100 queries"):
        check_parity(ShiftedFutures(network, QUERIES // 10, ticks=1), network, batches[:2])


class SwappedEnd(ShiftedFutures):
    """Besides, the last query starts elsewhere, in the first few ticks."""

    def __call__(self, batch: SensorBatch, memory: QueryMemory) -> tuple[QueryOutputs, QueryMemory]:
        swaps = self.left
        outputs, memory = super().__call__(batch, memory)
        if not swaps:
            return outputs, memory
        free = next(c for c in range(10_000) if c not in outputs.query_cells[0].tolist())
        cells = outputs.query_cells.clone()
        cells[:, -1] = free
        return dataclasses.replace(outputs, query_cells=cells), memory


def test_a_query_that_starts_elsewhere_may_move_all_others_of_one_tick_a_little(
    network: Network, ticks: list[TickSample]
) -> None:
    """Equal peaks at the end: rounding chooses, and the other queries attend to what it chose."""
    batches = subset_batches(network, ticks)
    assert len(batches) == 8
    assert check_parity(SwappedEnd(network, QUERIES, 0.1, ticks=1), network, batches) == 0
    with pytest.raises(InputError, match="8 ticks: got queries that start elsewhere in 2 of them"):
        check_parity(SwappedEnd(network, QUERIES, 0.1, ticks=2), network, batches)
    with pytest.raises(InputError, match="tick 0: got mode_points_m off by"):
        check_parity(SwappedEnd(network, QUERIES, 3.0, ticks=1), network, batches)
    with pytest.raises(InputError, match="tick 0: got mode_points_m off by"):
        check_parity(ShiftedFutures(network, QUERIES, 0.1, ticks=1), network, batches)  # none started elsewhere


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


def test_a_number_that_is_none_is_refused_in_16_bits_too(network: Network, ticks: list[TickSample]) -> None:
    backend = ShiftedFutures(network, 1, by_m=float("nan"))
    with pytest.raises(InputError, match="mode_points_m that is no finite number"):
        check_parity(backend, network, subset_batches(network, ticks), HALF)
