from dataclasses import replace

import numpy as np
import pytest

from tricast.perception.outputs import Detections, Tracks, Trajectories
from tricast.perception.streaming.track_futures import futures_of_tracks
from tricast.sensors.geometry.boxes import Boxes


def _boxes(places: list[list[float]]) -> Boxes:
    count = len(places)
    centers = np.column_stack([np.array(places).reshape(count, 2), np.zeros(count)])
    return Boxes(
        centers_m=centers, sizes_m=np.ones((count, 3)), yaws_rad=np.zeros(count), velocities_mps=np.zeros((count, 2))
    )


def _tracks(places: list[list[float]], indices: list[int]) -> Tracks:
    count = len(places)
    return Tracks(
        timestamp_ns=0,
        boxes=_boxes(places),
        class_names=("car",) * count,
        scores=np.ones(count),
        track_ids=np.arange(count) + 1,
        turn_rates_radps=np.zeros(count),
        detection_indices=np.array(indices, np.int64),
        class_scores=np.zeros((len(indices), 10)),
    )


def _trajectories(count: int, modes: int, value: float) -> Trajectories:
    weights = np.arange(modes, 0, -1) / np.arange(modes + 1).sum()
    return Trajectories(probabilities=np.tile(weights, (count, 1)), points_m=np.full((count, modes, 12, 2), value))


def test_a_seen_track_takes_its_detections_futures_and_a_coasting_one_keeps_physics() -> None:
    learned = _trajectories(2, 3, 7.0)
    detections = Detections(
        timestamp_ns=0,
        boxes=_boxes([[0.0, 0.0], [10.0, 5.0]]),
        class_names=("car", "car"),
        scores=np.ones(2),
        trajectories=learned,
    )
    futures = futures_of_tracks(_tracks([[10.5, 5.0], [3.0, 3.0]], [1, -1]), detections, _trajectories(2, 2, 1.0))
    # The track stands half a metre farther along x than the detection.
    assert futures.points_m[0, :, :, 0] == pytest.approx(7.5)
    assert futures.points_m[0, :, :, 1] == pytest.approx(7.0)
    assert futures.probabilities[0] == pytest.approx([3 / 6, 2 / 6, 1 / 6])
    assert futures.points_m[1] == pytest.approx(1.0)
    assert futures.probabilities[1] == pytest.approx([2 / 3, 1 / 3, 0.0])


def test_without_learned_futures_physics_stays_as_it_is() -> None:
    physics = _trajectories(1, 4, 1.0)
    detections = Detections(timestamp_ns=0, boxes=_boxes([[0.0, 0.0]]), class_names=("car",), scores=np.ones(1))
    assert futures_of_tracks(_tracks([[0.0, 0.0]], [0]), detections, physics) is physics


def test_scales_follow_the_futures_and_physics_has_none() -> None:
    learned = replace(_trajectories(2, 2, 7.0), scales_m=np.full((2, 2, 12, 2), 0.5))
    detections = Detections(
        timestamp_ns=0,
        boxes=_boxes([[0.0, 0.0]] * 2),
        class_names=("car",) * 2,
        scores=np.ones(2),
        trajectories=learned,
    )
    futures = futures_of_tracks(_tracks([[0.0, 0.0]] * 2, [1, -1]), detections, _trajectories(2, 3, 1.0))
    assert futures.scales_m is not None
    assert futures.scales_m[0] == pytest.approx(np.full((3, 12, 2), 0.5))
    assert np.isnan(futures.scales_m[1]).all()


def test_futures_of_another_speed_than_the_tracks_are_not_its_own() -> None:
    """As where a detector that knows towns alone sees a motorway: told 12 m/s, the tracker found 28 by places."""
    tracks = _tracks([[0.0, 0.0]] * 2, [0, 1])
    tracks = replace(tracks, boxes=replace(tracks.boxes, velocities_mps=np.array([[28.0, 0.0], [14.0, 0.0]])))
    boxes = replace(_boxes([[0.0, 0.0]] * 2), velocities_mps=np.array([[12.0, 0.0]] * 2))
    detections = Detections(
        timestamp_ns=0,
        boxes=boxes,
        class_names=("car",) * 2,
        scores=np.ones(2),
        trajectories=_trajectories(2, 2, 7.0),
    )
    futures = futures_of_tracks(tracks, detections, _trajectories(2, 2, 1.0))
    assert futures.points_m[0] == pytest.approx(1.0)
    assert futures.points_m[1] == pytest.approx(7.0)
