"""Fusion of the sensors' grids: a weighted mean per channel over the sensors that are present."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tricast.perception.batch import MODALITY_ORDER
from tricast.perception.layers.convolution import ConvNorm

SMALLEST_SHARE = 1e-6


class WeightedMean(nn.Module):
    """Channel-normalised weights, set to zero for absent sensors and normalised again over the present ones.

    What each sensor sees at all is told beside it: a cell without a return differs from a cell without a sensor.
    Source: Wang et al., UniBEV, IV 2024 (CNW).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(len(MODALITY_ORDER), width))
        self.join = ConvNorm(width + 2 * len(MODALITY_ORDER), width)

    def forward(self, bevs: tuple[Tensor, ...], observed: tuple[Tensor, ...], present: Tensor) -> Tensor:
        """Fuse.

        Args:
            bevs: (B, C, Y, X) for camera, LiDAR and radar.
            observed: (B, Y, X) bool likewise.
            present: (B, 3) bool.

        Returns:
            (B, C, Y, X); with no sensor at all, what the network makes of nothing.

        """
        weights = self._weights(present)
        mean = torch.zeros_like(bevs[0])
        for m, bev in enumerate(bevs):
            mean = torch.addcmul(mean, bev, weights[:, m, :, None, None])
        seen = torch.stack(observed, dim=1).to(bevs[0].dtype)
        there = present[:, :, None, None].to(seen.dtype).expand_as(seen)
        told = torch.cat([seen * there, there], dim=1)
        if torch.compiler.is_exporting():
            return self._joined_apart(mean, told)
        return self.join(torch.cat([mean, told], dim=1))

    def _joined_apart(self, mean: Tensor, told: Tensor) -> Tensor:
        """The same in two sums: OpenVINO would lay out all of the mean anew to put a few maps behind it."""
        first, *others = self.join
        assert isinstance(first, nn.Conv2d)
        weight, width = first.weight, mean.shape[1]
        joined = functional.conv2d(mean, weight[:, :width], first.bias) + functional.conv2d(told, weight[:, width:])
        for layer in others:
            joined = layer(joined)
        return joined

    def shares(self, bevs: tuple[Tensor, ...], present: Tensor) -> Tensor:
        """How much each sensor has in each cell (B, 3, Y, X) of the mean: summed sizes of what it adds.

        Absent sensors have nothing; where no sensor adds anything, those present share alike.
        """
        weights = self._weights(present)
        added = [(bev * weights[:, m, :, None, None]).abs().sum(dim=1) for m, bev in enumerate(bevs)]
        amounts = (torch.stack(added, dim=1) + SMALLEST_SHARE) * present[:, :, None, None]
        return amounts / amounts.sum(dim=1, keepdim=True).clamp(min=SMALLEST_SHARE)

    def _weights(self, present: Tensor) -> Tensor:
        """(B, 3, C), over the sensors that are present summing to 1."""
        weights = self.weights.exp()[None] * present[:, :, None]
        return weights / weights.sum(dim=1, keepdim=True).clamp(min=SMALLEST_SHARE)
