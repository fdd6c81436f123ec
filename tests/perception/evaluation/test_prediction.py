"""Errors of forecasts and EPA by hand."""

import numpy as np
import pytest

from tricast.perception.evaluation.box_table import BoxTable
from tricast.perception.evaluation.matching import assign_nearest
from tricast.perception.evaluation.prediction import evaluate_prediction_accuracy, forecast_errors
from tricast.sensors.errors import SensorDataError

STEPS = 12


def line(offset_m: float, end_offset_m: float | None = None) -> np.ndarray:
    """Positions along y = offset, the last one elsewhere if stated."""
    points = np.stack([np.arange(STEPS, dtype=np.float64), np.full(STEPS, offset_m)], axis=1)
    if end_offset_m is not None:
        points[-1, 1] = end_offset_m
    return points


def boxes(places: list[tuple[float, float]], classes: list[int] | None = None) -> BoxTable:
    count = len(places)
    centers = np.concatenate([np.array(places).reshape(-1, 2), np.zeros((count, 1))], axis=1)
    return BoxTable.of(
        ["s"],
        sample_index=np.zeros(count),
        class_index=np.zeros(count) if classes is None else np.array(classes),
        centers_m=centers,
        sizes_m=np.ones((count, 3)),
        yaws_rad=np.zeros(count),
        ego_distance_m=np.zeros(count),
    )


def test_errors_of_two_modes_by_hand() -> None:
    points = np.stack([line(3.0), line(0.0, end_offset_m=1.2)])[None]
    errors = forecast_errors(points, np.array([[0.75, 0.25]]), line(0.0)[None], (1, 2))
    figures = errors.figures()
    assert figures["minADE_1"] == pytest.approx(3.0)
    assert figures["minADE_2"] == pytest.approx(0.1)
    assert figures["minFDE_2"] == pytest.approx(1.2)
    assert (figures["MissRate_1"], figures["MissRate_2"]) == (1.0, 0.0)
    assert figures["brier-minFDE_1"] == pytest.approx(3.0 + 0.25**2)
    assert figures["brier-minFDE_2"] == pytest.approx(1.2 + 0.75**2)


def test_a_forecast_that_strays_and_returns_is_a_miss_but_not_at_the_end() -> None:
    points = line(2.0, end_offset_m=0.0)[None, None]
    figures = forecast_errors(points, np.ones((1, 1)), line(0.0)[None], (1,)).figures()
    assert (figures["MissRate_1"], figures["MissRateFinal_1"]) == (1.0, 0.0)


def test_exactly_two_metres_at_the_end_is_no_final_miss() -> None:
    figures = forecast_errors(line(2.0)[None, None], np.ones((1, 1)), line(0.0)[None], (1,)).figures()
    assert (figures["MissRate_1"], figures["MissRateFinal_1"]) == (1.0, 0.0)


def test_no_forecasts_have_no_figures() -> None:
    errors = forecast_errors(np.zeros((0, 6, STEPS, 2)), np.zeros((0, 6)), np.zeros((0, STEPS, 2)))
    assert len(errors) == 0
    assert np.isnan(errors.figures()["minADE_6"])


def test_figures_of_some_rows_are_theirs_alone() -> None:
    points = np.stack([line(1.0), line(5.0)])[:, None]
    errors = forecast_errors(points, np.ones((2, 1)), np.stack([line(0.0)] * 2), (1,))
    assert errors.figures(np.array([True, False]))["minADE_1"] == pytest.approx(1.0)


def test_unknown_futures_are_refused() -> None:
    with pytest.raises(SensorDataError, match="futures"):
        forecast_errors(line(0.0)[None, None], np.ones((1, 1)), np.full((1, STEPS, 2), np.nan))


def test_prediction_accuracy_by_hand() -> None:
    # Of four objects one has no known future; found and foreseen, found but not foreseen, missed; two false alarms.
    truth = boxes([(0, 0), (10, 0), (20, 0), (30, 0)])
    futures = np.stack([line(0.0), line(0.0), line(0.0), np.full((STEPS, 2), np.nan)])
    agents = boxes([(0, 1), (10, 1), (30, 1), (20, 2.5), (50, 0)])
    points = np.stack([line(1.0), line(9.0), line(0.0), line(0.0), line(0.0)])[:, None]
    accuracy = evaluate_prediction_accuracy(agents, points, truth, futures)
    assert (accuracy.hits[0], accuracy.unmatched[0], accuracy.futures[0]) == (1, 2, 3)
    assert accuracy.epa == 0.0
    fewer = evaluate_prediction_accuracy(agents.where(np.arange(4)), points[:4], truth, futures)
    assert fewer.epa == pytest.approx((1 - 0.5) / 3)
    assert fewer.of_class("car") == fewer.epa
    assert np.isnan(fewer.of_class("bus"))


def test_an_agent_of_another_class_is_a_false_alarm() -> None:
    accuracy = evaluate_prediction_accuracy(
        boxes([(0, 0)], [5]), line(0.0)[None, None], boxes([(0, 0)]), line(0.0)[None]
    )
    assert (accuracy.hits.sum(), accuracy.unmatched[5], accuracy.futures[0]) == (0, 1, 1)


def test_no_agents_foresee_nothing() -> None:
    none = np.zeros((0, 6, STEPS, 2))
    assert evaluate_prediction_accuracy(boxes([]), none, boxes([(0, 0)]), line(0.0)[None]).epa == 0.0


def test_assignment_prefers_more_pairs_to_nearer_ones() -> None:
    # The agent between two objects is nearest to the one that the other agent needs.
    ours, theirs = assign_nearest(boxes([(0.4, 0), (-1.5, 0)]), boxes([(0, 0), (2, 0)]), 2.0)
    assert list(zip(ours.tolist(), theirs.tolist(), strict=True)) == [(0, 1), (1, 0)]
