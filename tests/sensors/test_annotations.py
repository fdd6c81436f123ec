"""What truth accepts, refuses and leaves unknown."""

from dataclasses import replace

import numpy as np
import pytest

from tricast.sensors.annotations import DETECTION_CLASSES, UNKNOWN_COUNT, Annotations
from tricast.sensors.errors import SensorDataError
from tricast.sensors.geometry.boxes import Boxes

TWO = Boxes(
    centers_m=np.zeros((2, 3)), sizes_m=np.ones((2, 3)), yaws_rad=np.zeros(2), velocities_mps=np.full((2, 2), np.nan)
)


def test_the_classes_are_the_ten_detection_names_in_official_order() -> None:
    assert DETECTION_CLASSES[:3] == ("car", "truck", "bus")
    assert DETECTION_CLASSES[-1] == "barrier"
    assert len(set(DETECTION_CLASSES)) == 10


def test_what_a_recording_does_not_state_is_unknown() -> None:
    truth = Annotations.from_boxes(5, TWO, ("car", "bus"), ("a", "b"))
    assert len(truth) == 2
    assert (truth.timestamp_ns, truth.received_ns) == (5, 5)
    for counts in (truth.num_lidar_points, truth.num_radar_points, truth.num_visible_pixels):
        assert counts.tolist() == [UNKNOWN_COUNT, UNKNOWN_COUNT]
    assert np.isnan(truth.occlusion).all()
    assert truth.futures_m.shape == (2, 12, 2)
    assert np.isnan(truth.futures_m).all()


def test_no_road_users_are_ordinary() -> None:
    assert len(Annotations.from_boxes(5, Boxes.empty(), (), ())) == 0


def test_counts_are_kept() -> None:
    counts = np.array([3, 0], np.int32)
    truth = Annotations.from_boxes(5, TWO, ("car", "bus"), ("a", "b"), num_lidar_points=counts, received_ns=9)
    assert truth.num_lidar_points.tolist() == [3, 0]
    assert truth.received_ns == 9


@pytest.mark.parametrize(
    ("classes", "ids"),
    [(("car",), ("a", "b")), (("car", "bus"), ("a",)), (("car", "van"), ("a", "b"))],
)
def test_names_that_do_not_fit_the_boxes_are_refused(classes: tuple[str, ...], ids: tuple[str, ...]) -> None:
    with pytest.raises(SensorDataError, match="annotations at 5 ns"):
        Annotations.from_boxes(5, TWO, classes, ids)


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(SensorDataError, match=r"unknown \['tram'\]"):
        Annotations.from_boxes(5, TWO, ("car", "tram"), ("a", "b"))


def test_wrong_shapes_and_types_are_refused() -> None:
    truth = Annotations.from_boxes(5, TWO, ("car", "bus"), ("a", "b"))
    with pytest.raises(SensorDataError, match="futures_m"):
        replace(truth, futures_m=np.zeros((2, 6, 2)))
    with pytest.raises(SensorDataError, match="num_radar_points"):
        replace(truth, num_radar_points=np.zeros(2, np.int64))
    with pytest.raises(SensorDataError, match="occlusion"):
        replace(truth, occlusion=np.zeros(3, np.float32))
