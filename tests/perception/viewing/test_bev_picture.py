"""The picture from above, pixel by pixel."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tricast.perception.outputs import SensorShares, TickResult
from tricast.perception.palette import BACKGROUND, CLASS_COLORS, SENSOR_COLORS, class_rgb
from tricast.perception.viewing.bev_picture import BevView, draw_bev
from tricast.sensors.annotations import DETECTION_CLASSES, Annotations
from tricast.sensors.frames import LidarSweep
from tricast.sensors.synced_frame import SyncedFrame

SIZE_PX = (400, 300)
VIEW = BevView(*SIZE_PX, 20.0)  # 10 px/m, the vehicle at (200, 186)


def at(picture: np.ndarray, x_m: float, y_m: float) -> np.ndarray:
    column, row = VIEW.to_px(np.array([x_m, y_m]))
    return picture[round(row), round(column)].astype(int)


def drawn(frame: SyncedFrame, result: TickResult, truth: Annotations | None = None) -> np.ndarray:
    return draw_bev(frame, result, truth, size_px=SIZE_PX, half_width_m=20.0)


def test_forward_is_up_and_left_is_left() -> None:
    assert VIEW.to_px(np.array([0.0, 0.0])).tolist() == [200.0, 186.0]
    assert VIEW.to_px(np.array([5.0, 2.0])).tolist() == [180.0, 136.0]


def test_every_class_has_its_own_colour() -> None:
    assert tuple(CLASS_COLORS) == DETECTION_CLASSES
    assert len({class_rgb(name) for name in DETECTION_CLASSES}) == len(DETECTION_CLASSES)


def test_a_box_is_outlined_in_its_class_colour_where_it_stands(
    bare_frame: SyncedFrame, make_result: Callable[..., TickResult]
) -> None:
    picture = drawn(bare_frame, make_result(((10.0, 4.0, 0.0, 0.0, 0.0, "car"),)))
    blue = np.array(class_rgb("car"))
    # 4.5 m x 1.9 m about (10, 4): its left edge is at y = 4.95.
    assert np.abs(at(picture, 9.0, 4.95) - blue).max() < 60
    inside, outside = at(picture, 9.0, 4.4), at(picture, 13.4, 6.2)
    assert inside[2] > 60 and inside[2] > inside[0] + 20
    assert outside.tolist() == list(BACKGROUND)


def test_lidar_points_shine_where_they_were_measured(rig, bare_frame, make_result) -> None:
    # The LiDAR sits 2 m up at the origin: this return is at (6, -3, 1) in ego axes.
    sweep = LidarSweep.from_points(
        "LIDAR_TOP", bare_frame.timestamp_ns, np.array([[6.03, -3.03, -1.0], [np.nan, 0, 0]])
    )
    frame = SyncedFrame.of(rig, bare_frame.timestamp_ns, [sweep])
    without, picture = drawn(bare_frame, make_result(())), drawn(frame, make_result(()))
    changed = np.argwhere((without != picture).any(axis=2))
    column, row = VIEW.to_px(np.array([6.03, -3.03]))
    assert 1 <= len(changed) <= 4
    assert np.abs(changed - [row, column]).max() <= 1.5


def test_an_object_outside_the_picture_changes_nothing(bare_frame, make_result) -> None:
    empty = drawn(bare_frame, make_result(()))
    far = drawn(bare_frame, make_result(((80.0, 70.0, 0.0, 0.0, 0.0, "car"),)))
    assert (empty == far).all()


def test_tracks_of_low_score_are_left_out(bare_frame, make_result) -> None:
    result = make_result()
    faint = replace(result, tracks=replace(result.tracks, scores=np.full(5, 0.01)))
    assert (drawn(bare_frame, faint) == drawn(bare_frame, make_result(()))).all()


def explained(result: TickResult, attention: list[float], score_drop: list[float]) -> TickResult:
    """The result with the same shares for every box."""
    count = len(result.detections)
    shares = SensorShares(
        attention=np.tile(attention, (count, 1)),
        score_drop=np.tile(score_drop, (count, 1)),
        camera_channels=(),
        camera_attention=np.zeros((count, 0)),
    )
    return replace(result, detections=replace(result.detections, sensor_shares=shares))


def pixels_of(picture: np.ndarray, modality: str) -> int:
    """Pixels in the colour of a modality's bars."""
    return int((np.abs(picture.astype(int) - SENSOR_COLORS[modality]).max(axis=2) < 6).sum())


def test_bars_under_a_label_show_attention_and_lost_score(bare_frame, make_result) -> None:
    result = make_result(((10.0, 4.0, 0.0, 0.0, 0.0, "pedestrian"),))
    plain = drawn(bare_frame, result)
    camera, lidar = (
        drawn(bare_frame, explained(result, *shares))
        for shares in (([0.75, 0.25, 0.0], [0.0, 0.0, 0.0]), ([0.25, 0.75, 0.0], [0.0, 1.0, -0.5]))
    )
    assert [pixels_of(plain, m) for m in ("camera", "lidar", "radar")] == [0, 0, 0]
    assert pixels_of(camera, "camera") > 2 * pixels_of(camera, "lidar") > 0
    assert pixels_of(lidar, "lidar") > 2 * pixels_of(lidar, "camera") > 0
    # Below the bar of attention, the LiDAR's third is filled and the camera's is not.
    assert pixels_of(lidar, "lidar") > pixels_of(camera, "camera")
    assert pixels_of(lidar, "radar") == pixels_of(camera, "radar") == 0


def test_a_track_that_no_detection_updated_has_no_bars(bare_frame, make_result) -> None:
    result = make_result(((10.0, 4.0, 0.0, 0.0, 0.0, "pedestrian"),))
    unseen = replace(result, tracks=replace(result.tracks, detection_indices=np.array([-1])))
    shown = explained(unseen, [1.0, 0.0, 0.0], [1.0, 0.0, 0.0])
    assert (drawn(bare_frame, shown) == drawn(bare_frame, unseen)).all()


def test_truth_is_outlined_in_white(bare_frame, make_result, truth) -> None:
    picture = drawn(bare_frame, make_result(()), truth)
    # The car of the street: 4.5 m x 1.9 m about (12, 0).
    assert at(picture, 11.0, 0.95).min() > 90


def test_a_likelier_future_is_drawn_stronger(bare_frame, make_result) -> None:
    result = make_result(((4.0, 8.0, 0.0, 0.0, -3.0, "car"),))
    points = result.trajectories.points_m.copy()
    points[0, 1] = points[0, 0] + [2.0, 0.0]
    futures = replace(result.trajectories, points_m=points, probabilities=np.array([[0.9, 0.1]]))
    picture = drawn(bare_frame, replace(result, trajectories=futures))
    likely, unlikely = at(picture, 4.0, -6.2), at(picture, 6.0, -6.2)
    assert likely[2] > unlikely[2] + 60
    assert unlikely[2] > BACKGROUND[2] + 15


def test_a_full_street_is_drawn_alike_every_time(frame, make_result, truth) -> None:
    assert (drawn(frame, make_result(), truth) == drawn(frame, make_result(), truth)).all()
