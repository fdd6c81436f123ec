"""Co-attention: the tokens of the grid and those of the pictures attend to each other before queries see either."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from tricast.perception.fusion.query_decoder import ImagePlaces, Tokens
from tricast.perception.layers.attention import Attention, FeedForward

LOOKING_HEIGHT_M = 1.0
"""Of the point above each cell of the grid at which it is aimed from the pictures."""


class CoAttentionBlock(nn.Module):
    """Each stream asks, the other one answers, both at once; then a feed-forward part each.

    The grid's tokens may attend to nothing, which is all there is where no camera delivered.
    Source: Lu et al., ViLBERT, NeurIPS 2019 (co-attentional transformer layers).
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ground_norm, self.image_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ground_asks, self.images_ask = Attention(width, heads), Attention(width, heads)
        self.nothing = nn.Parameter(torch.zeros(width))
        self.ground_feed_norm, self.image_feed_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.ground_feed, self.image_feed = FeedForward(width, 2 * width), FeedForward(width, 2 * width)

    def forward(
        self, ground: Tensor, images: Tensor, positions: tuple[Tensor, Tensor], aim: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One exchange.

        Args:
            ground: (B, T', D).
            images: (B, T'', D); those of absent cameras are asked by nobody.
            positions: Of both, (T', D) or (B, T', D), and (B, T'', D).
            aim: Logits (B, T', T'') of pairs, minus infinity for a token of an absent camera.

        Returns:
            Both streams.

        """
        asking, shown, keys = self._ready(ground, images, positions)
        ground = ground + self.ground_asks(asking, keys, keys, _with_nothing(aim))
        if shown.shape[1]:
            images = images + self.images_ask(shown, asking, asking, _turned(aim))
            images = images + self.image_feed(self.image_feed_norm(images))
        return ground + self.ground_feed(self.ground_feed_norm(ground)), images

    def weights(
        self, ground: Tensor, images: Tensor, positions: tuple[Tensor, Tensor], aim: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The attention that `forward` computes, means over heads: (B, T', 1 + T''), nothing first; (B, T'', T')."""
        asking, shown, keys = self._ready(ground, images, positions)
        of_ground = self.ground_asks.weights(asking, keys, _with_nothing(aim)).mean(dim=1)
        return of_ground, self.images_ask.weights(shown, asking, _turned(aim)).mean(dim=1)

    def _ready(self, ground: Tensor, images: Tensor, positions: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        asking = self.ground_norm(ground) + positions[0]
        shown = self.image_norm(images) + positions[1]
        return asking, shown, torch.cat([self.nothing.expand(len(ground), 1, -1), shown], dim=1)


def _with_nothing(aim: Tensor) -> Tensor:
    return functional.pad(aim, (1, 0))[:, None]


def _turned(aim: Tensor) -> Tensor:
    """Logits (B, 1, T'', T') of pictures that ask the grid; tokens of absent cameras ask too, and nobody listens."""
    return aim.transpose(1, 2).nan_to_num(neginf=0.0)[:, None]


class CoAttention(nn.Module):
    """Some exchanges between the two streams, and what the grid learns of them brought back to its maps.

    The correction to the maps is zero at first.
    """

    def __init__(self, width: int, heads: int, blocks: int, trunk_width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(CoAttentionBlock(width, heads) for _ in range(blocks))
        self.to_coarse, self.to_trunk = nn.Linear(width, 2 * trunk_width), nn.Linear(width, trunk_width)
        for back in (self.to_coarse, self.to_trunk):
            nn.init.zeros_(back.weight)
            nn.init.zeros_(back.bias)

    def forward(self, tokens: Tensor, places: Tokens) -> tuple[Tensor, Tensor, Tensor]:
        """Exchange.

        Args:
            tokens: (B, T, D) values of both streams, those of the grid first.
            places: Where they are.

        Returns:
            The values after (B, T, D), and corrections to the coarse map (B, 2C, Y/2, X/2) and to the trunk
            (B, C, Y, X).

        """
        streams, positions, aim = _streams(tokens, places)
        for block in self.blocks:
            streams = block(*streams, positions, aim)
        side = round(len(places.bev_places_m) ** 0.5)
        coarse, trunk = (back(streams[0]).transpose(1, 2).unflatten(2, (side, side)) for back in self._back())
        return torch.cat(streams, dim=1), coarse, functional.interpolate(trunk, scale_factor=2.0, mode="nearest")

    def origins(self, tokens: Tensor, places: Tokens) -> Tensor:
        """Of which tokens (B, T, T) each token is made after the exchanges; rows sum to 1.

        Half of a token stays its own in every exchange and half is what it attends to; what goes to nothing stays its
        own too. Source: attention rollout (Abnar and Zuidema, ACL 2020).
        """
        streams, positions, aim = _streams(tokens, places)
        ground, count = streams[0].shape[1], tokens.shape[1]
        origins = torch.eye(count, device=tokens.device).expand(len(tokens), -1, -1)
        for block in self.blocks:
            of_ground, of_images = block.weights(*streams, positions, aim)  # type: ignore[operator]
            mix = torch.eye(count, device=tokens.device).repeat(len(tokens), 1, 1) / 2
            mix[:, :ground, ground:] += of_ground[:, :, 1:] / 2
            mix[:, :ground, :ground] += torch.diag_embed(of_ground[:, :, 0]) / 2
            mix[:, ground:, :ground] += of_images / 2
            origins = mix @ origins
            streams = block(*streams, positions, aim)
        return origins

    def _back(self) -> tuple[nn.Linear, nn.Linear]:
        return self.to_coarse, self.to_trunk


def with_values(tokens: Tokens, values: Tensor) -> Tokens:
    """The same tokens with other content, at the same places."""
    return replace(tokens, keys=values + (tokens.keys - tokens.values), values=values)


def _streams(tokens: Tensor, places: Tokens) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor]:
    """Both streams, the positions of both, and the logits of pairs (B, T', T'')."""
    assert places.images is not None, "co-attention without pictures"
    ground = len(places.bev_places_m)
    position = places.keys - places.values
    return (
        (tokens[:, :ground], tokens[:, ground:]),
        (position[:, :ground], position[:, ground:]),
        _aim(places.bev_places_m, places.images, len(tokens)),
    )


def _aim(places_m: Tensor, images: ImagePlaces, batch: int) -> Tensor:
    points_m = functional.pad(places_m, (0, 1), value=LOOKING_HEIGHT_M)
    return images.bias(points_m.expand(batch, -1, -1))
