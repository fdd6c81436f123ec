"""The comparison of fusions on a handful of samples: whole, stopped and gone on with, and what it refuses."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.tools.test_train import SMALL
from tricast.perception.model import ModelConfig
from tricast.perception.model_weights import load_network
from tricast.tools.compare_fusion import main
from tricast.tools.demo import demo_log_path
from tricast.tools.make_shards import shards_of_logs


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration and shards of the demo log, to learn from and to be scored on."""
    folder = tmp_path_factory.mktemp("comparison")
    sample = ModelConfig.model_validate(SMALL["model"]).sample
    shards_of_logs([demo_log_path()], folder / "shards" / "train", sample, source="demo")
    shutil.copytree(folder / "shards" / "train", folder / "shards" / "validation")
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    return folder


def compare(given: Path, out: Path, *more: str) -> int:
    paths = ["--shards", str(given / "shards"), "--out", str(out), "--config", str(given / "small.yaml")]
    return main([*paths, "--ticks", "1", *more])


def test_what_is_done_is_kept_and_what_was_stopped_goes_on(given: Path, tmp_path: Path, capsys) -> None:
    assert compare(given, tmp_path, "--samples", "4", "--variants", "early") == 0
    before = (tmp_path / "early" / "weights.safetensors").stat().st_mtime_ns
    assert "| early | fusion: early, by concatenation |" in capsys.readouterr().out
    assert compare(given, tmp_path, "--samples", "4", "--variants", "early", "late", "--minutes", "0") == 0
    assert "stopped at 'late'" in capsys.readouterr().out
    assert not (tmp_path / "late" / "figures.json").exists()
    assert compare(given, tmp_path, "--samples", "4", "--variants", "early", "late") == 0
    assert (tmp_path / "early" / "weights.safetensors").stat().st_mtime_ns == before
    table = json.loads((tmp_path / "table.json").read_text())
    assert list(table["variants"]) == ["early", "late"] and table["samples"] == 4
    assert load_network(tmp_path / "late" / "weights.safetensors").config.fusion == "late"
    assert compare(given, tmp_path, "--samples", "6", "--variants", "early") == 2
    assert "figures of a comparison with other settings" in capsys.readouterr().err


@pytest.mark.slow
def test_every_variant_is_trained_and_scored(given: Path, tmp_path: Path, capsys) -> None:
    assert compare(given, tmp_path, "--samples", "8") == 0
    table = (tmp_path / "table.md").read_text()
    assert "no difference within their spread" in table
    for name in ("default", "default-seed-1", "default-seed-2", "co-attention", "learned-queries", "no-memory"):
        assert f"| {name} |" in table
    assert "| spread of the seeds | largest less smallest |" in table


def test_a_variant_that_is_none_is_refused(given: Path, tmp_path: Path, capsys) -> None:
    assert compare(given, tmp_path, "--variants", "middle") == 2
    assert "got middle; expected default, " in capsys.readouterr().err


def test_all_may_begin_with_one_camera_encoder(given: Path, tmp_path: Path, capsys) -> None:
    assert compare(given, tmp_path / "a", "--samples", "2", "--variants", "default") == 0
    start = ["--camera-init", str(tmp_path / "a" / "default" / "weights.safetensors")]
    assert compare(given, tmp_path / "b", "--samples", "2", "--variants", "late", *start) == 0
    assert "start anew" not in capsys.readouterr().out
