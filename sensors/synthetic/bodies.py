"""Bodies of road users and of things that resemble them, as triangles with colours.

A body is a list of parts in shares of its box (every part lies within -0.5 .. 0.5), so one shape serves every size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.geometry.boxes import CORNER_SIGNS

Triple = tuple[float, float, float]
PAINT: dict[str, Triple] = {
    "dark": (0.06, 0.06, 0.07),
    "glass": (0.12, 0.15, 0.19),
    "metal": (0.5, 0.5, 0.53),
    "skin": (0.78, 0.6, 0.48),
    "white": (0.88, 0.88, 0.86),
    "wood": (0.42, 0.3, 0.18),
    "leaf": (0.16, 0.33, 0.12),
    "lamp": (0.9, 0.88, 0.8),
    "tail": (0.6, 0.05, 0.04),
    "plate": (0.85, 0.84, 0.7),
}
BESIDE_WHEELS = 0.97
"""Wheels stand out of a body's sides a little: surfaces in one plane would show in speckles."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One solid of a body.

    Args:
        kind: `box`, `cylinder`, `axle` (cylinder across), `drum` (cylinder along), `cone` or `ball`.
        at: Centre, in shares of the body's box.
        size: Extent, likewise.
        paint: A name in `PAINT`, or `body` for the object's own colour, or `second` for its other one.
        taper: Scale of a box's top face along x and y.

    """

    kind: str
    at: Triple
    size: Triple
    paint: str = "body"
    taper: tuple[float, float] = (1.0, 1.0)


def _box(at: Triple, size: Triple, paint: str = "body", taper: tuple[float, float] = (1.0, 1.0)) -> Part:
    return Part(kind="box", at=at, size=size, paint=paint, taper=taper)


def _wheels(share: float, *places: float) -> tuple[Part, ...]:
    return tuple(Part(kind="axle", at=(x, 0, -0.5 + share / 2), size=(0.16, 1.0, share), paint="dark") for x in places)


def _rider(z: float, paint: str = "second") -> tuple[Part, ...]:
    return (
        _box((-0.05, 0, z), (0.22, 0.75, 0.4), paint),
        Part(kind="ball", at=(-0.02, 0, 0.42), size=(0.14, 0.4, 0.16), paint="skin"),
    )


def _person(stride: float, shoulders: float) -> tuple[Part, ...]:
    return (
        _box((stride, 0.2, -0.27), (0.4, 0.28, 0.46), "second"),
        _box((-stride, -0.2, -0.27), (0.4, 0.28, 0.46), "second"),
        _box((0, 0, 0.14), (0.8, shoulders, 0.38), "body", (0.7, 0.9)),
        Part(kind="ball", at=(0, 0, 0.42), size=(0.4, 0.4, 0.16), paint="skin"),
    )


_TWO_WHEELS = (
    Part(kind="axle", at=(-0.33, 0, -0.3), size=(0.34, 0.12, 0.4), paint="dark"),
    Part(kind="axle", at=(0.33, 0, -0.3), size=(0.34, 0.12, 0.4), paint="dark"),
)
_FRAME = (
    _box((0, 0, -0.18), (0.5, 0.1, 0.08)),
    _box((0.3, 0, -0.02), (0.06, 1.0, 0.06), "metal"),
    _box((-0.15, 0, -0.05), (0.16, 0.3, 0.05), "dark"),
)
_TANK = (
    _box((0, 0, -0.2), (0.62, 0.5, 0.25)),
    _box((0.3, 0, 0.03), (0.08, 1.0, 0.1), "metal"),
    _box((-0.15, 0, -0.03), (0.4, 0.42, 0.08), "dark"),
)

SHAPES: dict[str, tuple[tuple[Part, ...], ...]] = {
    "car": (
        (
            _box((0, 0, -0.12), (1, 1, 0.5)),
            _box((-0.05, 0, 0.31), (0.56, 0.88, 0.38), "glass", (0.7, 0.85)),
            *_wheels(0.4, -0.3, 0.32),
        ),
        (
            _box((0, 0, -0.1), (1, 1, 0.56)),
            _box((-0.16, 0, 0.34), (0.66, 0.92, 0.32), "glass", (0.85, 0.9)),
            *_wheels(0.38, -0.3, 0.3),
        ),
        (
            _box((-0.1, 0, 0.06), (0.8, 1, 0.88)),
            _box((0.39, 0, -0.15), (0.22, 0.96, 0.46)),
            _box((0.3, 0, 0.25), (0.1, 0.9, 0.24), "glass"),
            *_wheels(0.3, -0.28, 0.3),
        ),
        (
            _box((0, 0, -0.15), (1, 1, 0.36)),
            _box((0.08, 0, 0.25), (0.36, 0.9, 0.5), "glass", (0.75, 0.9)),
            _box((-0.48, 0, 0.08), (0.04, 1, 0.2)),
            *_wheels(0.4, -0.3, 0.32),
        ),
    ),
    "truck": (
        (
            _box((0.37, 0, -0.06), (0.26, 0.95, 0.76), "second"),
            _box((0.46, 0, 0.12), (0.08, 0.9, 0.22), "glass"),
            _box((-0.14, 0, 0.1), (0.72, 1, 0.8)),
            *_wheels(0.28, -0.36, -0.22, 0.36),
        ),
        (
            _box((0.37, 0, 0.0), (0.26, 0.95, 0.9)),
            _box((0.47, 0, 0.15), (0.06, 0.9, 0.25), "glass"),
            _box((-0.12, 0, -0.2), (0.76, 1, 0.12), "metal"),
            _box((-0.2, 0, 0.1), (0.45, 0.8, 0.5), "wood"),
            *_wheels(0.28, -0.36, -0.22, 0.36),
        ),
        (
            _box((0.38, 0, -0.02), (0.24, 0.95, 0.86), "second"),
            Part(kind="drum", at=(-0.13, 0, 0.1), size=(0.74, 0.95, 0.7)),
            _box((-0.13, 0, -0.28), (0.74, 0.5, 0.1), "dark"),
            *_wheels(0.28, -0.36, -0.22, 0.36),
        ),
    ),
    "bus": (
        (
            _box((0, 0, 0.04), (1, 0.98, 0.92)),
            _box((0, 0, 0.15), (0.98, 1.0, 0.3), "glass"),
            *_wheels(0.26, -0.3, 0.34),
        ),
        (
            _box((-0.03, 0, 0.04), (0.94, 0.97, 0.92), "body", (0.96, 0.9)),
            _box((0.1, 0, 0.16), (0.8, 1.0, 0.24), "glass"),
            _box((-0.05, 0, -0.16), (0.9, 1.0, 0.08), "second"),
            *_wheels(0.28, -0.3, 0.34),
        ),
    ),
    "trailer": (
        (_box((-0.06, 0, 0.08), (0.88, 1, 0.84)), _box((0.4, 0, -0.28), (0.2, 0.2, 0.08), "dark"), *_wheels(0.3, -0.2)),
        (
            _box((-0.06, 0, -0.18), (0.88, 1, 0.14), "metal"),
            _box((-0.15, 0, 0.2), (0.5, 0.8, 0.6)),
            _box((0.4, 0, -0.24), (0.2, 0.14, 0.08), "dark"),
            *_wheels(0.3, -0.15, -0.32),
        ),
    ),
    "construction_vehicle": (
        (
            _box((-0.22, 0.36, -0.36), (0.55, 0.28, 0.28), "dark"),
            _box((-0.22, -0.36, -0.36), (0.55, 0.28, 0.28), "dark"),
            _box((-0.25, 0, -0.05), (0.45, 0.8, 0.34)),
            _box((-0.12, 0.2, 0.2), (0.2, 0.4, 0.36), "glass"),
            _box((0.12, -0.1, 0.36), (0.4, 0.16, 0.12)),
            _box((0.36, -0.1, 0.02), (0.08, 0.16, 0.66)),
            _box((0.42, -0.1, -0.38), (0.16, 0.4, 0.24), "metal"),
        ),
        (
            _box((-0.15, 0, -0.1), (0.6, 0.8, 0.36)),
            _box((-0.12, 0, 0.28), (0.24, 0.7, 0.44), "glass"),
            _box((0.28, 0, -0.1), (0.3, 0.3, 0.14)),
            _box((0.43, 0, -0.3), (0.14, 1, 0.34), "metal"),
            *_wheels(0.45, -0.32, 0.14),
        ),
        (
            Part(kind="axle", at=(0.34, 0, -0.25), size=(0.32, 0.9, 0.5), paint="metal"),
            _box((-0.12, 0, -0.1), (0.7, 0.9, 0.36)),
            _box((-0.15, 0, 0.3), (0.34, 0.9, 0.4), "glass"),
            Part(kind="axle", at=(-0.33, 0, -0.25), size=(0.32, 1, 0.5), paint="dark"),
        ),
    ),
    "pedestrian": (_person(0.12, 0.9), _person(0.02, 0.75), _person(0.2, 1.0)),
    "motorcycle": (_TWO_WHEELS + _TANK, _TWO_WHEELS + _TANK + _rider(0.14), _TANK + _TWO_WHEELS + _rider(0.18, "body")),
    "bicycle": (_TWO_WHEELS + _FRAME, _TWO_WHEELS + _FRAME + _rider(0.14), _FRAME + _TWO_WHEELS + _rider(0.18, "body")),
    "traffic_cone": (
        (
            _box((0, 0, -0.46), (1, 1, 0.08), "dark"),
            Part(kind="cone", at=(0, 0, 0.04), size=(0.75, 0.75, 0.92)),
            Part(kind="cylinder", at=(0, 0, 0.05), size=(0.42, 0.42, 0.14), paint="white"),
        ),
        (
            _box((0, 0, -0.47), (1, 1, 0.06), "dark"),
            Part(kind="cylinder", at=(0, 0, 0.03), size=(0.6, 0.6, 0.94)),
            Part(kind="cylinder", at=(0, 0, 0.2), size=(0.64, 0.64, 0.16), paint="white"),
        ),
    ),
    "barrier": (
        (_box((0, 0, -0.3), (1, 1, 0.4), "body", (0.6, 1)), _box((0, 0, 0.2), (0.6, 1, 0.6), "body", (0.6, 1))),
        (
            _box((0, 0, 0.3), (0.25, 1, 0.36)),
            _box((0, 0, -0.05), (0.2, 1, 0.14), "white"),
            _box((0, 0.4, -0.1), (1, 0.06, 0.8), "dark"),
            _box((0, -0.4, -0.1), (1, 0.06, 0.8), "dark"),
        ),
    ),
}
"""Shapes of each class; those of two-wheelers without a rider come first."""

LOOKALIKES: dict[str, tuple[Part, ...]] = {
    "bin": (_box((0, 0, 0), (1, 1, 1), "body", (1, 1)), _box((0, 0, 0.46), (1, 1, 0.08), "dark")),
    "bollard": (Part(kind="cylinder", at=(0, 0, 0), size=(0.6, 0.6, 1), paint="body"),),
    "sign": (_box((0, 0, -0.1), (0.15, 0.15, 0.8), "metal"), _box((0, 0, 0.35), (0.15, 1, 0.3))),
    "hydrant": (
        Part(kind="cylinder", at=(0, 0, -0.1), size=(0.6, 0.6, 0.8)),
        Part(kind="ball", at=(0, 0, 0.36), size=(0.7, 0.7, 0.28)),
    ),
    "statue": (
        _box((0, 0, -0.3), (1, 1, 0.4), "metal"),
        _box((0, 0, 0.12), (0.5, 0.6, 0.45), "metal", (0.7, 0.8)),
        Part(kind="ball", at=(0, 0, 0.42), size=(0.4, 0.4, 0.16), paint="metal"),
    ),
    "bench": (_box((0, 0, -0.1), (1, 1, 0.14), "wood"), _box((-0.4, 0, 0.2), (0.12, 1, 0.6), "wood")),
    "planter": (
        _box((0, 0, -0.2), (1, 1, 0.6), "metal"),
        Part(kind="ball", at=(0, 0, 0.2), size=(1, 1, 0.6), paint="leaf"),
    ),
    "kiosk": (_box((0, 0, -0.04), (0.9, 0.9, 0.92)), _box((0, 0, 0.45), (1, 1, 0.1), "dark")),
    "skip": (_box((0, 0, 0), (1, 1, 1), "body", (1.0, 1.0)), _box((0, 0, 0.44), (0.9, 0.9, 0.12), "dark")),
    "cabinet": (_box((0, 0, 0), (1, 1, 1)),),
    "carton": (_box((0, 0, 0), (1, 1, 1), "wood"),),
    "rack": (
        _box((-0.3, 0, 0), (0.05, 0.3, 1), "metal"),
        _box((0.3, 0, 0), (0.05, 0.3, 1), "metal"),
        _box((0, 0, 0.4), (0.9, 0.2, 0.1), "metal"),
    ),
    "boulder": (Part(kind="ball", at=(0, 0, 0), size=(1, 1, 1), paint="metal"),),
}


def body_triangles(
    parts: tuple[Part, ...], size_m: NDArray[np.float64], body: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Triangles (T, 3, 3) about the box's centre in metres, and their colours (T, 3) in 0 .. 1."""
    paints = {**{name: np.array(value) for name, value in PAINT.items()}, "body": body, "second": second}
    triangles: list[NDArray[np.float64]] = []
    colors: list[NDArray[np.float64]] = []
    has_wheels = any(part.kind == "axle" for part in parts)
    for part in parts:
        solid = _SOLIDS[part.kind]
        if part.kind == "box" and part.taper != (1.0, 1.0):
            scale = np.where(solid[..., 2:] > 0, (*part.taper, 1.0), 1.0)
            solid = solid * scale
        placed = (solid * part.size + part.at) * size_m
        if has_wheels and part.kind != "axle":
            placed[..., 1] *= BESIDE_WHEELS
        triangles.append(placed)
        colors.append(np.tile(paints[part.paint], (len(placed), 1)))
    return np.concatenate(triangles), np.concatenate(colors)


def part_triangle_counts(parts: tuple[Part, ...]) -> list[int]:
    """How many triangles `body_triangles` makes of each part, in its order."""
    return [len(_SOLIDS[part.kind]) for part in parts]


def _box_solid() -> NDArray[np.float64]:
    order = [
        [0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6], [0, 4, 5], [0, 5, 1],
        [1, 5, 6], [1, 6, 2], [2, 6, 7], [2, 7, 3], [3, 7, 4], [3, 4, 0],
    ]  # fmt: skip
    return 0.5 * np.asarray(CORNER_SIGNS, dtype=np.float64)[np.array(order)]


def _round_solid(top: float, num_sides: int = 8) -> NDArray[np.float64]:
    """A cylinder about z whose top is scaled by `top`; 0 makes a cone."""
    angles = 2 * np.pi * np.arange(num_sides + 1) / num_sides
    rim = 0.5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    low = np.column_stack([rim, np.full(len(rim), -0.5)])
    high = np.column_stack([rim * top, np.full(len(rim), 0.5)])
    floor, roof = np.array([0, 0, -0.5]), np.array([0, 0, 0.5])
    faces: list[list[NDArray[np.float64]]] = []
    for i in range(num_sides):
        faces += [[low[i], low[i + 1], high[i + 1]], [floor, low[i + 1], low[i]]]
        if top > 0:
            faces += [[low[i], high[i + 1], high[i]], [roof, high[i], high[i + 1]]]
    return np.array(faces)


def _ball_solid() -> NDArray[np.float64]:
    """An octahedron divided once, on the sphere."""
    x, y, z = np.eye(3)
    faces = np.array([[a * x, b * y, c * z] for a in (1, -1) for b in (1, -1) for c in (1, -1)])
    ab, bc, ca = (faces + np.roll(faces, -1, axis=1)).swapaxes(0, 1)
    a, b, c = faces.swapaxes(0, 1)
    parts = [np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
    solid = np.concatenate(parts)
    return 0.5 * solid / np.linalg.norm(solid, axis=2, keepdims=True)


def _outward(solid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Triangles of a convex solid about the origin, wound so that their normals point outward."""
    normals = np.cross(solid[:, 1] - solid[:, 0], solid[:, 2] - solid[:, 0])
    inward = (normals * solid.mean(axis=1)).sum(axis=1) < 0
    return np.where(inward[:, None, None], solid[:, ::-1], solid)


_CYLINDER = _round_solid(1.0)
_SOLIDS = {
    name: _outward(solid)
    for name, solid in {
        "box": _box_solid(),
        "cylinder": _CYLINDER,
        "axle": _CYLINDER[..., [0, 2, 1]],
        "drum": _CYLINDER[..., [2, 1, 0]],
        "cone": _round_solid(0.0),
        "ball": _ball_solid(),
    }.items()
}
