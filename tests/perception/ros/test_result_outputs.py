"""What of the runtime's results is to be published, without a graph."""

import gc
import weakref
from types import SimpleNamespace

import numpy as np

from tricast.perception.ros.live_config import LiveConfig
from tricast.perception.ros.result_outputs import ResultOutputs
from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.streaming.runtime_result import Delivery, RuntimeResult
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import CameraFrame
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synced_frame import SyncedFrame

LENS = PinholeLens(width_px=64, height_px=48, focal_px=(50.0, 50.0), principal_px=(32.0, 24.0))
RIG = Rig.of([SensorCalibration(channel="CAM", modality="camera", ego_from_sensor=SE3(), lens=LENS)])


def outputs() -> ResultOutputs:
    """Not entered: nothing is published, so all waits."""
    return ResultOutputs(SimpleNamespace(), LiveConfig(), lambda: 0)


def result(*pictures: CameraFrame, time_ns: int = 0) -> RuntimeResult:
    frame = SyncedFrame.of(RIG, time_ns, list(pictures))
    return RuntimeResult(tick=Pipeline().step(frame), frame=frame, annotations=None, channels={}, delivery=Delivery())


def picture() -> CameraFrame:
    return CameraFrame.from_pixels("CAM", 0, np.zeros((48, 64, 3), np.uint8))


def test_results_that_wait_hold_no_pictures() -> None:
    found, taken = outputs(), picture()
    kept = weakref.ref(taken)
    found.add(result(taken))
    del taken
    gc.collect()
    assert len(found._waiting) == 1
    assert kept() is None


def test_no_world_is_told_before_a_sensor_was_used() -> None:
    found = outputs()
    found.add(result())
    assert not found._waiting
    found.add(result(picture()))
    found.add(result(time_ns=100_000_000))  # from then on also without one: what is tracked goes on
    assert len(found._waiting) == 2
