"""Which truth counts, and attributes from speed."""

from dataclasses import replace

import numpy as np

from tricast.perception.evaluation.attributes import attributes_of
from tricast.perception.evaluation.box_table import ATTRIBUTES
from tricast.perception.evaluation.truth_rules import counted_truth
from tricast.sensors.annotations import DETECTION_CLASSES, Annotations
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import LidarSweep, RadarScan
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synced_frame import SyncedFrame

NOW_NS = 1_000_000_000


def truth_at(*places_m: float) -> Annotations:
    """Cars ahead, of which the recording states no counts."""
    count = len(places_m)
    boxes = Boxes(
        centers_m=np.array([[x, 0.0, 1.0] for x in places_m]),
        sizes_m=np.tile([4.0, 2.0, 2.0], (count, 1)),
        yaws_rad=np.zeros(count),
        velocities_mps=np.zeros((count, 2)),
    )
    return Annotations.from_boxes(NOW_NS, boxes, ("car",) * count, tuple(str(x) for x in places_m))


def frame() -> SyncedFrame:
    """A LiDAR 2 m up sees three points at 10 m, one sweep earlier another at 30 m; a radar hears 20 m."""
    lidar = SensorCalibration(channel="L", modality="lidar", ego_from_sensor=SE3(translation_m=(0, 0, 2)))
    radar = SensorCalibration(channel="R", modality="radar", ego_from_sensor=SE3(translation_m=(1, 0, 1)))
    points = np.array([[9.5, 0, -1.5], [10, 0.5, -1], [10.5, -0.5, -0.5], [10, 5, -1]])
    return SyncedFrame.of(
        Rig.of([lidar, radar]),
        NOW_NS,
        [
            LidarSweep.from_points("L", NOW_NS, points),
            LidarSweep.from_points("L", NOW_NS - 100_000_000, np.array([[30.0, 0, -1]])),
            RadarScan.from_points("R", NOW_NS, np.array([[19.0, 0.0, 0.0]])),
        ],
    )


def test_stated_counts_decide_and_pixels_count_from_twenty_on() -> None:
    truth = replace(
        truth_at(10, 20, 30, 40),
        num_lidar_points=np.array([1, 0, 0, 0], np.int32),
        num_radar_points=np.array([0, 1, 0, 0], np.int32),
        num_visible_pixels=np.array([0, 0, 20, 19], np.int32),
    )
    counted, returns = counted_truth(truth, frame())
    assert counted.tolist() == [True, True, True, False]
    # What pixels alone have shown is not known to be empty, which the protocols would drop.
    assert returns.tolist() == [1, 1, -1, 0]


def test_unstated_counts_are_those_of_the_newest_sweeps_and_scans() -> None:
    counted, returns = counted_truth(truth_at(10, 20, 30), frame())
    assert returns.tolist() == [3, 1, 0]
    assert counted.tolist() == [True, True, False]


def test_nothing_annotated_counts_nothing() -> None:
    counted, returns = counted_truth(truth_at(10), frame())
    assert len(counted) == len(returns) == 1
    empty = Annotations.from_boxes(NOW_NS, Boxes.empty(), (), ())
    assert len(counted_truth(empty, frame())[0]) == 0


def names(class_name: str, *speeds_mps: float, unknown_rests: bool = True) -> list[str]:
    velocities = np.column_stack([np.array(speeds_mps), np.zeros(len(speeds_mps))])
    classes = np.full(len(speeds_mps), DETECTION_CLASSES.index(class_name))
    rows = attributes_of(classes, velocities, unknown_rests=unknown_rests)
    return ["" if row < 0 else ATTRIBUTES[row] for row in rows]


def test_attributes_follow_from_class_and_speed() -> None:
    assert names("car", 0.5, 0.6, np.nan) == ["vehicle.parked", "vehicle.moving", "vehicle.parked"]
    assert names("car", 0.5, 0.6, np.nan, unknown_rests=False) == ["vehicle.parked", "vehicle.moving", ""]
    assert names("bus", 0.0) == ["vehicle.stopped"]
    assert names("pedestrian", 0.0, 1.2) == ["pedestrian.standing", "pedestrian.moving"]
    assert names("bicycle", 0.0, 4.0) == ["cycle.without_rider", "cycle.with_rider"]
    assert names("barrier", 0.0, 4.0) == ["", ""]
