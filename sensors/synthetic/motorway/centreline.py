"""The middle of a motorway: a gently winding line, and places along and across it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
STEP_M = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Centreline:
    """A line whose direction swings about the world's x axis; it passes the world's origin.

    Along it, `s` grows in the direction of the right-hand carriageway; across it, `d` grows to the left.

    Args:
        swing_rad: Largest angle to the x axis, below a quarter turn.
        length_m: Way in which the phase of the swing turns by one radian: the bends' least radius is that of
            `length_m / swing_rad`.
        phase_rad: Of the swing, where `s` is 0.
        reach_m: How far the line goes from there, either way.

    """

    swing_rad: float
    length_m: float
    phase_rad: float
    reach_m: float

    def curvature(self, s_m: Float64) -> Float64:
        """Curvature (...) in 1/m at arc lengths (...), positive to the left."""
        return self.swing_rad / self.length_m * np.cos(s_m / self.length_m + self.phase_rad)

    def at(self, s_m: Float64, d_m: Float64 | float = 0.0) -> tuple[Float64, Float64]:
        """Points (..., 2) and the line's yaws (...) at places along (...) and across it (...)."""
        row, part = self._row(s_m)
        x, y = (c[row] * (1 - part) + c[row + 1] * part for c in self._columns[:2])
        yaw = self.swing_rad * np.sin(s_m / self.length_m + self.phase_rad)
        return np.stack([x - d_m * np.sin(yaw), y + d_m * np.cos(yaw)], axis=-1), yaw

    def along_across(self, x_m: NDArray[Any], y_m: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Where points (...) in the world are along (...) and across (...) the line, in the type of `x_m`."""
        x_line, y_line, cos, sin = (c.astype(x_m.dtype, copy=False) for c in self._columns)
        place = np.clip((x_m - self._columns[0][0]) / STEP_M, 0, len(self._along_of_x) - 1).astype(np.int64)
        s = self._along_of_x[place].astype(x_m.dtype, copy=False)
        curvature, d = self.swing_rad / self.length_m, np.zeros_like(s)
        # From the place of the same x, each step of Newton's method squares what is left of the error.
        for _ in range(3):
            row, part = self._row(s)
            x = x_m - (x_line[row] * (1 - part) + x_line[row + 1] * part)
            y = y_m - (y_line[row] * (1 - part) + y_line[row + 1] * part)
            ahead, aside = (c[row] * (1 - part) + c[row + 1] * part for c in (cos, sin))
            d = y * ahead - x * aside
            bend = curvature * np.cos(s / self.length_m + self.phase_rad)
            s = s + ((x * ahead + y * aside) / (1 - bend * d)).astype(s.dtype)
        return s, d

    def _row(self, s_m: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
        place = np.minimum(np.maximum((s_m + self.reach_m) / STEP_M, 0), len(self._along) - 1.001)
        row = place.astype(np.int64)
        return row, (place - row).astype(s_m.dtype)

    @cached_property
    def _along(self) -> Float64:
        return np.arange(-self.reach_m, self.reach_m + STEP_M, STEP_M)

    @cached_property
    def _along_of_x(self) -> Float64:
        """Arc lengths (M,) of the line's points every `STEP_M` along x."""
        x = self._columns[0]
        return np.interp(np.arange(x[0], x[-1], STEP_M), x, self._along)

    @cached_property
    def _columns(self) -> tuple[Float64, Float64, Float64, Float64]:
        """x, y and the direction's cosine and sine (N,) every `STEP_M`."""
        yaw = self.swing_rad * np.sin(self._along / self.length_m + self.phase_rad)
        middle = self.swing_rad * np.sin((self._along[1:] - STEP_M / 2) / self.length_m + self.phase_rad)
        zero = int(np.argmin(np.abs(self._along)))
        columns: list[Float64] = []
        for way in (np.cos(middle), np.sin(middle)):
            line = np.concatenate([[0.0], np.cumsum(way * STEP_M)])
            columns.append(line - line[zero])
        return columns[0], columns[1], np.cos(yaw), np.sin(yaw)
