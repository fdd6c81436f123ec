"""Networks whose sensors meet on one grid: queries attend to that alone, or to pictures and returns as well.

Letters in shapes: B batch, N cameras, T tokens, Q queries, D width, C channels, K modes, Y and X cells.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from tricast.perception.batch import SensorBatch
from tricast.perception.fusion.co_attention import CoAttention, with_values
from tricast.perception.fusion.concatenation import Concatenation
from tricast.perception.fusion.learned_seeding import LearnedSeeding
from tricast.perception.fusion.memory_look import MemoryTokenizer
from tricast.perception.fusion.picture_look import pictures_of
from tricast.perception.fusion.point_look import near_points
from tricast.perception.fusion.query_decoder import QueryDecoder, Sights, Tokenizer, Tokens
from tricast.perception.fusion.query_seeding import QuerySeeding
from tricast.perception.fusion.radar_look import near_radar
from tricast.perception.fusion.trunk import Trunk
from tricast.perception.fusion.weighted_mean import WeightedMean
from tricast.perception.heads.detection import BoxPrior
from tricast.perception.heads.heatmap import AuxiliaryHeatmap, HeatmapHead
from tricast.perception.heads.trajectory import TrajectoryHead
from tricast.perception.layers.convolution import Pointwise
from tricast.perception.model import ModelConfig, Network, Seeding, Seen
from tricast.perception.query_memory import ObjectNotes, Recalled
from tricast.perception.query_outputs import QueryOutputs, TrainingSeeds
from tricast.sensors.annotations import DETECTION_CLASSES


class OneGridFusion(Network):
    """What the networks of this file share; the parts' names and order are those of the weights that are about."""

    beyond_the_grid: ClassVar[bool]
    """Whether queries also attend to image tokens, and look into pictures and at returns of LiDARs and radars."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        grid, width, decoder = config.batch, config.width, config.decoder
        self.fusion = WeightedMean(width) if config.grid_fusion == "weighted_mean" else Concatenation(width)
        self.trunk = Trunk(width, config.trunk_blocks)
        self.heatmap_head = HeatmapHead(width, config.lidar.fine_width, config.heatmap_width)
        self.footprint_head = Pointwise(config.heatmap_width, len(DETECTION_CLASSES) + 1)
        self.camera_heatmap, self.radar_heatmap = AuxiliaryHeatmap(width), AuxiliaryHeatmap(width)
        self.seeding = _seeding(config)
        self.prior = BoxPrior()
        token_width = config.camera.token_width if self.beyond_the_grid else None
        self.tokenizer = Tokenizer(2 * width, token_width, decoder.width, grid.cells // 2, grid.range_m)
        self.picture_head = nn.Linear(config.camera.width, len(DETECTION_CLASSES) + 1)
        shapes = decoder.points.width + 1
        self.shape_head = nn.Linear(shapes, len(DETECTION_CLASSES)) if self.beyond_the_grid else None
        self.memory_tokenizer = MemoryTokenizer(decoder.width) if config.memory.objects else None
        ticks = len(config.memory.lags_s) if config.memory.objects else 0
        image_width = config.camera.width if self.beyond_the_grid else None
        beyond = self.beyond_the_grid
        self.decoder = QueryDecoder(decoder, grid.range_m, image_width, ticks, points=beyond, radar=beyond)
        self.trajectory_head = TrajectoryHead(decoder.width)

    def look(
        self,
        batch: SensorBatch,
        recalled: Recalled | None,
        seeds: TrainingSeeds | None = None,
        *,
        with_attention: bool = False,
    ) -> tuple[QueryOutputs, ObjectNotes | None]:
        """See `Network.look`."""
        seen = self.encoded(batch)  # of each sensor bev (B, C, Y, X); camera tokens (B, N, h, w, D), LiDAR fine map
        fused = self.fusion(seen.bevs, seen.observed, batch.present)  # (B, C, Y, X)
        trunk, coarse = self.trunk(fused)  # (B, C, Y, X), (B, 2C, Y/2, X/2)
        rays, origins_m = batch.ray_directions, batch.ray_origins_m
        tokens = self.tokenizer(coarse, seen.camera.tokens, batch.camera_mask, rays, origins_m)  # (B, T, D)
        trunk, coarse, tokens, made_of = self._exchanged(trunk, coarse, tokens, with_attention)
        heatmap, fine = self.heatmap_head(trunk, seen.lidar.fine)  # (B, classes, 2Y, 2X), (B, F, 2Y, 2X)
        cells, classes, mask = self._starts(self.seeding, heatmap, seeds)  # (B, Q) each
        queries, places_m = self.seeding((fine, trunk, coarse), cells, classes)  # (B, Q, D), (B, Q, 2)
        num_seeded, prior = self.config.decoder.queries, self.prior(places_m, classes)
        sights = self._sights(batch, seen, cells, recalled)
        decoded = self.decoder(queries, prior, tokens, sights, mask, num_seeded, with_attention=with_attention)
        # Decoded: queries (B, Q, D), boxes of every layer.
        points, log_scales, logits = self.trajectory_head(decoded.queries, decoded.layers[-1])  # (B, Q, K, 12, 2)
        outputs = QueryOutputs(
            heatmap=heatmap,
            query_cells=cells,
            query_classes=classes,
            query_mask=mask,
            num_seeded=num_seeded,
            layers=decoded.layers,
            mode_points_m=points,
            mode_log_scales=log_scales,
            mode_logits=logits,
            from_peaks=self.seeding.from_peaks,
            camera_heatmap=self._auxiliary(self.camera_heatmap, seen.bevs[0], batch.with_camera),
            radar_heatmap=self._auxiliary(self.radar_heatmap, seen.bevs[2], batch.with_radar),
            footprint_logits=self.footprint_head(fine) if self.training else None,
            picture_logits=self.picture_head(seen.camera.features) if self.training else None,
            depth_logits=seen.camera.depth_logits if self.training else None,
            shape_logits=self._of_shapes(decoded.shapes),
            attention=tuple(w if made_of is None else w @ made_of[:, None] for w in decoded.attention),
            grid_shares=self.fusion.shares(seen.bevs, batch.present) if with_attention else None,
        )
        return outputs, self._notes(outputs, decoded.queries)

    def _sights(self, batch: SensorBatch, seen: Seen, cells: Tensor, recalled: Recalled | None) -> Sights:
        """What queries in `cells` (B, Q) look at."""
        memory = self.memory_tokenizer(recalled) if self.memory_tokenizer is not None and recalled else None
        if not self.beyond_the_grid:
            return Sights(pictures=None, points=None, radar=None, memory=memory)
        grid, decoder = self.config.batch, self.config.decoder
        side, range_m = grid.heatmap_cells, grid.range_m
        rays, origins_m = batch.ray_directions, batch.ray_origins_m
        return Sights(
            pictures=pictures_of(seen.camera.features, rays, origins_m, batch.camera_mask),
            points=near_points(batch, cells, decoder.points, side, range_m),
            radar=near_radar(batch, cells, decoder.radar, side, range_m),
            memory=memory,
        )

    def _exchanged(
        self, trunk: Tensor, coarse: Tensor, tokens: Tokens, with_origins: bool
    ) -> tuple[Tensor, Tensor, Tokens, Tensor | None]:
        """Maps and tokens as they are; and of which tokens (B, T, T) they are made, where it is not themselves."""
        return trunk, coarse, tokens, None

    def _of_shapes(self, shapes: Tensor | None) -> Tensor | None:
        return None if shapes is None or self.shape_head is None or not self.training else self.shape_head(shapes)


class CrossAttentionFusion(OneGridFusion):
    """Queries attend to the grid and to image tokens, look up pictures and returns: to every sensor as it is.

    Source: FUTR3D (Chen et al., 2022) and CMT (Yan et al., ICCV 2023) attend to all sensors; the grid gives the peaks.
    """

    beyond_the_grid = True


class EarlyFusion(OneGridFusion):
    """Features meet on the grid, and nothing later sees a sensor apart. Source: BEVFusion (Liu et al., ICRA 2023)."""

    beyond_the_grid = False


class CoAttentionFusion(OneGridFusion):
    """Tokens of the grid and of the pictures attend to each other, then queries to both as in cross-attention.

    Source: two streams as in ViLBERT (Lu et al., NeurIPS 2019).
    """

    beyond_the_grid = True

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        decoder = config.decoder
        self.co_attention = CoAttention(decoder.width, decoder.heads, config.co_attention_blocks, config.width)

    def _exchanged(
        self, trunk: Tensor, coarse: Tensor, tokens: Tokens, with_origins: bool
    ) -> tuple[Tensor, Tensor, Tokens, Tensor | None]:
        """Both streams after their exchanges, and what the grid learned added to its maps."""
        values, to_coarse, to_trunk = self.co_attention(tokens.values, tokens)
        origins = self.co_attention.origins(tokens.values, tokens) if with_origins else None
        return trunk + to_trunk, coarse + to_coarse, with_values(tokens, values), origins


def _seeding(config: ModelConfig) -> Seeding:
    """Peaks of the heatmap, or learned places."""
    grid, decoder = config.batch, config.decoder
    widths = (config.heatmap_width, config.width, 2 * config.width)
    if decoder.starts == "learned":
        return LearnedSeeding(widths, decoder.width, grid.heatmap_cells, grid.range_m, decoder.queries)
    return QuerySeeding(widths, decoder.width, grid.heatmap_cells, grid.range_m)
