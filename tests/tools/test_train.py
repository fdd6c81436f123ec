"""`tricast train` as a user runs it: stages, stops, and what it refuses."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from tricast.configs.strict import resolve_config_path
from tricast.perception.detectors.network_config import weights_path
from tricast.perception.model_weights import load_network
from tricast.perception.tick_sample import SampleConfig
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.shards import ShardSet
from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig
from tricast.sensors.frames import EgoPose, LidarSweep
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import Message
from tricast.sensors.log.writer import LogWriter
from tricast.sensors.synthetic.world_config import load_world
from tricast.tools.cli import main
from tricast.tools.demo import demo_log_path
from tricast.tools.make_shards import shards_of_logs, world_source

SMALL = {
    "model": {
        "batch": {"range_m": 25.6, "cells": 32, "image_size_px": [96, 64], "depth_bins": 4},
        "camera": {"stem_width": 8, "width": 16, "token_width": 24, "heads": 2, "blocks": 1},
        "lidar": {"point_width": 16, "fine_width": 16},
        "decoder": {"width": 32, "heads": 2, "layers": 1, "queries": 40},
        "width": 16,
        "trunk_blocks": 1,
        "heatmap_width": 16,
    },
    "training": {"threads": 1, "loading_processes": 0, "batch_size": 2, "log_every_steps": 1},
}


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return str(path)


def train(config: str, out: Path, *more: str) -> int:
    return main(["train", "--config", config, "--out", str(out), "--data", str(demo_log_path()), *more])


def test_stages_resume_and_start_from_each_other(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, shards = tmp_path / "first", ("--shards", str(tmp_path / "shards"))
    assert train(config, first, *shards, "--max-samples", "2") == 0
    assert "done after 2 samples" in capsys.readouterr().out
    assert train(config, first, *shards, "--max-samples", "4", "--resume") == 0
    assert "done after 4 samples" in capsys.readouterr().out
    second = tmp_path / "second"
    assert train(config, second, *shards, "--max-samples", "2", "--init", str(first / "weights.safetensors")) == 0
    assert load_network(second / "weights.safetensors").config.decoder.queries == 40
    assert yaml.safe_load((second / "config.yaml").read_text())["training"]["max_samples"] == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--resume"], "no checkpoint; expected a checkpoint to resume"),
        (["--max-samples", "0"], "max_samples"),
        (["--config", "nowhere"], "no packaged configuration"),
        (
            ["--seeds", "99990", "100010"],
            "data.worlds, standard: train_seeds: got 99990 to 100010; expected a range",
        ),
        (["--seeds", "10", "5"], "train_seeds: got 10 to 5; expected a range"),
        (["--seeds", "5", "5"], "no scenes to learn from"),
        (
            ["--init", "missing.safetensors"],
            "got 'missing.safetensors', which is not there; expected a .safetensors file",
        ),
        (["--camera-weights", "missing.safetensors"], "weights of a ViT, missing.safetensors: got no readable weights"),
    ],
)
def test_what_cannot_be_trained_is_said_in_one_line(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    chosen = ["--data", str(demo_log_path())] if "--seeds" not in arguments else []
    assert main(["train", "--config", config, "--out", str(tmp_path / "run"), *chosen, *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_said_before_shards_are_made(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {**SMALL, "training": {**SMALL["training"], "device": "cuda"}}
    Path(config).write_text(yaml.safe_dump(settings))
    assert train(config, tmp_path / "out") == 2
    assert "training.device" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_and_no_time_are_refused(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert train(config, tmp_path / "file") == 2
    assert f"--out {tmp_path / 'file'}" in capsys.readouterr().err
    assert train(config, tmp_path / "out", "--shards", str(tmp_path / "file" / "shards")) == 2
    assert f"shards in {tmp_path / 'file' / 'shards'}" in capsys.readouterr().err
    (tmp_path / "out" / "config.yaml.partial").mkdir(parents=True)
    assert train(config, tmp_path / "out", "--data", str(demo_log_path())) == 2
    assert f"{tmp_path / 'out' / 'config.yaml'}: got Is a directory" in capsys.readouterr().err
    for minutes in ("-5", "nan"):
        with pytest.raises(SystemExit) as ended:
            train(config, tmp_path / "out", "--minutes", minutes)
        assert ended.value.code == 2
        assert "expected more than 0" in capsys.readouterr().err


def test_a_run_that_has_begun_is_not_written_over(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"")
    assert train(config, tmp_path / "run") == 2
    assert "add --resume to go on" in capsys.readouterr().err


def test_a_run_that_diverges_ends_in_one_line_with_its_losses(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hot = {**SMALL["training"], "optimizer": {"learning_rate": 1e12, "warmup_samples": 0, "final_share": 1.0}}
    Path(config).write_text(yaml.safe_dump({**SMALL, "training": hot}))
    assert train(config, tmp_path / "run", "--max-samples", "40") == 2
    error = capsys.readouterr().err
    assert "tricast: error: training, step " in error and "heatmap" in error and "expected finite ones" in error
    assert error.count("\n") == 1


def test_weights_whose_checkpoint_is_gone_are_not_written_over(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "run" / "weights.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"of hours")
    assert train(config, tmp_path / "run") == 2
    assert "got weights of a run without its checkpoint" in capsys.readouterr().err
    assert train(config, tmp_path / "run", "--resume") == 2
    assert "begin another run from its weights, with --init" in capsys.readouterr().err
    assert weights.read_bytes() == b"of hours"


def test_other_settings_are_refused_before_anything_is_made_for_them(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert train(config, run, "--max-samples", "2") == 0
    stated, other = (run / "config.yaml").read_bytes(), tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump({**SMALL, "training": {**SMALL["training"], "batch_size": 1}}))
    capsys.readouterr()
    assert train(str(other), run, "--resume") == 2
    assert "training.batch_size: got 1 now; expected 2, as the run began" in capsys.readouterr().err
    scenes = ["train", "--config", config, "--out", str(run), "--resume", "--seeds", "0", "600"]
    assert main(scenes) == 2
    error = capsys.readouterr().err
    assert "shards.scenes: got 600 entries, 'standard/000000' to 'standard/000599' now" in error
    assert "expected ['logs/demo'], as the run began" in error and "rendering" not in error
    assert (run / "config.yaml").read_bytes() == stated
    assert not (run / "shards" / "train" / "standard").exists()


def test_a_run_is_scored_once_at_its_end(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = ("--shards", str(tmp_path / "shards"))
    worlds = [{"world": "standard", "train_seeds": [0, 1], "validation_seeds": [100_000, 100_001]}]
    watched = {"every_samples": 2, "ticks": 1, "subset_ticks": 0}
    settings = {**SMALL, "data": {"worlds": worlds}, "training": {**SMALL["training"], "validation": watched}}
    Path(config).write_text(yaml.safe_dump(settings))
    # Shards of the demo log stand for rendered scenes.
    for part, name in (("train", "000000"), ("validation", "100000")):
        folder, world = tmp_path / "shards" / part / "standard", load_world("standard")
        shards_of_logs([demo_log_path()], folder, SampleConfig(), source=world_source(world))
        (folder / "demo.safetensors").rename(folder / f"{name}.safetensors")
    command = ["train", "--config", config, "--out", str(tmp_path / "run"), *shards, "--max-samples", "4"]
    assert main(command) == 0
    assert capsys.readouterr().out.count("4 samples, validation") == 1
    assert main([*command, "--resume"]) == 0
    with (tmp_path / "run" / "validation.csv").open(newline="") as file:
        assert [row["samples"] for row in csv.DictReader(file)] == ["2", "4"]


def test_seeds_on_the_command_line_are_for_one_world(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump({**SMALL, "data": {"worlds": [{"world": "standard"}, {"world": "realistic"}]}}))
    assert main(["train", "--config", str(path), "--out", str(tmp_path / "run"), "--seeds", "0", "1"]) == 2
    assert "--seeds: got seeds for 2 worlds; expected a configuration with one world" in capsys.readouterr().err
    path.write_text(yaml.safe_dump({**SMALL, "data": {"worlds": [{"world": "standard"}, {"world": "standard"}]}}))
    assert main(["train", "--config", str(path), "--out", str(tmp_path / "run")]) == 2
    assert "one world or several different ones, got ['standard', 'standard']" in capsys.readouterr().err


def part_of_demo(path: Path, wanted: Callable[[Message], bool], rig: Rig) -> Path:
    """A log with some of the demo log's messages, from a vehicle with this rig."""
    with LogWriter(path, rig) as writer:
        for message in open_log(demo_log_path()).messages():
            if wanted(message):
                writer.write(message)
    return path


def lidar_alone(path: Path) -> Path:
    """The demo log from a vehicle with nothing but a LiDAR, mounted elsewhere."""
    lidar = open_log(demo_log_path()).rig["LIDAR_TOP"]
    moved = replace(lidar, ego_from_sensor=SE3(translation_m=(0.5, 0.2, 2.5)))
    return part_of_demo(path, lambda m: isinstance(m, LidarSweep | EgoPose | Annotations), Rig.of([moved]))


def test_packaged_weights_are_taken_further_on_logs_of_other_rigs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "quick.yaml"
    quick = {"sequence_ticks": 1, "batch_size": 2, "threads": 1, "loading_processes": 0, "log_every_steps": 1}
    chosen = yaml.safe_load(resolve_config_path("fine_tuning", TrainingRunConfig).read_text())
    path.write_text(yaml.safe_dump({**chosen, "training": {**chosen["training"], **quick}}))
    logs = [str(demo_log_path()), str(lidar_alone(tmp_path / "other.mcap"))]
    run = tmp_path / "run"
    command = ["train", "--config", str(path), "--init", "tiny", "--out", str(run), "--max-samples", "4"]
    assert main([*command, "--data", *logs]) == 0
    said = capsys.readouterr().out
    assert "done after 4 samples" in said and "start anew" not in said
    assert ShardSet(run / "shards" / "train").scene_names == ("logs/demo", "logs/other")
    before, after = load_network(weights_path("tiny")), load_network(run / "weights.safetensors")
    steps = [(a - b).abs().max() for a, b in zip(after.parameters(), before.parameters(), strict=True)]
    assert 0 < max(steps) < 1e-3


def test_logs_that_cannot_be_learned_from_are_named(
    config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rig = open_log(demo_log_path()).rig
    blind = part_of_demo(tmp_path / "blind.mcap", lambda m: not isinstance(m, Annotations), rig)
    (tmp_path / "copy").mkdir()
    twin = shutil.copy(demo_log_path(), tmp_path / "copy" / "demo.mcap")
    long = tmp_path / "long.yaml"
    long.write_text(yaml.safe_dump({**SMALL, "training": {"sequence_ticks": 7, "threads": 1}}))
    cases = [
        ([str(blind)], f"{blind}: got no tick with truth; expected a log with annotations"),
        ([str(blind)], f"{blind}: got no tick with truth"),  # also when it was tried before
        ([str(twin)], f"{twin}: got another log called 'demo', beside {demo_log_path()}"),
        ([str(tmp_path / "gone.mcap")], f"{tmp_path / 'gone.mcap'}: got No such file"),
        (["--config", str(long)], "got scenes of at most 6 ticks with truth, 0.5 s apart; expected one of 7 ticks"),
    ]
    for more, said in cases:
        assert train(config, tmp_path / "run", *more) == 2, said
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert not (tmp_path / "run" / "checkpoint.safetensors").exists()


def test_what_a_damaged_log_has_lost_is_said(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = demo_log_path().read_bytes()
    (tmp_path / "cut.mcap").write_bytes(data[: int(0.6 * len(data))])
    command = ["train", "--config", config, "--out", str(tmp_path / "run"), "--data", str(tmp_path / "cut.mcap")]
    assert main([*command, "--max-samples", "2"]) == 0
    assert f"tricast: warning: {tmp_path / 'cut.mcap'}" in capsys.readouterr().err


def test_logs_and_seeds_exclude_each_other(config: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        train(config, tmp_path / "run", "--seeds", "0", "1")
    assert ended.value.code == 2
    assert "argument --seeds: not allowed with argument --data" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_learns_from_several_worlds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    worlds = [
        {"world": "standard", "train_seeds": [0, 1], "validation_seeds": [100_000, 100_001]},
        {"world": "realistic", "train_seeds": [5, 6], "validation_seeds": [100_000, 100_000]},
    ]
    path, run = tmp_path / "two.yaml", tmp_path / "run"
    path.write_text(yaml.safe_dump({**SMALL, "data": {"worlds": worlds}}))
    assert main(["train", "--config", str(path), "--out", str(run), "--max-samples", "4"]) == 0
    assert "done after 4 samples" in capsys.readouterr().out
    assert ShardSet(run / "shards" / "train").scene_names == ("realistic/000005", "standard/000000")
    assert ShardSet(run / "shards" / "validation").scene_names == ("standard/100000",)


@pytest.mark.slow
def test_sigterm_leaves_a_checkpoint_from_which_the_run_goes_on(tmp_path: Path) -> None:
    # As `timeout` and job schedulers do it: all processes of the group are told, those that make batches too.
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({**SMALL, "training": {**SMALL["training"], "loading_processes": 1}}))
    command = [
        sys.executable,
        "-m",
        "tricast.tools.cli",
        "train",
        "--config",
        str(config),
        "--out",
        str(tmp_path / "run"),
    ]
    command += ["--data", str(demo_log_path()), "--max-samples", "4000"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True)
    deadline_s = time.monotonic() + 300
    while not (tmp_path / "run" / "train.csv").exists() and time.monotonic() < deadline_s:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGTERM)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0 and "stopped; --resume goes on" in said
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()
    resumed = subprocess.run([*command, "--resume", "--minutes", "0.01"], capture_output=True, text=True, check=False)
    assert resumed.returncode == 0, resumed.stderr
