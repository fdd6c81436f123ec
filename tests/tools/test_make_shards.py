"""Shards of a world, rendered by one process or several."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import safe_open

from tricast.perception.training.shards import ShardSet
from tricast.sensors.frames import CameraFrame
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.writer import LogWriter
from tricast.tools.demo import demo_log_path
from tricast.tools.make_shards import main


@pytest.mark.slow
def test_several_processes_make_the_shards_that_one_makes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def made(folder: str, *options: str) -> dict[str, tuple[dict[str, str], dict[str, bytes]]]:
        assert main(["--out", str(tmp_path / folder), *options]) == 0
        return {path.stem: contents(path) for path in sorted((tmp_path / folder).glob("*.safetensors"))}

    alone = made("alone", "--seeds", "7", "9", "--workers", "1")
    assert list(alone) == ["000007", "000008"]
    assert made("together", "--seeds", "7", "9", "--workers", "2") == alone
    capsys.readouterr()
    # What is there is left alone.
    assert made("together", "--seeds", "7", "9") == alone
    assert capsys.readouterr().out == f"0 shards made in {tmp_path / 'together'}\n"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["--out", str(tmp_path / "file" / "shards"), "--seeds", "7", "8"]) == 2
    error = capsys.readouterr().err
    assert f"shards in {tmp_path / 'file' / 'shards'}: got Not a directory" in error
    assert error.count("\n") == 1


def test_pictures_that_do_not_decode_are_told_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, broken = open_log(demo_log_path()), tmp_path / "broken.mcap"
    with LogWriter(broken, log.rig) as writer:
        for message in log.messages():
            if isinstance(message, CameraFrame) and message.channel == "CAM_LEFT":
                message = replace(message, data=message.data[: len(message.data) // 2])
            writer.write(message)
    assert main([str(broken), "--out", str(tmp_path / "shards")]) == 0
    told = "pictures that do not decode, and that ticks went without: 6 of CAM_LEFT"
    assert capsys.readouterr().err == f"tricast: warning: {broken}: {told}\n"
    shards = ShardSet(tmp_path / "shards")
    assert [[c.channel for c in shards[i].sample.cameras] for i in range(len(shards))] == (
        [["CAM_BACK", "CAM_FRONT", "CAM_RIGHT"]] * 6
    )


def test_of_a_log_with_many_damaged_places_the_rest_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, broken = bytearray(demo_log_path().read_bytes()), tmp_path / "broken.mcap"
    for place in range(len(data) // 9, len(data), len(data) // 9):
        data[place] ^= 0xFF
    broken.write_bytes(data)
    assert main([str(broken), "--out", str(tmp_path / "shards")]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6
    assert "more of these;" in lines[-1] and lines[-1].endswith("messages lost in all")


@pytest.mark.parametrize("seeds", [("5", "3"), ("5", "5"), ("-1", "1")])
def test_no_scenes_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], seeds: tuple[str, str]) -> None:
    assert main(["--out", str(tmp_path / "shards"), "--seeds", *seeds]) == 2
    assert f"--seeds: got {seeds[0]} to {seeds[1]}; expected a first scene" in capsys.readouterr().err
    assert not (tmp_path / "shards").exists()


def test_a_log_that_has_changed_since_is_not_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own, command = tmp_path / "own.mcap", [str(tmp_path / "own.mcap"), "--out", str(tmp_path / "shards")]
    shutil.copy(demo_log_path(), own)
    assert main(command) == 0
    assert main(command) == 0
    log = open_log(demo_log_path())
    with LogWriter(own, log.rig) as writer:
        for message in log.messages(end_ns=log.start_ns + 1_500_000_000):
            writer.write(message)
    capsys.readouterr()
    assert main(command) == 2
    shard = tmp_path / "shards" / "own.safetensors"
    error = capsys.readouterr().err
    assert f"{own}: got {own.stat().st_size} bytes; expected {demo_log_path().stat().st_size}" in error
    assert f"as when {shard} was made" in error and error.count("\n") == 1
    shard.unlink()
    assert main(command) == 0
    assert len(ShardSet(tmp_path / "shards")) == 3
    own.unlink()  # what was made of it is enough
    assert main(command) == 0


def contents(path: Path) -> tuple[dict[str, str], dict[str, bytes]]:
    """What is told and the arrays; their order in the file is the library's own."""
    with safe_open(path, "numpy") as file:
        return file.metadata(), {name: file.get_tensor(name).tobytes() for name in sorted(file.keys())}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "got no logs and no --seeds"),
        (["--seeds", "7", "8", "--world", "nowhere"], "nowhere"),
        (["absent.mcap"], "absent.mcap"),
    ],
)
def test_what_is_asked_wrongly_is_one_line(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path / "shards"), *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
