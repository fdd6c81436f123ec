"""Tracking figures by hand, interpolation of tracks, and what is refused."""

import numpy as np
import pytest

from tricast.configs.errors import InputError
from tricast.perception.evaluation.box_table import BoxTable
from tricast.perception.evaluation.clear import evaluate_clear
from tricast.perception.evaluation.hota import evaluate_hota, mean_hota
from tricast.perception.evaluation.track_similarity import similar_by_distance, similar_by_iou
from tricast.perception.evaluation.track_tables import in_time_order, interpolated
from tricast.perception.evaluation.tracking import evaluate_tracking

SAMPLES = 10


def cars(rows: list[tuple[int, float, int]], *, scored: bool = True, **columns: np.ndarray) -> BoxTable:
    """Cars as sample, x, identity; one scene at 2 Hz."""
    sample, x, identity = (np.array(column) for column in zip(*rows, strict=True)) if rows else (np.zeros(0),) * 3
    values = {
        "centers_m": np.stack([x, np.zeros(len(x)), np.zeros(len(x))], axis=1).astype(float),
        "sizes_m": np.tile([4.0, 2.0, 2.0], (len(x), 1)),
        "scores": np.full(len(x), 0.5) if scored else None,
        **columns,
    }
    return BoxTable.of(
        [str(i) for i in range(SAMPLES)],
        sample_index=sample,
        class_index=np.zeros(len(x)),
        yaws_rad=np.zeros(len(x)),
        ego_distance_m=np.zeros(len(x)),
        track_ids=identity,
        sample_time_ns=np.arange(SAMPLES) * 500_000_000,
        **values,
    )


def straight(identity: int, samples: range, x: float = 0.0) -> list[tuple[int, float, int]]:
    return [(sample, x, identity) for sample in samples]


def test_late_start_switch_and_false_boxes_by_hand() -> None:
    truth = cars(straight(1, range(10)), scored=False)
    found = cars([*straight(7, range(2, 6), 0.5), *straight(8, range(6, 10), 0.5), (0, 40.0, 9)])
    figures = evaluate_tracking(found, truth).classes["car"]
    # Seven matches, one switch, two misses, one false box, at the only threshold there is.
    assert [figures[name] for name in ("tp", "ids", "fn", "fp", "frag")] == [7, 1, 2, 1, 0]
    assert figures["mota"] == pytest.approx(1 - 4 / 10)
    assert figures["motp"] == pytest.approx(0.5)
    assert figures["recall"] == pytest.approx(0.8)
    assert (figures["tid"], figures["lgd"]) == (1.0, 1.0)
    assert figures["motar"] == pytest.approx(1 - (4 - 3) / 7)
    assert figures["faf"] == pytest.approx(10.0)


def test_clear_by_hand() -> None:
    truth = cars(straight(1, range(10)), scored=False)
    found = cars([*straight(7, range(2, 5)), *straight(8, range(6, 10))])
    figures = evaluate_clear(similar_by_distance(found, truth))["car"]
    assert (figures.true_positives, figures.false_negatives, figures.false_positives) == (7, 3, 0)
    assert (figures.identity_switches, figures.mota, figures.motp) == (1, pytest.approx(0.6), 1.0)


def test_a_perfect_tracker_has_a_hota_of_one_by_distance_and_by_overlap() -> None:
    truth = cars([*straight(1, range(10)), *straight(2, range(3, 8), 9.0)], scored=False)
    for similar in (similar_by_distance, similar_by_iou):
        assert mean_hota(evaluate_hota(similar(truth, truth))) == pytest.approx(1.0)


def test_hota_of_a_track_cut_in_two_by_hand() -> None:
    truth = cars(straight(1, range(10)), scored=False)
    found = cars([*straight(7, range(5)), *straight(8, range(5, 10))])
    # Every box is found; each half of the object goes with a track of five of its ten boxes.
    assert evaluate_hota(similar_by_distance(found, truth))["car"].hota == pytest.approx(np.sqrt(0.5))


def test_overlap_as_similarity_by_hand() -> None:
    found, truth = cars(straight(1, range(10), 1.0)), cars(straight(1, range(10)), scored=False)
    np.testing.assert_allclose(similar_by_iou(found, truth).similarity, 3 / 5)


def test_holes_of_a_track_are_filled_with_the_weights_of_the_devkit() -> None:
    table = interpolated(cars([(0, 0.0, 1), (3, 9.0, 1), (4, 5.0, 2)]))
    # The devkit weights the later box by the time left until it, so the car of sample 1 is the further one.
    assert table.sample_index.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(table.centers_m[:, 0], [0.0, 6.0, 3.0, 9.0, 5.0])


def test_samples_are_brought_into_time_order() -> None:
    table = cars([(0, 1.0, 1), (1, 2.0, 1)])
    table = in_time_order(table.replaced(sample_time_ns=-table.sample_time_ns))
    assert (table.sample_tokens[0], table.centers_m[:, 0].tolist()) == ("9", [2.0, 1.0])


@pytest.mark.parametrize(
    ("rows", "words"),
    [([(3, 0.0, 1), (3, 5.0, 1)], "sample '3': got an identity twice"), ([(2, 0.0, -1)], "without an identity")],
)
def test_identities_that_are_missing_or_shared_are_refused(rows: list[tuple[int, float, int]], words: str) -> None:
    truth = cars(straight(1, range(10)), scored=False)
    with pytest.raises(InputError, match=words):
        evaluate_tracking(cars(rows), truth)
    with pytest.raises(InputError, match=words):
        similar_by_distance(cars(rows), truth)


def test_nothing_tracked_is_the_worst_and_nothing_true_is_unknown() -> None:
    truth = cars(straight(1, range(10)), scored=False)
    nothing = cars([])
    assert evaluate_tracking(nothing, truth).amota == 0.0
    assert np.isnan(evaluate_tracking(truth, nothing).amota)
    assert mean_hota(evaluate_hota(similar_by_distance(nothing, truth))) == 0.0
    assert np.isnan(mean_hota(evaluate_hota(similar_by_distance(nothing, nothing))))
