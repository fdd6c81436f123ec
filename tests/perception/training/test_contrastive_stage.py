"""The contrastive stage learns, resumes to the bit, hands its encoders on, and refuses what it cannot do."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.perception.training.test_trainer import STILL, assert_same_bits, curve, stop_after
from tricast.configs.errors import InputError
from tricast.configs.strict import parse_config
from tricast.perception.model import Network
from tricast.perception.model_weights import load_network, save_weights
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.contrastive_stage import retrieval_figures
from tricast.perception.training.shards import ShardSet
from tricast.perception.training.trainer import Trainer
from tricast.tools.measure_retrieval import main

ALIGNMENT = {"width": 16, "regions": 4, "channels": 4}


@pytest.fixture
def config(small_config: TrainingRunConfig) -> TrainingRunConfig:
    values = small_config.model_dump()
    values["model"]["alignment"] = ALIGNMENT
    changes = {
        "objective": "contrastive",
        "batch_size": 6,
        "max_samples": 180,
        "log_every_steps": 3,
        "augmentation": STILL.model_dump(),
    }
    values["training"].update(changes)
    return parse_config(TrainingRunConfig, values, where="test")


def trainer(config: TrainingRunConfig, out: Path, shards: Path, *, resume: bool = False) -> Trainer:
    out.mkdir(exist_ok=True)
    held = ShardSet(shards)
    return Trainer(
        config, out, folder=shards, scenes=("demo",), validation=held, report=lambda line: None, resume=resume
    )


def test_it_learns_which_ticks_belong_together(
    config: TrainingRunConfig, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trainer(config, tmp_path, shards)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    assert run.run()
    moved = {n.split(".")[0] for n, v in run.model.state_dict().items() if not torch.equal(v, before[n])}
    encoders = {"camera_encoder", "camera_lift", "lidar_encoder", "radar_encoder", "picture_head", "alignment"}
    assert encoders <= moved and "decoder" not in moved
    losses = [float(row["alignment camera-lidar"]) for row in curve(tmp_path / "train.csv")]
    assert losses[-1] < 0.6 * losses[0], losses
    figures = retrieval_figures(run.average.model, ShardSet(shards), range(6))
    assert len(figures) == 6 and figures["recall camera to lidar"][1] == 6
    assert (
        run.validate()["recall lidar to camera"]
        == retrieval_figures(run.average.model, ShardSet(shards), [0, 5])["recall lidar to camera"][0]
    )
    arguments = ["--shards", str(shards), "--weights", str(tmp_path / "weights.safetensors"), "--ticks", "3"]
    assert main(arguments) == 0
    assert "camera to lidar" in capsys.readouterr().out


def test_heads_are_added_to_weights_that_stay_as_they_are(
    config: TrainingRunConfig, shards: Path, tmp_path: Path
) -> None:
    start = Network(config.model)
    save_weights(tmp_path / "start.safetensors", start)
    settings = config.training.model_copy(update={"heads_only": True, "max_samples": 60})
    run = trainer(config.model_copy(update={"training": settings}), tmp_path / "run", shards)
    run.start_from(tmp_path / "start.safetensors")
    assert run.run()
    after, before = load_file(tmp_path / "run" / "weights.safetensors"), start.state_dict()
    moved = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved == {"alignment"}
    losses = [float(row["alignment camera-lidar"]) for row in curve(tmp_path / "run" / "train.csv")]
    assert losses[-1] < losses[0], losses


def test_a_run_that_was_cut_goes_on_to_the_bit(config: TrainingRunConfig, shards: Path, tmp_path: Path) -> None:
    values = config.model_dump()
    values["training"].update({"batch_size": 2, "max_samples": 8})
    config = parse_config(TrainingRunConfig, values, where="test")
    trainer(config, tmp_path / "whole", shards).run()
    trainer(config, tmp_path / "parts", shards).run(stop=stop_after(2))
    trainer(config, tmp_path / "parts", shards, resume=True).run()
    whole = load_file(tmp_path / "whole" / "checkpoint.safetensors")
    assert_same_bits(whole, load_file(tmp_path / "parts" / "checkpoint.safetensors"))


def test_no_step_leaves_the_temperature_beyond_its_cut(config: TrainingRunConfig, shards: Path, tmp_path: Path) -> None:
    short = config.model_copy(update={"training": config.training.model_copy(update={"max_samples": 6})})
    run = trainer(short, tmp_path, shards)
    assert run.model.alignment is not None
    with torch.no_grad():
        run.model.alignment.log_scale.fill_(math.log(1000))
    run.run()
    assert float(run.model.alignment.scale.detach()) == pytest.approx(100)


def test_a_stage_with_everything_begins_with_its_encoders_and_without_its_heads(
    config: TrainingRunConfig, small_config: TrainingRunConfig, shards: Path, tmp_path: Path
) -> None:
    short = config.model_copy(update={"training": config.training.model_copy(update={"max_samples": 6})})
    trainer(short, tmp_path / "first", shards).run()
    weights = tmp_path / "first" / "weights.safetensors"
    following = trainer(small_config, tmp_path / "second", shards)
    following.start_from(weights)
    assert following.model.alignment is None
    taken = load_network(weights).state_dict()
    for name, value in following.model.state_dict().items():
        assert torch.equal(value, taken[name]), name


def test_it_needs_heads_and_whole_batches(small_config: TrainingRunConfig) -> None:
    values = small_config.model_dump()
    values["training"]["objective"] = "contrastive"
    with pytest.raises(InputError, match="needs heads"):
        parse_config(TrainingRunConfig, values, where="test")
    values["model"]["alignment"] = ALIGNMENT
    values["training"]["parts"] = 2
    with pytest.raises(InputError, match="compares all samples of a batch"):
        parse_config(TrainingRunConfig, values, where="test")


def test_weights_without_heads_are_refused(small_config: TrainingRunConfig, shards: Path) -> None:
    with pytest.raises(InputError, match="without heads for alignment"):
        retrieval_figures(Network(small_config.model).eval(), ShardSet(shards), [0])
