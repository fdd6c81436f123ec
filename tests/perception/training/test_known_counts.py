"""Truth of recordings, which state few counts, as training asks for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tricast.perception.tick_sample import SampleConfig, TickSample, sample_of
from tricast.perception.training.known_counts import with_known_counts
from tricast.perception.training.tick_truth import TickTruth, countable, truth_of
from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import CameraFrame, LidarSweep, RadarScan
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synced_frame import SyncedFrame

LENS = PinholeLens(width_px=64, height_px=48, focal_px=(32.0, 32.0), principal_px=(31.5, 23.5))
RIG = Rig.of(
    [
        SensorCalibration(
            channel="CAM",
            modality="camera",
            ego_from_sensor=SE3(quaternion_wxyz=(0.5, -0.5, 0.5, -0.5)),
            lens=LENS,
        ),
        SensorCalibration(channel="LIDAR", modality="lidar", ego_from_sensor=SE3()),
        SensorCalibration(channel="RADAR", modality="radar", ego_from_sensor=SE3()),
    ]
)
AHEAD, BEHIND, FAR_AHEAD = (10.0, 0.0, 0.0), (-10.0, 0.0, 0.0), (30.0, 0.0, 0.0)
PICTURE = CameraFrame.from_pixels("CAM", 0, np.zeros((48, 64, 3), np.uint8))
SWEEP = LidarSweep.from_points("LIDAR", 0, np.array([AHEAD, AHEAD, BEHIND], np.float32))
SCAN = RadarScan.from_points("RADAR", 0, np.array([BEHIND], np.float32))


def truth(**stated: list[int]) -> TickTruth:
    """Three cars: ahead, behind, and far ahead where no return is."""
    centers = np.array([AHEAD, BEHIND, FAR_AHEAD])
    boxes = Boxes(
        centers_m=centers, sizes_m=np.full((3, 3), 2.0), yaws_rad=np.zeros(3), velocities_mps=np.zeros((3, 2))
    )
    plain = truth_of(Annotations.from_boxes(0, boxes, ("car",) * 3, ("a", "b", "c")), {})
    return replace(plain, **{name: np.array(counts, np.int32) for name, counts in stated.items()})


def known(found: TickTruth, *messages: CameraFrame | LidarSweep | RadarScan) -> list[list[int]]:
    frame = SyncedFrame.of(RIG, 0, messages)
    sample: TickSample = sample_of(frame, SampleConfig())
    told = with_known_counts(found, frame, sample)
    return [told.num_lidar_points.tolist(), told.num_radar_points.tolist(), told.num_visible_pixels.tolist()]


def test_returns_are_counted_and_pixels_follow_from_the_picture_and_the_returns() -> None:
    assert known(truth(), PICTURE, SWEEP, SCAN) == [[2, 1, 0], [0, 1, 0], [20, 0, 0]]


def test_with_cameras_alone_what_is_in_the_picture_is_seen() -> None:
    assert known(truth(), PICTURE) == [[-1] * 3, [-1] * 3, [20, 0, 20]]


def test_of_a_kind_that_did_not_deliver_nothing_becomes_known() -> None:
    assert known(truth(), SWEEP) == [[2, 1, 0], [-1] * 3, [-1] * 3]


def test_what_is_stated_stays() -> None:
    stated = truth(num_lidar_points=[5, 0, 7], num_radar_points=[0, 0, 0], num_visible_pixels=[900, 3, 0])
    assert known(stated, PICTURE, SWEEP, SCAN) == [[5, 0, 7], [0, 0, 0], [900, 3, 0]]


def test_a_recording_that_states_returns_alone_has_objects_for_its_cameras() -> None:
    stated = truth(num_lidar_points=[50, 40, 0], num_radar_points=[0, 2, 0])
    frame = SyncedFrame.of(RIG, 0, [PICTURE, SWEEP, SCAN])
    told = with_known_counts(stated, frame, sample_of(frame, SampleConfig()))
    assert countable(told, lidar=False, radar=False).tolist() == [True, False, False]
    assert countable(told).tolist() == [True, True, False]
