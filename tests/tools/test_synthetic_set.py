"""Synthetic sets as logs in a cache."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tricast.configs.errors import InputError
from tricast.sensors.log.open_log import open_log
from tricast.sensors.synthetic.world_config import load_world
from tricast.tools import synthetic_set
from tricast.tools.synthetic_set import named_set, rendered


def test_a_set_is_the_first_seeds_of_its_range() -> None:
    test = named_set("standard:test")
    assert test.seeds == range(110_000, 110_040)
    assert named_set("standard:validation", 3).seeds == range(100_000, 100_003)


def test_every_world_for_testing_is_a_set_of_its_own() -> None:
    names = ("standard:test", "realistic:test", "held_out_rig:test", "motorway:test")
    sets = [named_set(name) for name in names]
    assert [s.seeds for s in sets] == [range(110_000, 110_040)] * 4
    assert len({s.folder(Path("cache")) for s in sets}) == 4
    # Rendered logs of version 1 are found again.
    assert sets[0].folder(Path("cache")).name == "standard-test-0cf93941"


@pytest.mark.parametrize("text", ["standard:tset", "standard:", "nowhere.mcap:front"])
def test_what_names_no_split_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="standard:test"):
        named_set(text)


def test_more_scenes_than_seeds_and_unknown_worlds_are_refused() -> None:
    with pytest.raises(InputError, match="--scenes"):
        named_set("standard:test", 10_001)
    with pytest.raises(InputError, match="marz"):
        named_set("marz:test")


def test_another_world_has_another_folder() -> None:
    standard = named_set("standard:test")
    assert standard.world.town is not None
    town = standard.world.town.model_copy(update={"num_walking": 37})
    changed = synthetic_set.SyntheticSet(
        world_name="standard", world=standard.world.model_copy(update={"town": town}), split="test"
    )
    assert changed.folder(Path("cache")) != standard.folder(Path("cache"))
    assert standard.folder(Path("cache")) == named_set("standard:test", 2).folder(Path("cache"))


def test_logs_that_are_there_are_not_rendered_again(tmp_path: Path) -> None:
    scenes = named_set("standard:validation", 2)
    folder = scenes.folder(tmp_path)
    folder.mkdir(parents=True)
    for seed in scenes.seeds:
        (folder / f"{seed:06d}.mcap").write_bytes(b"there")
    paths = rendered(scenes, tmp_path, workers=2)
    assert [path.read_bytes() for path in paths] == [b"there"] * 2


@pytest.mark.slow
def test_each_scene_has_a_rig_of_its_own_and_a_broken_off_set_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic_set, "SCENE_S", 1.0)
    scenes = synthetic_set.SyntheticSet(world_name="demo", world=load_world("demo"), split="validation", num_scenes=2)
    first, second = rendered(scenes, tmp_path, workers=1)
    assert open_log(first).rig["LIDAR_TOP"] != open_log(second).rig["LIDAR_TOP"]
    kept, lost = first.read_bytes(), second.read_bytes()
    second.unlink()
    stamp = first.stat().st_mtime_ns
    rendered(scenes, tmp_path, workers=1)
    assert first.stat().st_mtime_ns == stamp
    assert (first.read_bytes(), second.read_bytes()) == (kept, lost)


def test_ctrl_c_while_scenes_are_rendered_is_one_line_and_leaves_what_is_marked_as_partial(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tricast.tools.cli", "evaluate", "standard:validation", "--scenes", "2"]
    options = ["--workers", "2", "--cache", str(tmp_path), "--detector", "cluster"]
    with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not list(tmp_path.rglob("*.partial")):
            time.sleep(0.05)
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert [line.split(" ")[0] for line in errors.splitlines()] == ["rendering", "tricast:"], errors
    assert "Ctrl-C" in errors
    assert not list(tmp_path.rglob("*.mcap"))
