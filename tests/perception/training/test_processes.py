"""Two processes under torchrun learn what one process learns from the same parts."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tricast.configs.errors import InputError
from tricast.perception.training.batches import BatchSource, TrainingBatches
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.processes import Processes
from tricast.perception.training.trainer import Trainer
from tricast.tools.demo import demo_log_path

STEPS = 3


def changed(config: TrainingRunConfig, **training: object) -> TrainingRunConfig:
    return config.model_copy(update={"training": config.training.model_copy(update=training)})


@pytest.fixture
def config(small_config: TrainingRunConfig) -> TrainingRunConfig:
    """Steps so small that sums in another order do not grow, and a row of the curve for each."""
    optimizer = small_config.training.optimizer.model_copy(update={"warmup_samples": 100_000})
    return changed(small_config, max_samples=4 * STEPS, batch_size=4, log_every_steps=1, optimizer=optimizer)


def train(config: TrainingRunConfig, out: Path, *launcher: str) -> list[dict[str, float]]:
    """`tricast train` on the demo log as a user runs it; gives the curve."""
    out.mkdir()
    values = {name: part for name, part in config.model_dump(mode="json").items() if name != "data"}
    (out / "config.yaml").write_text(yaml.safe_dump(values))
    command = ["-m", "tricast.tools.cli", "train", "--config", str(out / "config.yaml"), "--out", str(out / "run")]
    data = ["--data", str(demo_log_path()), "--shards", str(out.parent / "shards")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *launcher, *command, *data], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("done after") == 1  # one of the processes reports
    with (out / "run" / "train.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def test_two_processes_learn_the_same_as_one(config: TrainingRunConfig, tmp_path: Path) -> None:
    alone = train(changed(config, parts=2), tmp_path / "alone")
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    together = train(config, tmp_path / "together", *torchrun)
    whole = train(config, tmp_path / "whole")
    assert len(alone) == len(together) == STEPS
    for ours, theirs in zip(alone, together, strict=True):
        for name in ("loss", "heatmap", "classification_1", "center_1", "forecast", "depth", "gradient_norm"):
            assert theirs[name] == pytest.approx(ours[name], rel=1e-5), name
    # It is the parts that make them equal: a batch learned from as a whole has another loss.
    assert whole[0]["loss"] != pytest.approx(alone[0]["loss"], rel=1e-4)
    first, second = (load_file(tmp_path / run / "run" / "weights.safetensors") for run in ("alone", "together"))
    # How often statistics were updated is counted by the way, and used by nothing.
    for name in (name for name in first if not name.endswith("num_batches_tracked")):
        value = first[name]
        torch.testing.assert_close(second[name], value, rtol=1e-5, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


def source(shards: Path, config: TrainingRunConfig, **more: object) -> BatchSource:
    values: dict[str, object] = {
        "folder": shards,
        "scenes": ("demo",),
        "batch_size": 4,
        "seed": 0,
        "batch_config": config.model.batch,
        "augmentation": config.training.augmentation,
        "seed_jitter_m": 0.4,
        "memory": config.model.memory,
    }
    return BatchSource(**{**values, **more})  # type: ignore[arg-type]


def test_parts_make_up_the_batch_and_every_part_has_one_process(shards: Path, config: TrainingRunConfig) -> None:
    whole = TrainingBatches(source(shards, config))[1]
    parts = TrainingBatches(source(shards, config, parts=2))
    first, second = parts[2], parts[3]
    assert torch.equal(torch.cat([first.sensors.present, second.sensors.present]), whole.sensors.present)
    points = torch.cat([first.sensors.lidar_points, second.sensors.lidar_points])
    assert torch.equal(points, whole.sensors.lidar_points)
    numbers = [source(shards, config, parts=4, own_parts=own).numbers(range(1, 3)) for own in ((0, 2), (1, 3))]
    assert numbers == [[4, 6, 8, 10], [5, 7, 9, 11]]
    assert source(shards, config).numbers(range(3)) == [0, 1, 2]


@pytest.mark.parametrize(("parts", "count"), [(1, 3), (3, 1), (2, 4)])
def test_a_batch_that_cannot_be_shared_evenly_is_refused(
    shards: Path, config: TrainingRunConfig, tmp_path: Path, parts: int, count: int
) -> None:
    with pytest.raises(InputError, match=rf"4 samples in \d parts for {count} processes"):
        Trainer(
            changed(config, parts=parts),
            tmp_path,
            folder=shards,
            scenes=("demo",),
            processes=Processes(rank=0, count=count),
        )


def test_a_run_from_before_a_setting_existed_goes_on_with_its_default(
    shards: Path, config: TrainingRunConfig, tmp_path: Path
) -> None:
    def made(settings: TrainingRunConfig, *, resume: bool) -> Trainer:
        return Trainer(settings, tmp_path, folder=shards, scenes=("demo",), resume=resume, report=lambda line: None)

    made(config, resume=False).save()
    path = tmp_path / "checkpoint.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    began = json.loads(metadata["config"])
    del began["training"]["parts"], began["model"]["camera"]["pixel_patches"]
    save_file(load_file(path), path, metadata={**metadata, "config": json.dumps(began)})
    assert made(config, resume=True).progress.step == 0
    with pytest.raises(InputError, match=r"training\.parts: got 2 now; expected 1"):
        made(changed(config, parts=2), resume=True)
