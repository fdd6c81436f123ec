import json
import subprocess
import sys

import pytest

from tricast.perception.streaming.runtime_result import RuntimeStatus
from tricast.tools.soak import Sample, figures

STATUS = RuntimeStatus(
    level="ok",
    reasons=(),
    ticks=100,
    results=98,
    late=0,
    dropped_ticks=2,
    dropped_messages=3,
    processing_ms=5.0,
    since_in_time_s=0.0,
)


def test_growth_of_memory_threads_files_and_latency_shows_in_the_figures() -> None:
    samples = [
        Sample(elapsed_s=k, rss_mb=100 + k, threads=4 + k // 50, fds=9 + k // 50, processing_ms=10 + k)
        for k in range(100)
    ]
    found = figures(samples, STATUS, 98.0)
    assert (found["ticks"], found["dropped"], found["ticks_per_s"]) == (98, 5, 1.0)
    assert (found["rss_mb_start"], found["rss_mb_end"]) == (114, 195)
    assert (found["p50_ms_first"], found["p50_ms_last"]) == (24, 105)
    assert (found["threads_start"], found["threads"], found["fds_start"], found["fds"]) == (4, 5, 9, 10)


@pytest.mark.slow
def test_a_minute_of_soak_grows_nothing() -> None:
    command = [sys.executable, "-m", "tricast.tools.soak", "--minutes", "1", "--detector", "cluster", "--json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert found["dropped"] == 0
    assert found["rss_mb_end"] < 1.05 * found["rss_mb_start"]
    assert (found["threads"], found["fds"]) == (found["threads_start"], found["fds_start"])
    assert found["rounds"] >= 2
