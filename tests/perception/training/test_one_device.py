"""The whole training step keeps to one device, found without having one."""

import subprocess
import sys
from pathlib import Path


def _step(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.perception.training.fake_device_step", *arguments]
    root = Path(__file__).parents[3]
    return subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)


def test_a_training_step_keeps_to_one_device(shards: Path) -> None:
    done = _step(str(shards))
    assert done.stdout == "loss on absent, gradients on ['absent'], none for []\n", done.stderr[-2000:]


def test_a_parameter_left_on_the_cpu_is_found(shards: Path) -> None:
    done = _step(str(shards), "fusion.weights")
    assert done.returncode != 0
    assert "device" in done.stderr
