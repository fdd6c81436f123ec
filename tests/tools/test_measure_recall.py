import numpy as np

from tricast.perception.outputs import Detections
from tricast.sensors.annotations import Annotations
from tricast.sensors.geometry.boxes import Boxes
from tricast.tools.measure_recall import _match


def boxes_at(*x_m: float) -> Boxes:
    count = len(x_m)
    return Boxes(
        centers_m=np.array([(x, 0.0, 0.0) for x in x_m]),
        sizes_m=np.ones((count, 3)),
        yaws_rad=np.zeros(count),
        velocities_mps=np.zeros((count, 2)),
    )


def test_an_object_that_does_not_count_takes_no_box_from_one_that_does() -> None:
    truth = Annotations.from_boxes(0, boxes_at(12.0, 10.0), ("car", "car"), ("without returns", "seen"))
    truth = Annotations(**{**vars(truth), "num_lidar_points": np.array([0, 9], np.int32)})
    found = Detections(timestamp_ns=0, boxes=boxes_at(11.5), class_names=("car",), scores=np.ones(1))
    seen, matched, boxes = _match(truth, found)
    assert (seen.tolist(), matched.tolist(), boxes) == ([False, True], [False, True], 1)
