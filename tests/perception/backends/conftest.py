"""The network that backends are tested on."""

import pytest

from tests.perception.backends.networks import random_network
from tricast.perception.model import ModelConfig, Network


@pytest.fixture
def network(small_model: ModelConfig) -> Network:
    return random_network(small_model, seed=0)
