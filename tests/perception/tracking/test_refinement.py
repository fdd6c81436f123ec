from dataclasses import replace

import numpy as np
import pytest

from tricast.perception.outputs import Detections, Tracks, Trajectories
from tricast.perception.tracking.refinement import RefinementConfig, refined
from tricast.perception.tracking.tracker import Tracker, TrackerConfig
from tricast.sensors.annotations import DETECTION_CLASSES
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3

TICK_NS = 100_000_000
CAR, TRUCK = DETECTION_CLASSES.index("car"), DETECTION_CLASSES.index("truck")
CONFIG = RefinementConfig(place_share=0.5, score_share=0.7, unclaimed_share=0.8)


def boxes(*centers_m: tuple[float, float, float]) -> Boxes:
    count = len(centers_m)
    return Boxes(
        centers_m=np.array(centers_m).reshape(-1, 3),
        sizes_m=np.tile([4.5, 1.9, 1.6], (count, 1)),
        yaws_rad=np.zeros(count),
        velocities_mps=np.zeros((count, 2)),
    )


def seen(tick: int, x_m: float, car: float, truck: float | None = None) -> Detections:
    """One box, that may stand there as a truck too."""
    scores = [car] if truck is None else [car, truck]
    return Detections(
        timestamp_ns=tick * TICK_NS,
        boxes=boxes(*[(x_m, 2.0, 0.8)] * len(scores)),
        class_names=("car", "truck")[: len(scores)],
        scores=np.array(scores),
        alternative=None if truck is None else np.array([False, True]),
    )


def track(detection: int, center_m: tuple[float, float, float], **class_scores: float) -> Tracks:
    scores = np.zeros((1, len(DETECTION_CLASSES)))
    for name, score in class_scores.items():
        scores[0, DETECTION_CLASSES.index(name)] = score
    return Tracks(
        timestamp_ns=0,
        boxes=boxes(center_m),
        class_names=("car",),
        scores=np.ones(1),
        track_ids=np.ones(1, np.int64),
        turn_rates_radps=np.zeros(1),
        detection_indices=np.array([detection]),
        class_scores=scores,
    )


def test_a_box_goes_half_way_to_its_track_and_its_scores_towards_what_was_seen_so_far() -> None:
    detections = seen(0, 10.0, car=0.4, truck=0.3)
    result = refined(detections, track(0, (10.4, 1.8, 0.9), car=0.9, truck=0.1), CONFIG)
    assert result.boxes.centers_m == pytest.approx(np.tile([10.2, 1.9, 0.85], (2, 1)))
    assert result.scores == pytest.approx([0.4 + 0.7 * (0.9 - 0.4), 0.3 + 0.7 * (0.1 - 0.3)])
    assert result.class_names == ("car", "truck")
    np.testing.assert_array_equal(result.boxes.sizes_m, detections.boxes.sizes_m)
    np.testing.assert_array_equal(detections.scores, [0.4, 0.3])


def test_the_futures_of_a_box_go_along_with_it() -> None:
    points = np.arange(24.0).reshape(1, 1, 12, 2)
    detections = replace(
        seen(0, 10.0, car=0.4), trajectories=Trajectories(probabilities=np.ones((1, 1)), points_m=points)
    )
    result = refined(detections, track(0, (11.0, 2.0, 0.8), car=0.4), CONFIG)
    assert result.trajectories is not None
    np.testing.assert_allclose(result.trajectories.points_m, points + np.array([0.5, 0.0]))


def test_a_box_that_no_track_took_stays_where_it_is_and_loses_score() -> None:
    detections = seen(0, 10.0, car=0.5, truck=0.2)
    for tracks in (Tracks.empty(0), track(-1, (10.1, 2.0, 0.8), car=0.9)):
        result = refined(detections, tracks, CONFIG)
        np.testing.assert_array_equal(result.boxes.centers_m, detections.boxes.centers_m)
        assert result.scores == pytest.approx([0.4, 0.16])


def test_without_shares_nothing_changes_and_no_box_is_an_ordinary_input() -> None:
    off = RefinementConfig(place_share=0, score_share=0, unclaimed_share=1)
    detections = seen(0, 10.0, car=0.5, truck=0.2)
    result = refined(detections, track(0, (10.4, 1.8, 0.9), car=0.9), off)
    np.testing.assert_array_equal(result.boxes.centers_m, detections.boxes.centers_m)
    np.testing.assert_array_equal(result.scores, detections.scores)
    assert len(refined(Detections.empty(0), Tracks.empty(0), CONFIG)) == 0


def test_a_tracks_class_scores_are_the_mean_of_its_first_detections_and_fade_while_it_is_unseen() -> None:
    tracker = Tracker(TrackerConfig(settle_s=10.0))
    for tick, (car, truck) in enumerate([(0.8, 0.2), (0.6, None), (0.4, 0.4)]):
        tracks = tracker.update(seen(tick, 10.0, car, truck), SE3())
    assert tracks.class_scores[0, [CAR, TRUCK]] == pytest.approx([0.6, 0.2])
    tracks = tracker.update(Detections.empty(3 * TICK_NS), SE3())
    assert tracks.class_scores[0, [CAR, TRUCK]] == pytest.approx([0.6 * 0.85, 0.2 * 0.85])


def test_a_flickering_box_is_surer_than_clutter_of_the_same_score() -> None:
    """A car of 0.8 that one tick scores 0.3 is not what appears for the first time with 0.4."""
    tracker = Tracker()
    for tick in range(10):
        tracker.update(seen(tick, 10.0, car=0.8), SE3())
    both = Detections(
        timestamp_ns=10 * TICK_NS,
        boxes=boxes((40.0, 0.0, 0.8), (10.0, 2.0, 0.8)),
        class_names=("car", "car"),
        scores=np.array([0.4, 0.3]),
    )
    clutter, known = refined(both, tracker.update(both, SE3()), CONFIG).scores
    assert known > 0.6 > 0.4 > clutter
