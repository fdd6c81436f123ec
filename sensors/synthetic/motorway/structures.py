"""What stands over and beside the lanes of a motorway: sign gantries, bridges, lamps, boards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.bodies import Part
from tricast.sensors.synthetic.motorway.extrusion import repeated
from tricast.sensors.synthetic.motorway.road import MARGIN_M, SIDES, MotorwayRoad
from tricast.sensors.synthetic.scenery import BLOCK, POLE, Mesh, thing
from tricast.sensors.synthetic.scenery_details import POST, SIGN_POST

Float64 = NDArray[np.float64]
CLEARANCE_M = (5.2, 6.6)
BRIDGE_HALF_M = (4.0, 7.0)
GANTRY_POST_M = 1.5
"""Posts of gantries and lamps stand so far outside the asphalt, behind the guard rail."""
LAMP_POST = (*POLE, Part(kind="box", at=(0.4, 0, 0.455), size=(0.2, 0.8, 0.02), paint="lamp"))
BOARD = (
    Part(kind="box", at=(-0.2, 0.3, -0.2), size=(0.5, 0.05, 0.6), paint="metal"),
    Part(kind="box", at=(-0.2, -0.3, -0.2), size=(0.5, 0.05, 0.6), paint="metal"),
    Part(kind="box", at=(0.2, 0, 0.2), size=(0.3, 1.0, 0.6), paint="body"),
)
PANEL_COLORS = np.array([[0.05, 0.2, 0.6], [0.05, 0.42, 0.2], [0.05, 0.35, 0.55], [0.75, 0.75, 0.72]])
QUARTER_RAD = np.pi / 2


@dataclass(frozen=True, kw_only=True)
class Bridge:
    """A bridge over the road.

    Args:
        along_m: Its middle along the road.
        half_m: Half of its width.
        clearance_m: From the ground to its deck.

    """

    along_m: float
    half_m: float
    clearance_m: float

    def near(self, along_m: Float64, margin_m: float) -> NDArray[np.bool_]:
        """Which places (N,) along the road lie below it, or so near."""
        return np.abs(along_m - self.along_m) < self.half_m + margin_m


def drawn_bridge(span_m: tuple[float, float], rng: np.random.Generator) -> Bridge:
    """A bridge somewhere over a span of the road."""
    return Bridge(
        along_m=float(rng.uniform(*span_m)),
        half_m=float(rng.uniform(*BRIDGE_HALF_M)),
        clearance_m=float(rng.uniform(*CLEARANCE_M)),
    )


def bridge_meshes(road: MotorwayRoad, bridge: Bridge, rng: np.random.Generator) -> list[Mesh]:
    """A deck with parapets, dams on both sides, and a pier in the median of some."""
    grey = np.full(3, float(rng.uniform(0.35, 0.6)))
    width, deck_m = 2 * bridge.half_m, 1.1
    ends = [side * (road.slope_m(c)[0] + 1.0) for c, side in enumerate(SIDES)]
    # The dams carry the deck's ends, and hide that it ends.
    span, middle = ends[1] - ends[0] + 4.0, (ends[0] + ends[1]) / 2
    parts = [
        (np.array([span, width, deck_m]), 0.0, middle, bridge.clearance_m),
        *(
            (np.array([span, 0.25, 0.95]), along, middle, bridge.clearance_m + deck_m)
            for along in (-bridge.half_m + 0.15, bridge.half_m - 0.15)
        ),
        *(
            (np.array([45.0, width, 18.0]), 0.0, ends[c] + side * 22.5, bridge.clearance_m - 17.5)
            for c, side in enumerate(SIDES)
        ),
    ]
    if rng.random() < 0.5 and road.inner_m - MARGIN_M > 1.0:
        parts.append((np.array([0.7, width * 0.8, bridge.clearance_m + 0.5]), 0.0, 0.0, -0.2))
    base = float(road.height_m(road.centreline.at(np.array(bridge.along_m))[0]))
    return [_level(road, size, grey, bridge.along_m + along, across, base + low) for size, along, across, low in parts]


def _level(road: MotorwayRoad, size_m: Float64, color: Float64, along_m: float, across_m: float, low_m: float) -> Mesh:
    """A block whose length lies across the road, with its underside at a height of the world."""
    foot, yaw = road.centreline.at(np.array(along_m), across_m)
    body = thing(BLOCK, size_m, color, "wall")
    cos, sin = np.cos(yaw + QUARTER_RAD), np.sin(yaw + QUARTER_RAD)
    turned = body[0] @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]).T
    return turned + np.array([*foot, low_m + size_m[2] / 2]), *body[1:]


def gantry_meshes(road: MotorwayRoad, along_m: float, carriageway: int, rng: np.random.Generator) -> list[Mesh]:
    """A beam over one carriageway on two posts, with panels that face its traffic."""
    side, outer = SIDES[carriageway], road.edge_m(carriageway) + GANTRY_POST_M
    clear, middle = float(rng.uniform(5.6, 6.6)), side * outer / 2
    base = float(road.height_m(road.centreline.at(np.array(along_m), middle)[0]))
    grey = np.full(3, float(rng.uniform(0.35, 0.6)))
    meshes = [_level(road, np.array([outer, 0.5, 0.7]), grey, along_m, middle, base + clear)]
    meshes += [
        _level(road, np.array([0.35, 0.45, clear + 1.5]), grey, along_m, across, base - 1.0)
        for across in (0.0, side * outer)
    ]
    color = PANEL_COLORS[int(rng.integers(len(PANEL_COLORS)))]
    # Against the direction of travel: to where traffic comes from.
    front = along_m + side * 0.45
    for lane in range(road.num_lanes[carriageway]):
        if rng.random() < 0.75:
            size = np.array([rng.uniform(2.2, road.lane_m - 0.2), 0.12, rng.uniform(1.2, 2.8)])
            across = side * (road.outer_m(carriageway) - (lane + 0.5) * road.lane_m)
            panel = _level(road, size, color, front, across, base + clear - 0.3)
            meshes.append((panel[0], panel[1], thing(BLOCK, size, color, "sign")[2]))
    return meshes


def lamp_rows(road: MotorwayRoad, along_m: Float64, rng: np.random.Generator) -> list[Mesh]:
    """Lamp posts in the median, or beside one carriageway."""
    height, reach = float(rng.uniform(9, 12)), float(rng.uniform(2.0, 3.2))
    body = thing(LAMP_POST, np.array([reach, 0.3, height]), np.full(3, 0.45), "lamp")
    if rng.random() < 0.5:
        return [
            repeated(road, body, along_m, side * 0.45 * reach, height, turned_rad=side * QUARTER_RAD) for side in SIDES
        ]
    carriageway = int(rng.integers(2))
    side = SIDES[carriageway]
    across = side * (road.edge_m(carriageway) + GANTRY_POST_M - 0.45 * reach)
    return [repeated(road, body, along_m, across, height, turned_rad=-side * QUARTER_RAD)]


def sign_meshes(
    road: MotorwayRoad, along_m: float, carriageway: int, narrow: bool, rng: np.random.Generator
) -> list[Mesh]:
    """A small sign, a bare post or, where it is not narrow, a large board beside a carriageway, facing its traffic."""
    side, kind = SIDES[carriageway], rng.random()
    across = side * (road.edge_m(carriageway) + float(rng.uniform(1.4, 1.6)))
    if kind < 0.4:
        size, parts = np.array([0.5, rng.uniform(0.7, 1.3), rng.uniform(2.2, 3.4)]), SIGN_POST
        color = rng.uniform(0.1, 0.9, 3)
    elif kind < 0.65 and not narrow:
        size, parts = np.array([0.5, rng.uniform(2.0, 4.0), rng.uniform(3.2, 5.0)]), BOARD
        across += side * size[1] / 2
        color = PANEL_COLORS[int(rng.integers(len(PANEL_COLORS)))]
    else:
        size, parts = np.array([*np.full(2, rng.uniform(0.08, 0.3)), rng.uniform(1.0, 5.0)]), POST
        color = np.full(3, 0.5)
    # Own traffic goes along the road, the oncoming against it: a face looks back at it.
    turned = np.pi if carriageway == 0 else 0.0
    body = thing(parts, size, color, "sign")
    return [repeated(road, body, np.array([along_m]), across, float(size[2]), turned_rad=turned, sink_m=0.1)]
