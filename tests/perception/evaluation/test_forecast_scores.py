"""Forecasts of matched tracks by hand: two cars of one sample, one of them moving."""

import numpy as np
import pytest

from tricast.perception.evaluation.box_table import BoxTable
from tricast.perception.evaluation.forecast_scores import Accuracy, score_forecasts
from tricast.perception.evaluation.interval import accuracy_score
from tricast.perception.evaluation.prediction import evaluate_prediction_accuracy
from tricast.perception.evaluation.run_tables import Forecasts, ResultTables, TruthTables
from tricast.perception.evaluation.scores import class_ranges
from tricast.perception.outputs import FUTURE_STEP_S, NUM_FUTURE_STEPS

TIMES_S = FUTURE_STEP_S * np.arange(1, NUM_FUTURE_STEPS + 1)


def cars(places: list[tuple[float, float]], velocities: list[tuple[float, float]], scores: list[float] | None = None):
    count = len(places)
    centers = np.column_stack([np.array(places).reshape(-1, 2), np.zeros(count)])
    return BoxTable.of(
        ["sample"],
        sample_index=np.zeros(count),
        class_index=np.zeros(count),
        centers_m=centers,
        sizes_m=np.ones((count, 3)),
        yaws_rad=np.zeros(count),
        velocities_mps=np.array(velocities).reshape(-1, 2),
        ego_distance_m=np.linalg.norm(centers, axis=1),
        track_ids=np.arange(count),
        scores=None if scores is None else np.array(scores),
    )


def straight(place: tuple[float, float], velocity: tuple[float, float]) -> np.ndarray:
    return np.array(place) + TIMES_S[:, None] * np.array(velocity)


def results_of(tracks: BoxTable, futures: list[np.ndarray]) -> ResultTables:
    """One mode per track."""
    count = len(tracks)
    offsets = np.array(futures).reshape(count, 1, NUM_FUTURE_STEPS, 2) - tracks.centers_m[:, None, None, :2]
    return ResultTables(
        detections=tracks,
        tracks=tracks,
        forecasts=Forecasts(
            offsets_m=offsets.astype(np.float32),
            probabilities=np.ones((count, 1)),
            turn_rates_radps=np.zeros(count),
            accelerations_mps2=np.zeros(count),
        ),
        ticks=1,
        latencies_ms={},
    )


def test_errors_are_those_of_matched_tracks_with_movers_apart() -> None:
    truth = TruthTables(
        boxes=cars([(10, 0), (20, 0)], [(2, 0), (0, 0)]),
        futures_m=np.stack([straight((10, 0), (2, 0)), straight((20, 0), (0, 0))]),
    )
    # The mover's track is 1 m aside and says it stands; a third track found nothing.
    tracks = cars([(10, 1), (20, 0), (40, 0)], [(1, 0), (0, 0), (3, 0)], [0.9, 0.8, 0.2])
    futures = [straight((10, 1), (2, 0)), straight((20, 0), (0, 0)), straight((40, 0), (3, 0))]
    scores = score_forecasts(results_of(tracks, futures), truth, class_ranges(None))
    assert scores.movers.tolist() == [True, False]
    assert scores.errors.figures()["minADE_6"] == pytest.approx(0.5)
    assert scores.errors.figures(scores.movers)["minFDE_6"] == pytest.approx(1.0)
    # Constant velocity takes the track's own 1 m/s: after 6 s it is 6 m behind and 1 m aside.
    velocity = scores.baselines["constant_velocity"].figures(scores.movers)
    assert velocity["minFDE_6"] == pytest.approx(np.hypot(6, 1))
    assert scores.baselines["physics_modes"].figures()["minADE_1"] == pytest.approx(
        scores.baselines["constant_velocity"].figures()["minADE_1"]
    )


def test_false_tracks_lower_the_accuracy_until_a_score_leaves_them_out() -> None:
    truth = TruthTables(boxes=cars([(10, 0)], [(2, 0)]), futures_m=straight((10, 0), (2, 0))[None])
    tracks = cars([(10, 0), (30, 0)], [(2, 0), (0, 0)], [0.9, 0.3])
    futures = [straight((10, 0), (2, 0)), straight((30, 0), (0, 0))]
    accuracy = score_forecasts(results_of(tracks, futures), truth, class_ranges(None)).accuracy
    assert accuracy.epa == pytest.approx(0.5)
    assert accuracy.best_epa == pytest.approx(1.0)
    assert 0.3 < accuracy.best_score <= 0.9
    assert accuracy_score(accuracy)(np.array([2])) == {"EPA": pytest.approx(0.5), "EPA_best": pytest.approx(1.0)}


def test_accuracy_of_drawn_scenes_takes_their_counts_as_often() -> None:
    # A scene with a hit beside a false track, and one where both objects are missed.
    boxes = BoxTable.of(
        ["a", "b"],
        sample_index=np.array([0, 1, 1]),
        class_index=np.zeros(3),
        centers_m=np.array([[10.0, 0, 0], [10, 0, 0], [20, 0, 0]]),
        sizes_m=np.ones((3, 3)),
        yaws_rad=np.zeros(3),
        ego_distance_m=np.zeros(3),
        sample_scene=np.array([0, 1]),
    )
    found = boxes.where(np.array([0, 0])).replaced(
        centers_m=np.array([[10.0, 0, 0], [30, 0, 0]]), scores=np.array([0.9, 0.3])
    )
    futures = np.tile(boxes.centers_m[:, None, :2], (1, NUM_FUTURE_STEPS, 1))
    points = np.tile(found.centers_m[:, None, None, :2], (1, 1, NUM_FUTURE_STEPS, 1))
    accuracy = evaluate_prediction_accuracy(found, points, boxes, futures)
    assert accuracy.by_scene.tolist() == [[1, 1, 1], [0, 0, 2]]
    both = Accuracy(epa=0.0, best_epa=0.0, best_score=0.0, every=accuracy, best=accuracy)
    # Three hits of 3 + 2 objects, and three halves for false tracks.
    assert accuracy_score(both)(np.array([3, 1]))["EPA"] == pytest.approx(1.5 / 5)
    assert np.isnan(accuracy_score(both)(np.array([0, 0]))["EPA"])


def test_objects_out_of_range_or_without_a_known_future_are_left_out() -> None:
    truth = TruthTables(
        boxes=cars([(60, 0), (10, 0)], [(2, 0), (2, 0)]),
        futures_m=np.stack([straight((60, 0), (2, 0)), np.full((NUM_FUTURE_STEPS, 2), np.nan)]),
    )
    tracks = cars([(60, 0), (10, 0)], [(2, 0), (2, 0)], [0.9, 0.9])
    futures = [straight((60, 0), (2, 0)), straight((10, 0), (2, 0))]
    scores = score_forecasts(results_of(tracks, futures), truth, class_ranges(None))
    assert len(scores.errors) == 0
    assert np.isnan(scores.errors.figures()["minADE_6"])


def test_no_truth_and_no_tracks_have_no_figures() -> None:
    nothing = TruthTables(boxes=cars([], []), futures_m=np.zeros((0, NUM_FUTURE_STEPS, 2)))
    scores = score_forecasts(results_of(cars([], [], []), []), nothing, class_ranges(None))
    assert len(scores.errors) == 0
    assert np.isnan(scores.accuracy.epa)
    some = cars([(10, 0)], [(2, 0)], [0.5])
    assert len(score_forecasts(results_of(some, [straight((10, 0), (2, 0))]), nothing, class_ranges(None)).errors) == 0
