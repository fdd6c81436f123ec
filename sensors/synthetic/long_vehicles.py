"""Shapes of trucks, buses and trailers of their true length: wheels stay round, cabs stay as long as cabs are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.synthetic.bodies import Part

WHEEL_M, CAB_M, WHEEL_STEP_M = 1.0, 2.2, 1.3


def truck_parts(size_m: NDArray[np.float64], *, tank: bool) -> tuple[Part, ...]:
    """A cab, and behind it a box or a tank; the longest are of two pieces."""
    length, _, height = size_m.tolist()
    cab, wheel = CAB_M / length, WHEEL_M / height
    load, middle = 1 - cab - 0.5 / length, -cab / 2 - 0.25 / length
    places = [length / 2 - 1.3, -length / 2 + 1.2, -length / 2 + 1.2 + WHEEL_STEP_M]
    if length > 11:
        places += [length / 2 - 4.6, -length / 2 + 1.2 + 2 * WHEEL_STEP_M]
    base = wheel * 0.9
    freight = Part(kind="box", at=(middle, 0, base / 2 - 0.02), size=(load, 1, 0.96 - base))
    if tank:
        freight = Part(kind="drum", at=(middle, 0, base / 2 - 0.02), size=(load, 0.96, 0.96 - base))
    return (
        Part(kind="box", at=(0.5 - cab / 2, 0, 0.04), size=(cab, 0.97, 0.9), paint="second"),
        Part(kind="box", at=(0.5 - 0.3 / length, 0, 0.2), size=(0.6 / length, 0.9, 0.26), paint="glass"),
        freight,
        Part(kind="box", at=(-0.25 / length, 0, base - 0.5), size=(1 - 1.5 / length, 0.45, 0.12), paint="dark"),
        *_axles(size_m, places),
    )


def bus_parts(size_m: NDArray[np.float64]) -> tuple[Part, ...]:
    """A coach with a band of windows."""
    length, _, height = size_m.tolist()
    return (
        Part(kind="box", at=(0, 0, 0.05), size=(1, 0.98, 0.9)),
        Part(kind="box", at=(0, 0, 0.17), size=(0.985, 1.0, 0.3), paint="glass"),
        Part(kind="box", at=(0, 0, -0.12), size=(0.97, 1.0, 0.08), paint="second"),
        *_axles(size_m, [length / 2 - 2.6, -length / 2 + 3.2]),
        Part(kind="box", at=(0, 0, 0.5 - 0.1 / height), size=(0.4, 0.6, 0.2 / height), paint="dark"),
    )


def trailer_parts(size_m: NDArray[np.float64]) -> tuple[Part, ...]:
    """A box on wheels with a drawbar."""
    length, _, height = size_m.tolist()
    wheel, bar = WHEEL_M / height, 0.9 / length
    places = [-0.12 * length] if length < 7 else [-length / 2 + 1.5 + i * WHEEL_STEP_M for i in range(3)]
    return (
        Part(kind="box", at=(-bar / 2, 0, wheel / 4), size=(1 - bar, 1, 1 - wheel / 2)),
        Part(kind="box", at=(0.5 - bar / 2, 0, wheel / 2 - 0.5), size=(bar, 0.2, 0.06), paint="dark"),
        *_axles(size_m, places, 0.7 if length < 7 else 1.0),
    )


def _axles(size_m: NDArray[np.float64], places_m: list[float], factor: float = 1.0) -> tuple[Part, ...]:
    """Round wheels at places ahead of the middle."""
    length, _, height = size_m.tolist()
    along, up = factor * WHEEL_M / length, factor * WHEEL_M / height
    return tuple(
        Part(kind="axle", at=(x / length, 0, up / 2 - 0.5), size=(along, 1.0, up), paint="dark") for x in places_m
    )
