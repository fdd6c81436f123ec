"""What never moves and is no road user: ground, houses, trees, poles, hedges, and the look-alikes' bodies."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.bodies import LOOKALIKES, Part, body_triangles
from tricast.sensors.synthetic.ground import Ground
from tricast.sensors.synthetic.materials import MATT, body_materials
from tricast.sensors.synthetic.population import Resident
from tricast.sensors.synthetic.town_ground import TownGround
from tricast.sensors.synthetic.world_config import TownConfig

Mesh = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int8]]
"""Triangles (T, 3, 3), their colours (T, 3) and materials (T,)."""
CELL_M = 4.0
SIDE_M = 90.0
BLOCK = (Part(kind="box", at=(0, 0, 0), size=(1, 1, 1)),)
TREE = (
    Part(kind="cylinder", at=(0, 0, -0.25), size=(0.09, 0.09, 0.5), paint="wood"),
    Part(kind="ball", at=(0, 0, 0.14), size=(0.8, 0.8, 0.5), paint="body"),
    Part(kind="ball", at=(0.15, 0.1, 0.3), size=(0.6, 0.6, 0.4), paint="body"),
    Part(kind="ball", at=(-0.2, -0.1, 0.02), size=(0.55, 0.6, 0.3), paint="body"),
)
POLE = (
    Part(kind="cylinder", at=(-0.45, 0, 0), size=(0.1, 0.6, 1.0), paint="metal"),
    Part(kind="box", at=(0, 0, 0.48), size=(1, 0.4, 0.03), paint="metal"),
)
RAILING = (
    *(Part(kind="box", at=(0, 0, z), size=(1, 0.5, 0.17), paint="metal") for z in (-0.25, 0.08, 0.41)),
    *(Part(kind="box", at=(x, 0, 0), size=(0.02, 1, 1), paint="metal") for x in (-0.49, 0.0, 0.49)),
)


def scenery_triangles(
    config: TownConfig,
    ground: TownGround,
    residents: tuple[Resident, ...],
    reach_m: float,
    rng: np.random.Generator,
    more: Sequence[Mesh] = (),
) -> Mesh:
    """Triangles in the world, colours, and materials; the ground's colours are NaN and come from its own pattern.

    Args:
        config: The town.
        ground: Its ground.
        residents: Whose look-alikes stand here.
        reach_m: Half of the length of the roads.
        rng: Draws houses, trees and railings.
        more: Meshes that a later version of the world adds.

    """
    meshes = [_ground_mesh(ground, reach_m)]
    meshes += _houses(config, ground, reach_m, rng)
    meshes += _greenery(config, ground, rng)
    meshes += _railings(config, ground, rng)
    for resident in residents:
        if resident.class_name is None:
            parts = LOOKALIKES[resident.kind]
            body = body_triangles(parts, resident.size_m, resident.color, resident.second_color)
            body = (*body, body_materials(parts, resident.kind))
            meshes.append(placed(body, resident.place_m, resident.yaw_rad, resident.size_m[2], ground))
    meshes += more
    triangles, colors, materials = zip(*meshes, strict=True)
    return np.concatenate(triangles), np.concatenate(colors), np.concatenate(materials)


def thing(parts: tuple[Part, ...], size_m: NDArray[np.float64], color: NDArray[np.float64], kind: str) -> Mesh:
    """A body of one colour about its own centre; its kind chooses the materials."""
    return *body_triangles(parts, size_m, color, color), body_materials(parts, kind)


def _ground_mesh(ground: TownGround, reach_m: float) -> Mesh:
    x = np.arange(-SIDE_M, reach_m - 150.0 + SIDE_M + ground.junction_m[0], CELL_M)
    y = np.arange(-SIDE_M, SIDE_M + 1, CELL_M)
    # Lines along the curbs keep their step sharp: nothing beside one stands in the ground.
    curbs = np.array([s * (ground.streets.half_m + d) for s in (-1, 1) for d in (-0.1, 0.1)])
    x, y = np.union1d(x, ground.junction_m[0] + curbs), np.union1d(y, ground.junction_m[1] + curbs)
    grid = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)
    points = np.concatenate([grid, ground.height_m(grid)[..., None]], axis=-1)
    a, b, c, d = points[:-1, :-1], points[1:, :-1], points[1:, 1:], points[:-1, 1:]
    triangles = np.concatenate(
        [np.stack([a, b, c], axis=2).reshape(-1, 3, 3), np.stack([a, c, d], axis=2).reshape(-1, 3, 3)]
    )
    return triangles, np.full((len(triangles), 3), np.nan), np.full(len(triangles), MATT, np.int8)


def placed(
    body: Mesh, place_m: NDArray[np.float64], yaw_rad: float, height_m: float, ground: Ground, sink_m: float = 0.0
) -> Mesh:
    """A body in the world, standing on the ground at a place (2,), or sunk into it."""
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    z_m = float(ground.height_m(place_m)) + height_m / 2 - sink_m
    rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    return body[0] @ rotation.T + np.array([*place_m, z_m]), *body[1:]


def _houses(config: TownConfig, ground: TownGround, reach_m: float, rng: np.random.Generator) -> list[Mesh]:
    """Rows of houses along both roads, with gaps, set back from the pavement."""
    meshes: list[Mesh] = []
    half_m, front_m, depth = ground.streets.half_m, ground.streets.front_m, ground.streets.depth
    low, high = (4, 12) if config.city is None else config.city.house_height_m
    closed = 0.5 if config.city is None else config.city.closed_fronts
    for axis, side in ((0, -1), (0, 1), (1, -1), (1, 1)):
        centre = ground.junction_m[axis]
        along = -SIDE_M
        end = SIDE_M + ground.junction_m[0] + (reach_m - 150.0 if axis == 0 else 0.0)
        while along < end:
            size = np.array([rng.uniform(8, 20), rng.uniform(8, 12), rng.uniform(low, high)])
            middle = along + size[0] / 2
            along += size[0] + float(rng.choice([0.4, 6.0, 14.0], p=[closed, 0.6 * (1 - closed), 0.4 * (1 - closed)]))
            if abs(middle - centre) < size[0] / 2 + half_m + 5:
                continue
            lateral = ground.junction_m[1 - axis] + side * (
                half_m + front_m + size[1] / 2 + float(rng.uniform(0, 3)) * depth
            )
            place = np.array([middle, lateral]) if axis == 0 else np.array([lateral, middle])
            color = rng.uniform([0.4, 0.3, 0.25], [0.8, 0.7, 0.65])
            body = thing(BLOCK, size, color, "house")
            meshes.append(placed(body, place, 0.0 if axis == 0 else np.pi / 2, size[2], ground, sink_m=0.5))
    return meshes


def _greenery(config: TownConfig, ground: TownGround, rng: np.random.Generator) -> list[Mesh]:
    meshes: list[Mesh] = []
    streets = ground.streets
    for i in range(config.num_trees):
        side, along = int(rng.choice([-1, 1])), float(rng.uniform(-60, 85))
        place = np.array([along, side * (streets.half_m + float(rng.uniform(3.0, 6.5)) * streets.depth)])
        if i % 3 == 0:
            place = place[::-1] + ground.junction_m
        if ground.off_road_m(place) < 2.5 * streets.depth:
            continue
        kind = i % 5
        if kind == 0:
            size, parts, name = np.array([0.15 * 10, 0.25, rng.uniform(4.5, 7.0)]), POLE, "pole"
        elif kind == 1:
            size, parts = np.array([rng.uniform(2, 9), rng.uniform(0.6, 1.2), rng.uniform(0.7, 1.8)]), BLOCK
            name = "hedge"
        else:
            spread = rng.uniform(2.0, 4.5)
            size, parts, name = np.array([spread, spread, rng.uniform(3.5, 8.0)]), TREE, "tree"
        color = np.array([0.16, 0.33, 0.12]) * rng.uniform(0.7, 1.5, 3)
        yaw = float(rng.uniform(0, 2 * np.pi)) if kind > 1 else 0.0
        meshes.append(placed(thing(parts, size, color, name), place, yaw, size[2], ground))
    return meshes


def _railings(config: TownConfig, ground: TownGround, rng: np.random.Generator) -> list[Mesh]:
    """Railings and hedges between carriageway and pavement, through and over which people are half seen."""
    meshes: list[Mesh] = []
    half_m = ground.streets.half_m
    for _ in range(config.num_railings):
        side, along = int(rng.choice([-1, 1])), float(rng.uniform(-45, 65))
        length, height = float(rng.uniform(5, 14)), float(rng.uniform(0.7, 1.4))
        place = np.array([along, side * (half_m + float(rng.uniform(0.25, 0.5)))])
        if abs(along - ground.junction_m[0]) < half_m + 4 + length / 2:
            continue
        size, hedge = np.array([length, 0.12, height]), rng.random() < 0.3
        color = np.array([0.16, 0.33, 0.12]) if hedge else np.full(3, 0.5)
        if hedge:
            size = size * [1, 4, 0.7]
        body = thing(BLOCK, size, color, "hedge") if hedge else thing(RAILING, size, color, "railing")
        meshes.append(placed(body, place, 0.0, size[2], ground))
    return meshes
