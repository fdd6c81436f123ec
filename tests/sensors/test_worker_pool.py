"""Workers do their share with one thread each, and do not outlive the command that they work for."""

import signal
import subprocess
import sys
import time
from pathlib import Path

from threadpoolctl import threadpool_info

from tricast.sensors.worker_pool import worker_pool

WAITS = """
import os, time
from tricast.sensors.worker_pool import worker_pool
if __name__ == "__main__":
    pool = worker_pool(2)
    first, second = pool.submit(os.getpid), pool.submit(time.sleep, 0)
    print(first.result(), second.result(), flush=True)
    time.sleep(600)
"""


def threads_for_numbers() -> set[int]:
    import numpy as np

    _ = np.ones((2, 2)) @ np.ones((2, 2))
    return {library["num_threads"] for library in threadpool_info()}


def test_each_has_one_thread_for_numbers() -> None:
    with worker_pool(1) as pool:
        assert pool.submit(threads_for_numbers).result() <= {1}


def test_they_end_with_a_command_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "waits.py"
    script.write_text(WAITS)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        worker = int(command.stdout.readline().split()[0])
        assert is_there(worker)
        command.send_signal(signal.SIGKILL)
    deadline_s = time.monotonic() + 10
    while is_there(worker) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not is_there(worker)


def is_there(pid: int) -> bool:
    """Whether a process runs: one that has ended and was not asked for is a zombie."""
    try:
        with Path(f"/proc/{pid}/stat").open() as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
