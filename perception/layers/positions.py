"""Position encodings."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tricast.perception.layers.attention import FeedForward


class FourierPosition(nn.Module):
    """Places on the ground as features: sines and cosines of several wavelengths, then a small network."""

    def __init__(self, width: int, range_m: float, octaves: int = 6) -> None:
        super().__init__()
        self.register_buffer("frequencies", math.pi / (2 * range_m) * 2.0 ** torch.arange(octaves), persistent=False)
        self.network = FeedForward(4 * octaves, width, width)

    def forward(self, places_m: Tensor) -> Tensor:
        """(..., 2) x and y in metres to (..., width)."""
        phases = (places_m[..., None] * self.get_buffer("frequencies")).flatten(-2)
        return self.network(torch.cat([phases.sin(), phases.cos()], dim=-1))


class RayPosition(nn.Module):
    """Rays as features: what a token sees, told by its direction and its camera's place, never by a camera matrix.

    Source: the 3D position encoding of PETR (Liu et al., ECCV 2022), on ray directions in place of depth bins.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.network = FeedForward(9, 64, width)

    def forward(self, directions: Tensor, origins_m: Tensor) -> Tensor:
        """Directions (M, T, 3) and origins (M, 3) in ego axes to (M, T, width)."""
        azimuth = torch.atan2(directions[..., 1], directions[..., 0])
        turn = torch.stack([(2 * azimuth).sin(), (2 * azimuth).cos(), directions[..., 2] * 4], dim=-1)
        origins = origins_m[:, None].expand_as(directions)
        return self.network(torch.cat([directions, turn, origins], dim=-1))


def coarser_rays(rays: Tensor) -> Tensor:
    """Rays (..., h, w, 3) of image features to unit vectors (..., h // 2, w // 2, 3) amid four neighbours."""
    rows, columns = rays.shape[-3] // 2, rays.shape[-2] // 2
    even = rays[..., : 2 * rows, : 2 * columns, :]
    quads = even.unflatten(-3, (rows, 2)).unflatten(-2, (columns, 2))  # (..., rows, 2, columns, 2, 3)
    return nn.functional.normalize(quads.mean(dim=(-4, -2)), dim=-1)
