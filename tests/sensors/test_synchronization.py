"""Ticks from streams: the grid, what enters, what is counted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import EgoPose, LidarSweep
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.stream import Message
from tricast.sensors.synced_frame import ChannelHealth, SyncedFrame
from tricast.sensors.synchronization import MAX_BUFFERED, ChannelTiming, Synchronizer, SynchronizerConfig

MS = 1_000_000
RIG = Rig.of(SensorCalibration(channel=c, modality="lidar", ego_from_sensor=SE3()) for c in ("A", "B"))


def sweep(channel: str, stamp_ms: int, received_ms: int) -> LidarSweep:
    return LidarSweep.from_points(channel, stamp_ms * MS, np.zeros((1, 3)), received_ns=received_ms * MS)


def replayed(
    messages: Sequence[Message],
    channels: frozenset[str] | None = None,
    *,
    timing: dict[str, ChannelTiming] | None = None,
) -> tuple[list[SyncedFrame], Synchronizer]:
    config = SynchronizerConfig(channels=timing or {})
    synchronizer = Synchronizer(RIG, config, origin_ns=0, channels=channels)
    frames = [frame for message in messages for frame in synchronizer.push(message)]
    return frames + synchronizer.flush(), synchronizer


def random_stream(seed: int) -> list[LidarSweep]:
    rng = np.random.default_rng(seed)
    stream = [
        sweep(c, t + int(rng.integers(0, 30)), t + int(rng.integers(0, 200))) for t in range(0, 2000, 50) for c in "AB"
    ]
    return sorted(stream, key=lambda m: (m.received_ns, m.channel))


def test_no_tick_uses_data_from_its_future_whatever_the_arrivals() -> None:
    for seed in range(10):
        frames, _ = replayed(random_stream(seed))
        assert frames
        assert all(used.timestamp_ns <= f.timestamp_ns for f in frames for used in f.inputs)


def test_ticks_are_the_same_whatever_channels_are_asked_for() -> None:
    for asked in (frozenset({"A"}), frozenset({"B"}), frozenset[str]()):
        for seed in range(5):
            every = [f.timestamp_ns for f in replayed(random_stream(seed))[0]]
            assert [f.timestamp_ns for f in replayed(random_stream(seed), asked)[0]] == every


def test_a_duplicate_is_counted_and_used_once() -> None:
    frames, synchronizer = replayed([sweep("A", 0, 0), sweep("A", 0, 1)])
    assert synchronizer.counts.duplicate == {"A": 1}
    assert [len(f.lidars["A"]) for f in frames] == [1]


def test_a_channel_that_stops_is_lost() -> None:
    frames, _ = replayed([sweep("A", 0, 0), *(sweep("B", t, t) for t in range(0, 600, 100))])
    assert frames[-1].health["A"].state == "lost"
    assert "A" not in frames[-1].lidars


def test_a_stamp_from_the_future_beside_others_of_one_arrival_is_no_discontinuity() -> None:
    frames, _ = replayed([sweep("A", 0, 0), sweep("A", 3000, 100), sweep("B", 100, 100), sweep("B", 200, 200)])
    assert not any(f.discontinuity for f in frames)


def truth(stamp_ms: int, received_ms: int) -> Annotations:
    return Annotations.from_boxes(stamp_ms * MS, Boxes.empty(), (), (), received_ns=received_ms * MS)


def stamps_ms(frames: list[SyncedFrame]) -> list[int]:
    return [f.timestamp_ns // MS for f in frames]


def steady(until_ms: int, step_ms: int = 100) -> list[Message]:
    return [sweep(c, t, t) for t in range(0, until_ms, step_ms) for c in "AB"]


def arrived(*messages: Message) -> list[Message]:
    return sorted(messages, key=lambda m: m.received_ns)


def test_truth_that_arrives_within_the_deadline_has_its_tick_whatever_channels_are_asked_for() -> None:
    stream = arrived(*steady(600), truth(130, 185), truth(250, 255), truth(300, 301))
    for asked in (None, frozenset({"A"}), frozenset[str]()):
        frames, synchronizer = replayed(stream, asked)
        assert stamps_ms(frames) == [0, 100, 130, 200, 250, 300, 400, 500]
        assert synchronizer.counts.late == {}


def test_truth_that_arrives_after_later_ticks_closed_is_counted() -> None:
    frames, synchronizer = replayed(arrived(*steady(600), truth(130, 450)))
    assert stamps_ms(frames) == [0, 100, 200, 300, 400, 500]
    assert synchronizer.counts.late == {"annotations": 1}


def test_a_tick_closes_at_its_deadline_or_as_soon_as_all_delivered() -> None:
    messages = [sweep("A", 0, 0), sweep("B", 0, 5), sweep("A", 100, 100), sweep("B", 100, 120), sweep("A", 110, 170)]
    for early, closing in ((True, [0, 120]), (False, [100, 170])):
        synchronizer = Synchronizer(RIG, SynchronizerConfig(), origin_ns=0, close_early=early)
        closed = [m.received_ns // MS for m in messages for _ in synchronizer.push(m)]
        assert closed == closing


def test_data_that_arrives_after_the_deadline_is_late_and_enters_the_next_tick() -> None:
    frames, synchronizer = replayed(arrived(*(sweep("A", t, t) for t in range(0, 500, 100)), sweep("B", 95, 170)))
    assert synchronizer.counts.late == {"B": 1}
    by_stamp = {f.timestamp_ns // MS: f for f in frames}
    assert "B" not in by_stamp[100].lidars
    assert by_stamp[200].lidars["B"][0].timestamp_ns == 95 * MS
    assert by_stamp[200].health["B"].age_ns == 105 * MS


def test_data_out_of_order_is_counted_and_sorted_in() -> None:
    frames, synchronizer = replayed([sweep("A", 0, 0), sweep("A", 90, 92), sweep("A", 80, 95), sweep("A", 200, 200)])
    assert synchronizer.counts.out_of_order == {"A": 1}
    assert {f.timestamp_ns // MS: f for f in frames}[100].lidars["A"][0].timestamp_ns == 90 * MS


def test_old_data_does_not_pass_the_age_test_of_its_channel() -> None:
    stream = arrived(*(sweep("B", t, t) for t in range(0, 500, 100)), sweep("A", 0, 0))
    ages = {"A": ChannelTiming(tolerance_ms=250)}
    for timing, used in ((None, [0, 100]), (ages, [0, 100, 200])):
        frames, _ = replayed(stream, timing=timing)
        assert [f.timestamp_ns // MS for f in frames if "A" in f.lidars] == used


def test_a_channel_with_a_phase_is_not_waited_for() -> None:
    stream = [sweep("A", 40, 40), sweep("B", 40, 41), sweep("A", 100, 100), sweep("B", 140, 140)]
    for timing, closed in (({}, 140), ({"B": ChannelTiming(phase_ms=60)}, 100)):
        synchronizer = Synchronizer(RIG, SynchronizerConfig(channels=timing), origin_ns=0, close_early=True)
        closing = [m.received_ns // MS for m in stream for f in synchronizer.push(m) if f.timestamp_ns == 100 * MS]
        assert closing == [closed]


def test_silence_between_scenes_is_a_discontinuity_without_ticks() -> None:
    later = [sweep(c, t, t) for t in range(8000, 8300, 100) for c in "AB"]
    frames, _ = replayed([*steady(300), *later])
    assert stamps_ms(frames) == [0, 100, 200, 8000, 8100, 8200]
    assert [f.discontinuity for f in frames] == [False, False, False, True, False, False]


def test_a_lost_channel_says_how_old_its_last_data_is() -> None:
    frames, _ = replayed(arrived(*(sweep("B", t, t) for t in range(0, 800, 100)), sweep("A", 0, 0)))
    assert frames[-1].health["A"].state == "lost"
    assert frames[-1].health["A"].age_ns == 700 * MS


def test_a_sensor_whose_clock_was_set_back_is_lost_and_its_messages_are_late() -> None:
    back = [sweep("A", t - 5000, t) for t in range(500, 1000, 100)]
    frames, synchronizer = replayed(arrived(*steady(500), *(sweep("B", t, t) for t in range(500, 1000, 100)), *back))
    assert frames[-1].health["A"].state == "lost"
    assert "A" not in frames[-1].lidars
    assert synchronizer.counts.late == {"A": 5}


def test_a_channel_that_runs_ahead_fills_no_more_than_its_buffer() -> None:
    ahead = [sweep("A", 900 + t, t) for t in range(0, 800, 5)]
    _, synchronizer = replayed(arrived(*(sweep("B", t, t) for t in range(0, 800, 100)), *ahead))
    assert synchronizer.counts.overflow == {"A": 160 - MAX_BUFFERED}
    assert synchronizer.counts.future == {}


def test_stamps_far_ahead_of_their_arrival_are_left_out_and_counted() -> None:
    ahead = [sweep("A", 10_000 + t, t) for t in range(300, 600, 100)]
    stream = arrived(*steady(300), *(sweep("B", t, t) for t in range(300, 600, 100)), *ahead)
    frames, synchronizer = replayed(stream)
    assert synchronizer.counts.future == {"A": 3}
    assert stamps_ms(frames) == [0, 100, 200, 300, 400, 500]
    assert frames[-1].health["A"].state == "lost"


def live() -> Synchronizer:
    return Synchronizer(RIG, SynchronizerConfig(), origin_ns=0, close_early=True)


def test_time_that_is_told_closes_ticks_although_nothing_arrives() -> None:
    synchronizer = live()
    closed = [f for t in range(0, 400, 20) for f in synchronizer.advance(t * MS)]
    assert stamps_ms(closed) == [0, 100, 200, 300]
    assert {f.health["A"].state for f in closed} == {"waiting"}


def test_a_leap_of_the_told_time_is_a_discontinuity_and_no_row_of_empty_ticks() -> None:
    for leap_ms in (60_000, -60_000):
        synchronizer = live()
        synchronizer.advance(100_000 * MS)
        frames = [f for t in (0, 50, 100) for f in synchronizer.advance((100_000 + leap_ms + t) * MS)]
        assert stamps_ms(frames) == [100_000 + leap_ms]
        assert frames[0].discontinuity


def test_a_log_that_loops_begins_again_with_nothing_of_its_end() -> None:
    synchronizer = live()
    for message in steady(3000):
        synchronizer.push(message)
    frames = [f for m in steady(500) for f in synchronizer.push(m)]
    again = next(k for k, f in enumerate(frames) if f.discontinuity)
    assert stamps_ms(frames[again:]) == [0, 100, 200, 300, 400]
    assert all(f.health["A"] == ChannelHealth(state="ok", age_ns=0) for f in frames[again:])
    assert not any(f.discontinuity for f in frames[again + 1 :])


def test_a_clock_set_back_while_stamps_go_on_does_not_stop_the_ticks() -> None:
    synchronizer = live()
    for t in range(10_000, 11_000, 100):
        synchronizer.push(sweep("A", t, t))
    frames = [f for t in range(5000, 6000, 100) for f in synchronizer.push(sweep("A", t + 6000, t))]
    assert frames[0].discontinuity or frames[1].discontinuity
    assert len(frames) >= 9
    assert synchronizer.counts.future == {"A": 10}


def test_arrivals_a_little_out_of_order_beside_a_sensor_with_an_old_clock_reset_nothing() -> None:
    synchronizer = live()
    arrivals = [m for t in range(0, 1000, 100) for m in (sweep("A", t, t + 2), sweep("B", t - 60_000, t + 1))]
    assert not any(f.discontinuity for m in arrivals for f in synchronizer.push(m))


def test_a_dead_channel_is_waited_for_no_longer_than_it_is_alive() -> None:
    synchronizer = live()
    stream = arrived(*steady(300), *(sweep("A", t, t) for t in range(300, 1200, 100)))
    closing = {f.timestamp_ns // MS: m.received_ns // MS for m in stream for f in synchronizer.push(m)}
    assert closing[400] == 500
    assert closing[1000] == 1000


def test_a_rig_may_grow_while_messages_come() -> None:
    synchronizer = Synchronizer(Rig.of([]), SynchronizerConfig(), origin_ns=0, close_early=True)
    synchronizer.push(sweep("A", 0, 0))
    synchronizer.recalibrate(RIG)
    frames = [f for m in (sweep("A", 100, 100), sweep("A", 200, 200)) for f in synchronizer.push(m)]
    assert [sorted(f.lidars) for f in frames] == [[], ["A"], ["A"]]
    assert frames[0].not_used == {"uncalibrated": {"A": 1}}


def test_each_tick_says_what_was_not_used_since_the_one_before() -> None:
    frames, synchronizer = replayed([sweep("A", 0, 0), sweep("A", 0, 1), sweep("A", 300, 300), sweep("A", 400, 400)])
    assert [f.not_used for f in frames] == [
        {"duplicate": {"A": 1}},
        {},
        {"missing": {"A": 1}},
        {},
        {},
    ]
    assert synchronizer.counts.occurred() == {"duplicate": {"A": 1}, "missing": {"A": 1}}


def test_a_lidar_that_turns_faster_keeps_more_sweeps_within_the_same_time() -> None:
    for rate_hz, ages_ms in ((10, range(0, 500, 100)), (20, range(0, 451, 50)), (5, range(0, 1000, 200))):
        config = SynchronizerConfig(lidar_sweeps=5, lidar_span_s=0.46, lidar_tolerance_ms=1000)
        synchronizer = Synchronizer(RIG, config, origin_ns=0)
        stream = [sweep("A", t, t) for t in range(0, 3001, 1000 // rate_hz)]
        frames = [frame for message in stream for frame in synchronizer.push(message)]
        last = frames[-1]
        assert [(last.timestamp_ns - s.timestamp_ns) // MS for s in last.lidars["A"]][: len(ages_ms)] == [
            age + (last.timestamp_ns - last.lidars["A"][0].timestamp_ns) // MS for age in ages_ms
        ]
        assert len(last.lidars["A"]) == len(ages_ms)


def test_with_the_first_pose_what_was_known_before_is_forgotten_once() -> None:
    stream: list[Message] = [sweep("A", t, t) for t in range(0, 2000, 100)]
    for place, jumps in (((500.0, 300.0, 0.0), [1000]), ((0.4, 0.0, 0.0), [])):
        pose = SE3(translation_m=place)
        poses = [EgoPose(timestamp_ns=t * MS, received_ns=t * MS, odom_from_ego=pose) for t in range(950, 2000, 50)]
        frames, _ = replayed(sorted([*stream, *poses], key=lambda m: m.received_ns))
        assert [f.timestamp_ns // MS for f in frames if f.discontinuity] == jumps
