"""What grows and stands behind the guard rails of a motorway: trees, bushes, things, buildings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.bodies import LOOKALIKES
from tricast.sensors.synthetic.motorway.road import MARGIN_M, SIDES, MotorwayRoad
from tricast.sensors.synthetic.scenery import BLOCK, TREE, Mesh, thing
from tricast.sensors.synthetic.scenery_details import BUSH
from tricast.sensors.synthetic.sizes import random_size_m

Float64 = NDArray[np.float64]
LEAVES = np.array([0.16, 0.33, 0.12])
THINGS = ("cabinet", "bollard", "boulder", "sign", "bin", "carton", "statue", "hydrant")
BUILDING_M = (48.0, 78.0)
MEDIAN_BUSH_M = 1.7
"""A median wider than this to both sides has bushes."""
Free = Callable[[float, float], bool]


def verge_meshes(
    road: MotorwayRoad,
    span_m: tuple[float, float],
    numbers: tuple[int, int, int, int],
    free: Free,
    rng: np.random.Generator,
) -> list[Mesh]:
    """Trees, bushes, things and buildings along a span of the road.

    Args:
        road: The road.
        span_m: Where along it.
        numbers: How many of each.
        free: Whether a place along the road has room for something of a half width.
        rng: Draws them.

    """
    meshes: list[Mesh] = []
    for count, draw in zip(numbers, (_tree, _bush, _thing, _building), strict=True):
        for _ in range(count):
            along, carriageway = float(rng.uniform(*span_m)), int(rng.integers(2))
            across, turned, size, body = draw(road, carriageway, rng)
            if free(along, float(max(size[:2])) / 2):
                meshes.append(_standing(road, body, size, along, across, turned))
    return meshes


Drawn = tuple[float, float, Float64, Mesh]
"""Place across the road, angle to it, size (3,) and body."""


def _tree(road: MotorwayRoad, carriageway: int, rng: np.random.Generator) -> Drawn:
    begin, end = road.slope_m(carriageway)
    # Near the road more often than far from it.
    across = begin + 2.5 + (end + 22.0 - begin) * float(rng.random()) ** 1.6
    spread = float(rng.uniform(2.5, 5.5))
    size = np.array([spread, spread, rng.uniform(4.5, 13.0)])
    body = thing(TREE, size, LEAVES * rng.uniform(0.7, 1.5, 3), "tree")
    return SIDES[carriageway] * across, float(rng.uniform(0, 2 * np.pi)), size, body


def _bush(road: MotorwayRoad, carriageway: int, rng: np.random.Generator) -> Drawn:
    spread = float(rng.uniform(0.5, 1.2) if rng.random() < 0.4 else rng.uniform(1.2, 2.6))
    size = np.array([spread * rng.uniform(0.8, 2.0), min(spread, 1.8), spread * rng.uniform(0.6, 1.1)])
    body = thing(BUSH, size, LEAVES * rng.uniform(0.5, 1.6, 3), "bush")
    if road.inner_m - MARGIN_M > MEDIAN_BUSH_M and rng.random() < 0.3:
        size = size * [1, 0.6, 0.8]
        return 0.0, 0.0, size, thing(BUSH, size, LEAVES * rng.uniform(0.5, 1.6, 3), "bush")
    begin, end = road.slope_m(carriageway)
    across = begin + 0.4 + size[1] / 2 + (end + 6.0 - begin) * float(rng.random()) ** 1.5
    return SIDES[carriageway] * across, float(rng.normal(0, 0.3)), size, body


def _thing(road: MotorwayRoad, carriageway: int, rng: np.random.Generator) -> Drawn:
    name = THINGS[int(rng.integers(len(THINGS)))]
    size = random_size_m(name, rng)
    body = thing(LOOKALIKES[name], size, rng.uniform(0.05, 0.9, 3), name)
    begin, _ = road.slope_m(carriageway)
    behind_rail = road.edge_m(carriageway) + 1.3 + float(max(size[:2])) / 2
    across = behind_rail if rng.random() < 0.6 else begin + 1.2 + float(rng.uniform(0, 6.0))
    return SIDES[carriageway] * across, float(rng.uniform(0, 6.2)), size, body


def _building(road: MotorwayRoad, carriageway: int, rng: np.random.Generator) -> Drawn:
    size = np.array([rng.uniform(10, 40), rng.uniform(8, 18), rng.uniform(4, 15)])
    body = thing(BLOCK, size, rng.uniform([0.4, 0.3, 0.25], [0.8, 0.7, 0.65]), "house")
    across = road.edge_m(carriageway) + float(rng.uniform(*BUILDING_M))
    return SIDES[carriageway] * across, float(rng.normal(0, 0.2)), size, body


def _standing(
    road: MotorwayRoad, body: Mesh, size_m: Float64, along_m: float, across_m: float, turned_rad: float
) -> Mesh:
    foot, yaw = road.centreline.at(np.array(along_m), across_m)
    cos, sin = np.cos(yaw + turned_rad), np.sin(yaw + turned_rad)
    rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    # Sunk a little, as most of them stand on a slope; buildings more.
    sink = min(0.08 * float(max(size_m[:2])), 2.0)
    return body[0] @ rotation.T + np.array([*foot, float(road.height_m(foot)) + size_m[2] / 2 - sink]), *body[1:]
