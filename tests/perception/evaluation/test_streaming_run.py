"""Streaming scores of the demo log."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import pytest

from tricast.configs.errors import InputError
from tricast.perception.config import PipelineConfig
from tricast.perception.evaluation.held_log import HeldLog
from tricast.perception.evaluation.run_log import run_log
from tricast.perception.evaluation.streaming import Answer, Latency, parse_latency
from tricast.perception.evaluation.streaming_run import StreamTables, answers_at, stream_log, streaming_summary
from tricast.sensors.annotations import Annotations
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import DrivingLog, LogView, Message, stream_order
from tricast.tools.demo import demo_log_path


@pytest.fixture(scope="module")
def streamed() -> StreamTables:
    """One second of the demo log at 10 Hz, 120 ms a tick."""
    log = HeldLog(open_log(demo_log_path()), 1.0)
    return stream_log(log, PipelineConfig(), Latency(kind="constant", median_ms=120), name="demo", rates_hz=(10,))


def test_a_pipeline_of_120_ms_skips_inputs_at_10_hz(streamed: StreamTables) -> None:
    counts = streamed.counts[10]
    processed = len(counts.latencies_ns)
    assert processed + counts.skipped == 11
    assert 0 < counts.skipped < processed
    assert set(counts.latencies_ns) == {120_000_000}
    assert counts.unanswered == 0
    # Inputs are complete 25 ms after their tick and done 120 ms later, so none counts within 145 ms.
    assert 0.145 <= counts.age_s / counts.answers <= 0.4


def test_rows_are_the_offline_score_and_three_strategies_per_rate(streamed: StreamTables) -> None:
    stream = streaming_summary([streamed, _renamed(streamed)], Latency(kind="constant", median_ms=120))
    summary = stream["rows"]
    assert stream["latency"] == {"ms": {"p50": 120.0, "p90": None, "p99": None}}
    assert list(summary) == ["offline", "10_hz_copy", "10_hz_constant_velocity", "10_hz_trajectory"]
    assert summary["offline"]["NDS_kept"] == 1.0
    assert all(0 <= row["NDS"] <= 1 for row in summary.values() if row["NDS"] is not None)
    assert summary["10_hz_copy"]["skipped"] == 2 * streamed.counts[10].skipped


def _renamed(tables: StreamTables) -> StreamTables:
    log = HeldLog(open_log(demo_log_path()), 1.0)
    latency = Latency(kind="constant", median_ms=120)
    again = stream_log(log, PipelineConfig(), latency, name="again", rates_hz=(10,))
    for row, results in tables.results.items():
        assert results.detections.centers_m.tolist() == again.results[row].detections.centers_m.tolist()
    return again


def test_answers_stand_at_the_times_that_are_scored_whichever_were_asked_for() -> None:
    asked = [Answer(timestamp_ns=at, odom_from_ego=SE3.from_yaw(at / 10), output=None) for at in (1, 2, 4, 2)]
    found = answers_at(asked, [1, 2, 3, 2])
    assert [answer.timestamp_ns for answer in found] == [1, 2, 3, 2]
    assert (found[0], found[1], found[3]) == (asked[0], asked[1], asked[3])
    assert found[2].age_s is None


@pytest.mark.parametrize("delay_ms", [90, 120, 180])
def test_truth_that_is_late_shifts_no_answer(delay_ms: int) -> None:
    log = LateTruth(HeldLog(open_log(demo_log_path()), 2.0), third_by_ns=delay_ms * 1_000_000)
    tables = stream_log(log, PipelineConfig(), Latency(kind="constant", median_ms=1), name="demo", rates_hz=(2, 20))
    for results in tables.results.values():
        assert results.detections.sample_tokens == tables.truth.boxes.sample_tokens
    taken = sum(isinstance(message, Annotations) for message in log.messages())
    offline = run_log(log, PipelineConfig(), {"all": None}, name="demo")
    assert offline.late_truth == taken - len(offline.truth.boxes.sample_tokens)


class LateTruth(LogView):
    """A log whose third annotation arrives later than it did."""

    def __init__(self, log: DrivingLog, third_by_ns: int) -> None:
        super().__init__(log)
        self._by_ns = third_by_ns

    def messages(self, *, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Message]:
        count, messages = 0, list[Message]()
        for message in self._log.messages(start_ns=start_ns, end_ns=end_ns):
            late = 0
            if isinstance(message, Annotations):
                count += 1
                late = self._by_ns if count == 3 else 0
            messages.append(replace(message, received_ns=message.received_ns + late) if late else message)
        yield from sorted(messages, key=stream_order)


def test_rates_that_do_not_divide_a_second_into_milliseconds_are_refused() -> None:
    log = HeldLog(open_log(demo_log_path()), 0.6)
    with pytest.raises(InputError, match="12 Hz"):
        stream_log(log, PipelineConfig(), Latency(), name="demo", rates_hz=(12,))


@pytest.mark.parametrize("kind", ["measured", "processor"])
def test_measured_latencies_are_those_of_the_steps_and_can_be_given_elsewhere(
    kind: Literal["measured", "processor"],
) -> None:
    log, latency = HeldLog(open_log(demo_log_path()), 1.0), Latency(kind=kind)
    begin_ns, processor_begin_ns = time.perf_counter_ns(), time.process_time_ns()
    tables = stream_log(log, PipelineConfig(), latency, name="demo", rates_hz=(10,))
    elapsed_ns, processor_ns = time.perf_counter_ns() - begin_ns, time.process_time_ns() - processor_begin_ns
    counts = tables.counts[10]
    assert len(counts.latencies_ns) + counts.skipped == 11
    assert sum(counts.latencies_ns) == (counts.measured_ns if kind == "measured" else counts.processor_ns)
    assert 0 < counts.measured_ns < elapsed_ns
    assert 0 < counts.processor_ns < processor_ns
    figures = streaming_summary([tables], latency)["latency"]
    assert figures["processor_share"] == pytest.approx(counts.processor_ns / counts.measured_ns)
    again = parse_latency(figures["repeat_with"])
    assert again.kind == "lognormal"
    assert min(counts.latencies_ns) / 1e6 - 0.1 < again.median_ms < max(counts.latencies_ns) / 1e6 + 0.1


def test_the_longer_a_pipeline_takes_the_older_its_answers() -> None:
    log = HeldLog(open_log(demo_log_path()), 1.5)
    ages = []
    for median_ms in (10.0, 300.0):
        latency = Latency(kind="constant", median_ms=median_ms)
        tables = stream_log(log, PipelineConfig(), latency, name="demo", rates_hz=(10,))
        ages.append(streaming_summary([tables], latency)["rows"]["10_hz_copy"]["age_ms"])
    # Inputs are complete 25 ms after their tick; answers are asked for on ticks, every fifth of them.
    assert ages[0] == pytest.approx(100.0)
    assert ages[1] >= 325.0
