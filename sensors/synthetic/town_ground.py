"""Ground of a town: waves, curbs, asphalt with markings, pavements and grass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.ground import Float32, wave_height_m
from tricast.sensors.synthetic.roads import Streets
from tricast.sensors.synthetic.surfaces import cell_hash

GROUND_COLORS: Float32 = np.array(
    [
        (0.28, 0.40, 0.20),
        (0.52, 0.51, 0.49),
        (0.25, 0.25, 0.27),
        (0.85, 0.85, 0.82),
        (0.80, 0.80, 0.78),
        (0.82, 0.82, 0.80),
    ],
    np.float32,
).T
"""Columns: grass, pavement, asphalt, broken centre line, lane line, zebra."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TownGround:
    """Waves of the ground and curbs along two streets that cross. See `Ground` for the methods.

    Args:
        junction_m: (2,) middle of the junction.
        waves: (3, 4) amplitude, wave numbers along x and y, phase.
        curb_m: Height of everything off the road above it.
        streets: How wide they are.

    """

    junction_m: NDArray[np.float64]
    waves: NDArray[np.float64]
    curb_m: float
    streets: Streets = field(default_factory=Streets)

    def height_m(self, points_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Ground.height_m`."""
        height = wave_height_m(self.waves, points_m)
        return height + self.curb_m * np.clip((self.off_road_m(points_m) + 0.1) / 0.2, 0, 1)

    def off_road_m(self, points_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Ground.off_road_m`."""
        away = np.abs(points_m - self.junction_m)
        return np.minimum(away[..., 0], away[..., 1]) - self.streets.half_m

    def colors(self, points_m: NDArray[Any]) -> Float32:
        """Colours (3, P) of asphalt with markings, pavement and grass at points (3, P)."""
        x, y = (np.abs(points_m[i] - np.float32(self.junction_m[i])) for i in range(2))
        across, along = np.minimum(x, y), np.maximum(x, y)
        half_m, lane_m = self.streets.half_m, self.streets.lane_m
        off = across - np.float32(half_m)
        approach = along > half_m + 5
        kind = np.zeros(len(x), np.int8)
        kind[off < 6.0] = 1
        kind[off < 0] = 2
        kind[approach & (across < 0.09) & (along % 6 < 3)] = 3
        kind[approach & (np.abs(across - lane_m) < 0.06)] = 4
        zebra = (along > half_m + 0.8) & (along < half_m + 3.6) & (off < 0) & (across % 1.0 < 0.5)
        kind[zebra] = 5
        return np.take(GROUND_COLORS, kind, axis=1)

    def detailed_colors(self, points_m: Float32, footprints_m: Float32) -> Float32:
        """Colours (3, P) of ground: worn and patched asphalt, curbs, slabs of the pavement."""
        colors = self.colors(points_m)
        x, y = (points_m[i] - np.float32(self.junction_m[i]) for i in range(2))
        across = np.minimum(np.abs(x), np.abs(y))
        lane_m = np.float32(self.streets.lane_m)
        off = across - np.float32(self.streets.half_m)
        shade = np.ones(len(off), np.float32)
        road = off < 0
        # Oil in the middle of each lane, and the brighter tracks of wheels beside it.
        shade[road] -= np.float32(0.16) * np.exp(-np.square((across[road] - lane_m / 2) / np.float32(0.35)))
        patched = road & (cell_hash(x / 3.1, y / 2.3) < 0.14)
        shade[patched] *= np.where(cell_hash(x / 3.1, y / 2.3)[patched] < 0.07, np.float32(0.72), np.float32(1.25))
        fine = np.clip(np.float32(0.12) / np.maximum(footprints_m, np.float32(1e-3)), 0, 1)
        slabs = ~road & (off < 6)
        joint = (np.minimum(x % 0.6, y % 0.6) < 0.05) & slabs
        shade[joint] *= 1 - np.float32(0.45) * fine[joint]
        shade[slabs] *= np.float32(0.85) + np.float32(0.3) * cell_hash(x / 0.6, y / 0.6)[slabs]
        shade[(off > -0.1) & (off < 0.15)] *= np.float32(1.35)
        seam = road & (np.abs(across - lane_m) < 0.14) & (cell_hash(x / 9.0, y / 9.0) < 0.5)
        shade[seam] *= np.float32(0.6)
        return colors * shade
