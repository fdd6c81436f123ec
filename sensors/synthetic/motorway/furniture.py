"""All scenery of a motorway, put together so that nothing stands in something else's way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.bodies import LOOKALIKES, body_triangles
from tricast.sensors.synthetic.materials import body_materials
from tricast.sensors.synthetic.motorway.motorway_ground import MotorwayGround
from tricast.sensors.synthetic.motorway.roadside import (
    RAIL_STEP_M,
    delineators,
    drawn_walls,
    ground_mesh,
    median_meshes,
    outer_rails,
    wall_meshes,
)
from tricast.sensors.synthetic.motorway.structures import (
    bridge_meshes,
    drawn_bridge,
    gantry_meshes,
    lamp_rows,
    sign_meshes,
)
from tricast.sensors.synthetic.motorway.verge import verge_meshes
from tricast.sensors.synthetic.motorway_config import MotorwayConfig
from tricast.sensors.synthetic.population import Resident
from tricast.sensors.synthetic.scenery import Mesh, placed
from tricast.sensors.synthetic.world_config import DetailConfig

LAMPS_SHARE = 0.45
MOST_BUILDINGS = 8


def furnished(
    config: MotorwayConfig,
    detail: DetailConfig,
    ground: MotorwayGround,
    span_m: tuple[float, float],
    standing: list[Resident],
    rng: np.random.Generator,
) -> list[Mesh]:
    """Ground and scenery along a span of the road, with the look-alikes among those who stand.

    Args:
        config: The motorway.
        detail: How much stands beside it.
        ground: Its ground.
        span_m: Where along the road.
        standing: Road users and look-alikes that stand.
        rng: Draws it.

    """
    road = ground.road
    along = np.arange(span_m[0], span_m[1], RAIL_STEP_M)
    kilometres = (span_m[1] - span_m[0]) / 1000
    bridge = drawn_bridge((span_m[0] + 150, span_m[1] - 60), rng) if rng.random() < config.bridge_share else None
    meshes = [ground_mesh(ground, span_m)]
    meshes += median_meshes(road, along, rng) + outer_rails(road, along, rng)
    meshes += delineators(road, span_m, rng)
    walls = drawn_walls(road, span_m, detail.num_walls, rng)
    meshes += [mesh for wall in walls for mesh in wall_meshes(road, wall, rng)]

    def clear(places: NDArray[np.float64], margin_m: float) -> NDArray[np.float64]:
        return places if bridge is None else places[~bridge.near(places, margin_m)]

    if bridge is not None:
        meshes += bridge_meshes(road, bridge, rng)
    if rng.random() < LAMPS_SHARE:
        step = float(rng.uniform(35, 60))
        meshes += lamp_rows(road, clear(np.arange(span_m[0] + rng.uniform(0, step), span_m[1], step), 2.0), rng)
    for place in clear(rng.uniform(*span_m, int(rng.poisson(config.num_gantries * kilometres))), 10.0):
        meshes += gantry_meshes(road, float(place), int(rng.integers(2)), rng)
    for place in rng.uniform(*span_m, detail.num_poles).tolist():
        carriageway = int(rng.integers(2))
        walled = any(w.carriageway == carriageway and w.begin_m - 1 < place < w.end_m + 1 for w in walls)
        meshes += sign_meshes(road, place, carriageway, walled or road.paths[carriageway], rng)

    def free(along_m: float, half_m: float) -> bool:
        return bridge is None or not bool(bridge.near(np.array([along_m]), half_m + 0.5)[0])

    # Here open fields, there a forest, with the mean that is asked for.
    trees = int(rng.poisson(config.num_trees * kilometres * float(rng.uniform(0.1, 1.9))))
    numbers = (trees, detail.num_bushes, detail.num_things, int(rng.integers(MOST_BUILDINGS + 1)))
    meshes += verge_meshes(road, span_m, numbers, free, rng)
    return meshes + [_lookalike(resident, ground) for resident in standing if resident.class_name is None]


def _lookalike(resident: Resident, ground: MotorwayGround) -> Mesh:
    parts = LOOKALIKES[resident.kind]
    body = body_triangles(parts, resident.size_m, resident.color, resident.second_color)
    mesh = (*body, body_materials(parts, resident.kind))
    return placed(mesh, resident.place_m, resident.yaw_rad, float(resident.size_m[2]), ground)
