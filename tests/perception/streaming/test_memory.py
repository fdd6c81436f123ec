import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_memory_stays_flat_over_a_log_of_any_length() -> None:
    command = [sys.executable, "-m", "tricast.tools.measure_memory", "--minutes", "1", "10", "--thin", "64"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout)
    assert figures["ratio"] < 1.10, figures
