"""Ticks in rows as far apart as the memory looks back, whatever the rate of the truth."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tricast.perception.query_memory import MemoryConfig
from tricast.perception.tick_sample import SampleConfig
from tricast.perception.training.sequences import rows_of
from tricast.perception.training.shards import ShardSet, ShardWriter
from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import LidarSweep
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synced_frame import SyncedFrame


def shards_at(folder: Path, times_ms: Sequence[int]) -> ShardSet:
    """One scene whose ticks with truth are at these times."""
    rig = Rig.of([SensorCalibration(channel="L", modality="lidar", ego_from_sensor=SE3())])
    ticks = []
    for time_ms in times_ms:
        stamp_ns = (100_000 + time_ms) * 1_000_000
        sweep = LidarSweep.from_points("L", stamp_ns, np.zeros((1, 3)))
        truth = Annotations.from_boxes(stamp_ns, Boxes.empty(), (), ())
        ticks.append((SyncedFrame.of(rig, stamp_ns, [sweep]), truth))
    ShardWriter(folder, source="made", config=SampleConfig()).write("scene", ticks)
    return ShardSet(folder)


@pytest.mark.parametrize(
    ("times_ms", "rows"),
    [
        ([0, 500, 1000], [[0, 1, 2]]),
        ([0], [[0]]),
        ([0, 1000, 2000], [[0, 1, 2]]),  # fewer than the memory asks for
        (range(0, 1200, 100), [[0, 5, 10], [1, 6, 11], [2, 7], [3, 8], [4, 9]]),
        ([0, 98, 203, 301, 399, 502], [[0, 5], [1], [2], [3], [4]]),  # clocks are not exact
        ([0, 100, 200], [[0], [1], [2]]),
        ([0, 500, 1000, 9000, 9100, 9200, 9300, 9400, 9500], [[0, 1, 2], [3, 8], [4], [5], [6], [7]]),  # a pause
    ],
)
def test_rows_hold_every_tick_once_as_far_apart_as_the_memory_looks_back(
    tmp_path: Path, times_ms: Sequence[int], rows: list[list[int]]
) -> None:
    assert rows_of(shards_at(tmp_path, times_ms), MemoryConfig()) == rows


def test_the_shortest_lag_is_the_step(tmp_path: Path) -> None:
    shards = shards_at(tmp_path, range(0, 800, 100))
    assert rows_of(shards, MemoryConfig(lags_s=(0.4, 0.2))) == [[0, 2, 4, 6], [1, 3, 5, 7]]
