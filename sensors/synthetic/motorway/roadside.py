"""What runs along a motorway: its ground, the median, guard rails, noise walls, and rows of posts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.bodies import Part
from tricast.sensors.synthetic.materials import MATT, METAL
from tricast.sensors.synthetic.motorway.extrusion import extruded, rectangle, repeated
from tricast.sensors.synthetic.motorway.motorway_ground import GRAVEL_M, MotorwayGround
from tricast.sensors.synthetic.motorway.road import MARGIN_M, PATH_HALF_M, PATH_M, RAIL_M, SIDES, MotorwayRoad
from tricast.sensors.synthetic.scenery import Mesh, thing

Float64 = NDArray[np.float64]
GROUND_STEP_M, FAR_M, FAR_GROUND_M = 5.0, 95.0, 250.0
"""Length of the ground's cells, how far it goes to both sides, and beyond what else stands along the road."""
RAIL_STEP_M = 4.0
STEEL = np.array([0.5, 0.51, 0.53])
CONCRETE_WALL_M = np.array([[-0.3, -0.05], [0.3, -0.05], [0.16, 0.35], [0.1, 1.0], [-0.1, 1.0], [-0.16, 0.35]])
SINGLE_MEDIAN_M = 1.3
"""A median narrower than this to both sides has one rail for both carriageways."""
WALL_M = 2.4
"""Noise walls stand so far outside the asphalt."""
DELINEATOR = (
    Part(kind="box", at=(0, 0, 0), size=(0.8, 0.8, 1.0), paint="white"),
    Part(kind="box", at=(0, 0, 0.34), size=(1.0, 1.0, 0.16), paint="body"),
)
RAIL_POST = (Part(kind="box", at=(0, 0, 0), size=(1, 1, 1), paint="metal"),)


@dataclass(frozen=True, kw_only=True)
class NoiseWall:
    """A length of noise wall beside a carriageway."""

    carriageway: int
    begin_m: float
    length_m: float
    height_m: float

    @property
    def end_m(self) -> float:
        """Where along the road it ends."""
        return self.begin_m + self.length_m


def ground_mesh(ground: MotorwayGround, span_m: tuple[float, float]) -> Mesh:
    """The ground from somewhat before to well beyond a span along the road; its colours are its own."""
    road = ground.road
    along = np.arange(span_m[0] - FAR_GROUND_M / 4, span_m[1] + FAR_GROUND_M, GROUND_STEP_M)
    lines = [np.array([0.0])]
    for carriageway, side in enumerate(SIDES):
        edge, (begin, end) = road.edge_m(carriageway), road.slope_m(carriageway)
        places = [road.inner_m - MARGIN_M, road.outer_m(carriageway), edge, edge + GRAVEL_M, begin, end]
        if road.paths[carriageway]:
            places += [edge + PATH_M - PATH_HALF_M, edge + PATH_M + PATH_HALF_M]
        lines.append(side * np.concatenate([places, np.linspace(end + 8, FAR_M, 6)]))
    across = np.unique(np.concatenate(lines))
    foot, _ = road.centreline.at(*np.meshgrid(along, across, indexing="ij"))
    points = np.concatenate([foot, ground.height_m(foot)[..., None]], axis=-1)
    a, b, c, d = points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]
    triangles = np.concatenate([np.stack(t, axis=2).reshape(-1, 3, 3) for t in ((a, b, c), (a, c, d))])
    return triangles, np.full((len(triangles), 3), np.nan), np.full(len(triangles), MATT, np.int8)


def median_meshes(road: MotorwayRoad, along_m: Float64, rng: np.random.Generator) -> list[Mesh]:
    """A concrete wall, or guard rails, between the carriageways."""
    half = road.inner_m - MARGIN_M
    if rng.random() < 0.4:
        grey = np.full(3, float(rng.uniform(0.4, 0.65)))
        return [extruded(road, along_m, 0.0, CONCRETE_WALL_M, grey)]
    beams = 1 + int(rng.random() < 0.35)
    if half < SINGLE_MEDIAN_M:
        meshes = _rail(road, along_m, 0.0, 0.14, beams)
        return meshes + _rail(road, along_m, 0.0, -0.14, beams)[:-1]
    return [mesh for side in SIDES for mesh in _rail(road, along_m, side * (half - 0.45), -side * 0.12, beams)]


def outer_rails(road: MotorwayRoad, along_m: Float64, rng: np.random.Generator) -> list[Mesh]:
    """Guard rails outside of both shoulders, with gaps beside some."""
    meshes: list[Mesh] = []
    for carriageway, side in enumerate(SIDES):
        beams = 1 + int(rng.random() < 0.25)
        stretches = [along_m]
        if not road.paths[carriageway] and rng.random() < 0.35:
            cuts = np.sort(rng.integers(1, len(along_m) - 1, 4))
            stretches = [part for i, part in enumerate(np.split(along_m, cuts)) if i % 2 == 0 and len(part) > 3]
        for stretch in stretches:
            meshes += _rail(road, stretch, side * (road.edge_m(carriageway) + RAIL_M), side * 0.12, beams)
    return meshes


def _rail(road: MotorwayRoad, along_m: Float64, across_m: float, post_m: float, beams: int) -> list[Mesh]:
    """Beams, one above the other, and at the end posts behind them."""
    meshes = [
        extruded(road, along_m, across_m - post_m / 2, rectangle(0.09, low, low + 0.31), STEEL, METAL)
        for low in (0.45, 0.85)[:beams]
    ]
    height = 0.75 if beams == 1 else 1.15
    post = thing(RAIL_POST, np.array([0.1, 0.12, height]), STEEL, "post")
    meshes.append(repeated(road, post, along_m, across_m + post_m / 2, height))
    return meshes


def drawn_walls(
    road: MotorwayRoad, span_m: tuple[float, float], count: int, rng: np.random.Generator
) -> list[NoiseWall]:
    """Lengths of wall behind the guard rails, none beside a path."""
    walls = [
        NoiseWall(
            carriageway=int(rng.integers(2)),
            begin_m=float(rng.uniform(*span_m)),
            length_m=float(rng.uniform(40, 160)),
            height_m=float(rng.uniform(2.0, 5.0)),
        )
        for _ in range(count)
    ]
    return [wall for wall in walls if not road.paths[wall.carriageway]]


def wall_meshes(road: MotorwayRoad, wall: NoiseWall, rng: np.random.Generator) -> list[Mesh]:
    """Panels, each of a somewhat different shade, between posts."""
    hue, height = rng.uniform([0.25, 0.25, 0.2], [0.7, 0.65, 0.6]), wall.height_m
    along = np.arange(wall.begin_m, wall.end_m, RAIL_STEP_M)
    colors = np.clip(hue * rng.uniform(0.85, 1.15, (len(along) - 1, 1)), 0, 1)
    across = SIDES[wall.carriageway] * (road.edge_m(wall.carriageway) + WALL_M)
    post = thing(RAIL_POST, np.array([0.24, 0.3, height + 0.1]), np.full(3, 0.4), "post")
    return [
        extruded(road, along, across, rectangle(0.22, -0.4, height), colors),
        repeated(road, post, along, across, height + 0.1),
    ]


def delineators(road: MotorwayRoad, span_m: tuple[float, float], rng: np.random.Generator) -> list[Mesh]:
    """White posts with a reflector every 50 m."""
    if rng.random() < 0.3:
        return []
    body = thing(DELINEATOR, np.array([0.12, 0.12, 1.0]), np.array([0.8, 0.75, 0.7]), "sign")
    along = np.arange(span_m[0] + float(rng.uniform(0, 50)), span_m[1], 50.0)
    return [repeated(road, body, along, side * (road.edge_m(c) + 0.4), 1.0) for c, side in enumerate(SIDES)]
