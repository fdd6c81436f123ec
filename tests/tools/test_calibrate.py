"""`tricast calibrate` as a user runs it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tricast.perception.detectors.network_config import weights_path
from tricast.perception.model import ModelConfig, Network
from tricast.perception.model_weights import load_network, read_score_scales, save_weights
from tricast.perception.tick_sample import SampleConfig
from tricast.sensors.frames import CameraFrame
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.writer import LogWriter
from tricast.sensors.synthetic.world_config import load_world
from tricast.tools.cli import main
from tricast.tools.demo import demo_log_path
from tricast.tools.make_shards import shards_of_logs, world_source


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    shards_of_logs([demo_log_path()], folder, SampleConfig(), source="logs")
    return folder


def test_numbers_are_fitted_and_written_beside_the_same_tensors(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "calibrated.safetensors"
    command = ["calibrate", "tiny", "--shards", str(shards), "--ticks", "3", "--threads", "1", "--out", str(out)]
    assert main([*command, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    scales = read_score_scales(out)
    assert "camera+lidar+radar" in scales
    for name, fit in told.items():
        assert (fit["scale"] is not None) == (name in scales)
    everything = told["camera+lidar+radar"]
    assert everything["error_after"] < everything["error_before"]
    assert scales["camera+lidar+radar"].temperature == pytest.approx(everything["scale"]["temperature"])
    before, after = load_file(weights_path("tiny")), load_file(out)
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_what_cannot_be_fitted_stays_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, out = open_log(demo_log_path()), tmp_path / "calibrated.safetensors"
    with LogWriter(tmp_path / "no_camera.mcap", log.rig) as writer:
        for message in log.messages():
            if not isinstance(message, CameraFrame):
                writer.write(message)
    given = ["--data", str(tmp_path / "no_camera.mcap"), "--shards", str(tmp_path / "shards"), "--threads", "1"]
    assert main(["calibrate", "tiny", *given, "--out", str(out)]) == 0
    assert capsys.readouterr().out.endswith(f"3 of 7 in {out}, 4 as they were\n")
    before, after = read_score_scales(weights_path("tiny")), read_score_scales(out)
    assert after.keys() == before.keys()
    assert {name for name in before if after[name] == before[name]} == {name for name in before if "camera" in name}


@pytest.mark.slow
def test_an_evaluation_with_calibrated_weights_has_a_smaller_calibration_error(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, out, log = tmp_path / "plain.safetensors", tmp_path / "calibrated.safetensors", str(demo_log_path())
    save_weights(plain, load_network(weights_path("tiny")))  # the packaged ones are calibrated already
    assert main(["calibrate", str(plain), "--shards", str(shards), "--out", str(out)]) == 0
    capsys.readouterr()
    alone = tmp_path / "alone.yaml"  # a calibration keeps the order of what the detector says; tracks begin by scores
    alone.write_text("detector: network\nrefinement: {place_share: 0, score_share: 0, unclaimed_share: 1}\n")
    summaries, how = [], ["--config", str(alone), "--sensors", "camera,lidar", "--json"]
    for weights in (plain, out):
        assert main(["evaluate", log, "--weights", str(weights), *how]) == 0
        summaries.append(json.loads(capsys.readouterr().out))
    assert summaries[1]["calibration"]["ECE"] < 0.5 * summaries[0]["calibration"]["ECE"]
    assert summaries[1]["detection"]["mAP"] == pytest.approx(summaries[0]["detection"]["mAP"])


def untrained(folder: Path, config: ModelConfig | None = None) -> Path:
    save_weights(folder / "w.safetensors", Network(config or ModelConfig()))
    return folder / "w.safetensors"


def test_scenes_that_were_trained_on_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = tmp_path / "000005.mcap"
    scene.symlink_to(demo_log_path())
    shards_of_logs([scene], tmp_path / "s", SampleConfig(), source=world_source(load_world("standard")))
    assert main(["calibrate", str(untrained(tmp_path)), "--shards", str(tmp_path / "s")]) == 2
    error = capsys.readouterr().err
    assert "1 scenes that are not for validation, e.g. 000005" in error
    assert error.count("\n") == 1


def test_a_network_that_finds_nothing_is_not_calibrated(
    shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, path = Network(ModelConfig()), tmp_path / "w.safetensors"
    for name, values in network.named_parameters():
        if name.endswith(("classes.bias", "logits.bias")):
            torch.nn.init.constant_(values, -30)
    save_weights(path, network)
    before = path.read_bytes()
    assert main(["calibrate", str(path), "--shards", str(shards), "--ticks", "1", "--threads", "1"]) == 2
    assert "no subset of sensors with enough boxes" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tiny"], "--out: got none, for the packaged weights 'tiny'"),
        (["nowhere.safetensors"], "nowhere.safetensors"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    shards: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["calibrate", *arguments, "--shards", str(shards)]) == 2
    assert said in capsys.readouterr().err
