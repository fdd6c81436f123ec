"""The own vehicle in training pictures: bonnets, boot lids and flanks that synthetic cameras do not see.

A body covers what lies beyond a bent edge. It is dull, mirrors what is on the other side of the edge, and may carry
lights that are reflected in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tricast.perception.tick_sample import CameraInput
from tricast.perception.training.tick_truth import TickTruth, with_counts

FLANK = 0.25
"""Of bodies so many lie at a picture's side, the rest at its lower edge."""
MAX_LIGHTS = 3
EDGE_PX = 1.5
"""Width over which a body begins."""


@dataclass(frozen=True, kw_only=True)
class OwnVehicle:
    """What of a picture a vehicle's body covers, and what the body looks like.

    Places in the picture are shares: across from -1 to 1 rightwards, down from -1 to 1.

    Args:
        angle_rad: Direction in which the body lies, 0 for down, pi/2 for right.
        edge: Where it begins along that direction.
        sag: How much later it begins a unit away from its middle.
        brightness: Of the body, over that of the picture, for red, green and blue.
        mirror: Share of its look that is a mirror image.
        squeeze: How much of the picture the mirror shows in a unit.
        lights: (across, down, radius, brightness of 255) of each light in it.

    """

    angle_rad: float
    edge: float
    sag: float
    brightness: tuple[float, float, float]
    mirror: float
    squeeze: float
    lights: tuple[tuple[float, float, float, float], ...] = ()

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> OwnVehicle:
        """A body of a generator; how much is drawn does not depend on what comes."""
        side, tilt, sign = rng.random(), rng.normal(0, 0.08), rng.choice([-1.0, 1.0])
        edges, sags = rng.uniform([0.0, 0.4], [0.95, 0.95]), rng.uniform([-0.05, -0.3], [0.4, 0.3])
        at_side = int(side < FLANK)
        grey = rng.uniform(0.1, 1.3)
        red, green, blue = (grey * rng.uniform(0.8, 1.2, 3)).tolist()
        lights = rng.uniform([-1, -1, 0.01, 0.2], [1, 1, 0.12, 1.0], (MAX_LIGHTS, 4))
        return cls(
            angle_rad=float(tilt + at_side * sign * rng.uniform(1.0, math.pi / 2)),
            edge=float(edges[at_side]),
            sag=float(sags[at_side]),
            brightness=(red, green, blue),
            mirror=float(rng.uniform(0, 0.8)),
            squeeze=float(rng.uniform(0.7, 1.5)),
            lights=tuple((x, y, r, b) for x, y, r, b in lights[: rng.integers(MAX_LIGHTS + 1)].tolist()),
        )

    def depth(self, across: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far beyond the edge places lie; what is not above zero is not covered."""
        cos, sin = math.cos(self.angle_rad), math.sin(self.angle_rad)
        return down * cos + across * sin - self.edge - self.sag * (across * cos - down * sin) ** 2

    def painted(self, image: Tensor) -> Tensor:
        """A picture (3, H, W) uint8 with the body in it."""
        rows, columns = image.shape[1:]
        down, across = np.meshgrid(_shares(rows), _shares(columns), indexing="ij")
        beyond = self.depth(across, down)
        if not (beyond > 0).any():
            return image
        picture = image.numpy().astype(np.float32)
        look = picture.mean() * np.array(self.brightness, np.float32)[:, None, None]
        look = look * (1 - 0.4 * np.clip(beyond, 0, 1)).astype(np.float32)
        look = look + self.mirror * (self._mirrored(picture, across, down, beyond) - look)
        for x, y, radius, brightness in self.lights:
            near = np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * radius**2))
            look = look + (255 * brightness * near).astype(np.float32)
        cover = np.clip(beyond * min(rows, columns) / (2 * EDGE_PX), 0, 1).astype(np.float32)
        mixed = picture + cover * (look - picture)
        return torch.from_numpy(np.clip(mixed, 0, 255).astype(np.uint8))

    def _mirrored(
        self,
        picture: NDArray[np.float32],
        across: NDArray[np.float64],
        down: NDArray[np.float64],
        beyond: NDArray[np.float64],
    ) -> NDArray[np.float32]:
        """What lies as far on this side of the edge, times the squeeze, for every place."""
        back = (1 + self.squeeze) * np.clip(beyond, 0, None)
        x, y = across - back * math.sin(self.angle_rad), down - back * math.cos(self.angle_rad)
        rows, columns = picture.shape[1:]
        row = np.clip(((y + 1) / 2 * rows).astype(np.int64), 0, rows - 1)
        column = np.clip(((x + 1) / 2 * columns).astype(np.int64), 0, columns - 1)
        return picture[:, row, column]


def covered(vehicle: OwnVehicle, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which of a picture's (rows, columns) features lie on the body, by their centres."""
    down, across = np.meshgrid(_shares(size[0]), _shares(size[1]), indexing="ij")
    return vehicle.depth(across, down) > 0


def without_covered(
    truth: TickTruth, cameras: tuple[CameraInput, ...], vehicles: Mapping[str, OwnVehicle]
) -> TickTruth:
    """Objects whose centre every camera that would see it has behind the body have no visible pixels left."""
    if not any(camera.channel in vehicles for camera in cameras):
        return truth
    centers_m = truth.centers_m.astype(np.float64)
    seen, hidden = np.zeros(len(truth), bool), np.zeros(len(truth), bool)
    for camera in cameras:
        pixels, inside = camera.lens.project(camera.tick_from_camera.inverse.apply(centers_m))
        vehicle = vehicles.get(camera.channel)
        behind = np.zeros(len(truth), bool)
        if vehicle is not None:
            size_px = np.array([[camera.lens.width_px], [camera.lens.height_px]])
            behind[inside] = vehicle.depth(*((pixels[inside] + 0.5).T * 2 / size_px - 1)) > 0
        seen |= inside & ~behind
        hidden |= behind
    pixels = np.where(hidden & ~seen, 0, truth.num_visible_pixels).astype(np.int32)
    return with_counts(truth, num_visible_pixels=pixels)


def _shares(count: int) -> NDArray[np.float64]:
    return (np.arange(count) + 0.5) * 2 / count - 1
