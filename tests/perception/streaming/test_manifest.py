"""Offline runs that follow the manifests of a live one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tricast.configs.errors import InputError
from tricast.perception.config import PipelineConfig
from tricast.perception.streaming.manifest import ManifestFollower, TickManifest, read_manifests
from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.streaming.replay import ReplayOptions, replay
from tricast.perception.streaming.results_json import result_line
from tricast.perception.streaming.results_mcap import ResultsMcapWriter
from tricast.perception.streaming.runtime import StreamingRuntime
from tricast.perception.streaming.runtime_result import RuntimeResult
from tricast.perception.streaming.streaming_config import StreamingConfig
from tricast.perception.streaming.tick_source import summed
from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig
from tricast.sensors.frames import EgoPose, LidarSweep
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import Message
from tricast.sensors.log.writer import LogWriter
from tricast.sensors.synchronization import Synchronizer, SynchronizerConfig

MS = 1_000_000


@pytest.fixture
def log_path(tmp_path: Path, rig: Rig, drive: list[Message]) -> Path:
    with LogWriter(tmp_path / "drive.mcap", rig) as writer:
        for message in drive:
            writer.write(message)
    return tmp_path / "drive.mcap"


def live(rig: Rig, messages: list[Message], out: Path) -> list[RuntimeResult]:
    """A live run in which messages are late, out of order or lost, and ticks are dropped when the machine is busy."""
    rng = np.random.default_rng(5)
    arrivals = [
        m if isinstance(m, Annotations) else replace(m, received_ns=m.received_ns + int(rng.integers(0, 180)) * MS)
        for m in messages
        if rng.uniform() > 0.1
    ]
    results: list[RuntimeResult] = []
    synchronizer = Synchronizer(rig, SynchronizerConfig(), origin_ns=0, close_early=True)
    config = StreamingConfig(policy="latest", max_moved_on_s=0.25)
    with ResultsMcapWriter(out) as writer:

        def take(result: RuntimeResult) -> None:
            writer.write(result.tick, result.delivery)
            results.append(result)

        with StreamingRuntime(Pipeline(), synchronizer, config, on_result=take) as runtime:
            for message in sorted(arrivals, key=lambda m: m.received_ns):
                runtime.put(message)
                time.sleep(0.003)
    return results


def test_following_a_live_run_gives_its_results_byte_for_byte(
    log_path: Path, rig: Rig, drive: list[Message], tmp_path: Path
) -> None:
    results = live(rig, drive, tmp_path / "live.mcap")
    assert len(results) >= 5
    log = open_log(log_path)
    for workers in (0, 2):
        out = tmp_path / f"followed{workers}"
        summary = replay(
            log, PipelineConfig(), out, options=ReplayOptions(follow=tmp_path / "live.mcap", workers=workers)
        )
        assert (out / "results.jsonl").read_text().splitlines() == [result_line(r.tick) for r in results]
        assert summary["followed"]["missing"] == {}
    replay(log, PipelineConfig(), tmp_path / "plain", options=ReplayOptions(origin_ns=0))
    plain = {
        json.loads(text)["timestamp_ns"]: text
        for text in (tmp_path / "plain" / "results.jsonl").read_text().splitlines()
    }
    assert any(plain[r.tick.timestamp_ns] != result_line(r.tick) for r in results)


def test_manifests_read_back_as_they_were_written(rig: Rig, drive: list[Message], tmp_path: Path) -> None:
    results = live(rig, drive, tmp_path / "live.mcap")
    manifests = list(read_manifests(tmp_path / "live.mcap"))
    assert [m.timestamp_ns for m in manifests] == [r.tick.timestamp_ns for r in results]
    for manifest, result in zip(manifests, results, strict=True):
        tick = result.tick
        assert (manifest.inputs, manifest.pose_stamps_ns) == (tick.inputs, tick.pose_stamps_ns)
        assert (manifest.health, manifest.discontinuity) == (tick.health, tick.discontinuity)
    assert any(used.reused for manifest in manifests for used in manifest.inputs)


def test_messages_that_the_log_lacks_are_counted_and_the_tick_goes_on(
    rig: Rig, drive: list[Message], tmp_path: Path
) -> None:
    results = live(rig, drive, tmp_path / "live.mcap")
    follower = ManifestFollower(rig, read_manifests(tmp_path / "live.mcap"))
    frames = [f for m in drive if getattr(m, "channel", "") != "LIDAR" for f in follower.push(m)] + follower.flush()
    named = {used.timestamp_ns for r in results[: len(frames)] for used in r.tick.inputs if used.channel == "LIDAR"}
    assert named
    assert follower.missing["LIDAR"] >= 1
    assert set(follower.missing) == {"LIDAR"}
    assert all("LIDAR" not in frame.lidars for frame in frames)
    newest_ns = max(m.received_ns for m in drive)
    assert [f.timestamp_ns for f in frames] == [
        r.tick.timestamp_ns for r in results if r.tick.timestamp_ns <= newest_ns
    ]


def test_of_chosen_sensors_only_their_messages_are_used(
    log_path: Path, rig: Rig, drive: list[Message], tmp_path: Path
) -> None:
    results = live(rig, drive, tmp_path / "live.mcap")
    options = ReplayOptions(follow=tmp_path / "live.mcap", sensors=("lidar",))
    summary = replay(open_log(log_path), PipelineConfig(), tmp_path / "out", options=options)
    lines = [json.loads(text) for text in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert len(lines) == len(results)
    assert {used["channel"] for line in lines for used in line["inputs"]} == {"LIDAR"}
    assert {channel for line in lines for channel in line["health"]} == {"LIDAR"}
    assert summary["followed"]["missing"] == {}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.write_bytes(b"no log"), "no MCAP"),
    ],
)
def test_files_without_results_are_refused(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    make(tmp_path / "x.mcap")
    with pytest.raises(InputError, match=said):
        read_manifests(tmp_path / "x.mcap")


def test_a_log_in_place_of_results_is_refused(log_path: Path) -> None:
    with pytest.raises(InputError, match="no message on /tricast/result"):
        list(read_manifests(log_path))


def test_results_of_a_loop_are_refused(rig: Rig, drive: list[Message], tmp_path: Path) -> None:
    live(rig, drive, tmp_path / "live.mcap")
    manifests = list(read_manifests(tmp_path / "live.mcap"))
    with pytest.raises(InputError, match="in order of time"):
        follower = ManifestFollower(rig, iter([*manifests[:2], manifests[0]]))
        for message in drive:
            follower.push(message)


def test_poses_are_followed_however_old_and_nothing_is_held_that_no_tick_names(rig: Rig, tmp_path: Path) -> None:
    poses = [
        EgoPose(timestamp_ns=t * MS, received_ns=t * MS, odom_from_ego=SE3(translation_m=(t / 100, 0.0, 0.0)))
        for t in range(0, 1000, 100)
    ]
    sweeps = [LidarSweep.from_points("LIDAR", t * MS, np.ones((1, 3))) for t in range(0, 20_000, 100)]
    messages = sorted([*poses, *sweeps], key=lambda m: m.received_ns)
    synchronizer = Synchronizer(rig, SynchronizerConfig(), origin_ns=0)
    frames = [f for m in messages for f in synchronizer.push(m)]
    manifests = [
        TickManifest(
            timestamp_ns=f.timestamp_ns,
            inputs=f.inputs,
            pose_stamps_ns=f.ego_motion.stamps_ns,
            health=dict(f.health),
            discontinuity=f.discontinuity,
        )
        for f in frames
    ]
    follower = ManifestFollower(rig, iter(manifests))
    again = [f for m in messages for f in follower.push(m)]
    assert follower.missing == {}
    assert [f.ego_motion.stamps_ns for f in again] == [f.ego_motion.stamps_ns for f in frames][: len(again)]
    assert len(again[-1].ego_motion.stamps_ns) > 2
    for part in (manifests[:3], manifests[150:]):
        follower = ManifestFollower(rig, iter(part))
        held = 0
        for message in messages:
            follower.push(message)
            held = max(held, len(follower._sensors))
        assert held < 80


def test_a_part_of_a_log_follows_the_ticks_of_that_part(
    log_path: Path, rig: Rig, drive: list[Message], tmp_path: Path
) -> None:
    results = live(rig, drive, tmp_path / "live.mcap")
    log = open_log(log_path)
    start_s = (results[len(results) // 2].tick.timestamp_ns - log.start_ns) / 1e9
    options = ReplayOptions(follow=tmp_path / "live.mcap", start_s=start_s)
    summary = replay(log, PipelineConfig(), tmp_path / "part", options=options)
    assert summary["followed"]["missing"] == {}
    lines = (tmp_path / "part" / "results.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["timestamp_ns"] >= log.start_ns + round(start_s * 1e9)
    assert json.loads(lines[-1])["timestamp_ns"] == results[-1].tick.timestamp_ns


def test_a_part_takes_what_its_last_ticks_name_from_behind_it(
    log_path: Path, rig: Rig, drive: list[Message], tmp_path: Path
) -> None:
    results = live(rig, drive, tmp_path / "live.mcap")
    log = open_log(log_path)
    ends = [r.tick for r in results[2:-2] if any(used.timestamp_ns == r.tick.timestamp_ns for used in r.tick.inputs)]
    assert ends
    # Messages arrive 5 ms after their stamp: those of the last tick lie behind a part that ends with it.
    duration_s = (ends[0].timestamp_ns - log.start_ns) / 1e9
    options = ReplayOptions(follow=tmp_path / "live.mcap", duration_s=duration_s)
    summary = replay(log, PipelineConfig(), tmp_path / "part", options=options)
    assert summary["followed"]["missing"] == {}
    expected = [result_line(r.tick) for r in results if r.tick.timestamp_ns <= ends[0].timestamp_ns]
    assert (tmp_path / "part" / "results.jsonl").read_text().splitlines() == expected


def test_what_is_odd_behind_a_part_is_not_counted_in_it(rig: Rig, tmp_path: Path) -> None:
    broken = np.array([[1.0, 1, 1], [np.nan, 0, 0]], np.float32)
    with LogWriter(tmp_path / "drive.mcap", rig) as writer:
        for t in range(0, 1000, 100):
            writer.write(LidarSweep.from_points("LIDAR", t * MS, broken))
    log = open_log(tmp_path / "drive.mcap")
    replay(log, PipelineConfig(), tmp_path / "whole")
    options = ReplayOptions(follow=tmp_path / "whole" / "results.mcap", start_s=0.3, duration_s=0.4)
    summary = replay(log, PipelineConfig(), tmp_path / "part", options=options)
    assert summary["invalid_points"] == {"LIDAR": 5}


def test_a_followed_run_tells_what_was_dropped_live(
    log_path: Path, rig: Rig, drive: list[Message], tmp_path: Path
) -> None:
    results = live(rig, drive, tmp_path / "live.mcap")
    with ResultsMcapWriter(tmp_path / "dropped.mcap") as writer:
        for result in results:
            writer.write(result.tick, replace(result.delivery, dropped_ticks=2))
    expected: dict[str, dict[str, int]] = {}
    for result in results:
        expected = summed(expected, result.delivery.not_used)
    assert expected["late"]
    options = ReplayOptions(follow=tmp_path / "dropped.mcap")
    summary = replay(open_log(log_path), PipelineConfig(), tmp_path / "out", options=options)
    assert summary["followed"]["dropped_ticks"] == 2 * len(results)
    assert {cause: counts for cause, counts in summary["drops_by_channel"].items() if counts} == expected
    assert summary["drops"]["late"] == sum(expected["late"].values())

    lidar = ReplayOptions(follow=tmp_path / "dropped.mcap", sensors=("lidar",))
    summary = replay(open_log(log_path), PipelineConfig(), tmp_path / "lidar", options=lidar)
    assert {c for counts in summary["drops_by_channel"].values() for c in counts} == {"LIDAR"}


def test_results_of_a_replay_do_not_tell_what_was_dropped(log_path: Path, tmp_path: Path) -> None:
    replay(open_log(log_path), PipelineConfig(), tmp_path / "first")
    options = ReplayOptions(follow=tmp_path / "first" / "results.mcap")
    summary = replay(open_log(log_path), PipelineConfig(), tmp_path / "again", options=options)
    assert summary["drops"] is summary["drops_by_channel"] is summary["followed"]["dropped_ticks"] is None
