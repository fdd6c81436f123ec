"""The ROS 2 commands where ROS 2 is not installed."""

import importlib.util
from pathlib import Path

import pytest

from tricast.tools.cli import main
from tricast.tools.demo import demo_log_path

NO_ROS = importlib.util.find_spec("rclpy") is None


@pytest.mark.skipif(not NO_ROS, reason="rclpy is installed here")
@pytest.mark.parametrize("command", ["live", "play", "record"])
def test_without_rclpy_they_say_what_to_install(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {"live": [], "play": [str(demo_log_path())], "record": ["--out", str(tmp_path / "log.mcap")]}
    assert main([command, *arguments[command]]) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1
    assert "pip install 'tricast[ros]'" in error
    assert not list(tmp_path.iterdir())


def test_the_launch_file_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["live", "--print-launch-file"]) == 0
    assert Path(capsys.readouterr().out.strip()).name == "tricast.launch.xml"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["play", "LOG", "--start", "1e6"], "--start"),
        (["record", "--out", "x.mcap", "--map", "lidar"], "--map"),
    ],
)
def test_wrong_arguments_are_one_line(arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(demo_log_path()) if a == "LOG" else a for a in arguments]) == 2
    assert word in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--rate", "--duration", "--clock"])
def test_play_refuses_rates_and_lengths_that_are_none(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["play", str(demo_log_path()), option, "0"])
    assert ended.value.code == 2
    assert f"{option}: got '0'; expected more than 0" in capsys.readouterr().err
