import numpy as np

from tricast.perception.outputs import Detections
from tricast.perception.training.tick_truth import TickTruth
from tricast.sensors.annotations import DETECTION_CLASSES, NUM_FUTURE_STEPS
from tricast.sensors.geometry.boxes import Boxes
from tricast.tools.measure_limits import confusion, corrected

CAR, BUS = (DETECTION_CLASSES.index(name) for name in ("car", "bus"))


def _found(places: list[tuple[float, float]], names: tuple[str, ...], scores: list[float]) -> Detections:
    count = len(places)
    boxes = Boxes(
        centers_m=np.array([(x, y, 0.0) for x, y in places]),
        sizes_m=np.ones((count, 3)),
        yaws_rad=np.zeros(count),
        velocities_mps=np.zeros((count, 2)),
    )
    return Detections(timestamp_ns=0, boxes=boxes, class_names=names, scores=np.array(scores))


def _truth(places: list[tuple[float, float]], classes: list[int]) -> TickTruth:
    count = len(places)
    return TickTruth(
        class_indices=np.array(classes, np.int64),
        instance_indices=np.arange(count),
        centers_m=np.array([(x, y, 0.5) for x, y in places], np.float32).reshape(-1, 3),
        sizes_m=np.ones((count, 3), np.float32),
        yaws_rad=np.zeros(count, np.float32),
        velocities_mps=np.zeros((count, 2), np.float32),
        futures_m=np.zeros((count, NUM_FUTURE_STEPS, 2), np.float32),
        num_lidar_points=np.ones(count, np.int32),
        num_radar_points=np.ones(count, np.int32),
        num_visible_pixels=np.ones(count, np.int32),
    )


FOUND = _found([(10.0, 0.0), (13.5, 0.0), (30.0, 0.0)], ("car", "car", "car"), [0.9, 0.8, 0.7])
TRUTH = _truth([(11.0, 0.0), (20.0, 5.0)], [BUS, CAR])


def test_boxes_near_an_object_are_given_its_class_or_its_place() -> None:
    with_class = corrected(FOUND, TRUTH, right_class=True, right_place=False)
    assert with_class.class_names == ("bus", "car")
    np.testing.assert_array_equal(with_class.boxes.centers_m, FOUND.boxes.centers_m[[0, 2]])
    with_place = corrected(FOUND, TRUTH, right_class=False, right_place=True)
    assert with_place.class_names == ("car", "car")
    np.testing.assert_array_equal(with_place.boxes.centers_m, [[11, 0, 0.5], [30, 0, 0]])


def test_of_boxes_that_a_correction_makes_copies_the_best_is_left_and_other_copies_stay() -> None:
    names, scores = ("car", "truck", "bus", "car"), [0.5, 0.9, 0.6, 0.4]
    found = _found([(10.0, 0.0), (10.0, 0.0), (10.0, 0.0), (30.0, 0.0)], names, scores)
    with_class = corrected(found, _truth([(10.0, 0.0)], [CAR]), right_class=True, right_place=False)
    assert (with_class.class_names, with_class.scores.tolist()) == (("car", "car"), [0.9, 0.4])
    with_place = corrected(found, _truth([(11.0, 0.0)], [CAR]), right_class=False, right_place=True)
    assert (with_place.class_names, with_place.scores.tolist()) == (names, scores)
    copies = _found([(10.0, 0.0), (10.0, 0.0)], ("car", "car"), [0.9, 0.8])
    same = corrected(copies, _truth([(10.0, 0.0)], [CAR]), right_class=True, right_place=False)
    assert same.scores.tolist() == [0.9, 0.8]


def test_without_objects_nothing_is_given() -> None:
    same = corrected(FOUND, _truth([], []), right_class=True, right_place=True)
    assert same.class_names == FOUND.class_names


def test_objects_are_counted_by_the_class_of_the_best_box_on_them() -> None:
    counts = confusion([FOUND], [TRUTH])
    assert counts["bus"]["car"] == 1 and counts["car"]["none"] == 1
    assert sum(sum(row.values()) for row in counts.values()) == 2
