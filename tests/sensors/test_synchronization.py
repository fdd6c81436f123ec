"""Ticks from streams: the grid, what enters, what is counted."""

from __future__ import annotations

import numpy as np

from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import LidarSweep
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synced_frame import SyncedFrame
from tricast.sensors.synchronization import Synchronizer, SynchronizerConfig

MS = 1_000_000
RIG = Rig.of(SensorCalibration(channel=c, modality="lidar", ego_from_sensor=SE3()) for c in ("A", "B"))


def sweep(channel: str, stamp_ms: int, received_ms: int) -> LidarSweep:
    return LidarSweep.from_points(channel, stamp_ms * MS, np.zeros((1, 3)), received_ns=received_ms * MS)


def replayed(
    messages: list[LidarSweep], channels: frozenset[str] | None = None
) -> tuple[list[SyncedFrame], Synchronizer]:
    synchronizer = Synchronizer(RIG, SynchronizerConfig(), origin_ns=0, channels=channels)
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
