import gc
import weakref

import numpy as np

from tricast.sensors.frames import LidarSweep
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.sweep_columns import sweep_columns

MOUNT = SE3.from_yaw(np.pi / 2, (1.0, 0.0, 2.0))


def _sweep() -> LidarSweep:
    points = np.array([[3.0, 0, 0], [np.nan, 0, 0], [0, 4.0, 1.0]])
    offsets = np.array([0, 5, 9])
    return LidarSweep.from_points("TOP", 100, points, intensity=np.array([0.1, 0.2, 0.3]), time_offsets_ns=offsets)


def test_valid_returns_stand_column_by_column_in_ego_axes() -> None:
    made = sweep_columns(_sweep(), MOUNT)
    np.testing.assert_allclose(made.columns, [[1, -3], [3, 0], [2, 3], [0.1, 0.3]], atol=1e-6)
    assert made.stamps_ns.tolist() == [100, 109]
    assert len(made) == 2


def test_they_are_made_once_for_a_mount_and_go_with_the_sweep() -> None:
    sweep = _sweep()
    first = sweep_columns(sweep, MOUNT)
    assert sweep_columns(sweep, SE3.from_yaw(np.pi / 2, (1.0, 0.0, 2.0))) is first
    turned = sweep_columns(sweep, SE3())
    np.testing.assert_array_equal(turned.columns[:3].T, sweep.points_m[[0, 2]])
    gone = weakref.ref(sweep)
    del sweep
    gc.collect()
    assert gone() is None
