import numpy as np
import pytest
import torch

from tricast.perception.batch import BatchConfig, BevTransform
from tricast.perception.device_rows import DeviceRows
from tricast.perception.point_rows import lidar_rows
from tricast.perception.tick_sample import SampleConfig, sample_of
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import EgoPose, LidarSweep
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synced_frame import SyncedFrame

SECOND_NS, MS_NS = 1_000_000_000, 1_000_000
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
RIG = Rig.of(
    SensorCalibration(channel=name, modality="lidar", ego_from_sensor=SE3.from_yaw(yaw, (0.5, 0.1, 1.8)))
    for name, yaw in (("LEFT", 0.4), ("TOP", -2.0))
)
BATCH = BatchConfig(cells=32)


def _sweep(channel: str, age_ms: int, seed: int, full_scale: float = 1.0) -> LidarSweep:
    """A revolution of 0.1 s with many returns in some voxels, some outside the grid, and marks of missing ones."""
    rng = np.random.default_rng(seed)
    points = rng.uniform((-60, -60, -6), (60, 60, 6), (300, 3))[rng.integers(300, size=4000)]
    points += rng.normal(0, 0.05, points.shape)
    points[::97], points[::101] = np.nan, 0
    return LidarSweep.from_points(
        channel,
        SECOND_NS - age_ms * MS_NS,
        points,
        intensity=rng.random(4000) * full_scale,
        time_offsets_ns=np.sort(rng.integers(-100 * MS_NS, 0, 4000)),
        rings=np.arange(4000) % 32,
    )


def _poses() -> list[EgoPose]:
    return [
        EgoPose(
            timestamp_ns=t * 10 * MS_NS,
            received_ns=t * 10 * MS_NS,
            odom_from_ego=SE3.from_yaw(0.02 * t, (1000.0 + 0.1 * t, 0.03 * t, 0.0)),
        )
        for t in range(30, 96)
    ]


SWEEPS = [_sweep("TOP", age, age) for age in (20, 220, 420)]
FRAMES = {
    "moving": [*SWEEPS, *_poses()],
    "no poses": SWEEPS,
    "bytes of intensity": [*SWEEPS, _sweep("LEFT", 50, 5, 255.0), *_poses()],
    "one sweep": [SWEEPS[0], *_poses()],
    "nothing seen": [LidarSweep.from_points("TOP", SECOND_NS, np.zeros((0, 3)))],
    "nothing but marks": [LidarSweep.from_points("TOP", SECOND_NS, np.zeros((5, 3)))],
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("messages", FRAMES.values(), ids=FRAMES.keys())
def test_a_device_gives_the_rows_of_the_host(messages: list[LidarSweep | EgoPose], device: str) -> None:
    frame, config = SyncedFrame.of(RIG, SECOND_NS, messages), SampleConfig()
    made, expected = DeviceRows(device), lidar_rows(sample_of(frame, config), BATCH, BevTransform())
    for _ in range(2):  # sweeps that it holds already give the same
        rows = made.rows(frame, config, BATCH)
        assert (rows.dtype, rows.device.type, rows.is_contiguous()) == (torch.float32, device, True)
        if device == "cpu":
            assert len(rows) == len(expected)
            np.testing.assert_allclose(rows.numpy(), expected, atol=2e-5)
        else:  # on the border of a voxel another return of it may be kept
            own, host = ({tuple(np.round(row, 3)) for row in r} for r in (rows.cpu().numpy(), expected))
            assert len(own ^ host) <= 0.01 * len(host)
    assert len(expected) > 1000 or len(frame.ego_motion.stamps_ns) == 0


def test_a_sweep_is_sent_once_and_goes_with_its_message() -> None:
    made, first = DeviceRows("cpu"), SyncedFrame.of(RIG, SECOND_NS, SWEEPS[:1])
    made.rows(first, SampleConfig(), BATCH)
    (held,) = made._held.values()
    made.rows(SyncedFrame.of(RIG, SECOND_NS + 50 * MS_NS, SWEEPS[:1]), SampleConfig(), BATCH)
    assert list(made._held.values()) == [held]
    made.rows(SyncedFrame.of(RIG, SECOND_NS, [_sweep("LEFT", 0, 7)]), SampleConfig(), BATCH)
    assert list(made._held.values()) == [held]
