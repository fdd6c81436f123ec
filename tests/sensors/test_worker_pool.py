"""Workers do their share with one thread each, and do not outlive the command that they work for."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info

from tricast.configs.errors import InputError
from tricast.sensors.worker_pool import WorkerPool, each_done

WAITS = """
import os, time
from tricast.sensors.worker_pool import WorkerPool
if __name__ == "__main__":
    pool = WorkerPool(2)
    first, second = pool.submit(os.getpid), pool.submit(time.sleep, 0)
    print(first.result(), second.result(), flush=True)
    time.sleep(600)
"""

BUSY = """
import ctypes, os, sys, time
from tricast.sensors.worker_pool import WorkerPool

def sleep_holding_the_interpreter(seconds):
    ctypes.PyDLL(None).sleep(seconds)

if __name__ == "__main__":
    with WorkerPool(2) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        function = time.sleep if sys.argv[1] == "alive" else sleep_holding_the_interpreter
        jobs = [pool.submit(function, 60) for _ in range(8)]
        while sum(job.running() for job in jobs) < 2:
            time.sleep(0.05)
        print("busy", flush=True)
        jobs[0].result()
"""


def threads_for_numbers() -> set[int]:
    import numpy as np

    _ = np.ones((2, 2)) @ np.ones((2, 2))
    return {library["num_threads"] for library in threadpool_info()}


def test_each_has_one_thread_for_numbers() -> None:
    with WorkerPool(1) as pool:
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


@contextmanager
def busy_command(folder: Path, how: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A command of a process group of its own whose workers are in the middle of long jobs, and one of them."""
    script = folder / "busy.py"
    script.write_text(BUSY)
    arguments = [sys.executable, str(script), how]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as command:
        try:
            assert command.stdout is not None
            worker = int(command.stdout.readline())
            assert command.stdout.readline() == "busy\n"
            time.sleep(0.5)  # a job counts as running while it is on its way
            yield command, worker
        finally:
            with suppress(ProcessLookupError):
                os.killpg(command.pid, signal.SIGKILL)


def test_ctrl_c_ends_jobs_that_have_begun_and_no_worker_has_a_word_in_it(tmp_path: Path) -> None:
    with busy_command(tmp_path, "alive") as (command, worker):
        os.killpg(command.pid, signal.SIGINT)
        _, errors = command.communicate(timeout=20)
        assert errors.count("Traceback") == 1  # the command's own, which the script does not catch
        assert "concurrent.futures.process.BrokenProcessPool" not in errors
        assert not is_there(worker)


def test_a_second_ctrl_c_ends_the_command_where_workers_cannot_hear_of_the_first(tmp_path: Path) -> None:
    with busy_command(tmp_path, "deaf") as (command, _):
        os.killpg(command.pid, signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            command.wait(timeout=2)
        os.killpg(command.pid, signal.SIGINT)
        assert command.wait(timeout=10) == -signal.SIGINT


def test_after_an_error_what_has_begun_is_finished_and_the_rest_is_left(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), WorkerPool(1) as pool:
        failing = pool.submit(divmod, 1, 0)
        jobs = [pool.submit(write_after, 0.2, tmp_path / str(number)) for number in range(9)]
        failing.result()
    # A pool has one job at hand beside the one that runs.
    assert 1 <= len(list(tmp_path.iterdir())) <= 3
    assert jobs[-1].cancelled()


def test_a_worker_that_is_killed_is_one_line_for_the_user() -> None:
    with pytest.raises(InputError, match=r"worker processes: got one that was killed.*take fewer by --workers"):
        list(each_done(end_by_signal, [(number,) for number in (0, signal.SIGKILL)], workers=2))


def end_by_signal(number: int) -> None:
    os.kill(os.getpid(), number)  # 0 is none


def write_after(seconds: float, path: Path) -> None:
    time.sleep(seconds)
    path.write_text("whole")


def is_there(pid: int) -> bool:
    """Whether a process runs: one that has ended and was not asked for is a zombie."""
    try:
        with Path(f"/proc/{pid}/stat").open() as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
