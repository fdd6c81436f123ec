"""States of channels over time, with hysteresis, and the reasons given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from tricast.configs.errors import ConfigError
from tricast.configs.strict import parse_config
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import CameraFrame, LidarSweep
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.health import ChannelReport, HealthConfig, HealthMonitor
from tricast.sensors.log.stream import Message
from tricast.sensors.synchronization import Synchronizer, SynchronizerConfig

MS = 1_000_000
LENS = PinholeLens(width_px=8, height_px=4, focal_px=(4.0, 4.0), principal_px=(3.5, 1.5))
RIG = Rig.of(
    [
        *(SensorCalibration(channel=c, modality="lidar", ego_from_sensor=SE3()) for c in ("A", "B")),
        SensorCalibration(channel="CAM", modality="camera", ego_from_sensor=SE3(), lens=LENS),
    ]
)


def sweep(channel: str, stamp_ms: int, received_ms: int | None = None, *, content: int | None = None) -> LidarSweep:
    points = np.full((2, 3), stamp_ms if content is None else content)
    received_ms = stamp_ms if received_ms is None else received_ms
    return LidarSweep.from_points(channel, stamp_ms * MS, points, received_ns=received_ms * MS)


def picture(stamp_ms: int, data: bytes, size_px: tuple[int, int] = (8, 4)) -> CameraFrame:
    at_ns = stamp_ms * MS
    return CameraFrame(
        channel="CAM", timestamp_ns=at_ns, received_ns=at_ns, encoding="rgb8", data=data, size_px=size_px
    )


def watched(
    messages: Sequence[Message], rig: Rig = RIG, config: HealthConfig | None = None
) -> dict[int, dict[str, ChannelReport]]:
    """Reports by tick in milliseconds of a stream that B's steady sweeps keep going."""
    synchronizer = Synchronizer(rig, SynchronizerConfig(), origin_ns=0)
    monitor = HealthMonitor(rig, config)
    reports: dict[int, dict[str, ChannelReport]] = {}
    for message in sorted(messages, key=lambda m: m.received_ns):
        monitor.observe(message)
        for frame in synchronizer.push(message):
            reports[frame.timestamp_ns // MS] = monitor.tick(frame)
    return reports


def steady(channel: str, begin_ms: int, end_ms: int, step_ms: int = 100) -> list[LidarSweep]:
    return [sweep(channel, t) for t in range(begin_ms, end_ms, step_ms)]


def states(reports: dict[int, dict[str, ChannelReport]], channel: str = "A") -> dict[int, str]:
    return {tick: by_channel[channel].state for tick, by_channel in reports.items()}


def test_a_channel_is_waiting_then_ok_then_degraded_then_lost_then_recovered_then_ok() -> None:
    stream = [*steady("B", 0, 5000), *steady("A", 1000, 2000), *steady("A", 3500, 5000)]
    seen = states(watched(stream))
    assert list(dict.fromkeys(seen.values())) == ["waiting", "ok", "degraded", "lost", "recovered"]
    assert [seen[t] for t in (900, 1000, 2100, 2200, 2400, 2500, 3400)] == [
        "waiting", "ok", "ok", "degraded", "degraded", "lost", "lost",
    ]  # fmt: skip
    assert [seen[t] for t in (3500, 3900, 4000, 4800)] == ["recovered", "recovered", "ok", "ok"]


def test_a_lost_channel_says_for_how_long_and_counts_the_hole_when_it_returns() -> None:
    reports = watched([*steady("B", 0, 5000), *steady("A", 0, 2000), *steady("A", 3500, 5000)])
    assert reports[3000]["A"].reasons == ("no tick had fresh data for 1.1 s",)
    assert reports[3000]["A"].age_ns == 1_100 * MS
    assert (reports[3400]["A"].gaps, reports[4500]["A"].gaps) == (0, 1)


def test_jitter_and_one_missing_message_are_no_complaint() -> None:
    rng = np.random.default_rng(3)
    jittered = [sweep("A", t, t + int(rng.integers(0, 40))) for t in range(0, 4000, 100) if t != 2000]
    seen = states(watched([*steady("B", 0, 4000), *jittered]))
    assert set(seen.values()) == {"ok"}


def test_a_slow_sensor_is_judged_by_its_own_rate() -> None:
    reports = watched([*steady("B", 0, 14_000), *steady("A", 0, 10_000, 500)])
    seen = states(reports)
    assert {seen[t] for t in range(6000, 10_000, 100)} == {"ok"}
    assert reports[9900]["A"].rate_hz == pytest.approx(2.0)
    assert (seen[11_000], seen[12_500]) == ("degraded", "lost")


def test_a_delayed_sensor_is_lost_and_the_delay_is_the_reason() -> None:
    late = [sweep("A", t, t + 300) for t in range(3000, 6000, 100)]
    reports = watched([*steady("B", 0, 6000), *steady("A", 0, 3000), *late])
    assert reports[5000]["A"].state == "lost"
    assert reports[5000]["A"].delay_ns == 300 * MS
    assert any(reason.startswith("arrives 0.300 s after its stamps") for reason in reports[5000]["A"].reasons)


def test_a_clock_that_is_ahead_is_said() -> None:
    ahead = [sweep("A", t + 400, t) for t in range(0, 3000, 100)]
    report = watched([*steady("B", 0, 3000), *ahead])[2500]["A"]
    assert report.state == "degraded"
    assert report.reasons == ("stamps lie 0.400 s after their arrival: its clock is off",)


def test_a_frozen_sensor_is_degraded_and_recovers() -> None:
    frozen = [sweep("A", t, content=7) for t in range(2000, 3000, 100)]
    reports = watched([*steady("B", 0, 5000), *steady("A", 0, 2000), *frozen, *steady("A", 3000, 5000)])
    assert reports[2100]["A"].state == "ok"
    assert reports[2500]["A"].reasons == ("the same content 6 times in a row",)
    assert [reports[t]["A"].state for t in (2500, 3000, 3600)] == ["degraded", "recovered", "ok"]


def test_ten_times_the_rate_is_a_complaint_until_it_ends() -> None:
    fast = steady("A", 3000, 4000, 10)
    reports = watched([*steady("B", 0, 7000), *steady("A", 0, 3000), *fast, *steady("A", 4000, 7000)])
    assert reports[3500]["A"].reasons == ("100.0 messages a second where 10.0 are usual",)
    assert reports[6500]["A"].state == "ok"


def test_the_usual_rate_can_be_set() -> None:
    config = HealthConfig(rates_hz={"A": 40})
    report = watched([*steady("B", 0, 2000), *steady("A", 0, 2000)], config=config)[1500]["A"]
    assert report.reasons == ("10.0 messages a second where 40.0 are usual",)


def test_messages_that_do_not_decode_are_a_complaint_for_a_second() -> None:
    monitor, synchronizer = HealthMonitor(RIG), Synchronizer(RIG, SynchronizerConfig(), origin_ns=0)
    seen: dict[int, ChannelReport] = {}
    for message in steady("A", 0, 4000):
        if message.timestamp_ns == 2000 * MS:
            monitor.malformed("A")
        monitor.observe(message)
        seen |= {f.timestamp_ns // MS: monitor.tick(f)["A"] for f in synchronizer.push(message)}
    assert [seen[t].state for t in (1800, 2000, 2800, 3000, 3500)] == ["ok", "degraded", "degraded", "recovered", "ok"]
    assert seen[2000].reasons == ("messages that do not decode, 1 so far",)
    assert seen[3800].malformed == 1


def test_bytes_that_are_no_picture_count_as_malformed() -> None:
    broken = CameraFrame(channel="CAM", timestamp_ns=0, received_ns=0, encoding="jpeg", data=b"no picture")
    assert watched([broken, *steady("B", 0, 500)])[300]["CAM"].malformed == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda s: replace(s, ego_from_sensor=SE3(translation_m=(0.0, 40.0, 0.0))), "40.0 m from the vehicle's origin"),
        (lambda s: replace(s, lens=replace(LENS, width_px=16)), "pictures are 8x4 where its calibration says 16x4"),
        (lambda s: s, None),
    ],
)
def test_calibration_that_cannot_be_is_said(
    change: Callable[[SensorCalibration], SensorCalibration], reason: str | None
) -> None:
    rig = Rig.of(change(s) if s.channel == "CAM" else s for s in RIG.sensors.values())
    pictures = [picture(t, bytes([t // 100]) * 96) for t in range(0, 2000, 100)]
    report = watched([*steady("B", 0, 2000), *pictures], rig)[1500]["CAM"]
    assert report.state == ("ok" if reason is None else "degraded")
    assert [str(reason) in r for r in report.reasons] == ([] if reason is None else [True])


def test_a_jump_back_in_time_is_no_complaint_about_channels() -> None:
    loop = [*steady("A", 0, 3000), *steady("A", 0, 3000)]
    monitor, synchronizer = HealthMonitor(RIG), Synchronizer(RIG, SynchronizerConfig(), origin_ns=0)
    seen: list[ChannelReport] = []
    for message in loop:
        monitor.observe(message)
        seen += [monitor.tick(frame)["A"] for frame in synchronizer.push(message)]
    assert {report.state for report in seen} == {"ok"}
    assert seen[-1].gaps == 0


def test_a_channel_that_had_just_recovered_is_well_again_after_a_jump_back_in_time() -> None:
    early, late = [*steady("A", 0, 2000)], [*steady("A", 100_000, 102_000), *steady("A", 102_600, 102_900)]
    monitor, synchronizer = HealthMonitor(RIG), Synchronizer(RIG, SynchronizerConfig(), origin_ns=0)
    seen: list[ChannelReport] = []
    for message in [*late, *early]:
        monitor.observe(message)
        seen += [monitor.tick(frame)["A"] for frame in synchronizer.push(message)]
    assert [report.state for report in seen].count("recovered") == 3
    assert seen[-1].state == "ok"


def test_one_stamp_from_the_future_does_not_hide_what_comes_after() -> None:
    stream = [*steady("B", 0, 6000), *steady("A", 0, 3000), *steady("A", 3400, 6000), sweep("A", 3_600_000, 350)]
    last = max((reports := watched(stream)).items())[1]["A"]
    assert last.state == "ok" and last.age_ns is not None and last.age_ns < 200 * MS
    assert last.gaps == 1
    assert any("ahead" in reason for reason in reports[500]["A"].reasons) or reports[500]["A"].state == "ok"


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="greater than 0"):
        parse_config(HealthConfig, {"rates_hz": {"A": 0}}, where="test")
