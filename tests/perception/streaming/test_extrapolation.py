from dataclasses import replace

import numpy as np
import pytest

from tricast.perception.outputs import NUM_FUTURE_STEPS, Detections, TickResult, Tracks, Trajectories
from tricast.perception.streaming.extrapolation import extrapolated
from tricast.perception.streaming.results_mcap import EXTRAPOLATED_TYPE, extrapolated_message
from tricast.sensors.frames import EgoPose
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.schema import deserialize, serialize, stamp_ns
from tricast.sensors.motion_compensation import EgoMotion

MS = 1_000_000
SECOND_NS = 1_000_000_000
TICK_NS = 50 * SECOND_NS


def result() -> TickResult:
    """A car at (10, 2) that will be 3 m further to the left every half second, turning at 0.1 rad/s."""
    boxes = Boxes(
        centers_m=np.array([[10.0, 2.0, 0.8]]),
        sizes_m=np.array([[4.5, 1.9, 1.6]]),
        yaws_rad=np.array([np.pi / 2]),
        velocities_mps=np.array([[0.0, 6.0]]),
    )
    points = np.broadcast_to(boxes.centers_m[:, None, None, :2], (1, 2, NUM_FUTURE_STEPS, 2)).copy()
    points[0, 0, :, 1] += 3.0 * np.arange(1, NUM_FUTURE_STEPS + 1)
    return TickResult(
        timestamp_ns=TICK_NS,
        odom_from_ego=SE3(),
        detections=Detections.empty(TICK_NS),
        tracks=Tracks(
            timestamp_ns=TICK_NS,
            boxes=boxes,
            class_names=("car",),
            scores=np.array([0.9]),
            track_ids=np.array([3]),
            turn_rates_radps=np.array([0.1]),
            detection_indices=np.array([-1]),
            class_scores=np.zeros((1, 10)),
        ),
        trajectories=Trajectories(probabilities=np.array([[0.75, 0.25]]), points_m=points),
        inputs=(),
        health={},
    )


@pytest.mark.parametrize(("after_s", "left_m"), [(0.0, 2.0), (0.25, 3.5), (0.5, 5.0), (1.75, 12.5), (6.0, 38.0)])
def test_objects_move_along_their_most_probable_future(after_s: float, left_m: float) -> None:
    moved = extrapolated(result(), TICK_NS + round(after_s * SECOND_NS))
    assert moved.result.tracks.boxes.centers_m[0] == pytest.approx([10.0, left_m, 0.8])
    assert moved.result.tracks.boxes.yaws_rad[0] == pytest.approx(
        np.arctan2(np.cos(0.1 * after_s), -np.sin(0.1 * after_s))
    )
    assert (moved.by_ns, moved.beyond) == (after_s * SECOND_NS, False)
    assert moved.result.timestamp_ns == moved.result.tracks.timestamp_ns == TICK_NS + moved.by_ns
    assert moved.result.odom_from_ego == result().odom_from_ego


def test_velocities_turn_with_their_boxes() -> None:
    boxes = extrapolated(result(), TICK_NS + 2 * SECOND_NS).result.tracks.boxes
    assert np.hypot(*boxes.velocities_mps[0]) == pytest.approx(6.0)
    assert np.arctan2(*boxes.velocities_mps[0, ::-1]) == pytest.approx(boxes.yaws_rad[0])


def test_futures_begin_at_the_later_time_and_go_on_straight_after_their_end() -> None:
    futures = extrapolated(result(), TICK_NS + 750 * MS).result.trajectories
    # 6 m/s throughout: at 0.75 s and half a second further on, up to 6.75 s, which no forecast reached.
    assert futures.points_m[0, 0, :, 1] == pytest.approx(2.0 + 6.0 * (0.75 + 0.5 * np.arange(1, 13)))
    assert futures.points_m[0, 1] == pytest.approx(np.broadcast_to([10.0, 2.0], (12, 2)))
    assert futures.probabilities.tolist() == [[0.75, 0.25]]


def test_with_the_motion_of_the_vehicle_the_answer_is_in_its_axes_at_that_time() -> None:
    ahead = EgoPose(
        timestamp_ns=TICK_NS,
        received_ns=TICK_NS,
        odom_from_ego=SE3.from_yaw(np.pi / 2, (100.0, 0.0, 0.0)),
        linear_velocity_mps=(8.0, 0.0, 0.0),
        angular_velocity_radps=(0.0, 0.0, 0.0),
    )
    tick = replace(result(), odom_from_ego=ahead.odom_from_ego)
    moved = extrapolated(tick, TICK_NS + 500 * MS, EgoMotion([ahead])).result
    still = extrapolated(tick, TICK_NS + 500 * MS).result
    assert moved.odom_from_ego.translation_m == pytest.approx((100.0, 4.0, 0.0))
    assert moved.tracks.boxes.centers_m[0] == pytest.approx([6.0, 5.0, 0.8])
    assert moved.trajectories.points_m[0, 0, 0] == pytest.approx([6.0, 8.0])
    in_odom = [r.odom_from_ego.apply(r.tracks.boxes.centers_m) for r in (moved, still)]
    assert in_odom[0] == pytest.approx(in_odom[1])


def test_the_message_says_how_far() -> None:
    sent = extrapolated_message(extrapolated(result(), TICK_NS + 120 * MS))
    heard = deserialize(serialize(sent), EXTRAPOLATED_TYPE)
    assert (stamp_ns(heard.header.stamp), heard.tick_ns) == (TICK_NS + 120 * MS, TICK_NS)
    assert (heard.extrapolated_by_ns, heard.beyond) == (120 * MS, False)
    assert [o.track_id for o in heard.objects] == [3]
    assert heard.objects[0].box.center_m[1] == pytest.approx(2.72)


def test_nobody_is_moved_further_than_forecasts_reach_or_back_in_time() -> None:
    far = extrapolated(result(), TICK_NS + 20 * SECOND_NS)
    assert (far.by_ns, far.beyond) == (6 * SECOND_NS, True)
    assert far.result.tracks.boxes.centers_m[0, 1] == pytest.approx(38.0)
    before = extrapolated(result(), TICK_NS - SECOND_NS)
    assert (before.by_ns, before.beyond) == (0, False)
    assert before.result.tracks.boxes.centers_m[0, 1] == 2.0


def test_no_tracks_extrapolate_to_none() -> None:
    modes = Trajectories(probabilities=np.zeros((0, 2)), points_m=np.zeros((0, 2, NUM_FUTURE_STEPS, 2)))
    empty = replace(result(), tracks=Tracks.empty(TICK_NS), trajectories=modes)
    moved = extrapolated(empty, TICK_NS + SECOND_NS)
    assert (len(moved.result.tracks), moved.by_ns) == (0, SECOND_NS)
