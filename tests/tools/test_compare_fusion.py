"""The comparison of fusions on a handful of samples: whole, stopped and gone on with, and what it refuses."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file

from tests.tools.test_train import SMALL
from tricast.perception.model import ModelConfig
from tricast.perception.model_weights import load_network
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.variants import variants_of
from tricast.tools.compare_fusion import main
from tricast.tools.demo import demo_log_path
from tricast.tools.make_shards import shards_of_logs

NO_TIME = ("--minutes", "1e-9")


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
    assert compare(given, tmp_path, "--samples", "4", "--variants", "early", "late", *NO_TIME) == 0
    assert "stopped at 'late'" in capsys.readouterr().out
    assert not (tmp_path / "late" / "figures.json").exists()
    assert compare(given, tmp_path, "--samples", "4", "--variants", "early", "late") == 0
    assert (tmp_path / "early" / "weights.safetensors").stat().st_mtime_ns == before
    table = json.loads((tmp_path / "table.json").read_text())
    assert list(table["variants"]) == ["early", "late"] and table["samples"] == 4
    assert load_network(tmp_path / "late" / "weights.safetensors").config.fusion == "late"
    assert compare(given, tmp_path, "--samples", "6", "--variants", "early") == 2
    assert "figures of a comparison with other settings" in capsys.readouterr().err


def test_figures_of_before_hold_where_a_variant_uses_nothing_newer(given: Path, tmp_path: Path) -> None:
    assert compare(given, tmp_path, "--samples", "2", "--variants", "default", "no-denoising") == 0
    settings = {
        name: json.loads((tmp_path / name / "figures.json").read_text())["settings"]
        for name in ("default", "no-denoising")
    }
    assert set(settings["default"]) == {"model", "training", "camera_init"}
    assert "denoising" not in settings["default"]["training"]
    assert settings["no-denoising"]["training"] == {**settings["default"]["training"], "denoising": False}


def test_a_variant_of_two_stages_goes_on_where_it_was_stopped_and_ends_the_same(
    given: Path, tmp_path: Path, capsys
) -> None:
    command = ["--samples", "32", "--variants", "contrastive"]
    assert compare(given, tmp_path, *command, *NO_TIME) == 0
    assert "stopped at 'contrastive'" in capsys.readouterr().out
    run = tmp_path / "contrastive"
    assert (run / "first-stage" / "checkpoint.safetensors").exists() and not (run / "checkpoint.safetensors").exists()
    assert compare(given, tmp_path, *command) == 0
    assert "| contrastive | a contrastive stage first |" in capsys.readouterr().out
    known, trained = (run / "figures.json").read_text(), load_file(run / "weights.safetensors")
    seen = {name: samples_of(folder) for name, folder in (("first", run / "first-stage"), ("after", run))}
    assert seen == {"first": 8, "after": 24}

    for name in ("figures.json", "checkpoint.safetensors"):
        (run / name).unlink()
    assert compare(given, tmp_path, *command, *NO_TIME) == 0
    begun, aligned = load_file(run / "weights.safetensors"), load_file(run / "first-stage" / "weights.safetensors")
    assert {name.split(".")[0] for name in set(aligned) - set(begun)} == {"alignment"}
    assert all(torch.equal(value, aligned[name]) for name, value in begun.items())
    assert compare(given, tmp_path, *command) == 0
    assert (run / "figures.json").read_text() == known
    again = load_file(run / "weights.safetensors")
    assert all(torch.equal(value, again[name]) for name, value in trained.items())


def samples_of(run: Path) -> int:
    with safe_open(run / "weights.safetensors", framework="pt") as file:
        return int(file.metadata()["samples"])


def test_what_has_begun_is_not_given_another_plan(given: Path, tmp_path: Path, capsys) -> None:
    assert compare(given, tmp_path, "--samples", "32", "--variants", "contrastive", *NO_TIME) == 0
    assert compare(given, tmp_path, "--samples", "64", "--variants", "contrastive") == 2
    assert "first-stage/config.yaml: got a training of 8 samples that has begun" in capsys.readouterr().err
    assert compare(given, tmp_path, "--samples", "32", "--variants", "late", *NO_TIME) == 0
    assert compare(given, tmp_path, "--samples", "64", "--variants", "late") == 2
    assert "late/config.yaml: got a training of 32 samples that has begun" in capsys.readouterr().err
    assert compare(given, tmp_path, "--samples", "8", "--variants", "contrastive") == 2
    assert "expected 32 or more, for one batch of it; give more samples" in capsys.readouterr().err


@pytest.mark.parametrize("minutes", ["-1", "0", "nan", "inf"])
def test_a_time_that_is_none_is_refused(given: Path, tmp_path: Path, capsys, minutes: str) -> None:
    with pytest.raises(SystemExit) as ended:
        compare(given, tmp_path / "out", "--minutes", minutes)
    assert ended.value.code == 2
    assert f"argument --minutes: got '{minutes}'; expected more than 0" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_damaged_figures_are_named_and_scored_again_without(given: Path, tmp_path: Path, capsys) -> None:
    command = ["--samples", "2", "--variants", "early"]
    assert compare(given, tmp_path, *command) == 0
    path = tmp_path / "early" / "figures.json"
    whole = path.read_text()
    for text in ("{}", "[]", whole[:50], whole.replace('"figures": {', '"figures": {"mAP": NaN, "was": {')):
        path.write_text(text)
        assert compare(given, tmp_path, *command) == 2
        error = capsys.readouterr().err
        assert f"{path}: got " in error and "delete it: what was trained is scored again" in error
        assert error.count("\n") == 1
    path.unlink()
    assert compare(given, tmp_path, *command) == 0
    assert path.read_text() == whole


def test_a_comparison_of_a_stage_that_finds_nothing_is_refused(given: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "pictures.yaml"
    path.write_text(yaml.safe_dump({**SMALL, "training": {**SMALL["training"], "objective": "pictures"}}))
    assert compare(given, tmp_path, "--config", str(path)) == 2
    assert "got training.objective 'pictures'; expected 'everything'" in capsys.readouterr().err


@pytest.mark.slow
def test_every_variant_is_trained_and_scored(given: Path, tmp_path: Path, capsys) -> None:
    assert compare(given, tmp_path, "--samples", "32") == 0
    table = (tmp_path / "table.md").read_text()
    assert "no difference within their spread" in table
    for variant in variants_of(TrainingRunConfig()):
        assert f"| {variant.name} |" in table
    assert "| spread of the seeds | largest less smallest |" in table


def test_what_was_done_elsewhere_is_taken_over_and_not_trained_again(given: Path, tmp_path: Path, capsys) -> None:
    command = ["--samples", "2", "--variants"]
    assert compare(given, tmp_path / "a", *command, "early") == 0
    known = tmp_path / "a" / "table.json"
    assert compare(given, tmp_path / "b", *command, "late", "--known", str(known)) == 0
    table = json.loads((tmp_path / "b" / "table.json").read_text())
    assert list(table["variants"]) == ["early", "late"]
    assert table["variants"]["early"] == json.loads(known.read_text())["variants"]["early"]
    assert sorted(path.name for path in (tmp_path / "b" / "early").iterdir()) == ["figures.json"]
    capsys.readouterr()
    assert compare(given, tmp_path / "c", "--samples", "4", "--variants", "late", "--known", str(known)) == 2
    assert "got figures of 'early' with other settings" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()
    known.write_text(known.read_text().replace('"early"', '"middle"'))
    assert compare(given, tmp_path / "c", *command, "late", "--known", str(known)) == 2
    assert "got figures of 'middle' with other settings" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"variants": {"early": {}}}', '{"variants": {"early": {"settings": {}, "figures": []}}}'],
)
def test_a_table_that_is_none_is_refused(given: Path, tmp_path: Path, capsys, content: str) -> None:
    (tmp_path / "table.json").write_text(content)
    assert compare(given, tmp_path / "out", "--known", str(tmp_path / "table.json")) == 2
    assert "expected a table.json of this command" in capsys.readouterr().err
    assert compare(given, tmp_path / "out", "--known", str(tmp_path / "none.json")) == 2
    assert "none.json: got FileNotFoundError" in capsys.readouterr().err


def test_a_variant_that_is_none_is_refused(given: Path, tmp_path: Path, capsys) -> None:
    assert compare(given, tmp_path, "--variants", "middle") == 2
    assert "got middle; expected default, " in capsys.readouterr().err


def test_all_may_begin_with_one_camera_encoder(given: Path, tmp_path: Path, capsys) -> None:
    assert compare(given, tmp_path / "a", "--samples", "2", "--variants", "default") == 0
    start = ["--camera-init", str(tmp_path / "a" / "default" / "weights.safetensors")]
    assert compare(given, tmp_path / "b", "--samples", "2", "--variants", "late", *start) == 0
    assert "start anew" not in capsys.readouterr().out
