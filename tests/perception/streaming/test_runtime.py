"""The streaming runtime: the same results however it is run, the newest tick under load, nothing lost in replay."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from tricast.perception.config import PipelineConfig
from tricast.perception.detectors.cluster import ClusterDetector
from tricast.perception.detectors.network import NetworkDetector
from tricast.perception.detectors.network_config import NetworkConfig
from tricast.perception.model import ModelConfig, Network
from tricast.perception.outputs import Detections
from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.streaming.results_json import result_line
from tricast.perception.streaming.runtime import StreamingRuntime
from tricast.perception.streaming.runtime_result import RuntimeResult
from tricast.perception.streaming.streaming_config import StreamingConfig
from tricast.perception.tracking.refinement import RefinementConfig
from tricast.sensors.calibration import Rig
from tricast.sensors.frames import EgoPose, RadarScan
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.stream import Message
from tricast.sensors.synced_frame import SyncedFrame
from tricast.sensors.synchronization import Synchronizer, SynchronizerConfig

MS = 1_000_000


class SlowDetector(ClusterDetector):
    """The classical detector, slowed down where the network would run."""

    def __init__(self, delay_s: float) -> None:
        super().__init__()
        self.delay_s = delay_s

    def detect(self, frame: SyncedFrame, prepared: Detections | None = None) -> Detections:
        time.sleep(self.delay_s)
        return super().detect(frame, prepared)


class FailingDetector(ClusterDetector):
    """The classical detector, which breaks at its third tick."""

    ticks = 0

    def detect(self, frame: SyncedFrame, prepared: Detections | None = None) -> Detections:
        self.ticks += 1
        if self.ticks == 3:
            raise RuntimeError("the third tick broke")
        return super().detect(frame, prepared)


class HeldDetector(ClusterDetector):
    """The classical detector, which prepares nothing until it may go on."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may_go_on = threading.Event(), threading.Event()

    def prepare(self, frame: SyncedFrame) -> Detections:
        self.begun.set()
        self.may_go_on.wait(30)
        return super().prepare(frame)


MakeDrive = Callable[..., list[Message]]


def synchronizer(rig: Rig, *, live: bool = False, **config: Any) -> Synchronizer:
    return Synchronizer(rig, SynchronizerConfig(**config), origin_ns=0, close_early=live)


def started(
    pipeline: Pipeline, former: Synchronizer, config: StreamingConfig, results: list[RuntimeResult]
) -> StreamingRuntime:
    return StreamingRuntime(pipeline, former, config, on_result=results.append)


def until(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.005)


def run(
    rig: Rig, messages: Sequence[Message], config: StreamingConfig, pipeline: Pipeline | None = None, **sync: Any
) -> list[RuntimeResult]:
    results: list[RuntimeResult] = []
    with started(pipeline or Pipeline(), synchronizer(rig, **sync), config, results) as runtime:
        for message in messages:
            runtime.put(message)
    return results


def lines(results: Sequence[RuntimeResult]) -> list[str]:
    return [result_line(result.tick) for result in results]


def paced(runtime: StreamingRuntime, messages: Sequence[Message]) -> None:
    """Put messages when they are due, as sensors do."""
    begin_s, first_ns = time.monotonic(), messages[0].received_ns
    for message in messages:
        time.sleep(max(0.0, begin_s + (message.received_ns - first_ns) / 1e9 - time.monotonic()))
        runtime.put(message)


@contextmanager
def busy_loop() -> Iterator[None]:
    """A thread that takes all the processor time it gets."""
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            sum(range(1000))

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_results_are_the_same_bytes_for_any_number_of_workers_and_under_load(rig: Rig, drive: list[Message]) -> None:
    expected = lines(run(rig, drive, StreamingConfig(workers=0)))
    assert len(expected) == 30
    assert sum('"track_id"' in line for line in expected) > 20
    for workers in (1, 2, 3):
        assert lines(run(rig, drive, StreamingConfig(workers=workers, inbox_messages=3, queued_ticks=1))) == expected
    with busy_loop():
        assert lines(run(rig, drive, StreamingConfig(workers=2))) == expected


def test_the_network_gives_the_same_bytes_for_any_number_of_workers_and_under_load(
    rig: Rig, small_model: ModelConfig, make_drive: MakeDrive
) -> None:
    def results(workers: int) -> list[str]:
        torch.manual_seed(3)
        detector = NetworkDetector(NetworkConfig(threads=1), network=Network(small_model).eval())
        return lines(run(rig, make_drive(0.8), StreamingConfig(workers=workers), Pipeline(detector=detector)))

    expected = results(0)
    assert len(expected) == 8
    with busy_loop():
        assert [results(workers) for workers in (1, 2)] == [expected] * 2


def test_lossless_loses_nothing_and_pushes_back_when_the_network_is_slow(rig: Rig, drive: list[Message]) -> None:
    pipeline = Pipeline(detector=SlowDetector(0.03))
    begin_s = time.monotonic()
    results: list[RuntimeResult] = []
    config = StreamingConfig(workers=1, inbox_messages=4, queued_ticks=1)
    with started(pipeline, synchronizer(rig), config, results) as runtime:
        for message in drive:
            runtime.put(message)
        held_back_s = time.monotonic() - begin_s
    assert held_back_s > 20 * 0.03
    assert [result.delivery.sequence for result in results] == list(range(30))
    assert runtime.status().dropped_ticks == runtime.status().dropped_messages == 0
    assert lines(results) == lines(run(rig, drive, StreamingConfig(workers=0)))


def test_latest_stays_within_its_deadline_under_overload_and_counts_drops(rig: Rig, make_drive: MakeDrive) -> None:
    pipeline = Pipeline(detector=SlowDetector(0.15))
    config = StreamingConfig(policy="latest", deadline_ms=1000)
    results: list[RuntimeResult] = []
    with started(pipeline, synchronizer(rig, live=True, tick_period_ms=30), config, results) as runtime:
        paced(runtime, make_drive(3.0, period_ms=30))
    status = runtime.status()
    # A backlog of all ticks would have grown to 12 s; the newest waits for no more than the one that runs.
    assert not any(result.delivery.late for result in results)
    assert status.results == len(results) >= 8
    assert status.dropped_ticks > 2 * len(results)
    assert status.results + status.dropped_ticks == status.ticks
    stamps = [result.tick.timestamp_ns for result in results]
    assert stamps == sorted(stamps)
    sequences = [result.delivery.sequence for result in results]
    dropped = [result.delivery.dropped_ticks for result in results]
    assert [b - a - 1 for a, b in pairwise(sequences)] == dropped[1:]
    assert [r.delivery.memory for r in results] == ["moved_on" if r.delivery.dropped_ticks else "kept" for r in results]


def test_after_a_stall_a_tick_with_a_sensor_runs_and_not_a_newer_one_without(rig: Rig, make_drive: MakeDrive) -> None:
    detector, results = HeldDetector(), list[RuntimeResult]()
    config = StreamingConfig(policy="latest")
    with started(Pipeline(detector=detector), synchronizer(rig, live=True), config, results) as runtime:
        for message in make_drive(0.5):
            runtime.put(message)
        assert detector.begun.wait(30)
        last_ns = message.received_ns
        # Nobody told the time meanwhile: all these ticks close at once.
        runtime.advance(last_ns + 1900 * MS)
        until(lambda: runtime.status().ticks == 24)
        detector.may_go_on.set()
        until(lambda: _accounted(runtime))
        runtime.advance(last_ns + 2000 * MS)
        until(lambda: runtime.status().ticks == 25 and _accounted(runtime))
    assert [bool(result.tick.inputs) for result in results[-2:]] == [True, False]
    sequences = [result.delivery.sequence for result in results]
    assert [b - a - 1 for a, b in pairwise(sequences)] == [r.delivery.dropped_ticks for r in results[1:]]
    assert results[-1].delivery.dropped_ticks > 10


def _accounted(runtime: StreamingRuntime) -> bool:
    status = runtime.status()
    return status.results + status.dropped_ticks == status.ticks


def test_a_hole_too_long_to_move_on_over_resets_tracks_and_says_so(rig: Rig, make_drive: MakeDrive) -> None:
    config = StreamingConfig(policy="latest", max_moved_on_s=0.05)
    results: list[RuntimeResult] = []
    pipeline = Pipeline(detector=SlowDetector(0.2))
    with started(pipeline, synchronizer(rig, live=True, tick_period_ms=30), config, results) as runtime:
        paced(runtime, make_drive(1.2, period_ms=30))
    assert len(results) >= 3
    assert {result.delivery.memory for result in results[2:]} == {"reset"}
    assert all(result.tick.discontinuity for result in results[2:])
    identities = [set(result.tick.tracks.track_ids.tolist()) for result in results]
    assert all(not a & b for a, b in pairwise(identities[1:]))


@pytest.mark.parametrize("config", [StreamingConfig(workers=w) for w in (0, 2)] + [StreamingConfig(policy="latest")])
def test_what_fails_in_a_thread_comes_out_where_messages_go_in(
    rig: Rig, config: StreamingConfig, make_drive: MakeDrive
) -> None:
    before = set(threading.enumerate())
    runtime = StreamingRuntime(
        Pipeline(detector=FailingDetector()), synchronizer(rig), config, on_result=lambda result: None
    )
    with pytest.raises(RuntimeError, match="third tick"), runtime:
        for message in make_drive(3.0):
            runtime.put(message)
            time.sleep(0.003)
    assert set(threading.enumerate()) <= before


def test_an_observer_that_fails_stops_the_runtime(rig: Rig, drive: list[Message]) -> None:
    def refuse(result: RuntimeResult) -> None:
        raise OSError("disk full")

    with (
        pytest.raises(OSError, match="disk full"),
        StreamingRuntime(Pipeline(), synchronizer(rig), StreamingConfig(), on_result=refuse) as runtime,
    ):
        for message in drive:
            runtime.put(message)


def test_an_error_of_the_caller_ends_at_once_without_another(rig: Rig, drive: list[Message]) -> None:
    results: list[RuntimeResult] = []
    pipeline = Pipeline(detector=SlowDetector(0.05))
    with (
        pytest.raises(KeyError),
        StreamingRuntime(
            pipeline, synchronizer(rig), StreamingConfig(queued_ticks=10), on_result=results.append
        ) as runtime,
    ):
        for message in drive:
            runtime.put(message)
        raise KeyError
    assert len(results) < 25


def test_an_error_of_the_caller_lets_go_of_ticks_that_one_message_closed(rig: Rig) -> None:
    begun, results = threading.Event(), list[RuntimeResult]()

    def slow(result: RuntimeResult) -> None:
        results.append(result)
        begun.set()
        time.sleep(0.1)

    runtime = StreamingRuntime(Pipeline(), synchronizer(rig), StreamingConfig(), on_result=slow)
    with pytest.raises(KeyError), runtime:
        for time_ms in (0, 1900):
            runtime.put(EgoPose(timestamp_ns=time_ms * MS, received_ns=time_ms * MS, odom_from_ego=SE3()))
        begun.wait()
        raise KeyError
    # One was in hand; a second leaves room for a machine that is busy.
    assert len(results) <= 2


def test_a_failure_of_the_last_ticks_leaves_no_thread(rig: Rig) -> None:
    class Failing(Synchronizer):
        def flush(self) -> list[SyncedFrame]:
            raise ValueError("damaged")

    before = set(threading.enumerate())
    with (
        pytest.raises(ValueError, match="damaged"),
        started(Pipeline(), Failing(rig, SynchronizerConfig(), origin_ns=0), StreamingConfig(), []),
    ):
        pass
    assert set(threading.enumerate()) <= before


def test_after_the_end_nothing_is_taken_and_no_thread_is_left(rig: Rig, drive: list[Message]) -> None:
    before = set(threading.enumerate())
    results: list[RuntimeResult] = []
    with started(Pipeline(), synchronizer(rig), StreamingConfig(workers=2), results) as runtime:
        runtime.put(drive[0])
        runtime.close()
        count = len(results)
        for message in drive:
            runtime.put(message)
    assert len(results) == count == 1
    assert set(threading.enumerate()) <= before


def test_ticks_come_although_nothing_arrives(rig: Rig) -> None:
    results: list[RuntimeResult] = []
    with started(Pipeline(), synchronizer(rig, live=True), StreamingConfig(), results) as runtime:
        for t in range(0, 1000, 20):
            runtime.advance(t * MS)
    assert [result.tick.timestamp_ns // MS for result in results] == list(range(0, 1000, 100))
    assert all(len(result.tick.tracks) == 0 for result in results)
    assert {report.state for result in results for report in result.channels.values()} == {"waiting"}


@pytest.mark.parametrize("channel", ["LIDAR", "RADAR", "CAM"])
def test_the_first_message_of_any_sensor_enters_the_next_tick(rig: Rig, drive: list[Message], channel: str) -> None:
    only = [m for m in drive if isinstance(m, EgoPose) or getattr(m, "channel", "") == channel]
    results = run(rig, only, StreamingConfig(), live=True)
    assert {used.channel for used in results[0].tick.inputs} == {channel}
    assert len(results) >= 29
    assert results[5].channels[channel].state == "ok"


def test_a_rig_that_comes_after_its_messages_is_used_from_then_on(rig: Rig, drive: list[Message]) -> None:
    results: list[RuntimeResult] = []
    with started(Pipeline(), synchronizer(Rig.of([]), live=True), StreamingConfig(), results) as runtime:
        for message in drive:
            if message.received_ns == 1001 * MS:
                runtime.recalibrate(rig)
            runtime.put(message)
    with_inputs = [result.tick.timestamp_ns // MS for result in results if result.tick.inputs]
    assert with_inputs[0] in (1000, 1100)
    assert results[-1].channels["LIDAR"].state == "ok"
    assert results[3].delivery.not_used["uncalibrated"]["LIDAR"] == 1


def test_a_stream_that_loops_begins_anew_with_other_identities(rig: Rig, drive: list[Message]) -> None:
    # What the detector says alone: of the first ticks the sensors differ, and what tracks know differs for a while.
    alone = PipelineConfig(refinement=RefinementConfig(place_share=0, score_share=0, unclaimed_share=1))
    results = run(rig, [*drive, *drive], StreamingConfig(), Pipeline(alone), live=True)
    jumps = [k for k, result in enumerate(results) if result.tick.discontinuity]
    assert len(jumps) == 1
    assert results[jumps[0]].delivery.memory == "reset"
    first, second = results[: jumps[0]], results[jumps[0] :]
    seen = [{int(i) for r in part for i in r.tick.tracks.track_ids} for part in (first, second)]
    assert seen[0] and seen[1] and not seen[0] & seen[1]
    places = [[r.tick.detections.boxes.centers_m.tolist() for r in part[1:25]] for part in (first, second)]
    assert places[0] == places[1]


def test_a_full_inbox_loses_sensor_messages_first_and_counts_them(rig: Rig, make_drive: MakeDrive) -> None:
    many = [m for m in make_drive(3.0, period_ms=10) if not isinstance(m, EgoPose)]
    config = StreamingConfig(policy="latest", inbox_messages=2)
    results: list[RuntimeResult] = []
    with started(Pipeline(), synchronizer(rig, live=True), config, results) as runtime:
        for message in many:
            runtime.put(message)
        lost = runtime.status().dropped_messages
        for message in make_drive(1.0, first_ms=3500):
            time.sleep(0.01)
            runtime.put(message)
    assert lost > 0
    assert sum(n for r in results for n in r.delivery.not_used.get("inbox", {}).values()) > 0


def test_slow_processing_warns_and_no_result_in_time_is_an_error(rig: Rig, drive: list[Message]) -> None:
    def status(delay_s: float, **limits: float) -> tuple[str, str]:
        config = StreamingConfig.model_validate({"workers": 0, **limits})
        pipeline = Pipeline(detector=SlowDetector(delay_s))
        with started(pipeline, synchronizer(rig), config, []) as runtime:
            for message in drive[:80]:
                runtime.put(message)
        found = runtime.status()
        return found.level, " ".join(found.reasons)

    relaxed = {"deadline_ms": 60_000, "processing_warn_ms": 60_000, "result_timeout_s": 600}
    assert status(0.0, **relaxed) == ("ok", "")
    assert status(0.05, **{**relaxed, "processing_warn_ms": 20})[0] == "warn"
    level, reason = status(0.05, **{**relaxed, "deadline_ms": 20, "result_timeout_s": 0.1})
    assert level == "error"
    assert "no result in time for" in reason


def test_poses_that_cease_are_a_warning(rig: Rig, make_drive: MakeDrive) -> None:
    relaxed = {"workers": 0, "deadline_ms": 60_000, "processing_warn_ms": 60_000, "result_timeout_s": 600}
    drive = make_drive(3.0)
    for until_ms, level in ((3000, "ok"), (1000, "warn"), (0, "ok")):  # a log without poses has none to lose
        with started(Pipeline(), synchronizer(rig), StreamingConfig.model_validate(relaxed), []) as runtime:
            for message in drive:
                if not isinstance(message, EgoPose) or message.timestamp_ns < until_ms * MS:
                    runtime.put(message)
        status = runtime.status()
        assert status.level == level
        assert bool(status.reasons) == (level == "warn")
        assert all(reason.startswith("no ego pose for 1.") for reason in status.reasons)


def test_it_is_not_well_before_a_sensor_is_heard_and_once_all_are_lost(rig: Rig, make_drive: MakeDrive) -> None:
    limits = {"workers": 0, "deadline_ms": 60_000, "processing_warn_ms": 60_000, "pose_warn_s": 600}
    poses = [m for m in make_drive(1.0) if isinstance(m, EgoPose)]
    told: dict[float, tuple[str, str]] = {}
    for timeout_s in (600, 0.01):
        config = StreamingConfig.model_validate({**limits, "result_timeout_s": timeout_s})
        with started(Pipeline(), synchronizer(rig), config, []) as runtime:
            for pose in poses:
                runtime.put(pose)
            time.sleep(0.02)
            told[timeout_s] = (runtime.status().level, " ".join(runtime.status().reasons))
    assert told[600] == ("warn", "no sensor was heard yet")
    assert told[0.01][0] == "error"
    assert "no sensor was heard yet no result in time for" in told[0.01][1]

    config = StreamingConfig.model_validate({**limits, "result_timeout_s": 600})
    with started(Pipeline(), synchronizer(rig), config, []) as runtime:
        for message in make_drive(3.0):
            if isinstance(message, EgoPose) or message.timestamp_ns < 1500 * MS:
                runtime.put(message)
            if message.timestamp_ns == 1600 * MS:
                assert runtime.status().level == "ok"
    status = runtime.status()
    assert (status.level, status.reasons) == ("error", ("every sensor is lost",))


def test_messages_may_come_from_many_threads(rig: Rig, drive: list[Message]) -> None:
    results: list[RuntimeResult] = []
    with started(Pipeline(), synchronizer(rig, live=True), StreamingConfig(), results) as runtime:

        def feed(channel: str | None) -> None:
            for message in drive:
                if getattr(message, "channel", None) == channel:
                    runtime.put(message)
                    time.sleep(0.001)

        threads = [threading.Thread(target=feed, args=(c,)) for c in (None, "LIDAR", "RADAR", "CAM")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    status = runtime.status()
    assert status.results == status.ticks == len(results) > 0


def test_what_was_late_or_reused_is_stated_in_the_result(rig: Rig, drive: list[Message]) -> None:
    late = [
        replace(m, received_ns=m.received_ns + 170 * MS)
        if isinstance(m, RadarScan) and m.timestamp_ns == 1000 * MS
        else m
        for m in drive
    ]
    results = run(rig, sorted(late, key=lambda m: m.received_ns), StreamingConfig())
    by_tick = {result.tick.timestamp_ns // MS: result for result in results}
    newest = next(used for used in by_tick[1000].tick.inputs if used.channel == "RADAR")
    assert (newest.timestamp_ns, newest.reused) == (900 * MS, True)
    not_used = {"late": {"RADAR": 1}, "out_of_order": {"RADAR": 1}}
    assert [by_tick[t].delivery.not_used for t in (1100, 1200, 1300)] == [{}, not_used, {}]
    assert by_tick[1200].tick.pose_stamps_ns[-1] == 1200 * MS


@pytest.mark.parametrize("workers", [0, 2])
def test_the_policy_latest_prepares_in_one_thread(workers: int) -> None:
    with pytest.raises(ValueError, match=f"workers: the policy 'latest' prepares in 1 thread, not {workers}"):
        StreamingConfig(policy="latest", workers=workers)


def test_default_limits_are_those_of_autoware() -> None:
    config = StreamingConfig()
    assert (config.processing_warn_ms, config.result_timeout_s) == (200, 1.0)
    assert PipelineConfig().synchronizer.deadline_ms < config.deadline_ms
