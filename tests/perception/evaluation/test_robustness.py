"""The robustness table: its arithmetic, and what it asks for."""

from collections.abc import Sequence
from functools import partial

import pytest

from tricast.configs.errors import InputError
from tricast.perception.evaluation.corruptions import CORRUPTIONS
from tricast.perception.evaluation.robustness import (
    RobustnessRow,
    RobustnessTable,
    robustness_table,
    run_corruptions,
)
from tricast.sensors.frames import LidarSweep, RadarScan
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import DrivingLog
from tricast.tools.demo import demo_log_path

CHOSEN = tuple(c for c in CORRUPTIONS if c.name in ("fewer_points", "radar_loss"))


def count_points(log: DrivingLog) -> int:
    """Points of the LiDAR, as a stand-in for results: what each corruption does to it is known."""
    return sum(len(m) for m in log.messages() if isinstance(m, LidarSweep))


def total(runs: Sequence[int], clean: Sequence[int]) -> float:
    assert len(runs) == len(clean)
    return float(sum(runs))


def test_the_table_is_what_is_left_of_the_clean_score() -> None:
    opened = [partial(open_log, demo_log_path())] * 2
    table = robustness_table(opened, count_points, total, corruptions=CHOSEN, seconds=0.5)
    by_name = {row.name: row for row in table.rows}
    assert table.clean == 2 * run_corruptions(opened[0](), count_points, corruptions=CHOSEN, seconds=0.5).clean
    assert by_name["fewer_points"].relative == pytest.approx([0.3, 0.2, 0.1], abs=1e-3)
    assert by_name["fewer_points"].mean_relative == pytest.approx(0.2, abs=1e-3)
    assert by_name["radar_loss"].relative == (1.0, 1.0, 1.0)
    assert table.mean_relative == pytest.approx(0.6, abs=1e-3)
    assert table.worst.name == "fewer_points"


def test_the_table_as_plain_values() -> None:
    rows = (
        RobustnessRow(name="fog", scores=(0.4, 0.3, 0.2), relative=(0.8, 0.6, 0.4)),
        RobustnessRow(name="dark", scores=(0.5, 0.5, 0.35), relative=(1.0, 1.0, 0.7)),
        RobustnessRow(name="radar_loss", scores=(0.5, 0.5, 0.5), relative=(1.0, 1.0, 1.0)),
    )
    values = RobustnessTable(clean=0.5, rows=rows, not_concerned=("snow",)).as_dict()
    assert values["mRA"] == pytest.approx(2.5 / 3)
    assert values["mRA_multicorrupt"] == pytest.approx(0.75)
    assert RobustnessTable(clean=0.5, rows=rows[2:]).as_dict()["mRA_multicorrupt"] is None
    assert values["worst"] == {"name": "fog", "RA": pytest.approx(0.6)}
    assert values["corruptions"]["dark"]["RA"] == pytest.approx(0.9)
    assert values["not_concerned"] == ["snow"]


def test_faults_of_a_sensor_that_no_scene_has_are_named_and_left_out() -> None:
    class WithoutRadar:
        """The demo log as a vehicle without radar would have recorded it."""

        def __init__(self) -> None:
            self._log = open_log(demo_log_path())
            self.rig = type(self._log.rig).of(s for s in self._log.rig.sensors.values() if s.modality != "radar")

        def __getattr__(self, name: str):
            return getattr(self._log, name)

        def messages(self, **limits: int):
            return (m for m in self._log.messages(**limits) if not isinstance(m, RadarScan))

    table = robustness_table([WithoutRadar], count_points, total, corruptions=CHOSEN, seconds=0.3)  # pyright: ignore[reportArgumentType]
    assert [row.name for row in table.rows] == ["fewer_points"]
    assert table.not_concerned == ("radar_loss",)


def test_no_scene_and_a_clean_score_of_zero_are_refused() -> None:
    with pytest.raises(InputError, match="0 scenes"):
        robustness_table([], count_points, total)
    opened = [partial(open_log, demo_log_path())]
    with pytest.raises(InputError, match="clean score of 0"):
        robustness_table(opened, count_points, lambda runs, clean: 0.0, corruptions=CHOSEN[:1], seconds=0.2)


@pytest.mark.slow
def test_the_table_is_the_same_for_any_number_of_processes() -> None:
    opened = [partial(open_log, demo_log_path())] * 2
    one, two = (
        robustness_table(opened, count_points, total, corruptions=CHOSEN, seconds=0.5, workers=n) for n in (1, 2)
    )
    assert one == two


def test_what_happens_to_sensors_that_are_not_looked_at_has_no_part_in_the_table() -> None:
    table = robustness_table(
        [partial(open_log, demo_log_path())],
        count_points,
        total,
        looked_at=lambda rig: rig.channels("lidar"),
        corruptions=CHOSEN,
        seconds=0.3,
    )
    assert [row.name for row in table.rows] == ["fewer_points"]
    assert table.not_concerned == ("radar_loss",)
    assert table.mean_relative < 0.3
