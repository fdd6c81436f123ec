"""Streaming scores of the demo log."""

import pytest

from tricast.configs.errors import InputError
from tricast.perception.config import PipelineConfig
from tricast.perception.evaluation.held_log import HeldLog
from tricast.perception.evaluation.streaming import Latency
from tricast.perception.evaluation.streaming_run import StreamTables, stream_log, streaming_summary
from tricast.sensors.log.open_log import open_log
from tricast.tools.demo import demo_log_path


@pytest.fixture(scope="module")
def streamed() -> StreamTables:
    """One second of the demo log at 10 Hz, 120 ms a tick."""
    log = HeldLog(open_log(demo_log_path()), 1.0)
    return stream_log(log, PipelineConfig(), Latency(kind="constant", median_ms=120), name="demo", rates_hz=(10,))


def test_a_pipeline_of_120_ms_skips_inputs_at_10_hz(streamed: StreamTables) -> None:
    counts = streamed.counts[10]
    assert counts.processed + counts.skipped == 11
    assert 0 < counts.skipped < counts.processed
    assert counts.latency_s == pytest.approx(0.12 * counts.processed)
    assert counts.unanswered == 0
    # Inputs are complete 25 ms after their tick and done 120 ms later, so none counts within 145 ms.
    assert 0.145 <= counts.age_s / counts.answers <= 0.4


def test_rows_are_the_offline_score_and_three_strategies_per_rate(streamed: StreamTables) -> None:
    summary = streaming_summary([streamed, _renamed(streamed)])
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


def test_rates_that_do_not_divide_a_second_into_milliseconds_are_refused() -> None:
    log = HeldLog(open_log(demo_log_path()), 0.6)
    with pytest.raises(InputError, match="12 Hz"):
        stream_log(log, PipelineConfig(), Latency(), name="demo", rates_hz=(12,))
