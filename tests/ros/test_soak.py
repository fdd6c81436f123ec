"""The soak through a graph, for seconds: it runs whole and watches the live node; what grows takes longer."""

import json
import subprocess
import sys


def test_a_soak_plays_into_the_live_node_and_watches_its_process() -> None:
    command = [
        sys.executable,
        "-m",
        "tricast.tools.soak",
        "--ros",
        "--minutes",
        "0.2",
        "--detector",
        "cluster",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    assert found["exit_codes"] == [0, 0], "play and live end whole when they are asked to"
    assert found["ticks"] > 5
    assert found["not_heard"] == 0
    assert found["rss_mb_end"] > 50, "a process that has loaded the pipeline"
    assert found["threads"] > 4, "the executor's, the middleware's and the runtime's"
    assert found["fds"] > 10
    assert found["p50_ms_last"] > 0
