"""Curves are whole tables after every row, also over a resumed run."""

import csv
from pathlib import Path

import pytest

from tricast.perception.training.curves import Curve, tensorboard_writer


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_are_written_as_they_come_and_new_figures_become_columns(tmp_path: Path) -> None:
    curve = Curve(tmp_path / "train.csv")
    curve.add(1, {"loss": 2.5})
    assert rows(tmp_path / "train.csv") == [{"step": "1", "loss": "2.5"}]
    curve.add(2, {"loss": 2.0, "yaw": float("nan")})
    assert rows(tmp_path / "train.csv")[1] == {"step": "2", "loss": "2", "yaw": "nan"}
    assert rows(tmp_path / "train.csv")[0]["yaw"] == ""


def test_a_resumed_curve_drops_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    first = Curve(path)
    for step in (10, 20, 30):
        first.add(step, {"loss": 1.0 / step})
    Curve(path, resume_step=20).add(25, {"loss": 0.5})
    assert [row["step"] for row in rows(path)] == ["10", "20", "25"]
    Curve(path).add(5, {"loss": 9.0})
    assert [row["step"] for row in rows(path)] == ["5"]


def test_tensorboard_shows_the_figures_under_the_curves_name(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra 'train'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = tensorboard_writer(tmp_path / "board")
    Curve(tmp_path / "validation.csv", board=board).add(3, {"mAP": 0.5})
    events = EventAccumulator(str(tmp_path / "board")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("validation/mAP")] == [(3, 0.5)]
    board.close()
