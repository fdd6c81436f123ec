"""What a kind of place gives to a scene: ground, who is there, how everybody moves, and what stands around."""

from __future__ import annotations

from dataclasses import dataclass

from tricast.sensors.synthetic.ground import Ground
from tricast.sensors.synthetic.population import Resident
from tricast.sensors.synthetic.scenery import Mesh
from tricast.sensors.synthetic.traffic import Motion

FUTURE_MARGIN_S = 6.6
"""How much longer than the scene everybody moves, for the futures of the last truth."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """A place with everybody in it, laid out for a seed by `lay_out_town` or `lay_out_motorway`.

    Args:
        ground: Below everything.
        residents: Road users and look-alikes.
        columns: Column of the motion of each resident, -1 for one that stands; 0 is the vehicle itself.
        motion: Of everybody that moves.
        scenery: Ground and all that is no road user, in world axes; its colours are NaN where the ground's own apply.

    """

    ground: Ground
    residents: tuple[Resident, ...]
    columns: tuple[int, ...]
    motion: Motion
    scenery: Mesh
