"""Decoder: queries attend to each other, then to BEV and image tokens, and correct their boxes layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tricast.configs.strict import StrictConfig
from tricast.perception.fusion.memory_look import MemoryLook, MemoryTokens
from tricast.perception.fusion.near_returns import NearReturns
from tricast.perception.fusion.picture_look import PictureLook, Pictures
from tricast.perception.fusion.point_look import PointLook, PointLookConfig
from tricast.perception.fusion.radar_look import RadarLook, RadarLookConfig
from tricast.perception.heads.detection import DetectionHead
from tricast.perception.layers.attention import Attention, FeedForward
from tricast.perception.layers.positions import FourierPosition, RayPosition, coarser_rays
from tricast.perception.query_outputs import LayerOutputs

BEV_SPREAD_M = 4.0
RAY_SPREAD_RAD = 0.25
"""Widths of the Gaussians that draw attention to where a query is, on the ground and in the pictures."""


class DecoderConfig(StrictConfig):
    """Size of the decoder."""

    width: int = Field(default=128, ge=8, le=2048)
    heads: int = Field(default=4, ge=1, le=64)
    layers: int = Field(default=2, ge=0, le=12)
    queries: int = Field(default=200, ge=1, le=2000)
    starts: Literal["heatmap", "learned"] = "heatmap"
    """Queries begin at the peaks of the heatmap, or at places and with features that are learned and always the same
    (Carion et al., DETR, ECCV 2020)."""
    points: PointLookConfig = PointLookConfig()
    radar: RadarLookConfig = RadarLookConfig()

    @model_validator(mode="after")
    def _even_heads(self) -> DecoderConfig:
        if self.width % self.heads:
            raise ValueError(f"width in multiples of heads {self.heads}, not {self.width}")
        return self


@dataclass(frozen=True, kw_only=True, eq=False)
class Sights:
    """What queries look at where they are, besides the tokens; None of what they do not.

    Args:
        pictures: Where to look what is at a centre.
        points: LiDAR returns around each query.
        radar: Radar returns around each query.
        memory: What is remembered.

    """

    pictures: Pictures | None
    points: NearReturns | None
    radar: NearReturns | None
    memory: MemoryTokens | None


@dataclass(frozen=True, kw_only=True, eq=False)
class ImagePlaces:
    """Where image tokens look, camera by camera.

    Args:
        valid: (B, N * T'') bool; False: a token of an absent camera.
        ray_directions: (B, N, T'', 3).
        ray_origins_m: (B, N, 3).

    """

    valid: Tensor
    ray_directions: Tensor
    ray_origins_m: Tensor

    def bias(self, centers_m: Tensor) -> Tensor:
        """Logits (B, Q, N * T'') to add for centres (B, Q, 3): Gaussians of angles, minus infinity where absent."""
        sight = nn.functional.normalize(centers_m[:, None] - self.ray_origins_m[:, :, None], dim=3)  # (B, N, Q, 3)
        cosine = sight @ self.ray_directions.transpose(2, 3)  # (B, N, Q, T'')
        aimed = (cosine.transpose(1, 2).flatten(2) - 1) / RAY_SPREAD_RAD**2
        absent = torch.zeros_like(self.valid, dtype=aimed.dtype).masked_fill(~self.valid, float("-inf"))
        return aimed + absent[:, None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Tokens:
    """What queries attend to.

    Args:
        keys: (B, T, D) with positions.
        values: (B, T, D) without.
        bev_places_m: (T', 2) centres of the BEV tokens, the first T' of T.
        images: Where the rest of the tokens look; None of queries that attend to the grid alone.

    """

    keys: Tensor
    values: Tensor
    bev_places_m: Tensor
    images: ImagePlaces | None

    def bias(self, centers_m: Tensor) -> Tensor:
        """Logits (B, 1, Q, T) to add: Gaussians around each query's centre (B, Q, 3), minus infinity where absent.

        Source: spatially modulated co-attention (Gao et al., ICCV 2021), here in metres and in angles between rays.
        """
        # Squared distances multiplied out, as one matrix product with all that a token or a query adds on its own.
        scale, places = 1 / BEV_SPREAD_M**2, centers_m[..., :2]
        own = -0.5 * scale * (places**2).sum(dim=2, keepdim=True)  # (B, Q, 1)
        others = (-0.5 * scale * (self.bev_places_m**2).sum(dim=1)).expand(len(places), 1, -1)
        near = torch.baddbmm(others, places, self.bev_places_m.T.expand(len(places), -1, -1), alpha=scale) + own
        return (near if self.images is None else torch.cat([near, self.images.bias(centers_m)], dim=2))[:, None]


class Tokenizer(nn.Module):
    """BEV cells and image tokens as one list; without the width of the latter, BEV cells alone."""

    def __init__(self, bev_width: int, image_width: int | None, width: int, cells: int, range_m: float) -> None:
        super().__init__()
        axis = (torch.arange(cells) + 0.5) * (2 * range_m / cells) - range_m
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        self.register_buffer("places_m", torch.stack([x, y], dim=2).reshape(-1, 2), persistent=False)
        self.bev = nn.Linear(bev_width, width)
        self.image = nn.Linear(image_width, width) if image_width else None
        self.bev_position = FourierPosition(width, range_m)
        self.image_position = RayPosition(width) if image_width else None
        self.bev_norm, self.image_norm = nn.LayerNorm(width), nn.LayerNorm(width) if image_width else None

    def forward(self, bev: Tensor, image: Tensor, camera_mask: Tensor, rays: Tensor, origins_m: Tensor) -> Tokens:
        """Join. Four neighbouring image tokens become one, which halves the work of attention.

        Args:
            bev: (B, C, Y, X).
            image: (B, N, h, w, D).
            camera_mask: (B, N) bool.
            rays: (B, N, 2h, 2w, 3), unit directions of the image features.
            origins_m: (B, N, 3).

        """
        places_m = self.get_buffer("places_m")
        on_ground = self.bev_norm(self.bev(bev.flatten(2).transpose(1, 2)))
        keys = on_ground + self.bev_position(places_m)
        if self.image is None or self.image_position is None or self.image_norm is None:
            return Tokens(keys=keys, values=on_ground, bev_places_m=places_m, images=None)
        rays = coarser_rays(coarser_rays(rays)).flatten(2, 3)  # (B, N, T'', 3)
        in_pictures = self.image_norm(self.image(_pooled(image)))
        position = self.image_position(rays.flatten(0, 1), origins_m.flatten(0, 1)).unflatten(0, camera_mask.shape)
        valid = camera_mask.repeat_interleave(in_pictures.shape[2], dim=1)
        return Tokens(
            keys=torch.cat([keys, (in_pictures + position).flatten(1, 2)], dim=1),
            values=torch.cat([on_ground, in_pictures.flatten(1, 2)], dim=1),
            bev_places_m=places_m,
            images=ImagePlaces(valid=valid, ray_directions=rays, ray_origins_m=origins_m),
        )


def _pooled(tokens: Tensor) -> Tensor:
    """Means of 2 x 2 neighbours: (B, N, h, w, D) to (B, N, h * w / 4, D); odd last rows and columns are left out."""
    batch, cameras, rows, columns, width = tokens.shape
    rows, columns = rows // 2, columns // 2
    # One axis after the other: both at once are ten times slower, here and in OpenVINO.
    beside = tokens[:, :, : 2 * rows, : 2 * columns].reshape(-1, 2, width).mean(dim=1)
    return beside.view(-1, 2, columns * width).mean(dim=1).view(batch, cameras, rows * columns, width)


class DecoderLayer(nn.Module):
    """Pre-norm self-attention, cross-attention and feed-forward, then corrections to the boxes."""

    def __init__(self, config: DecoderConfig, image_width: int | None, memory_ticks: int) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        self.self_norm, self.cross_norm, self.feed_norm = (nn.LayerNorm(width) for _ in range(3))
        self.self_attention = Attention(width, heads)
        self.cross_attention = Attention(width, heads)
        self.look = PictureLook(image_width, width) if image_width else None
        self.memory_look = MemoryLook(width, memory_ticks) if memory_ticks else None
        self.feed_forward = FeedForward(width, 2 * width)
        self.head = DetectionHead(width)

    def forward(
        self,
        queries: Tensor,
        position: Tensor,
        believed: LayerOutputs,
        tokens: Tokens,
        sights: Sights,
        apart: Tensor | None,
    ) -> tuple[Tensor, LayerOutputs]:
        """One round.

        Args:
            queries: (B, Q, D).
            position: (B, Q, D), the encoding of the queries' places.
            believed: Boxes so far, without gradient.
            tokens: What there is to attend to.
            sights: Of these the pictures, at the believed centres, and what is remembered.
            apart: Logits, broadcast to (B, heads, Q, Q), that keep groups of queries from each other.

        Returns:
            Better queries and boxes.

        """
        queries = self._among_themselves(queries, position, apart)
        asking = self.cross_norm(queries) + position
        queries = queries + self.cross_attention(asking, tokens.keys, tokens.values, tokens.bias(believed.centers_m))
        if self.look is not None and sights.pictures is not None:
            queries = queries + self.look(believed.centers_m, sights.pictures)
        if self.memory_look is not None and sights.memory is not None:
            queries = queries + self.memory_look(queries, believed.centers_m, sights.memory)
        queries = queries + self.feed_forward(self.feed_norm(queries))
        return queries, self.head(queries, believed)

    def attention(
        self, queries: Tensor, position: Tensor, believed: LayerOutputs, tokens: Tokens, apart: Tensor | None
    ) -> Tensor:
        """The weights (B, heads, Q, T) of the cross-attention that `forward` computes with the same arguments."""
        asking = self.cross_norm(self._among_themselves(queries, position, apart)) + position
        return self.cross_attention.weights(asking, tokens.keys, tokens.bias(believed.centers_m))

    def _among_themselves(self, queries: Tensor, position: Tensor, apart: Tensor | None) -> Tensor:
        normed = self.self_norm(queries)
        return queries + self.self_attention(normed + position, normed + position, normed, apart)


@dataclass(frozen=True, kw_only=True, eq=False)
class Decoded:
    """What the decoder gives.

    Args:
        queries: (B, Q, D) after the last layer.
        layers: Boxes from the seeding features, then after each layer.
        shapes: (B, Q, W), of the LiDAR returns around each query; None where nobody looks at them.
        attention: Weights per layer, see `QueryOutputs`; empty unless asked for.

    """

    queries: Tensor
    layers: tuple[LayerOutputs, ...]
    shapes: Tensor | None
    attention: tuple[Tensor, ...]


class QueryDecoder(nn.Module):
    """A box straight from each query, then layers that correct it; every layer is trained (deep supervision).

    Source: Carion et al., DETR, ECCV 2020; corrections layer by layer as in Deformable DETR (Zhu et al., ICLR 2021).

    Args:
        config: Size.
        range_m: Half the grid's side.
        image_width: Of the image features that queries look up; None: they look into no picture.
        memory_ticks: How many remembered ticks they look at.
        points: Whether they look at the LiDAR's returns around them.
        radar: Whether they look at the radars'.

    """

    def __init__(
        self,
        config: DecoderConfig,
        range_m: float,
        image_width: int | None,
        memory_ticks: int,
        *,
        points: bool = True,
        radar: bool = True,
    ) -> None:
        super().__init__()
        self.first_look = PictureLook(image_width, config.width) if image_width else None
        self.point_look = PointLook(config.points, config.width) if points else None
        self.radar_look = RadarLook(config.radar, config.width) if radar else None
        self.memory_look = MemoryLook(config.width, memory_ticks) if memory_ticks else None
        self.first_head = DetectionHead(config.width)
        self.position = FourierPosition(config.width, range_m)
        self.layers = nn.ModuleList(DecoderLayer(config, image_width, memory_ticks) for _ in range(config.layers))

    def forward(
        self,
        queries: Tensor,
        prior: LayerOutputs,
        tokens: Tokens,
        sights: Sights,
        mask: Tensor,
        num_seeded: int,
        *,
        with_attention: bool = False,
    ) -> Decoded:
        """Decode.

        Args:
            queries: (B, Q, D).
            prior: What is believed of the boxes before anything was looked at.
            tokens: What there is to attend to.
            sights: What else there is to look at.
            mask: (B, Q) bool; nobody sees a query that is False.
            num_seeded: Queries from peaks; they and the rest do not see each other.
            with_attention: Also give the weights of the cross-attention.

        """
        apart = _apart(mask, num_seeded)
        shapes = None
        centers_m = prior.centers_m
        if self.first_look is not None and sights.pictures is not None:
            queries = queries + self.first_look(centers_m, sights.pictures)
        if self.point_look is not None and sights.points is not None:
            from_points, shapes = self.point_look(centers_m, sights.points)
            queries = queries + from_points
        if self.radar_look is not None and sights.radar is not None:
            queries = queries + self.radar_look(centers_m, sights.radar)
        if self.memory_look is not None and sights.memory is not None:
            queries = queries + self.memory_look(queries, centers_m, sights.memory)
        boxes = [self.first_head(queries, prior)]
        weights: list[Tensor] = []
        for layer in self.layers:
            believed = boxes[-1].detached()
            position = self.position(believed.centers_m[..., :2])
            if with_attention:
                weights.append(layer.attention(queries, position, believed, tokens, apart))  # type: ignore[operator]
            queries, better = layer(queries, position, believed, tokens, sights, apart)
            boxes.append(better)
        return Decoded(queries=queries, layers=tuple(boxes), shapes=shapes, attention=tuple(weights))


def _apart(mask: Tensor, num_seeded: int) -> Tensor | None:
    """Logits (B, 1, Q, Q) that hide padding and keep queries from peaks and from training seeds from each other."""
    count = mask.shape[1]
    if num_seeded == count:
        return None
    place = torch.arange(count, device=mask.device)
    same = (place < num_seeded)[:, None] == (place < num_seeded)
    visible = (same & mask[:, None]) | torch.eye(count, dtype=torch.bool, device=mask.device)
    return torch.zeros(visible.shape, device=mask.device).masked_fill(~visible, float("-inf"))[:, None]
