"""Checks that sensor data types run on their arrays when they are made."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tricast.sensors.errors import SensorDataError


def checked_array(
    value: object,
    *,
    name: str,
    shape: tuple[int | None, ...],
    dtype: DTypeLike,
    finite: bool = False,
) -> NDArray[np.generic]:
    """Return a read-only view of an array after checking its type and shape.

    Args:
        value: The array. It is not copied and not converted: a wrong dtype is an error.
        name: What an error calls it, e.g. `LIDAR_TOP points_m`.
        shape: Expected shape, `None` for a free axis.
        dtype: Expected dtype.
        finite: Whether NaN and infinity are refused.

    Raises:
        SensorDataError: Type, shape or finiteness is not as expected.

    """
    wanted = np.dtype(dtype)
    array = cast("NDArray[Any]", value)
    fits = isinstance(value, np.ndarray) and array.dtype == wanted and _has_shape(array, shape)
    if not fits:
        raise _misfit(array, name, shape, wanted)
    if finite and not np.isfinite(array).all():
        raise SensorDataError(
            where=name,
            got=f"{int((~np.isfinite(array)).sum())} arrays that are NaN or infinite",
            expected="finite arrays",
            remedy="remove or repair them before this call",
        )
    view = array.view()
    view.flags.writeable = False
    return view


def _has_shape(array: NDArray[Any], shape: tuple[int | None, ...]) -> bool:
    return array.ndim == len(shape) and all(
        want is None or want == have for want, have in zip(shape, array.shape, strict=True)
    )


def _misfit(value: object, name: str, shape: tuple[int | None, ...], wanted: np.dtype[Any]) -> SensorDataError:
    """What is wrong, in words: only made when something is, for arrays are checked hundreds of times a tick."""
    label = "(" + ", ".join("N" if size is None else str(size) for size in shape) + ")"
    remedy = f"pass a NumPy array of shape {label} and dtype {wanted.name}"
    if not isinstance(value, np.ndarray):
        return SensorDataError(where=name, got=type(value).__name__, expected=f"an array {label}", remedy=remedy)
    array = cast("NDArray[Any]", value)
    if array.dtype != wanted:
        return SensorDataError(where=name, got=f"dtype {array.dtype}", expected=wanted.name, remedy=remedy)
    return SensorDataError(where=name, got=f"shape {array.shape}", expected=label, remedy=remedy)
