"""Tables of boxes: order, defaults, concatenation and refusals."""

import numpy as np
import pytest

from tricast.perception.evaluation.box_table import BoxTable, concatenate_tables, matching_samples
from tricast.sensors.errors import SensorDataError


def table(tokens: tuple[str, ...], sample_index: list[int], **columns: np.ndarray) -> BoxTable:
    count = len(sample_index)
    values = {
        "class_index": np.zeros(count),
        "centers_m": np.arange(3.0 * count).reshape(count, 3),
        "sizes_m": np.ones((count, 3)),
        "yaws_rad": np.zeros(count),
        "ego_distance_m": np.zeros(count),
    }
    return BoxTable.of(tokens, sample_index=np.array(sample_index), **{**values, **columns})


def test_rows_are_sorted_by_sample_and_keep_their_order_within_one() -> None:
    boxes = table(("a", "b"), [1, 0, 1, 0])
    assert boxes.sample_index.tolist() == [0, 0, 1, 1]
    assert boxes.centers_m[:, 0].tolist() == [3.0, 9.0, 0.0, 6.0]


def test_what_is_left_out_is_unknown() -> None:
    boxes = table(("a",), [0])
    assert np.isnan(boxes.velocities_mps).all()
    assert (boxes.scores[0], boxes.attribute_index[0], boxes.track_ids[0], boxes.num_points[0]) == (-1.0, -1, -1, -1)


def test_concatenation_keeps_scenes_apart() -> None:
    first = table(("a", "b"), [0, 1], sample_scene=np.array([0, 1]))
    both = concatenate_tables([first, table(("c",), [0, 0])])
    assert both.sample_scene.tolist() == [0, 1, 2]
    assert both.sample_index.tolist() == [0, 1, 2, 2]


def test_concatenation_of_nothing_is_empty() -> None:
    assert len(concatenate_tables([])) == 0


def test_a_selection_keeps_samples_without_boxes() -> None:
    boxes = table(("a", "b"), [0, 1])
    chosen = boxes.where(boxes.sample_index == 1)
    assert (len(chosen), chosen.sample_tokens) == (1, ("a", "b"))


def test_samples_are_matched_by_token_whatever_their_order() -> None:
    assert matching_samples(table(("b", "a"), []), table(("a", "b"), [])).tolist() == [1, 0]


@pytest.mark.parametrize(("ours", "theirs"), [(("a",), ("a", "b")), (("a", "b"), ("a",))])
def test_samples_in_one_table_only_are_refused(ours: tuple[str, ...], theirs: tuple[str, ...]) -> None:
    with pytest.raises(SensorDataError, match="'b'"):
        matching_samples(table(ours, []), table(theirs, []))


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("class_index", np.array([10]), "0 to 9"),
        ("sizes_m", np.zeros((1, 3)), "positive"),
        ("scores", np.array([np.nan]), "NaN"),
        ("yaws_rad", np.zeros(2), "2 rows"),
    ],
)
def test_wrong_columns_are_refused(column: str, value: np.ndarray, words: str) -> None:
    with pytest.raises(SensorDataError, match=words):
        table(("a",), [0], **{column: value})


def test_a_token_twice_is_refused() -> None:
    with pytest.raises(SensorDataError, match="token twice"):
        table(("a", "a"), [])
