"""Posts, shrubs, garden walls and more look-alikes: scenery that version 2 of the world adds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.bodies import LOOKALIKES, Part
from tricast.sensors.synthetic.scenery import BLOCK, Mesh, placed, thing
from tricast.sensors.synthetic.sizes import random_size_m
from tricast.sensors.synthetic.town_ground import TownGround
from tricast.sensors.synthetic.world_config import DetailConfig

SIGN_POST = (
    Part(kind="cylinder", at=(0, 0, 0), size=(0.12, 0.12, 1.0), paint="metal"),
    Part(kind="box", at=(0.06, 0, 0.36), size=(0.05, 1.0, 0.28), paint="body"),
)
POST = (Part(kind="cylinder", at=(0, 0, 0), size=(1, 1, 1), paint="metal"),)
BUSH = (
    Part(kind="ball", at=(0, 0, -0.1), size=(0.9, 0.9, 0.8), paint="body"),
    Part(kind="ball", at=(0.2, 0.1, 0.2), size=(0.6, 0.6, 0.6), paint="body"),
    Part(kind="ball", at=(-0.2, -0.15, 0.1), size=(0.6, 0.65, 0.7), paint="body"),
)
ALONG_M = (-60.0, 85.0)
THINGS = (*["statue"] * 5, "bin", "bollard", "hydrant", "planter", "cabinet", "carton", "rack", "boulder")
"""Of the sizes of people, cones and barriers; most often of people's."""
PAVEMENT_M = (0.7, 6.0)
CURB_EDGE_M, VERGE_M, GARDEN_M = 0.45, (4.6, 6.4), (5.6, 7.2)
"""How far from the carriageway posts, shrubs and walls stand; people walk between the first and the second."""


def detail_meshes(config: DetailConfig, ground: TownGround, rng: np.random.Generator) -> list[Mesh]:
    """Meshes along both roads, none on a carriageway."""
    meshes = [_post(ground, rng) for _ in range(config.num_poles)]
    meshes += [_thing(ground, rng) for _ in range(config.num_things)]
    meshes += [_bush(ground, rng) for _ in range(config.num_bushes)]
    meshes += [_wall(ground, rng) for _ in range(config.num_walls)]
    return [mesh for mesh in meshes if mesh is not None]


def _post(ground: TownGround, rng: np.random.Generator) -> Mesh | None:
    place, yaw = _place(ground, rng, CURB_EDGE_M if rng.random() < 0.5 else float(rng.uniform(*VERGE_M)))
    if rng.random() < 0.5:
        size, parts = np.array([0.5, 0.5, 1.0]) * [1, rng.uniform(0.8, 1.8), rng.uniform(2.2, 3.2)], SIGN_POST
    else:
        size, parts = np.array([1.0, 1.0, 0.0]) * rng.uniform(0.08, 0.3) + [0, 0, rng.uniform(1.0, 6.0)], POST
    color = rng.uniform(0.1, 0.9, 3)
    yaw += float(rng.choice([0, np.pi / 2, np.pi, -np.pi / 2]))
    return _standing(thing(parts, size, color, "sign"), place, yaw, size[2], ground, room_m=0.2, clear_m=0.2)


def _thing(ground: TownGround, rng: np.random.Generator) -> Mesh | None:
    place, yaw = _place(ground, rng, float(rng.uniform(*PAVEMENT_M)))
    name = THINGS[int(rng.integers(len(THINGS)))]
    size = random_size_m(name, rng)
    mesh = thing(LOOKALIKES[name], size, rng.uniform(0.05, 0.9, 3), name)
    reach = float(np.hypot(size[0], size[1])) / 2
    return _standing(mesh, place, yaw + float(rng.uniform(0, 6.2)), size[2], ground, room_m=0.0, clear_m=reach)


def _bush(ground: TownGround, rng: np.random.Generator) -> Mesh | None:
    place, yaw = _place(ground, rng, float(rng.uniform(*VERGE_M)))
    spread = float(rng.uniform(0.5, 1.2) if rng.random() < 0.6 else rng.uniform(1.2, 2.2))
    size = np.array([spread * rng.uniform(0.8, 2.0), min(spread, 1.6), spread * rng.uniform(0.6, 1.1)])
    color = np.array([0.16, 0.33, 0.12]) * rng.uniform(0.5, 1.6, 3)
    mesh, depth = thing(BUSH, size, color, "bush"), ground.streets.depth
    return _standing(mesh, place, yaw, size[2], ground, room_m=size[0] / 2, clear_m=VERGE_M[0] * depth - size[1] / 2)


def _wall(ground: TownGround, rng: np.random.Generator) -> Mesh | None:
    place, yaw = _place(ground, rng, float(rng.uniform(*GARDEN_M)))
    size = np.array([rng.uniform(3, 12), rng.uniform(0.1, 0.4), rng.uniform(0.6, 1.9)])
    color = np.full(3, rng.uniform(0.25, 0.8)) * rng.uniform(0.85, 1.1, 3)
    mesh = thing(BLOCK, size, np.clip(color, 0, 1), "wall")
    return _standing(mesh, place, yaw, size[2], ground, room_m=size[0] / 2, clear_m=VERGE_M[0] * ground.streets.depth)


def _place(ground: TownGround, rng: np.random.Generator, off_road_m: float) -> tuple[NDArray[np.float64], float]:
    """A place (2,) beside one of the roads, and the road's direction."""
    along, side = float(rng.uniform(*ALONG_M)), int(rng.choice([-1, 1]))
    place = np.array([along, side * (ground.streets.half_m + off_road_m * ground.streets.depth)])
    if rng.random() < 0.35:
        return np.array([place[1] + ground.junction_m[0], along - ALONG_M[0] / 2]), np.pi / 2
    return place, 0.0


def _standing(
    body: Mesh,
    place_m: NDArray[np.float64],
    yaw_rad: float,
    height_m: float,
    ground: TownGround,
    *,
    room_m: float,
    clear_m: float,
) -> Mesh | None:
    """The body at its place; None where either end would come nearer to a road than it may."""
    ends = place_m + room_m * np.array([[np.cos(yaw_rad), np.sin(yaw_rad)], [-np.cos(yaw_rad), -np.sin(yaw_rad)]])
    if ground.off_road_m(ends).min() < clear_m:
        return None
    return placed(body, place_m, yaw_rad, height_m, ground, sink_m=0.05)
