"""Charts are well-formed and put things where they belong."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np

from tricast.perception.evaluation.charts import Series, bar, histogram, line_chart


def elements(svg: str, tag: str) -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(svg).iter() if e.tag == tag]


def test_a_line_runs_from_corner_to_corner_and_parts_at_a_gap() -> None:
    x, y = np.linspace(0, 1, 5), np.array([0.0, 0.25, np.nan, 0.75, 1.0])
    chart = line_chart("A & B", [Series(label="a", x=x, y=y)], x_label="x", x_range=(0, 1), y_range=(0, 1))
    first, second = (e.attrib["points"].split() for e in elements(chart, "polyline"))
    assert (len(first), len(second)) == (2, 2)
    (left, low), (right, high) = (tuple(map(float, p.split(","))) for p in (first[0], second[-1]))
    assert left < right and low > high  # SVG counts downwards
    assert "A &amp; B" in chart


def test_a_histogram_keeps_what_lies_beyond_its_axis_and_marks_the_median() -> None:
    values = np.array([0.5, 0.5, 0.5, 99.0, np.nan])
    chart = histogram("h", values, x_label="m", x_range=(0.0, 2.0), num_bins=4)
    heights = [float(e.attrib["height"]) for e in elements(chart, "rect")]
    assert heights[1] > 0 and heights[3] > 0
    assert heights[1] == max(heights)
    assert abs(heights[1] / heights[3] - 3) < 0.05
    assert "median 0.50, n 4" in chart


def test_nothing_makes_an_empty_chart() -> None:
    nothing = np.zeros(0)
    assert not elements(line_chart("t", [], x_label="x", x_range=(0, 1), y_range=(0, 1)), "polyline")
    assert "median" not in histogram("t", nothing, x_label="x", x_range=(0, 1))


def test_a_bar_is_as_long_as_its_share_and_never_longer_than_its_cell() -> None:
    widths = [[float(w) for w in re.findall(r'<rect width="([\d.]+)"', bar(share))] for share in (0.0, 0.5, 1.7)]
    assert [w[1] / w[0] for w in widths] == [0.0, 0.5, 1.0]
