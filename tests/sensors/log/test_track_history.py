"""Velocities and futures of annotated road users from their own annotations."""

import numpy as np

from tricast.sensors.annotations import Annotations
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.track_history import TrackHistory, track_histories, with_motion

STEP_NS = 100_000_000


def driven(count: int = 20, speed_mps: float = 5.0) -> TrackHistory:
    """A road user that drives along x, annotated every 100 ms."""
    stamps = np.arange(count) * STEP_NS
    places = np.array([(speed_mps * float(stamp) / 1e9, 2.0, 0.0) for stamp in stamps], np.float64)
    return TrackHistory(stamps_ns=stamps, positions_m=places)


def test_a_steady_track_has_its_velocity_in_the_middle_and_at_both_ends() -> None:
    for at_ns in (0, 10 * STEP_NS, 19 * STEP_NS):
        np.testing.assert_allclose(driven().velocity_mps(at_ns), [5, 0, 0])


def test_one_annotation_alone_has_no_velocity_and_no_future() -> None:
    assert np.isnan(driven(1).velocity_mps(0)).all()
    assert np.isnan(driven(1).future_m(0)).all()


def test_the_future_is_known_as_far_as_the_annotations_go() -> None:
    future = driven().future_m(50_000_000)
    np.testing.assert_allclose(future[:3], [[2.75, 2, 0], [5.25, 2, 0], [7.75, 2, 0]])
    assert np.isnan(future[3:]).all()
    exact = driven(6).future_m(0)
    np.testing.assert_allclose(exact[0], [2.5, 2, 0])
    assert np.isnan(exact[1:]).all()


def test_nothing_is_made_up_across_a_gap_of_the_annotations() -> None:
    whole = driven()
    kept = (whole.stamps_ns <= 3 * STEP_NS) | (whole.stamps_ns >= 8 * STEP_NS)
    track = TrackHistory(stamps_ns=whole.stamps_ns[kept], positions_m=whole.positions_m[kept])
    future = track.future_m(0)
    assert np.isnan(future[0]).all()
    np.testing.assert_allclose(future[1], [5, 2, 0])


def test_histories_part_road_users_and_sort_their_annotations() -> None:
    stamps = np.array([2, 0, 1, 5]) * STEP_NS
    places = np.array([[2.0, 0, 0], [0, 0, 0], [1, 0, 0], [9, 9, 9]])
    histories = track_histories(["a", "a", "a", "b"], stamps, places)
    assert sorted(histories) == ["a", "b"]
    np.testing.assert_array_equal(histories["a"].positions_m[:, 0], [0, 1, 2])
    assert track_histories([], np.zeros(0, np.int64), np.zeros((0, 3))) == {}


def test_truth_gets_motion_in_ego_axes_and_what_is_unknown_stays_unknown() -> None:
    boxes = Boxes(
        centers_m=np.zeros((2, 3)),
        sizes_m=np.ones((2, 3)),
        yaws_rad=np.zeros(2),
        velocities_mps=np.full((2, 2), np.nan),
    )
    truth = Annotations.from_boxes(0, boxes, ("car", "car"), ("known", "unknown"))
    turned = with_motion(truth, {"known": driven()}, SE3.from_yaw(np.pi / 2, (0.0, 2.0, 0.0)))
    np.testing.assert_allclose(turned.boxes.velocities_mps[0], [0, -5], atol=1e-9)
    np.testing.assert_allclose(turned.futures_m[0, 0], [0, -2.5], atol=1e-9)
    assert np.isnan(turned.boxes.velocities_mps[1]).all()
    assert np.isnan(turned.futures_m[1]).all()
