"""The gauge sees what grows; a short soak of the runtime grows nothing. The one through a graph is in tests/ros."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tricast.tools.process_gauge import Gauge, Sample, figures
from tricast.tools.soak import main


def samples(*, growth: float) -> list[Sample]:
    """A hundred samples, each so much above the one before."""
    return [
        Sample(
            elapsed_s=k,
            rss_mb=100 + growth * k,
            threads=4 + int(growth * k) // 50,
            fds=9 + int(growth * k) // 50,
            latency_ms=10 + growth * k,
        )
        for k in range(100)
    ]


def test_growth_of_memory_threads_files_and_latency_shows_in_the_figures() -> None:
    found = figures(samples(growth=1))
    assert found["warm_up_s"] == 10
    assert (found["rss_mb_start"], found["rss_mb_end"]) == (114, 195)
    assert (found["p50_ms_first"], found["p50_ms_last"]) == (24, 105)
    assert (found["threads_start"], found["threads"], found["fds_start"], found["fds"]) == (4, 5, 9, 10)
    assert [text.split(":")[0] for text in found["growth"]] == [
        "resident memory", "threads", "file descriptors", "latency",
    ]  # fmt: skip


def test_what_stays_as_it_was_is_no_growth_and_what_is_too_short_is_not_judged() -> None:
    assert figures(samples(growth=0))["growth"] == []
    assert figures(samples(growth=0)[:1])["growth"] == ["too short to tell"]


GROWS_WHEN_TOLD = """
import mmap, sys, threading
print(flush=True)
sys.stdin.readline()
threading.Thread(target=threading.Event().wait, daemon=True).start()
held = open(sys.argv[1], "w"), mmap.mmap(-1, 50_000_000)  # of its own: memory freed before would not show
held[1].write(b"x" * 50_000_000)
print(flush=True)
sys.stdin.readline()
"""


def test_the_gauge_sees_memory_threads_and_files_of_a_process(tmp_path: Path) -> None:
    # Another process: in this one, threads of the libraries that earlier tests have used come and go.
    command = [sys.executable, "-c", GROWS_WHEN_TOLD, str(tmp_path / "open")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        gauge = Gauge(process.pid, 0.0)
        for latency_ms in (5.0, 7.0):
            process.stdout.readline()
            gauge.add(latency_ms)
            process.stdin.write("\n")
            process.stdin.flush()
    before, after = gauge.samples
    assert after.rss_mb - before.rss_mb > 40
    assert (after.threads - before.threads, after.fds - before.fds) == (1, 1)
    assert (before.latency_ms, after.latency_ms) == (5.0, 7.0)


@pytest.mark.parametrize("option", ["--minutes", "--rate"])
def test_a_length_or_rate_that_is_none_is_refused(
    option: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["soak", option, "0"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert f"{option}: got '0'; expected more than 0" in capsys.readouterr().err


@pytest.mark.slow
def test_a_minute_of_soak_grows_nothing() -> None:
    command = [sys.executable, "-m", "tricast.tools.soak", "--minutes", "1", "--detector", "cluster", "--json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    assert found["dropped"] == 0
    assert found["rss_mb_end"] < 1.05 * found["rss_mb_start"]
    assert (found["threads"], found["fds"]) == (found["threads_start"], found["fds_start"])
    assert found["ticks"] > 60
