"""Curves are whole tables after every row, also over a resumed run."""

import csv
from pathlib import Path

import pytest

from tricast.configs.errors import InputError
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


def test_a_step_that_is_figured_out_again_stays_one_row(tmp_path: Path) -> None:
    path = tmp_path / "validation.csv"
    Curve(path).add(20, {"mAP": 0.1})
    Curve(path, resume_step=20).add(20, {"mAP": 0.2})
    assert rows(path) == [{"step": "20", "mAP": "0.2"}]


@pytest.mark.parametrize("text", ["step,loss\n10,1\nx,2\n", "step,loss\n10,1,3\n", "loss\n1\n", "step,loss\n\xff\n"])
def test_a_damaged_curve_is_the_users_to_mend(tmp_path: Path, text: str) -> None:
    path = tmp_path / "train.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"train\.csv: got no readable curve .*; move it elsewhere"):
        Curve(path, resume_step=20)
    assert path.read_bytes() == text.encode("latin-1")


def test_tensorboard_shows_the_figures_under_the_curves_name(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="needs the extra 'train'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = tensorboard_writer(tmp_path / "board")
    Curve(tmp_path / "validation.csv", board=board).add(3, {"mAP": 0.5})
    events = EventAccumulator(str(tmp_path / "board")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("validation/mAP")] == [(3, 0.5)]
    board.close()
