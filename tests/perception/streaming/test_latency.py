from tricast.perception.streaming.latency import LatencyRecorder, supports_percentile


def test_percentiles_need_the_counts_of_the_early_stopping_rule() -> None:
    assert not supports_percentile(10, 50)
    assert supports_percentile(11, 50)
    assert not supports_percentile(661, 99)
    assert supports_percentile(662, 99)
    assert not supports_percentile(0, 50)


def test_a_percentile_that_the_count_does_not_support_is_none() -> None:
    recorder = LatencyRecorder()
    for _ in range(20):
        with recorder.stage("detection"):
            pass
    stage = recorder.percentiles()["detection"]
    assert stage["p50"] is not None
    assert stage["p90"] is None
    assert stage["p99"] is None


def test_only_the_newest_ticks_are_kept_where_that_is_asked_for() -> None:
    recorder = LatencyRecorder(keep=3)
    for took_ms in (1.0, 2.0, 3.0, 4.0, 5.0):
        recorder.record("total", took_ms)
    assert recorder.samples_ms() == {"total": [3.0, 4.0, 5.0]}
