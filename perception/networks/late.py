"""The network whose sensors meet last: each has its own grid and heads, and what these decide is merged.

Letters in shapes: B batch, N cameras, Q queries, D width, C channels, K modes, Y and X cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tricast.configs.errors import InputError
from tricast.perception.batch import MODALITY_ORDER, SensorBatch
from tricast.perception.fusion.late_merge import LateMerge, Told, merged, merged_boxes
from tricast.perception.fusion.memory_look import MemoryTokenizer
from tricast.perception.fusion.picture_look import pictures_of
from tricast.perception.fusion.point_look import near_points
from tricast.perception.fusion.query_decoder import QueryDecoder, Sights, Tokenizer
from tricast.perception.fusion.query_seeding import QuerySeeding
from tricast.perception.fusion.radar_look import near_radar
from tricast.perception.fusion.trunk import Trunk
from tricast.perception.heads.detection import BoxPrior
from tricast.perception.heads.heatmap import AuxiliaryHeatmap, HeatmapHead
from tricast.perception.heads.trajectory import TrajectoryHead
from tricast.perception.layers.convolution import ConvNorm, Pointwise
from tricast.perception.model import ModelConfig, Network, Seen
from tricast.perception.query_memory import ObjectNotes, Recalled
from tricast.perception.query_outputs import QueryOutputs, TrainingSeeds
from tricast.sensors.annotations import DETECTION_CLASSES


@dataclass(frozen=True, kw_only=True, eq=False)
class SensorMaps:
    """What one sensor's heads make of its grid; zeros where it is absent.

    Args:
        heatmap: Logits (B, classes, 2Y, 2X).
        footprints: Logits (B, classes + 1, 2Y, 2X).
        features: To seed queries from, at the heatmap's resolution, at half and at a quarter of it.

    """

    heatmap: Tensor
    footprints: Tensor
    features: tuple[Tensor, Tensor, Tensor]

    @staticmethod
    def of(heatmap: Tensor, footprints: Tensor, fine: Tensor, trunk: Tensor, coarse: Tensor) -> SensorMaps:
        """From the maps one by one."""
        return SensorMaps(heatmap=heatmap, footprints=footprints, features=(fine, trunk, coarse))


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """The queries that the heads of every sensor answer, and what they look at.

    Args:
        cells: (B, Q) int64 of the heatmap.
        classes: (B, Q) int64.
        mask: (B, Q) bool.
        num_seeded: So many come from peaks.
        sights: What there is to look at; each sensor's heads look at its own, and at the memory.

    """

    cells: Tensor
    classes: Tensor
    mask: Tensor
    num_seeded: int
    sights: Sights


LIDAR = MODALITY_ORDER.index("lidar")


class SensorHeads(nn.Module):
    """One sensor's way from its grid to boxes and futures, as if there were no other.

    Queries of the camera attend to image tokens too and look into pictures, those of LiDAR and radar look at returns.
    """

    def __init__(self, config: ModelConfig, sensor: str) -> None:
        super().__init__()
        grid, width, decoder = config.batch, config.width, config.decoder
        camera, lidar, radar = (sensor == name for name in MODALITY_ORDER)
        ticks = len(config.memory.lags_s) if config.memory.objects else 0
        self.join = ConvNorm(width + 1, width)
        self.trunk = Trunk(width, config.trunk_blocks)
        self.heatmap_head = HeatmapHead(width, config.lidar.fine_width if lidar else None, config.heatmap_width)
        self.footprint_head = Pointwise(config.heatmap_width, len(DETECTION_CLASSES) + 1)
        widths = (config.heatmap_width, width, 2 * width)
        self.seeding = QuerySeeding(widths, decoder.width, grid.heatmap_cells, grid.range_m)
        self.prior = BoxPrior()
        token_width = config.camera.token_width if camera else None
        self.tokenizer = Tokenizer(2 * width, token_width, decoder.width, grid.cells // 2, grid.range_m)
        image_width = config.camera.width if camera else None
        self.decoder = QueryDecoder(decoder, grid.range_m, image_width, ticks, points=lidar, radar=radar)
        self.confidence = nn.Linear(decoder.width, 1)
        self.trajectory_head = TrajectoryHead(decoder.width)

    def maps(self, bev: Tensor, observed: Tensor, fine: Tensor, slots: Tensor) -> SensorMaps:
        """Of the samples `slots` (S,) that have the sensor alone: statistics never see what is absent."""
        if len(slots) == len(bev):
            return SensorMaps.of(*self._maps(bev, observed, fine))
        width, side, classes = bev.shape[1], bev.shape[2], len(DETECTION_CLASSES)
        depths = (classes, classes + 1, self.footprint_head.in_channels, width, 2 * width)
        sides = (2 * side, 2 * side, 2 * side, side, side // 2)
        maps = [bev.new_zeros(len(bev), depth, s, s) for depth, s in zip(depths, sides, strict=True)]
        if len(slots):
            own = self._maps(bev[slots], observed[slots], fine[slots])
            maps = [zeros.index_copy(0, slots, values) for zeros, values in zip(maps, own, strict=True)]
        return SensorMaps.of(*maps)

    def tell(self, maps: SensorMaps, seen: Seen, batch: SensorBatch, asked: Asked) -> Told:
        """What the sensor makes of the common queries."""
        queries, places_m = self.seeding(maps.features, asked.cells, asked.classes)
        rays, origins_m = batch.ray_directions, batch.ray_origins_m
        tokens = self.tokenizer(maps.features[2], seen.camera.tokens, batch.camera_mask, rays, origins_m)
        prior = self.prior(places_m, asked.classes)
        decoded = self.decoder(queries, prior, tokens, asked.sights, asked.mask, asked.num_seeded)
        confidence = self.confidence(decoded.queries).squeeze(2)
        return Told(queries=decoded.queries, layers=decoded.layers, confidence=confidence, shapes=decoded.shapes)

    def _maps(self, bev: Tensor, observed: Tensor, fine: Tensor) -> tuple[Tensor, ...]:
        """Heatmap, footprints, and the three maps that queries are seeded from, fine to coarse."""
        trunk, coarse = self.trunk(self.join(torch.cat([bev, observed[:, None].to(bev.dtype)], dim=1)))
        heatmap, features = self.heatmap_head(trunk, fine)
        return heatmap, self.footprint_head(features), features, trunk, coarse


class LateFusion(Network):
    """Each sensor's heads look for objects in what it sees alone; heatmaps are merged into the peaks that all are asked
    about, and their boxes and futures of each peak into one. What is remembered is the merged.

    There is no attention over the sensors: `with_attention` is refused.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.sensor_heads = nn.ModuleList(SensorHeads(config, sensor) for sensor in MODALITY_ORDER)
        self.merge = LateMerge()
        self.camera_heatmap, self.radar_heatmap = AuxiliaryHeatmap(config.width), AuxiliaryHeatmap(config.width)
        self.picture_head = nn.Linear(config.camera.width, len(DETECTION_CLASSES) + 1)
        self.shape_head = nn.Linear(config.decoder.points.width + 1, len(DETECTION_CLASSES))
        self.memory_tokenizer = MemoryTokenizer(config.decoder.width) if config.memory.objects else None

    def look(
        self,
        batch: SensorBatch,
        recalled: Recalled | None,
        seeds: TrainingSeeds | None = None,
        *,
        with_attention: bool = False,
    ) -> tuple[QueryOutputs, ObjectNotes | None]:
        """See `Network.look`.

        Raises:
            InputError: Attention is asked for.

        """
        if with_attention:
            raise no_attention("with_attention")
        heads: tuple[SensorHeads, ...] = tuple(self.sensor_heads)  # type: ignore[arg-type]
        seen = self.encoded(batch)  # of each sensor bev (B, C, Y, X); camera features to look up, LiDAR fine map
        slots = (batch.with_camera, batch.with_lidar, batch.with_radar)
        inputs = zip(heads, seen.bevs, seen.observed, slots, strict=True)
        maps = [own.maps(bev, observed, seen.lidar.fine, rows) for own, bev, observed, rows in inputs]
        heatmap = self.merge.heatmap(tuple(m.heatmap for m in maps), batch.present)  # (B, classes, 2Y, 2X)
        cells, classes, mask = self._starts(heads[0].seeding, heatmap, seeds)  # (B, Q) each
        asked = self._asked(batch, seen, recalled, cells, classes, mask)
        told = [own.tell(own_maps, seen, batch, asked) for own, own_maps in zip(heads, maps, strict=True)]
        weights = self.merge.weights(tuple(word.confidence for word in told), batch.present)  # (B, Q, 3)
        layers = tuple(merged_boxes(boxes, weights) for boxes in zip(*(t.layers for t in told), strict=True))
        futures = [own.trajectory_head(word.queries, layers[-1]) for own, word in zip(heads, told, strict=True)]
        points, log_scales, logits = (merged(parts, weights) for parts in zip(*futures, strict=True))
        footprints = [m.footprints * there[:, None, None, None] for m, there in zip(maps, batch.present.T, strict=True)]
        shapes = told[LIDAR].shapes
        outputs = QueryOutputs(
            heatmap=heatmap,
            query_cells=cells,
            query_classes=classes,
            query_mask=mask,
            num_seeded=self.config.decoder.queries,
            layers=layers,
            mode_points_m=points,
            mode_log_scales=log_scales,
            mode_logits=logits,
            camera_heatmap=self._auxiliary(self.camera_heatmap, seen.bevs[0], batch.with_camera),
            radar_heatmap=self._auxiliary(self.radar_heatmap, seen.bevs[2], batch.with_radar),
            footprint_logits=torch.stack(footprints).sum(dim=0) if self.training else None,
            picture_logits=self.picture_head(seen.camera.features) if self.training else None,
            depth_logits=seen.camera.depth_logits if self.training else None,
            shape_logits=self.shape_head(shapes) if self.training and shapes is not None else None,
        )
        return outputs, self._notes(outputs, merged(tuple(word.queries for word in told), weights))

    def _asked(
        self, batch: SensorBatch, seen: Seen, recalled: Recalled | None, cells: Tensor, classes: Tensor, mask: Tensor
    ) -> Asked:
        """What all heads are asked, with whatever one of them looks at."""
        decoder, side, range_m = self.config.decoder, self.config.batch.heatmap_cells, self.config.batch.range_m
        rays, origins_m = batch.ray_directions, batch.ray_origins_m
        sights = Sights(
            pictures=pictures_of(seen.camera.features, rays, origins_m, batch.camera_mask),
            points=near_points(batch, cells, decoder.points, side, range_m),
            radar=near_radar(batch, cells, decoder.radar, side, range_m),
            memory=self.memory_tokenizer(recalled) if self.memory_tokenizer is not None and recalled else None,
        )
        return Asked(cells=cells, classes=classes, mask=mask, num_seeded=decoder.queries, sights=sights)


def no_attention(where: str) -> InputError:
    """What to tell somebody who asks late fusion for its attention."""
    return InputError(
        where=where,
        got="a network with fusion 'late', whose sensors never meet in attention",
        expected="fusion 'early', 'cross_attention' or 'co_attention'",
        remedy="leave it out, or give other weights",
    )
