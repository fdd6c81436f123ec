"""Lamps, plates, posts, roofs, arms and shoes: what version 2 of the world adds to the bodies of road users."""

from __future__ import annotations

from dataclasses import replace

from tricast.sensors.synthetic.bodies import Part, Triple

SHRINK = 0.985
"""Bodies give way by so much, so that what is fixed to them stands out within the same box."""
OUT = 0.492
"""Middle of a thing 0.016 thick that ends at the face of the box."""


def detailed(parts: tuple[Part, ...], class_name: str) -> tuple[Part, ...]:
    """A shape of a class with its details; it fills the same box."""
    details = _DETAILS.get(class_name, ())
    return (*(_shrunk(part) for part in parts), *details) if details else parts


def _shrunk(part: Part) -> Part:
    (x, y, z), (length, width, height) = part.at, part.size
    # Downward nothing changes: bodies stand on the ground. Wheels keep their place in the sides.
    side = 1.0 if part.kind == "axle" else SHRINK
    at = (x * SHRINK, y * side, (z + 0.5) * SHRINK - 0.5)
    return replace(part, at=at, size=(length * SHRINK, width * side, height * SHRINK))


def _box(at: Triple, size: Triple, paint: str) -> Part:
    return Part(kind="box", at=at, size=size, paint=paint)


def _pair(at: Triple, size: Triple, paint: str) -> tuple[Part, Part]:
    """The same thing on the left and on the right."""
    x, y, z = at
    return _box((x, y, z), size, paint), _box((x, -y, z), size, paint)


def _ends(z: float, aside: float, *, rear_z: float | None = None) -> tuple[Part, ...]:
    """Lamps and plates of a vehicle."""
    rear = z if rear_z is None else rear_z
    return (
        *_pair((OUT, aside, z), (0.016, 0.18, 0.1), "lamp"),
        *_pair((-OUT, aside, rear), (0.016, 0.16, 0.12), "tail"),
        _box((OUT, 0, z - 0.1), (0.016, 0.26, 0.07), "plate"),
        _box((-OUT, 0, rear - 0.1), (0.016, 0.26, 0.07), "plate"),
    )


def _seams(z: float, height: float, *places: float) -> tuple[Part, ...]:
    """Dark seams of doors in both sides."""
    return tuple(_box((x, 0, z), (0.008, 1.0, height), "dark") for x in places)


_DETAILS: dict[str, tuple[Part, ...]] = {
    "car": (
        *_ends(-0.12, 0.36),
        *_seams(-0.08, 0.3, -0.2, 0.02, 0.2),
        *_pair((0.02, OUT, 0.0), (0.05, 0.016, 0.03), "metal"),
        _box((-0.08, 0, 0.485), (0.34, 0.7, 0.03), "body"),
        _box((-0.06, 0, 0.3), (0.03, 0.86, 0.36), "body"),
        _box((0, 0, -0.34), (0.9, 0.99, 0.04), "dark"),
    ),
    "truck": (
        *_ends(-0.22, 0.34, rear_z=-0.2),
        *_seams(0.0, 0.4, 0.29),
        _box((OUT, 0, -0.1), (0.016, 0.6, 0.08), "dark"),
    ),
    "bus": (
        *_ends(-0.26, 0.36),
        *(_box((x, 0, 0.15), (0.012, 1.0, 0.3), "body") for x in (-0.36, -0.22, -0.08, 0.06, 0.2)),
        *_pair((0.3, OUT, -0.05), (0.07, 0.016, 0.6), "glass"),
        _box((OUT, 0, 0.38), (0.016, 0.5, 0.1), "lamp"),
    ),
    "trailer": (
        *_pair((-OUT, 0.36, -0.2), (0.016, 0.16, 0.1), "tail"),
        _box((-OUT, 0, -0.2), (0.016, 0.26, 0.07), "plate"),
    ),
    "construction_vehicle": (
        *_pair((-0.2, 0.42, -0.06), (0.2, 0.016, 0.06), "dark"),
        _box((-0.12, 0, 0.49), (0.05, 0.1, 0.02), "lamp"),
    ),
    "pedestrian": (
        Part(kind="ball", at=(-0.04, 0, 0.45), size=(0.42, 0.44, 0.1), paint="dark"),
        *_pair((0.02, 0.44, 0.1), (0.3, 0.12, 0.36), "second"),
        *_pair((0.14, 0.2, -0.48), (0.6, 0.26, 0.04), "dark"),
        _box((-0.42, 0, 0.16), (0.16, 0.5, 0.26), "second"),
    ),
    "motorcycle": (
        _box((0.36, 0, 0.0), (0.06, 0.3, 0.1), "lamp"),
        _box((-0.46, 0, -0.08), (0.04, 0.24, 0.08), "tail"),
        _box((-0.47, 0, -0.2), (0.02, 0.26, 0.1), "plate"),
    ),
    "bicycle": (
        _box((-0.3, 0, -0.06), (0.3, 0.24, 0.03), "metal"),
        _box((-0.46, 0, -0.06), (0.02, 0.1, 0.05), "tail"),
        _box((0.0, 0, -0.3), (0.1, 0.3, 0.06), "metal"),
    ),
}
