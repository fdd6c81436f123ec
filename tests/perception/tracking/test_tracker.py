from dataclasses import replace

import numpy as np
import pytest

from tricast.perception.outputs import Detections
from tricast.perception.tracking.forecasts import ForecastConfig, forecast
from tricast.perception.tracking.tracker import Tracker, TrackerConfig
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3

TICK_NS = 100_000_000


def detections(tick: int, *centers: tuple[float, float], yaw: float = 0.0, name: str = "car") -> Detections:
    count = len(centers)
    boxes = Boxes(
        centers_m=np.array([(x, y, 0.8) for x, y in centers], dtype=np.float64).reshape(-1, 3),
        sizes_m=np.tile([4.5, 1.9, 1.6], (count, 1)).reshape(-1, 3),
        yaws_rad=np.full(count, yaw),
        velocities_mps=np.full((count, 2), np.nan),
    )
    return Detections(timestamp_ns=tick * TICK_NS, boxes=boxes, class_names=(name,) * count, scores=np.full(count, 0.8))


def test_a_steady_object_has_its_velocity_within_five_percent() -> None:
    tracker = Tracker()
    for tick in range(30):
        tracks = tracker.update(detections(tick, (10 + 0.8 * tick, 2.0)), SE3())
    assert tracks.track_ids.tolist() == [1]
    assert tracks.boxes.velocities_mps[0] == pytest.approx([8.0, 0.0], abs=0.4)


def test_a_standing_object_seen_from_a_moving_vehicle_stands() -> None:
    tracker = Tracker()
    for tick in range(30):
        ego_x = 1.0 * tick
        tracks = tracker.update(detections(tick, (40 - ego_x, 3.0)), SE3(translation_m=(ego_x, 0.0, 0.0)))
    assert np.abs(tracks.boxes.velocities_mps[0]).max() < 0.1
    assert tracks.boxes.centers_m[0] == pytest.approx([11.0, 3.0, 0.8], abs=0.05)


@pytest.mark.parametrize("told", [(28.0, 0.0), (12.0, 3.0), (5.0, 0.0)])
def test_a_velocity_that_places_contradict_is_not_believed(told: tuple[float, float]) -> None:
    """A detector that is wrong about speeds costs no track: on a motorway, told what a town's traffic does."""
    tracker = Tracker()
    for tick in range(20):
        seen = detections(tick, (10 + 2.8 * tick, 2.0))
        boxes = replace(seen.boxes, velocities_mps=np.array([told]))
        tracks = tracker.update(replace(seen, boxes=boxes), SE3())
    assert tracks.track_ids.tolist() == [1]
    assert tracks.boxes.centers_m[0, :2] == pytest.approx([10 + 2.8 * 19, 2.0], abs=0.1)
    assert tracks.boxes.velocities_mps[0] == pytest.approx([28.0, 0.0], abs=0.5)


@pytest.mark.parametrize("name", ["traffic_cone", "barrier"])
def test_what_stands_by_its_class_stands_whatever_its_first_detection_says(name: str) -> None:
    tracker = Tracker()
    for tick in range(11):
        seen = detections(tick, (10.0, 2.0), name=name)
        boxes = replace(seen.boxes, velocities_mps=np.array([(2.0 if tick == 0 else 0.0, 0.0)]))
        tracks = tracker.update(replace(seen, boxes=boxes), SE3())
    assert tracks.boxes.velocities_mps[0] == pytest.approx([0.0, 0.0], abs=0.01)
    assert tracks.boxes.centers_m[0, :2] == pytest.approx([10.0, 2.0], abs=0.01)


def test_a_velocity_that_places_cannot_contradict_is_believed() -> None:
    """At the second tick places tell little, and a velocity that fits them is the better guess."""
    tracker = Tracker(TrackerConfig(settle_s=1.0))
    for tick, x_m in enumerate((10.0, 11.3)):
        seen = detections(tick, (x_m, 2.0))
        tracks = tracker.update(replace(seen, boxes=replace(seen.boxes, velocities_mps=np.array([[8.0, 0.0]]))), SE3())
    assert tracks.boxes.velocities_mps[0] == pytest.approx([8.0, 0.0], abs=0.3)


def test_identity_survives_eight_ticks_of_occlusion() -> None:
    tracker = Tracker()
    for tick in range(40):
        seen = [] if 20 <= tick < 28 else [(10 + 0.8 * tick, 2.0)]
        tracks = tracker.update(detections(tick, *seen), SE3())
        if tick >= 3:
            assert tracks.track_ids.tolist() == [1]


def test_tracks_name_the_detection_that_updated_them_and_none_while_they_coast() -> None:
    tracker = Tracker()
    for tick in range(4):
        tracks = tracker.update(detections(tick, (5.0, 0.0), (20.0, 0.0)), SE3())
    identity = dict(zip(tracks.boxes.centers_m[:, 0].round().tolist(), tracks.track_ids.tolist(), strict=True))
    tracks = tracker.update(detections(4, (20.0, 0.0), (5.0, 0.0)), SE3())
    rows = dict(zip(tracks.track_ids.tolist(), tracks.detection_indices.tolist(), strict=True))
    assert rows == {identity[20.0]: 0, identity[5.0]: 1}
    tracks = tracker.update(detections(5, (5.0, 0.0)), SE3())
    rows = dict(zip(tracks.track_ids.tolist(), tracks.detection_indices.tolist(), strict=True))
    assert rows == {identity[5.0]: 0, identity[20.0]: -1}


def test_a_box_that_is_there_once_more_as_another_class_makes_no_track() -> None:
    tracker = Tracker()
    for tick in range(5):
        doubted = replace(
            detections(tick, (10.0, 0.0), (10.0, 0.0), (30.0, 5.0)),
            class_names=("truck", "car", "car"),
            alternative=np.array([False, True, False]),
        )
        tracks = tracker.update(doubted, SE3())
    assert sorted(zip(tracks.class_names, tracks.detection_indices.tolist(), strict=True)) == [("car", 2), ("truck", 0)]


def test_two_objects_that_cross_keep_their_identities() -> None:
    tracker = Tracker()
    for tick in range(40):
        tracks = tracker.update(detections(tick, (20, -16 + 0.8 * tick), (4 + 0.8 * tick, 1.0)), SE3())
    assert tracks.boxes.velocities_mps[tracks.track_ids.tolist().index(1)] == pytest.approx([8, 0], abs=0.6)
    assert tracks.boxes.velocities_mps[tracks.track_ids.tolist().index(2)] == pytest.approx([0, 8], abs=0.6)


def test_the_order_of_detections_changes_nothing() -> None:
    one, other = Tracker(), Tracker()
    for tick in range(10):
        places = [(5.0 * k, 0.3 * tick * k) for k in range(6)]
        a = one.update(detections(tick, *places), SE3())
        b = other.update(detections(tick, *places[::-1]), SE3())
    assert a.boxes.centers_m.tobytes() == b.boxes.centers_m.tobytes()
    assert a.track_ids.tolist() == b.track_ids.tolist()


def test_a_reset_and_a_jump_in_time_never_use_an_identity_again() -> None:
    tracker = Tracker()
    assert tracker.update(detections(0, (5, 0)), SE3()).track_ids.tolist() == [1]
    tracker.reset()
    assert tracker.update(detections(1, (5, 0)), SE3()).track_ids.tolist() == [2]
    assert tracker.update(detections(500, (5, 0)), SE3()).track_ids.tolist() == [3]
    assert tracker.update(detections(100, (5, 0)), SE3()).track_ids.tolist() == [4]


def test_empty_ticks_and_equal_stamps_are_ordinary() -> None:
    tracker = Tracker()
    assert len(tracker.update(Detections.empty(0), SE3())) == 0
    tracker.update(detections(1, (5, 0)), SE3())
    tracks = tracker.update(detections(1, (5, 0)), SE3())
    assert np.isfinite(tracks.boxes.velocities_mps).all()


def test_constant_velocity_and_braking_forecasts_are_those_of_the_textbook() -> None:
    tracker = Tracker()
    for tick in range(30):
        tracks = tracker.update(detections(tick, (10 + 0.8 * tick, 2.0)), SE3())
    vx, vy = tracks.boxes.velocities_mps[0]
    x, y = tracks.boxes.centers_m[0, :2]
    futures = forecast(tracks, ForecastConfig())
    assert futures.probabilities.sum() == pytest.approx(1.0)
    assert futures.points_m[0, 0, 11] == pytest.approx([x + 6 * vx, y + 6 * vy])
    braking = futures.points_m[0, 2, 11] - [x, y]
    assert np.linalg.norm(braking) == pytest.approx((vx**2 + vy**2) / (2 * 3.0))


def test_forecasts_of_a_noisy_standing_object_do_not_curl() -> None:
    rng = np.random.default_rng(0)
    tracker = Tracker()
    for tick in range(40):
        x, y = np.array([10.0, 2.0]) + rng.normal(0, 0.1, 2)
        tracks = tracker.update(detections(tick, (x, y), yaw=rng.normal(0, 0.5)), SE3())
        assert not tracks.turn_rates_radps.any()
    futures = forecast(tracks, ForecastConfig())
    assert np.linalg.norm(futures.points_m[0, :, 11] - tracks.boxes.centers_m[0, :2], axis=1).max() < 1.5


def test_a_turning_car_has_its_turn_rate_and_heading() -> None:
    tracker, rate, speed = Tracker(), 0.4, 8.0
    for tick in range(40):
        angle = rate * 0.1 * tick
        place = (speed / rate * np.sin(angle), speed / rate * (1 - np.cos(angle)))
        # The detector knows the axis, not the front.
        tracks = tracker.update(detections(tick, place, yaw=(angle + np.pi / 2) % np.pi - np.pi / 2), SE3())
    assert tracks.turn_rates_radps[0] == pytest.approx(rate, abs=0.1)
    assert np.cos(tracks.boxes.yaws_rad[0] - angle) > 0.98


def test_motion_shows_the_front_of_an_object_that_is_seen_the_wrong_way_round() -> None:
    tracker = Tracker()
    for tick in range(30):
        tracks = tracker.update(detections(tick, (10 + 0.8 * tick, 2.0), yaw=3.0), SE3())
    assert np.cos(tracks.boxes.yaws_rad[0]) > 0.95


def test_weak_detections_keep_a_track_alive_and_begin_none() -> None:
    tracker = Tracker(TrackerConfig(birth_score=0.5))
    for tick in range(20):
        found = detections(tick, (10.0, 2.0), (30.0, 5.0))
        scores = np.array([0.8 if tick < 4 else 0.2, 0.2])
        tracks = tracker.update(replace(found, scores=scores), SE3())
    assert tracks.track_ids.tolist() == [1]
    assert tracks.detection_indices.tolist() == [0]


def test_a_flickering_detection_is_tracked_and_not_shown() -> None:
    tracker = Tracker()
    shown = 0
    for tick in range(60):
        tracks = tracker.update(detections(tick, *([(10.0, 2.0)] if tick % 4 == 0 or tick < 3 else [])), SE3())
        shown += len(tracks) if tick > 25 else 0
    assert shown == 0


def test_forecasts_of_nothing_have_the_shape_of_nothing() -> None:
    futures = forecast(Tracker().update(Detections.empty(0), SE3()), ForecastConfig())
    assert futures.points_m.shape == (0, 4, 12, 2)
