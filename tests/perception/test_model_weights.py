"""Weights carry their configuration, and what does not fit is refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tricast.configs.errors import InputError
from tricast.perception.model import ModelConfig, Network
from tricast.perception.model_weights import copy_weights, load_network, save_weights


@pytest.fixture
def network(small_model: ModelConfig) -> Network:
    return Network(small_model).eval()


def test_a_network_comes_back_to_the_bit_with_its_configuration(network: Network, tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", network)
    loaded = load_network(tmp_path / "w.safetensors")
    assert loaded.config == network.config and not loaded.training
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_half_precision_halves_the_file_and_loads_as_single(network: Network, tmp_path: Path) -> None:
    whole, half = tmp_path / "w.safetensors", tmp_path / "h.safetensors"
    save_weights(whole, network)
    save_weights(half, network, dtype=torch.float16)
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    loaded = load_network(half)
    for name, value in network.state_dict().items():
        assert loaded.state_dict()[name].dtype == value.dtype
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=1e-3, atol=1e-6)


def test_a_file_of_weights_may_be_read_by_whoever_reads_other_files(network: Network, tmp_path: Path) -> None:
    path, other = tmp_path / "w.safetensors", tmp_path / "other"
    path.with_name("w.safetensors.partial").touch(mode=0o600)  # as a run that was killed leaves it
    other.touch()
    save_weights(path, network)
    assert path.stat().st_mode == other.stat().st_mode
    assert {p.name for p in tmp_path.iterdir()} == {path.name, other.name}


def test_what_holds_no_weights_is_refused(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    with pytest.raises(InputError, match=r"w\.safetensors: got no readable weights"):
        load_network(path)
    path.write_bytes(b"noise" * 100)
    with pytest.raises(InputError, match="no readable weights"):
        load_network(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="another kind"):
        load_network(path)
    save_file({"a": torch.zeros(1)}, path, metadata={"format": "1", "model": '{"widht": 3}'})
    with pytest.raises(InputError, match="no readable configuration"):
        load_network(path)


def test_a_wrong_name_or_shape_is_named(network: Network, tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", network)
    tensors = load_file(tmp_path / "w.safetensors")
    first = sorted(tensors)[0]
    without = {name: value for name, value in tensors.items() if name != first}
    with pytest.raises(InputError, match=f"1 tensors missing and 0 unknown, e.g. {first}"):
        copy_weights(network, without, tmp_path)
    wrong = {**tensors, first: torch.zeros(7, 7, 7)}
    with pytest.raises(InputError, match=rf"{first} of shape \(7, 7, 7\)"):
        copy_weights(network, wrong, tmp_path)
