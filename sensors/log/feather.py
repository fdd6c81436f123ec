"""Reading feather tables, which needs `pyarrow`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tricast.configs.errors import InputError
from tricast.sensors.errors import SensorDataError, cause_of


def read_feather(path: Path, columns: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Read columns of a feather file as arrays of equal length.

    Args:
        path: The file.
        columns: NumPy type of each column by name; `np.str_` for texts.

    Raises:
        OSError: The file is missing or unreadable.
        SensorDataError: It is no feather file, or lacks a column or a value.
        InputError: `pyarrow` is not installed.

    """
    try:
        # By name: types would not hold where it is not installed.
        arrow: Any = import_module("pyarrow")
        tables: Any = import_module("pyarrow.feather")
    except ImportError as error:
        raise InputError(
            where=str(path),
            got="no pyarrow",
            expected="the package that reads feather files",
            remedy='pip install "tricast[argoverse2]"',
        ) from error
    data = path.read_bytes()
    try:
        table = tables.read_table(arrow.BufferReader(data))
        # Offsets that point outside of the file would otherwise be followed.
        table.validate(full=True)
        missing = [name for name in columns if table[name].null_count]
        if missing:
            raise ValueError(f"empty values of {', '.join(missing)}")
        return {name: table[name].to_numpy().astype(dtype) for name, dtype in columns.items()}
    except (arrow.ArrowException, ValueError, TypeError, KeyError, OSError) as error:
        raise SensorDataError(
            where=str(path),
            got=f"bytes that are not such a table ({cause_of(error)})",
            expected=f"a feather file with the columns {', '.join(columns)}",
            remedy="download the file again",
        ) from error
