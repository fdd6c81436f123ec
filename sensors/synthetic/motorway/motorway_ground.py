"""Ground of a motorway: asphalt or concrete with lines, gravel, grass, and what traffic leaves on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.ground import Float32
from tricast.sensors.synthetic.motorway.road import MARGIN_M, PATH_HALF_M, PATH_M, SIDES, MotorwayRoad
from tricast.sensors.synthetic.surfaces import cell_hash

GRASS, GRAVEL, SHOULDER, LANE, LINE, PATH = range(6)
GRAVEL_M = 1.2
SLAB_M = 5.0


@dataclass(frozen=True, kw_only=True, eq=False)
class MotorwayGround:
    """The ground of a road. See `Ground` for the methods.

    Args:
        road: Where its lanes are.
        palette: (3, 6) colours of `GRASS` to `PATH`.
        concrete: Whether the lanes are of slabs with joints.
        line_half_m: Half of the width of the lines.
        dash_m: Length of a broken line's pieces, and from piece to piece.

    """

    road: MotorwayRoad
    palette: Float32
    concrete: bool
    line_half_m: float
    dash_m: tuple[float, float]

    @property
    def waves(self) -> NDArray[np.float64]:
        """See `Ground.waves`."""
        return self.road.waves

    def height_m(self, points_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Ground.height_m`."""
        return self.road.height_m(points_m)

    def off_road_m(self, points_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Ground.off_road_m`; the median is off the carriageways."""
        _, d = self.road.centreline.along_across(points_m[..., 0], points_m[..., 1])
        from_middle = np.abs(d)
        edge = np.where(d < 0, self.road.edge_m(0), self.road.edge_m(1))
        return np.maximum(from_middle - edge, self.road.inner_m - MARGIN_M - from_middle)

    def colors(self, points_m: NDArray[Any]) -> Float32:
        """See `Ground.colors`."""
        s, d = self.road.centreline.along_across(*points_m[:2].astype(np.float32, copy=False))
        return np.take(self.palette, self._kinds(s, d), axis=1)

    def detailed_colors(self, points_m: Float32, footprints_m: Float32) -> Float32:
        """See `Ground.detailed_colors`: tracks and oil in the lanes, long patches, joints of slabs."""
        s, d = self.road.centreline.along_across(points_m[0], points_m[1])
        kinds = self._kinds(s, d)
        colors = np.take(self.palette, kinds, axis=1)
        shade = np.ones(len(s), np.float32)
        paved = np.flatnonzero((kinds == LANE) | (kinds == SHOULDER))
        s, d, fine = s[paved], d[paved], np.float32(0.1) / np.maximum(footprints_m[paved], np.float32(1e-3))
        lane = (np.abs(d) - np.float32(self.road.inner_m)) / np.float32(self.road.lane_m)
        in_lane = lane - np.floor(lane)
        worn = np.float32(1.0) - np.float32(0.14) * np.exp(-np.square((in_lane - np.float32(0.5)) / np.float32(0.1)))
        worn += np.float32(0.05) * np.cos(np.float32(4 * np.pi) * in_lane)
        strip = cell_hash(s / 37.0, np.floor(lane) + 8 * np.sign(d))
        worn *= np.where(strip < 0.12, np.float32(0.78), np.where(strip > 0.9, np.float32(1.15), np.float32(1.0)))
        seam = (np.abs(in_lane - np.float32(0.03)) < 0.02) & (cell_hash(s / 23.0, np.floor(lane)) < 0.5)
        if self.concrete:
            seam |= (s % SLAB_M) < 0.06
        worn[seam] *= 1 - np.float32(0.4) * np.clip(fine[seam], 0, 1)
        shade[paved] = worn
        return colors * shade

    def _kinds(self, s: Float32, d: Float32) -> NDArray[np.int8]:
        """What points (P,) along and across the middle are: `GRASS` to `PATH`."""
        road, right = self.road, d < 0
        from_middle = np.abs(d)
        outer = np.where(right, np.float32(road.outer_m(0)), np.float32(road.outer_m(1)))
        inner, edge = np.float32(road.inner_m), outer + np.float32(road.shoulder_m)
        kinds = np.zeros(len(s), np.int8)
        kinds[(from_middle > inner - MARGIN_M - 0.4) & (from_middle < edge + GRAVEL_M)] = GRAVEL
        kinds[(from_middle > inner - MARGIN_M) & (from_middle < edge)] = SHOULDER
        lanes = (from_middle > inner) & (from_middle < outer)
        kinds[lanes] = LANE
        border = (from_middle - inner) / np.float32(road.lane_m)
        aside = np.abs(border - np.rint(border)) * np.float32(road.lane_m)
        dash, period = self.dash_m
        broken = (s % period < dash) & (np.rint(border) > 0) & lanes & (from_middle < outer - 1.0)
        edges = np.minimum(np.abs(from_middle - inner), np.abs(from_middle - outer)) < self.line_half_m * 1.5
        kinds[(broken & (aside < self.line_half_m)) | edges] = LINE
        for carriageway, side in enumerate(SIDES):
            if road.paths[carriageway]:
                beside = np.abs(side * d - np.float32(road.edge_m(carriageway) + PATH_M)) < PATH_HALF_M
                kinds[beside] = PATH
        return kinds


def drawn_ground(road: MotorwayRoad, rng: np.random.Generator) -> MotorwayGround:
    """The surface of a road: of asphalt or concrete, between grass of another colour for every seed."""
    concrete = bool(rng.random() < 0.3)
    grey = float(rng.uniform(0.42, 0.55) if concrete else rng.uniform(0.18, 0.34))
    grass = np.array([0.28, 0.38, 0.18]) * rng.uniform(0.7, 1.25, 3)
    white = float(rng.uniform(0.7, 0.9))
    rows = [
        grass,
        np.array([0.46, 0.43, 0.38]) * rng.uniform(0.7, 1.1),
        np.full(3, grey * rng.uniform(0.75, 1.1)),
        grey * rng.uniform(0.96, 1.04, 3),
        np.full(3, white),
        np.full(3, rng.uniform(0.25, 0.5)),
    ]
    dashes = ((6.0, 18.0), (3.0, 12.0), (3.0, 9.0), (4.0, 12.0))
    return MotorwayGround(
        road=road,
        palette=np.array(rows, np.float32).T,
        concrete=concrete,
        line_half_m=float(rng.uniform(0.06, 0.1)),
        dash_m=dashes[int(rng.integers(len(dashes)))],
    )
