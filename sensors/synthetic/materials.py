"""What surfaces are made of: one small number per triangle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.bodies import Part, part_triangle_counts

MATT, LACQUER, GLASS, METAL, LEAF, WALL, LAMP, MIRROR = range(8)
"""Plain; a vehicle's body; panes; bare metal; leaves; fronts of houses; lit lamps; what throws light straight back."""
NUM_MATERIALS = 8
_OF_PAINT = {"glass": GLASS, "metal": METAL, "leaf": LEAF, "lamp": LAMP, "tail": LAMP, "plate": MIRROR}
_OF_BODY = {
    **dict.fromkeys(("car", "truck", "bus", "trailer", "construction_vehicle", "motorcycle"), LACQUER),
    **dict.fromkeys(("tree", "hedge", "bush"), LEAF),
    "house": WALL,
    "sign": MIRROR,
}


def body_materials(parts: tuple[Part, ...], kind: str) -> NDArray[np.int8]:
    """Materials (T,) of the triangles that `body_triangles` makes of the parts of a kind of road user or thing."""
    names = [_material(part.paint, kind) for part in parts]
    return np.repeat(np.array(names, np.int8), part_triangle_counts(parts))


def _material(paint: str, kind: str) -> int:
    if paint in ("body", "second"):
        return _OF_BODY.get(kind, MATT)
    if paint == "white" and kind == "traffic_cone":
        return MIRROR
    return _OF_PAINT.get(paint, MATT)
