"""Tokens straight from patches of pixels, as published vision transformers make them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

PATCH_PX = 16
PIXEL_MEAN, PIXEL_SPREAD = 0.45, 0.25
"""Close to what published weights were trained on; a map's weights make up for the rest."""


class PixelPatches(nn.Module):
    """A linear map of each patch, plus a learned position.

    Source: Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021.
    """

    def __init__(self, width: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.project = nn.Conv2d(3, width, PATCH_PX, PATCH_PX)
        self.position = nn.Parameter(torch.zeros(size[0] * size[1], width))
        nn.init.trunc_normal_(self.position, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        """Pictures (M, 3, H, W) uint8 to tokens (M, T, D), row by row."""
        pixels = (images.float() / 255 - PIXEL_MEAN) / PIXEL_SPREAD
        return self.project(pixels).flatten(2).transpose(1, 2) + self.position
