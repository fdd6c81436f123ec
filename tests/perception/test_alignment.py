"""Embeddings of each sensor alone, and heads that a network has only where it is told to."""

import dataclasses
import math

import pytest
import torch

from tricast.perception.collation import collate
from tricast.perception.heads.alignment import AlignmentConfig, AlignmentHeads
from tricast.perception.model import ModelConfig, Network
from tricast.perception.tick_sample import TickSample

CONFIG = AlignmentConfig(width=4, regions=2, channels=2)


@pytest.fixture
def network(small_model: ModelConfig) -> Network:
    torch.manual_seed(0)
    return Network(small_model.model_copy(update={"alignment": CONFIG})).eval()


def embeddings(network: Network, samples: list[TickSample]) -> torch.Tensor:
    assert network.alignment is not None
    with torch.no_grad():
        return network.alignment(network.encoded(collate(samples, network.config.batch)).bevs)


def test_a_network_has_no_heads_unless_it_is_told_to(small_model: ModelConfig, network: Network) -> None:
    plain, aligned = Network(small_model).state_dict(), network.state_dict()
    assert not any(name.startswith("alignment") for name in plain)
    assert {name for name in aligned if name not in plain} == {n for n in aligned if n.startswith("alignment.")}
    assert [name for name in aligned if name in plain] == list(plain)


def test_each_embedding_is_of_one_sensor_and_of_length_one(network: Network, ticks: list[TickSample]) -> None:
    whole = embeddings(network, ticks[:1])
    torch.testing.assert_close(whole.norm(dim=2), torch.ones(1, 3))
    changes = ({"cameras": ticks[1].cameras}, {"lidar": ticks[1].lidar}, {"radar": ticks[1].radar})
    for column, change in enumerate(changes):
        other = embeddings(network, [dataclasses.replace(ticks[0], **change)])
        same = torch.isclose(whole, other, atol=1e-6).all(dim=2)[0]
        assert same.tolist() == [n != column for n in range(3)]


def test_the_other_samples_of_a_batch_and_absent_sensors_change_nothing(
    network: Network, ticks: list[TickSample]
) -> None:
    lacking = dataclasses.replace(ticks[0], lidar=None)
    together = embeddings(network, [lacking, ticks[1], ticks[2]])
    torch.testing.assert_close(together[0, [0, 2]], embeddings(network, ticks[:1])[0, [0, 2]], atol=1e-5, rtol=1e-4)


def test_regions_tell_where_things_are() -> None:
    torch.manual_seed(0)
    heads = AlignmentHeads(CONFIG, 3)
    here, there = torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    here[:, :, 0, 0], there[:, :, 3, 3] = 5.0, 5.0
    assert not torch.allclose(heads((here,) * 3), heads((there,) * 3), atol=1e-2)


def test_the_temperature_is_learned_and_clamped() -> None:
    heads = AlignmentHeads(CONFIG, 3)
    assert float(1 / heads.scale.detach()) == pytest.approx(0.07)
    heads.scale.backward()
    assert heads.log_scale.grad is not None and heads.log_scale.grad > 0
    with torch.no_grad():
        heads.log_scale.fill_(math.log(1000))
    heads.cut_scale()
    assert float(heads.scale.detach()) == pytest.approx(100)


def test_a_temperature_at_its_cut_can_come_back() -> None:
    heads = AlignmentHeads(CONFIG, 3)
    with torch.no_grad():
        heads.log_scale.fill_(math.log(1000))
    heads.cut_scale()
    heads.scale.backward()
    assert heads.log_scale.grad is not None and float(heads.log_scale.grad) == pytest.approx(100)
