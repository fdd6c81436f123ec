"""The trunk: context on the fused grid at two resolutions."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from tricast.perception.layers.convolution import Bottleneck, ConvNorm, Pointwise


class Trunk(nn.Module):
    """Bottlenecks on the grid and on one of half the resolution, which also gives the BEV tokens."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.before = Bottleneck(width, width // 2)
        self.down = ConvNorm(width, 2 * width, kernel=3, stride=2)
        self.coarse = nn.Sequential(*(Bottleneck(2 * width, width) for _ in range(blocks)))
        self.up = Pointwise(2 * width, width)
        self.after = Bottleneck(width, width // 2)

    def forward(self, fused: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, Y, X) to the same shape, and to (B, 2C, Y/2, X/2)."""
        fine = self.before(fused)
        coarse = self.coarse(self.down(fine))
        back = functional.interpolate(self.up(coarse), scale_factor=2.0, mode="nearest")
        return self.after(fine + back), coarse
