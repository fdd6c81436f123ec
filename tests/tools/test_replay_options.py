from pathlib import Path

import pytest

from tricast.tools.cli import main
from tricast.tools.demo import demo_log_path


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "-1"], "--workers"),
        (["--follow", "nowhere.mcap"], "--follow nowhere.mcap"),
        (["--follow", str(demo_log_path())], "no message on /tricast/result"),
    ],
)
def test_options_that_cannot_be_end_with_2_and_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    command = ["replay", str(demo_log_path()), "--out", str(tmp_path), "--detector", "cluster", "--no-pictures"]
    assert main([*command, *options]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 1
    assert said in errors[0]


def test_results_of_a_replay_can_be_followed_from_the_command_line(tmp_path: Path) -> None:
    command = ["replay", str(demo_log_path()), "--detector", "cluster", "--no-pictures", "--duration", "0.5"]
    assert main([*command, "--out", str(tmp_path / "a")]) == 0
    follow = ["--follow", str(tmp_path / "a" / "results.mcap"), "--workers", "2"]
    assert main([*command, "--out", str(tmp_path / "b"), *follow]) == 0
    written = [(tmp_path / run / "results.jsonl").read_bytes() for run in "ab"]
    assert written[0] == written[1] != b""
