"""Ending a replay by a signal, as a user or a supervisor does."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tricast.perception.config import PipelineConfig
from tricast.perception.streaming.graceful_end import stop_on_signals
from tricast.perception.streaming.manifest import read_manifests
from tricast.perception.streaming.replay import replay
from tricast.sensors.log.open_log import open_log
from tricast.tools.demo import demo_log_path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_replay_that_is_asked_to_end_closes_its_files_whole_and_exits_with_0(
    tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "tricast.tools.cli", "replay", str(demo_log_path()), "--out", str(tmp_path)]
    options = ["--detector", "cluster", "--rate", "0.3", "--no-pictures"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        partial = tmp_path / "results.jsonl.partial"
        while not partial.exists():
            time.sleep(0.05)
            assert process.poll() is None
        time.sleep(2)
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert b"ended early" in output
    summary = json.loads((tmp_path / "summary.json").read_text())
    ticks = [json.loads(line)["timestamp_ns"] for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert summary["stopped_early"] is True
    assert 1 <= summary["ticks"] == len(ticks) < 31
    assert [m.timestamp_ns for m in read_manifests(tmp_path / "results.mcap")] == ticks


def test_a_replay_that_ends_before_its_first_tick_leaves_whole_empty_files(tmp_path: Path) -> None:
    summary = replay(open_log(demo_log_path()), PipelineConfig(), tmp_path, stopped=lambda: True)
    assert (summary["ticks"], summary["stopped_early"], summary["latency_ms"]["p50"]) == (0, True, None)
    assert (tmp_path / "results.jsonl").read_text() == ""
    assert (tmp_path / "results.mcap").exists()


def test_the_second_signal_ends_the_program_as_usual() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # programs begun in the background ignore it
    with pytest.raises(KeyboardInterrupt), stop_on_signals() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set()
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
