"""Files of results that a live node writes, on disks that are full for a while or take nothing."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader

from tricast.perception.outputs import NUM_FUTURE_STEPS, Detections, TickResult, Tracks, Trajectories
from tricast.perception.ros import result_files
from tricast.perception.ros.result_files import ResultFiles, free_names
from tricast.perception.streaming.results_mcap import RESULT_TOPIC
from tricast.perception.streaming.runtime_result import Delivery
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synced_frame import InputUsed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="full and stalled disks are made with /dev/full, pipes")
DELIVERY = Delivery()


class Log(list[str]):
    """In place of a node's logger."""

    error = list.append

    def info(self, text: str) -> None:
        """Nobody asks."""


def tick(number: int) -> TickResult:
    """A result of about a kilobyte."""
    return TickResult(
        timestamp_ns=number,
        odom_from_ego=SE3(),
        detections=Detections.empty(number),
        tracks=Tracks.empty(number),
        trajectories=Trajectories(probabilities=np.zeros((0, 1)), points_m=np.zeros((0, 1, NUM_FUTURE_STEPS, 2))),
        inputs=tuple(InputUsed(channel=f"LIDAR_{k}", timestamp_ns=number, reused=False) for k in range(16)),
        health={},
    )


@contextmanager
def in_its_place(file: Any, device: int) -> Iterator[None]:
    """What a file writes goes to another device meanwhile, as if its own had become that."""
    kept = os.dup(file.fileno())
    os.dup2(device, file.fileno())
    try:
        yield
    finally:
        if not file.closed:
            os.dup2(kept, file.fileno())
        os.close(kept)


def until(true: Callable[[], object]) -> None:
    end_s = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def names(out: Path) -> set[str]:
    return {path.name for path in out.iterdir()}


def stamps_in_mcap(path: Path) -> list[int]:
    with path.open("rb") as file:
        return [message.log_time for *_, message in make_reader(file).iter_messages(topics=[RESULT_TOPIC])]


@pytest.fixture
def full() -> Iterator[int]:
    device = os.open("/dev/full", os.O_WRONLY)
    yield device
    os.close(device)


def test_an_activation_replaces_no_file_of_an_earlier_one_whole_or_not(tmp_path: Path) -> None:
    def free() -> list[str]:
        return [path.name for path in free_names(tmp_path)]

    assert free() == ["results.mcap", "results.jsonl"]
    (tmp_path / "results.jsonl.partial").write_text("{}\n")  # as a node that was killed leaves it
    assert free() == ["results.1.mcap", "results.1.jsonl"]
    (tmp_path / "results.1.mcap").write_bytes(b"")
    assert free() == ["results.2.mcap", "results.2.jsonl"]


def test_whole_files_have_their_names_and_every_result(tmp_path: Path) -> None:
    log = Log()
    with ResultFiles(tmp_path, log) as files:
        for number in range(20):
            files.add(tick(number), DELIVERY)
    assert names(tmp_path) == {"results.mcap", "results.jsonl", "metadata.yaml"}
    lines = [json.loads(line)["timestamp_ns"] for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert lines == stamps_in_mcap(tmp_path / "results.mcap") == list(range(20))
    assert (files.not_written, log) == (0, [])


def test_a_file_that_failed_once_stays_unfinished_and_the_other_goes_on(tmp_path: Path, full: int) -> None:
    log = Log()
    with ResultFiles(tmp_path, log) as files:
        with in_its_place(files._files[1]._writer._file, full):  # pyright: ignore
            for number in range(100):
                files.add(tick(number), DELIVERY)
            until(lambda: files._written == 100)
            lost = files.not_written
        for number in range(100, 150):  # the disk has room again
            files.add(tick(number), DELIVERY)
    assert names(tmp_path) == {"results.mcap", "results.jsonl.partial", "metadata.yaml"}
    assert stamps_in_mcap(tmp_path / "results.mcap") == list(range(150))
    assert 0 < lost < 100
    assert files.not_written == lost + 50
    failure, count = log
    assert "No space left on device" in failure and "nothing more is written to results.jsonl" in failure
    assert f"results.jsonl.partial lacks at least {lost + 50} results" in count


@pytest.mark.parametrize(("at", "kept"), [(0, "results.jsonl"), (1, "results.mcap")])
def test_a_disk_that_is_full_at_the_end_costs_that_file_alone(tmp_path: Path, full: int, at: int, kept: str) -> None:
    log, files = Log(), ResultFiles(tmp_path, Log())
    files._logger = log
    with files:
        files.add(tick(0), DELIVERY)
        until(lambda: files._written == 1)
        writer: Any = files._files[at]._writer
        os.dup2(full, (writer._mcap._file if at == 0 else writer._file).fileno())
    whole = {name for name in names(tmp_path) if name.startswith("results") and not name.endswith(".partial")}
    assert whole == {kept}
    assert len(log) == 1
    assert "No space left on device" in log[0]


def test_a_stalled_disk_holds_nobody_up_and_what_it_did_not_get_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_files, "MAX_WAITING", 8)
    log = Log()
    read, write = os.pipe()
    with ResultFiles(tmp_path, log) as files:
        writer: Any = files._files[1]._writer
        with in_its_place(writer._file, write):
            given = 0
            while files.not_written < 5:  # goes on although the pipe, which nobody reads, is soon full
                files.add(tick(given), DELIVERY)
                given += 1
                time.sleep(0.001)
            reader = threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(read, 65536), b"")])
            reader.start()
            until(lambda: not files._waiting)
            writer._file.flush()
    os.close(write)
    reader.join()
    os.close(read)
    assert names(tmp_path) == {"results.mcap.partial", "results.jsonl.partial"}
    assert len(stamps_in_mcap(tmp_path / "results.mcap.partial")) == given - 5
    assert ["too slow" in text for text in log] == [True, False, False], "said once, and counted for each file"
    assert all("lacks at least 5 results" in text for text in log[1:])


def test_a_disk_that_takes_nothing_any_more_is_not_waited_for_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(result_files, "CLOSE_S", 0.2)
    log = Log()
    read, write = os.pipe()
    with ResultFiles(tmp_path, log) as files:
        writer: Any = files._files[1]._writer
        os.dup2(write, writer._file.fileno())
        os.close(write)
        for number in range(200):
            files.add(tick(number), DELIVERY)
    assert files._thread.is_alive()
    assert "took nothing for 0.2 s" in log[0]
    os.close(read)  # whatever held the disk ends
    files._thread.join(30)
    assert not files._thread.is_alive()
    assert names(tmp_path) == {"results.mcap.partial", "results.jsonl.partial"}
