"""Camera encoder: a stem, ViT blocks inside each camera, and a map at stride 8 that the grid looks into."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tricast.configs.strict import StrictConfig
from tricast.perception.batch import BatchConfig, SensorBatch
from tricast.perception.layers.attention import ViTBlock
from tricast.perception.layers.convolution import Bottleneck, ConvNorm, Pointwise
from tricast.perception.layers.pixel_patches import PixelPatches
from tricast.perception.layers.positions import RayPosition, coarser_rays

DARKEST = 4 / 255
"""Pixels are told apart by the ratio of their brightness down to here: at night a picture lies below 20 of 255."""
LEAST_SPREAD = 0.1
"""A picture without contrast stays one."""


class CameraConfig(StrictConfig):
    """Widths of the camera encoder."""

    stem_width: int = Field(default=32, ge=4, le=1024)
    width: int = Field(default=64, ge=4, le=1024)
    """Of the map at stride 8."""
    token_width: int = Field(default=96, ge=8, le=2048)
    heads: int = Field(default=3, ge=1, le=64)
    blocks: int = Field(default=3, ge=0, le=48)
    feed_forward_ratio: int = Field(default=2, ge=1, le=8)
    """Inner width of the blocks' feed-forward part, over the width of tokens; published ViTs have 4."""
    pixel_patches: bool = False
    """Tokens are made of patches of 16 x 16 pixels too, as those of published ViTs are, whose weights then fit."""

    @model_validator(mode="after")
    def _even_heads(self) -> CameraConfig:
        if self.token_width % self.heads:
            raise ValueError(f"token_width in multiples of heads {self.heads}, not {self.token_width}")
        return self


@dataclass(frozen=True, kw_only=True, eq=False)
class CameraFeatures:
    """What the cameras of a batch give.

    Args:
        tokens: (B, N, h, w, D) image tokens, zeros for absent cameras.
        features: (B * N * h * w, C) rows of the maps at stride 8, zeros for absent cameras.
        depth_logits: (B * N * h * w, bins) how far along its ray each row sees something.

    """

    tokens: Tensor
    features: Tensor
    depth_logits: Tensor


class CameraEncoder(nn.Module):
    """Images to tokens and to features with a depth distribution.

    Attention stays inside a camera, so that cameras may be added and lost one by one. The depth distribution starts
    uniform, which lifts every feature along its whole ray alike (Philion and Fidler, Lift, Splat, Shoot, ECCV 2020).
    """

    def __init__(self, config: CameraConfig, batch: BatchConfig) -> None:
        super().__init__()
        self.feature_size, self.token_size = batch.feature_size, batch.token_size
        self.width, self.token_width, self.depth_bins = config.width, config.token_width, batch.depth_bins
        self.stem = nn.Sequential(
            # Even kernels at stride 2 keep each feature amid its pixels; odd ones would move it half a pixel a time.
            ConvNorm(3, config.stem_width // 2, kernel=4, stride=2),
            ConvNorm(config.stem_width // 2, config.stem_width, kernel=4, stride=2),
            Bottleneck(config.stem_width, config.stem_width // 2),
            ConvNorm(config.stem_width, config.width, kernel=4, stride=2),
            Bottleneck(config.width, config.width // 2),
            Bottleneck(config.width, config.width // 2),
        )
        self.patches = nn.Conv2d(config.width, config.token_width, 2, 2)
        self.position = RayPosition(config.token_width)
        self.pixel_patches = PixelPatches(config.token_width, self.token_size) if config.pixel_patches else None
        inner = config.feed_forward_ratio * config.token_width
        blocks = [ViTBlock(config.token_width, config.heads, inner) for _ in range(config.blocks)]
        self.blocks = nn.Sequential(*blocks, nn.LayerNorm(config.token_width))
        self.lateral = Pointwise(config.token_width, config.width)
        self.merge = nn.Sequential(ConvNorm(config.width, config.width), Bottleneck(config.width, config.width // 2))
        self.depth = nn.Linear(config.width, batch.depth_bins)
        nn.init.zeros_(self.depth.weight)
        nn.init.zeros_(self.depth.bias)

    def forward(self, batch: SensorBatch) -> CameraFeatures:
        """See `CameraFeatures`; cameras that are absent cost nothing and change nothing."""
        count, slots = batch.camera_mask.shape
        if len(batch.images) == count * slots > 0:
            return self._of_all(batch)
        rows = self.feature_size[0] * self.feature_size[1]
        zeros = batch.ray_directions.new_zeros
        tokens = zeros(count * slots, self.token_size[0] * self.token_size[1], self.token_width)
        features = zeros(count * slots, rows, self.width)
        depth = zeros(count * slots, rows, self.depth_bins)
        if len(batch.images):
            directions = coarser_rays(batch.ray_directions.flatten(0, 1)[batch.camera_slots]).flatten(1, 2)
            origins_m = batch.ray_origins_m.flatten(0, 1)[batch.camera_slots]
            seen, seen_features = self._encoded(batch.images, directions, origins_m)
            tokens = tokens.index_copy(0, batch.camera_slots, seen.to(tokens.dtype))
            features = features.index_copy(0, batch.camera_slots, seen_features.to(features.dtype))
            depth = depth.index_copy(0, batch.camera_slots, self.depth(seen_features).to(depth.dtype))
        return CameraFeatures(
            tokens=tokens.unflatten(1, self.token_size).unflatten(0, (count, slots)),
            features=features.flatten(0, 1),
            depth_logits=depth.flatten(0, 1),
        )

    def _of_all(self, batch: SensorBatch) -> CameraFeatures:
        """The same where every slot delivered: slots are in order, and nothing need be put in its place."""
        directions = coarser_rays(batch.ray_directions.flatten(0, 1)).flatten(1, 2)
        tokens, features = self._encoded(batch.images, directions, batch.ray_origins_m.flatten(0, 1))
        return CameraFeatures(
            tokens=tokens.unflatten(1, self.token_size).unflatten(0, batch.camera_mask.shape),
            features=features.flatten(0, 1),
            depth_logits=self.depth(features).flatten(0, 1),
        )

    def _encoded(self, images: Tensor, directions: Tensor, origins_m: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.stem(normalized(images))  # (M, C, h, w) at stride 8
        tokens = self.patches(fine).flatten(2).transpose(1, 2) + self.position(directions, origins_m)
        if self.pixel_patches is not None:
            tokens = tokens + self.pixel_patches(images)
        tokens = self.blocks(tokens)  # (M, T, D)
        coarse = self.lateral(tokens.transpose(1, 2).unflatten(2, self.token_size))
        coarse = nn.functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
        return tokens, self.merge(fine + coarse).flatten(2).transpose(1, 2)


def normalized(images: Tensor) -> Tensor:
    """Pictures (M, 3, H, W) uint8 as logarithms of brightness, each picture with mean 0 and spread 1 of its own.

    What a thing looks like then hangs little on how much light there is: day and night differ by their noise.
    """
    pixels = images.permute(0, 2, 3, 1)  # as they lie in memory
    # Looked up: of 256 logarithms each is computed once.
    table = (torch.arange(256, device=images.device) / 255 + DARKEST).log()
    bright = table.index_select(0, pixels.flatten().int()).view(pixels.shape)
    spread, mean = torch.std_mean(bright.flatten(1), dim=1)  # along memory: ten times faster
    even = (bright - mean[:, None, None, None]) / spread.clamp(min=LEAST_SPREAD)[:, None, None, None]
    return even.permute(0, 3, 1, 2)
