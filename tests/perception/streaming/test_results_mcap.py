"""The results log, read back with another library."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader

from tricast.perception.outputs import NUM_FUTURE_STEPS, Detections, TickResult, Tracks, Trajectories
from tricast.perception.palette import CLASS_COLORS
from tricast.perception.streaming.results_mcap import ResultsMcapWriter
from tricast.perception.streaming.runtime_result import Delivery
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.schema import deserialize
from tricast.sensors.synced_frame import ChannelHealth, InputUsed

NOW_NS = 12_345_678_901
CUBE, ARROW, LINE_STRIP, TEXT = 1, 0, 4, 9
ADD, DELETE_ALL = 0, 3


def result(timestamp_ns: int = NOW_NS) -> TickResult:
    """A car that drives and a pedestrian that stands; the detector saw the car alone."""
    boxes = Boxes(
        centers_m=np.array([[10.0, 2.0, 0.8], [5.0, -4.0, 0.9]]),
        sizes_m=np.array([[4.5, 1.9, 1.6], [0.7, 0.6, 1.8]]),
        yaws_rad=np.array([np.pi / 2, 0.0]),
        velocities_mps=np.array([[0.0, 6.0], [0.0, 0.0]]),
    )
    points = np.broadcast_to(boxes.centers_m[:, None, None, :2], (2, 2, NUM_FUTURE_STEPS, 2)).copy()
    points[0, 0, :, 1] += 3.0 * np.arange(1, NUM_FUTURE_STEPS + 1)
    return TickResult(
        timestamp_ns=timestamp_ns,
        odom_from_ego=SE3.from_yaw(0.5, (100.0, 50.0, 1.0)),
        detections=Detections(timestamp_ns=timestamp_ns, boxes=boxes[:1], class_names=("car",), scores=np.array([0.8])),
        tracks=Tracks(
            timestamp_ns=timestamp_ns,
            boxes=boxes,
            class_names=("car", "pedestrian"),
            scores=np.array([0.9, 0.6]),
            track_ids=np.array([3, 11]),
            turn_rates_radps=np.array([0.1, 0.0]),
            detection_indices=np.array([0, -1]),
            class_scores=np.zeros((2, 10)),
        ),
        trajectories=Trajectories(probabilities=np.array([[0.75, 0.25], [0.75, 0.25]]), points_m=points),
        inputs=(InputUsed(channel="LIDAR_TOP", timestamp_ns=timestamp_ns - 5, reused=True),),
        health={
            "LIDAR_TOP": ChannelHealth(state="degraded", age_ns=5),
            "CAM": ChannelHealth(state="waiting", age_ns=None),
        },
    )


def read_back(path: Path) -> dict[str, list[tuple[int, Any]]]:
    messages: dict[str, list[tuple[int, Any]]] = {}
    with path.open("rb") as stream:
        for schema, channel, message in make_reader(stream, validate_crcs=True).iter_messages():
            assert schema is not None
            decoded = deserialize(message.data, schema.name)
            messages.setdefault(channel.topic, []).append((message.log_time, decoded))
    return messages


@pytest.fixture
def messages(tmp_path: Path) -> dict[str, list[tuple[int, Any]]]:
    with ResultsMcapWriter(tmp_path / "results.mcap") as writer:
        writer.write(result())
    return read_back(tmp_path / "results.mcap")


def test_every_tick_is_on_every_topic_at_its_time(messages) -> None:
    assert sorted(messages) == ["/tf", "/tricast/detections/markers", "/tricast/result", "/tricast/tracks/markers"]
    assert all([stamp for stamp, _ in topic] == [NOW_NS] for topic in messages.values())


def test_the_pose_places_the_vehicle_in_the_world(messages) -> None:
    transform = messages["/tf"][0][1].transforms[0]
    assert (transform.header.frame_id, transform.child_frame_id) == ("odom", "base_link")
    assert (transform.transform.translation.x, transform.transform.translation.y) == (100.0, 50.0)
    assert transform.transform.rotation.z == pytest.approx(np.sin(0.25))
    assert (transform.header.stamp.sec, transform.header.stamp.nanosec) == (12, 345_678_901)


def test_markers_clear_the_last_tick_and_draw_this_one(messages) -> None:
    first, *markers = messages["/tricast/tracks/markers"][0][1].markers
    assert first.action == DELETE_ALL
    assert all(m.action == ADD and m.header.frame_id == "base_link" for m in markers)
    kinds = [m.type for m in markers]
    assert [kinds.count(kind) for kind in (CUBE, TEXT, ARROW, LINE_STRIP)] == [2, 2, 1, 4]
    assert len({(m.ns, m.id) for m in markers}) == len(markers)


def test_a_box_marker_has_place_size_heading_and_colour_of_its_track(messages) -> None:
    markers = messages["/tricast/tracks/markers"][0][1].markers
    car = next(m for m in markers if m.type == CUBE and m.action == ADD)
    assert (car.pose.position.x, car.pose.position.y, car.pose.position.z) == (10.0, 2.0, 0.8)
    assert (car.scale.x, car.scale.y, car.scale.z) == (4.5, 1.9, 1.6)
    assert (car.pose.orientation.z, car.pose.orientation.w) == pytest.approx((np.sqrt(0.5), np.sqrt(0.5)))
    assert (car.color.r, car.color.g, car.color.b) == pytest.approx(CLASS_COLORS["car"], abs=1e-6)
    assert 0 < car.color.a < 1


def test_labels_name_identity_class_and_speed(messages) -> None:
    markers = messages["/tricast/tracks/markers"][0][1].markers
    assert [m.text for m in markers if m.type == TEXT] == ["3 car 6.0 m/s", "11 pedestrian 0.0 m/s"]


def test_the_arrow_ends_where_the_object_is_in_a_second(messages) -> None:
    arrow = next(m for m in messages["/tricast/tracks/markers"][0][1].markers if m.type == ARROW)
    tail, tip = arrow.points
    assert (tip.x - tail.x, tip.y - tail.y, tip.z - tail.z) == (0.0, 6.0, 0.0)


def test_forecasts_begin_at_the_object_and_fade_with_probability(messages) -> None:
    strips = [m for m in messages["/tricast/tracks/markers"][0][1].markers if m.type == LINE_STRIP]
    assert [m.color.a for m in strips] == [0.75, 0.25, 0.75, 0.25]
    assert len(strips[0].points) == 1 + NUM_FUTURE_STEPS
    assert (strips[0].points[0].x, strips[0].points[0].y) == (10.0, 2.0)
    assert (strips[0].points[-1].x, strips[0].points[-1].y) == (10.0, 38.0)


def test_detections_before_tracking_have_their_own_markers(messages) -> None:
    markers = messages["/tricast/detections/markers"][0][1].markers
    assert [(m.action, m.type) for m in markers] == [(DELETE_ALL, CUBE), (ADD, CUBE)]


def test_the_full_result_reads_back(messages) -> None:
    message = messages["/tricast/result"][0][1]
    assert (message.header.frame_id, message.odom_from_ego.position.x) == ("base_link", 100.0)
    assert [(d.class_name, d.score) for d in message.detections] == [("car", 0.8)]
    car, pedestrian = message.objects
    assert (car.track_id, car.class_name, car.score, car.turn_rate_radps) == (3, "car", 0.9, 0.1)
    assert (pedestrian.track_id, list(pedestrian.box.size_m)) == (11, [0.7, 0.6, 1.8])
    assert list(car.box.velocity_mps) == [0.0, 6.0]
    assert [t.probability for t in car.trajectories] == [0.75, 0.25]
    assert list(car.trajectories[0].points_m[-2:]) == [10.0, 38.0]
    assert [(u.channel, u.timestamp_ns, u.reused) for u in message.inputs] == [("LIDAR_TOP", NOW_NS - 5, True)]
    assert [(h.channel, h.state, h.age_ns) for h in message.health] == [
        ("CAM", "waiting", -1),
        ("LIDAR_TOP", "degraded", 5),
    ]


def test_the_manifest_of_poses_and_the_delivery_read_back(tmp_path: Path) -> None:
    tick = replace(result(), pose_stamps_ns=(NOW_NS - 40, NOW_NS - 20), discontinuity=True)
    delivery = Delivery(
        sequence=7,
        dropped_ticks=2,
        not_used={"late": {"CAM": 3, "LIDAR_TOP": 1}},
        memory="moved_on",
        late=True,
        waited_ms=1.5,
        processing_ms=80.0,
        total_ms=81.5,
    )
    with ResultsMcapWriter(tmp_path / "results.mcap") as writer:
        writer.write(tick, delivery)
    message = read_back(tmp_path / "results.mcap")["/tricast/result"][0][1]
    assert (list(message.pose_stamps_ns), message.discontinuity) == ([NOW_NS - 40, NOW_NS - 20], True)
    told = message.delivery
    assert (told.sequence, told.dropped_ticks, told.memory, told.late) == (7, 2, "moved_on", True)
    assert told.not_used == ["late CAM 3", "late LIDAR_TOP 1"]
    assert (told.waited_ms, told.processing_ms, told.total_ms) == (1.5, 80.0, 81.5)


def test_a_tick_without_objects_only_clears(tmp_path: Path) -> None:
    empty = TickResult(
        timestamp_ns=NOW_NS,
        odom_from_ego=SE3(),
        detections=Detections.empty(NOW_NS),
        tracks=Tracks.empty(NOW_NS),
        trajectories=Trajectories(probabilities=np.zeros((0, 2)), points_m=np.zeros((0, 2, NUM_FUTURE_STEPS, 2))),
        inputs=(),
        health={},
    )
    with ResultsMcapWriter(tmp_path / "results.mcap") as writer:
        writer.write(empty)
    messages = read_back(tmp_path / "results.mcap")
    assert [m.action for m in messages["/tricast/tracks/markers"][0][1].markers] == [DELETE_ALL]
    assert messages["/tricast/result"][0][1].objects == []


def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with ResultsMcapWriter(tmp_path / name / "results.mcap") as writer:
            for k in range(5):
                writer.write(result(NOW_NS + k * 100_000_000))
    assert (tmp_path / "a" / "results.mcap").read_bytes() == (tmp_path / "b" / "results.mcap").read_bytes()


def test_an_interrupted_log_keeps_its_partial_name(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), ResultsMcapWriter(tmp_path / "results.mcap") as writer:
        writer.write(result())
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["results.mcap.partial"]
