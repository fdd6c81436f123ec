"""The mean of weights, number by number."""

from pathlib import Path

import pytest
import torch

from tricast.perception.detectors.network_config import weights_path
from tricast.perception.model import ModelConfig, Network
from tricast.perception.model_weights import read_tensors, save_weights
from tricast.tools.average_weights import main


def saved(path: Path, config: ModelConfig, value: float) -> str:
    network = Network(config)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)
    save_weights(path, network)
    return str(path)


def test_every_parameter_is_the_mean(tmp_path: Path) -> None:
    files = [saved(tmp_path / f"{value}.safetensors", ModelConfig(), value) for value in (1.0, 2.0, 6.0)]
    assert main([str(tmp_path / "mean.safetensors"), *files]) == 0
    mean = read_tensors(tmp_path / "mean.safetensors")
    for name, _ in Network(ModelConfig()).named_parameters():
        assert (mean[name] == 3.0).all()
    # The mean of one file is that file.
    assert main([str(tmp_path / "same.safetensors"), files[1]]) == 0
    one, same = read_tensors(Path(files[1])), read_tensors(tmp_path / "same.safetensors")
    assert one.keys() == same.keys()
    assert all(torch.equal(value, same[name]) for name, value in one.items())


def test_packaged_weights_go_by_their_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "same.safetensors"), "tiny"]) == 0
    packaged, same = read_tensors(weights_path("tiny")), read_tensors(tmp_path / "same.safetensors")
    assert all(torch.equal(value, same[name]) for name, value in packaged.items())
    assert main([str(tmp_path / "none.safetensors"), "tiny", "tinny"]) == 2
    assert "tinny" in capsys.readouterr().err


def test_weights_of_another_network_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = saved(tmp_path / "one.safetensors", ModelConfig(), 1.0)
    other = saved(tmp_path / "other.safetensors", ModelConfig(fusion="late"), 1.0)
    assert main([str(tmp_path / "mean.safetensors"), one, other]) == 2
    assert f"{other}: got another configuration than in {one}" in capsys.readouterr().err
    assert not (tmp_path / "mean.safetensors").exists()


def test_where_the_mean_goes_is_looked_at_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path), "tinny"]) == 2
    assert f"OUT: got the folder {tmp_path}; expected a file" in capsys.readouterr().err
    assert main([str(tmp_path / "file" / "mean.safetensors"), "tinny"]) == 2
    assert "expected a folder that can be written" in capsys.readouterr().err
    assert main([str(tmp_path / "new" / "mean.safetensors"), "tiny"]) == 0
    assert (tmp_path / "new" / "mean.safetensors").is_file()


def test_weights_are_not_written_over_where_the_file_to_write_was_forgotten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (saved(tmp_path / f"{value}.safetensors", ModelConfig(), value) for value in (1.0, 2.0))
    before = Path(one).read_bytes()
    assert main([one, two]) == 2
    assert f"OUT: got {one}, which is there already; expected a new file" in capsys.readouterr().err
    assert Path(one).read_bytes() == before
