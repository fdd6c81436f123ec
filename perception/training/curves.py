"""Curves of a run: a CSV file always, TensorBoard where it is installed."""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tricast.configs.disk import partial_of, writing
from tricast.configs.errors import InputError


class Curve:
    """A table of figures by step, whole on disk after every row.

    Args:
        path: The CSV file.
        resume_step: Rows up to this step are kept from an earlier invocation; None starts an empty table.
        board: A TensorBoard writer that is told too.

    """

    def __init__(self, path: Path, *, resume_step: int | None = None, board: Any = None) -> None:
        self._path, self._board = path, board
        self._rows: list[dict[str, Any]] = []
        if resume_step is not None and path.exists():
            self._rows = [row for row in _read(path) if int(row["step"]) <= resume_step]

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Append a row, or replace that of the same step; a figure of a new name becomes a new column."""
        self._rows = [row for row in self._rows if int(row["step"]) != step]
        self._rows.append({"step": step, **{name: f"{value:.6g}" for name, value in figures.items()}})
        columns = list(dict.fromkeys(name for row in self._rows for name in row))
        partial = partial_of(self._path)
        with writing(self._path):
            with partial.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns, restval="")
                writer.writeheader()
                writer.writerows(self._rows)
            partial.replace(self._path)
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(f"{self._path.stem}/{name}", value, step)
            self._board.flush()


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if any(None in row or not row.get("step", "").isdecimal() for row in rows):
            raise ValueError("a row that does not fit the columns")
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(
            where=str(path),
            got=f"no readable curve ({error})",
            expected="what an earlier invocation of this run wrote",
            remedy="move it elsewhere: the run goes on without, and the curve begins again where it resumes",
        ) from error
    return rows


def tensorboard_writer(folder: Path) -> Any:
    """A TensorBoard writer, or None where `tricast[train]` is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder))
