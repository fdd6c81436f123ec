import subprocess
import sys
from pathlib import Path

import pytest

from tricast.tools.cli import main
from tricast.tools.demo import demo_log_path
from tricast.tools.replay import describe


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


def test_the_time_of_a_tick_is_told_with_what_it_holds(tmp_path: Path) -> None:
    summary = {
        "latency_ms": {"p50": 12.34},
        "ticks": 30,
        "duration_s": 2.9,
        "objects_per_tick": 7.0,
        "lost_messages": 0,
    }
    assert "12.3 ms a tick (median, preparation to forecasts)" in describe(summary, tmp_path)


def test_results_of_a_replay_can_be_followed_from_the_command_line(tmp_path: Path) -> None:
    command = ["replay", str(demo_log_path()), "--detector", "cluster", "--no-pictures", "--duration", "0.5"]
    assert main([*command, "--out", str(tmp_path / "a")]) == 0
    follow = ["--follow", str(tmp_path / "a" / "results.mcap"), "--workers", "2"]
    assert main([*command, "--out", str(tmp_path / "b"), *follow]) == 0
    written = [(tmp_path / run / "results.jsonl").read_bytes() for run in "ab"]
    assert written[0] == written[1] != b""


def test_a_run_does_not_write_over_what_it_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["replay", str(demo_log_path()), "--detector", "cluster", "--no-pictures", "--duration", "0.5"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    results = tmp_path / "results.mcap"
    before = results.read_bytes()
    assert main([*command, "--out", str(tmp_path), "--follow", str(results)]) == 2
    assert main(["replay", str(results), *command[2:], "--out", str(tmp_path)]) == 2
    assert "choose one that holds nothing of what is replayed" in capsys.readouterr().err
    assert results.read_bytes() == before


def test_pictures_of_an_earlier_run_do_not_pass_for_this_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("replay.mp4", "still.png", "notes.txt"):
        (tmp_path / name).write_text("of another run")
    command = ["replay", str(demo_log_path()), "--detector", "cluster", "--no-pictures", "--duration", "0.5"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    names = ["config.yaml", "metadata.yaml", "results.jsonl", "results.mcap", "summary.json"]
    assert f"results in {tmp_path}: {', '.join(names)}\n" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "notes.txt"])


def test_settings_of_a_network_that_would_not_run_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text("network: {weights: /nowhere.safetensors}\n")
    command = ["replay", str(demo_log_path()), "--config", str(tmp_path / "mine.yaml"), "--no-pictures"]
    assert main([*command, "--out", str(tmp_path / "run")]) == 2
    assert "detector: network" in capsys.readouterr().err
    assert main([*command, "--out", str(tmp_path / "run"), "--detector", "cluster", "--duration", "0.5"]) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="this system limits no files")
def test_a_disk_that_takes_no_more_is_one_line(tmp_path: Path) -> None:
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)); "
        "from tricast.tools.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    options = ["--detector", "cluster", "--no-pictures", "--out", str(tmp_path)]
    command = [sys.executable, "-c", program, "replay", str(demo_log_path()), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2, done.stderr
    assert "make room or choose another place" in done.stderr.strip().splitlines()[-1]
    assert not (tmp_path / "results.jsonl").exists()
