import subprocess
import sys

import pytest

CHURN = """
import resource
import numpy as np
from tricast.perception.kept_memory import keep_freed_memory
known = keep_freed_memory() if {kept} else True
def churn():
    held = [np.ones(300_000) for _ in range(8)]
for _ in range(5):
    churn()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    churn()
print(int(known), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc")
def test_memory_that_is_freed_is_not_mapped_anew() -> None:
    """Each round needs 8 arrays of 586 pages."""

    def faults(kept: bool) -> tuple[int, int]:
        command = [sys.executable, "-c", CHURN.format(kept=kept)]
        known, count = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return int(known), int(count)

    known, count = faults(kept=True)
    if not known:
        pytest.skip("another C library")
    assert count < 500
    assert faults(kept=False)[1] > 20 * 586
