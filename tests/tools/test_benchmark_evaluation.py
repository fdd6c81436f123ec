"""The benchmark beside the devkit: ratios, comparisons that were cut short, a Python without the devkit."""

import sys
from pathlib import Path

import pytest

from tricast.configs.errors import InputError
from tricast.sensors.annotations import DETECTION_CLASSES
from tricast.tools.benchmark_evaluation import compared, devkit_measured, made_boxes, measured


def test_ratios_are_of_the_clock_and_of_the_processor() -> None:
    ratios = compared({"seconds": 2.0, "processor_s": 1.0}, {"seconds": 90.0, "processor_s": 60.0})
    assert ratios == {"times_faster": 45.0, "times_less_processor": 60.0}


def test_a_devkit_that_was_ended_gives_a_lower_bound() -> None:
    assert compared({"seconds": 2.0, "processor_s": 1.0}, {"ended_after_s": 90.0}) == {"times_faster_at_least": 45.0}


@pytest.mark.parametrize(("task", "figure"), [("detection", "NDS"), ("tracking", "AMOTA")])
def test_made_boxes_are_partly_found(task: str, figure: str) -> None:
    line = measured(task, *made_boxes(300, 30, ("car", "pedestrian")))
    assert 0.05 < line[figure] < 0.95
    assert line["seconds"] > 0 and line["peak_mb"] > 10


def test_a_python_without_the_devkit_is_refused() -> None:
    with pytest.raises(InputError, match="nuscenes"):
        devkit_measured(Path(sys.executable), "detection", *made_boxes(2, 3, DETECTION_CLASSES))
