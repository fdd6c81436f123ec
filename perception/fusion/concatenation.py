"""Fusion of the sensors' grids: all channels side by side, zeros where a sensor is absent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tricast.perception.batch import MODALITY_ORDER
from tricast.perception.fusion.weighted_mean import SMALLEST_SHARE
from tricast.perception.layers.convolution import ConvNorm


class Concatenation(nn.Module):
    """The three grids as one of three times the channels, brought back to one width; see `WeightedMean` for the rest.

    Source: how BEVFusion joins camera and LiDAR (Liu et al., ICRA 2023).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.join = ConvNorm(len(MODALITY_ORDER) * (width + 2), width)

    def forward(self, bevs: tuple[Tensor, ...], observed: tuple[Tensor, ...], present: Tensor) -> Tensor:
        """See `WeightedMean.forward`."""
        seen = torch.stack(observed, dim=1).to(bevs[0].dtype)
        there = present[:, :, None, None].to(seen.dtype)
        grids = [bev * there[:, m : m + 1] for m, bev in enumerate(bevs)]
        return self.join(torch.cat([*grids, seen * there, there.expand_as(seen)], dim=1))

    def shares(self, bevs: tuple[Tensor, ...], present: Tensor) -> Tensor:
        """How much of each cell (B, 3, Y, X) is each sensor's: summed sizes of what it puts in.

        Absent sensors have nothing; where no sensor puts anything in, those present share alike.
        """
        amounts = torch.stack([bev.abs().sum(dim=1) for bev in bevs], dim=1) + SMALLEST_SHARE
        amounts = amounts * present[:, :, None, None]
        return amounts / amounts.sum(dim=1, keepdim=True).clamp(min=SMALLEST_SHARE)
