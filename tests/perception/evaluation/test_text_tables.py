"""Tables of text."""

from tricast.perception.evaluation.text_tables import TextTable, describe, number

TABLE = TextTable(header=["name", "x"], rows=[["a long name", "1"], ["b"]])


def test_columns_line_up_and_short_rows_are_filled() -> None:
    assert TABLE.aligned().splitlines() == ["name         x", "a long name  1", "b"]


def test_markdown_has_a_rule_and_as_many_cells_in_every_row() -> None:
    lines = TABLE.markdown().splitlines()
    assert lines[1] == "| --- | ---: |"
    assert {line.count("|") for line in lines} == {3}


def test_unknown_figures_are_a_dash_and_counts_stay_whole() -> None:
    assert [number(value) for value in (None, 3, 0.12345)] == ["-", "3", "0.123"]


def test_figures_of_files_are_listed_as_they_are() -> None:
    text = describe({"protocol": "nuscenes-tracking", "tracking": {"AMOTA": 0.5, "per_class": {}}})
    assert "AMOTA" in text and "0.500" in text and "per_class" not in text
