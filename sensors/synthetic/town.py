"""A town: a main street that meets a cross street, houses, and people who live there."""

from __future__ import annotations

import numpy as np

from tricast.sensors.synthetic.city import drawn_streets
from tricast.sensors.synthetic.layout import FUTURE_MARGIN_S, Layout
from tricast.sensors.synthetic.population import populate
from tricast.sensors.synthetic.scenery import scenery_triangles
from tricast.sensors.synthetic.scenery_details import detail_meshes
from tricast.sensors.synthetic.town_ground import TownGround
from tricast.sensors.synthetic.traffic import simulate
from tricast.sensors.synthetic.world_config import DetailConfig, TownConfig


def lay_out_town(
    config: TownConfig, detail: DetailConfig | None, seconds: float, rng: np.random.Generator, own: np.random.Generator
) -> Layout:
    """A town for scenes of a length.

    Args:
        config: Who and what is in it.
        detail: What version 2 adds.
        seconds: Length of the scene.
        rng: Draws what all versions have.
        own: Draws the details.

    """
    junction = np.array([rng.uniform(20, 75), 0.0])
    numbers = rng.uniform(0.06, 0.22, (3, 2)) * rng.choice([-1, 1], (3, 2))
    phases = rng.uniform(0, 2 * np.pi, 3)
    waves = np.column_stack([np.full(3, config.ground_wave_m), numbers, phases])
    streets = drawn_streets(config.city, rng)
    ground = TownGround(junction_m=junction, waves=waves, curb_m=config.curb_m, streets=streets)
    reach = 150.0 + config.clear_speed_mps * 1.3 * seconds
    residents = populate(config, ground, reach, rng)
    movers = [r for r in residents if r.agent is not None]
    standing = np.array([[*r.place_m, min(r.size_m[:2]) / 2] for r in residents if r.agent is None and r.on_road])
    agents = tuple(r.agent for r in movers if r.agent is not None)
    motion = simulate(agents, standing.reshape(-1, 3), ground, seconds + FUTURE_MARGIN_S, rng)
    more = () if detail is None else detail_meshes(detail, ground, own)
    order = {id(r): i for i, r in enumerate(movers)}
    return Layout(
        ground=ground,
        residents=residents,
        columns=tuple(order.get(id(r), -1) for r in residents),
        motion=motion,
        scenery=scenery_triangles(config, ground, residents, reach, rng, more),
    )
