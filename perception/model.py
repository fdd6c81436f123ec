"""The network: three sensors into one set of objects with futures.

Letters in shapes: B batch, N cameras, T tokens, Q queries, D width, C channels, K modes, Y and X cells.
"""

from __future__ import annotations

from dataclasses import fields

import torch
from pydantic import Field
from torch import Tensor, nn

from tricast.configs.strict import StrictConfig
from tricast.perception.batch import BatchConfig, SensorBatch
from tricast.perception.encoders.camera_vit import CameraConfig, CameraEncoder
from tricast.perception.encoders.lidar_pointnet import LidarConfig, LidarEncoder
from tricast.perception.encoders.radar_pointnet import RadarConfig, RadarEncoder
from tricast.perception.fusion.camera_lift import CameraLift
from tricast.perception.fusion.memory_look import MemoryTokenizer
from tricast.perception.fusion.picture_look import pictures_of
from tricast.perception.fusion.point_look import near_points
from tricast.perception.fusion.query_decoder import DecoderConfig, QueryDecoder, Tokenizer
from tricast.perception.fusion.query_seeding import QuerySeeding
from tricast.perception.fusion.trunk import Trunk
from tricast.perception.fusion.weighted_mean import WeightedMean
from tricast.perception.heads.detection import BoxPrior
from tricast.perception.heads.heatmap import AuxiliaryHeatmap, HeatmapHead, peaks_of
from tricast.perception.heads.trajectory import TrajectoryHead
from tricast.perception.layers.convolution import Pointwise, on_present
from tricast.perception.query_memory import MemoryConfig, ObjectNotes, QueryMemory, Recalled, notes_of
from tricast.perception.query_outputs import LayerOutputs, QueryOutputs, TrainingSeeds
from tricast.perception.tick_sample import SampleConfig
from tricast.sensors.annotations import DETECTION_CLASSES


class ModelConfig(StrictConfig):
    """The network's input and size; the defaults are the `tiny` configuration."""

    sample: SampleConfig = SampleConfig()
    batch: BatchConfig = BatchConfig()
    camera: CameraConfig = CameraConfig()
    lidar: LidarConfig = LidarConfig()
    radar: RadarConfig = RadarConfig()
    decoder: DecoderConfig = DecoderConfig()
    memory: MemoryConfig = MemoryConfig()
    width: int = Field(default=64, ge=4, le=1024)
    """Of the fused grid; encoders' grids have the same."""
    trunk_blocks: int = Field(default=2, ge=0, le=32)
    heatmap_width: int = Field(default=32, ge=4, le=1024)

    @property
    def kept(self) -> MemoryConfig:
        """The memory, of no more objects than there are queries."""
        return self.memory.model_copy(update={"objects": min(self.memory.objects, self.decoder.queries)})


class Network(nn.Module):
    """Cameras, LiDARs and radars, any of them missing, to object queries with boxes and futures."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        grid, width = config.batch, config.width
        self.camera_encoder = CameraEncoder(config.camera, grid)
        self.lidar_encoder = LidarEncoder(config.lidar.model_copy(update={"width": width}), grid)
        self.radar_encoder = RadarEncoder(config.radar.model_copy(update={"width": width}), grid)
        self.camera_lift = CameraLift(config.camera, grid, width)
        self.fusion = WeightedMean(width)
        self.trunk = Trunk(width, config.trunk_blocks)
        self.heatmap_head = HeatmapHead(width, config.lidar.fine_width, config.heatmap_width)
        self.footprint_head = Pointwise(config.heatmap_width, len(DETECTION_CLASSES) + 1)
        self.camera_heatmap, self.radar_heatmap = AuxiliaryHeatmap(width), AuxiliaryHeatmap(width)
        widths = (config.heatmap_width, width, 2 * width)
        self.seeding = QuerySeeding(widths, config.decoder.width, grid.heatmap_cells, grid.range_m)
        self.prior = BoxPrior()
        self.tokenizer = Tokenizer(
            2 * width, config.camera.token_width, config.decoder.width, grid.cells // 2, grid.range_m
        )
        self.picture_head = nn.Linear(config.camera.width, len(DETECTION_CLASSES) + 1)
        self.shape_head = nn.Linear(config.decoder.points.width + 1, len(DETECTION_CLASSES))
        self.memory_tokenizer = MemoryTokenizer(config.decoder.width) if config.memory.objects else None
        ticks = len(config.memory.lags_s) if config.memory.objects else 0
        self.decoder = QueryDecoder(config.decoder, grid.range_m, config.camera.width, ticks)
        self.trajectory_head = TrajectoryHead(config.decoder.width)

    def forward(
        self,
        batch: SensorBatch,
        memory: QueryMemory,
        seeds: TrainingSeeds | None = None,
        *,
        with_attention: bool = False,
    ) -> tuple[QueryOutputs, QueryMemory]:
        """Detect and forecast.

        Args:
            batch: What the sensors of B samples delivered.
            memory: What earlier ticks left; `QueryMemory()` at the start.
            seeds: Extra queries in training.
            with_attention: Also give the weights of the decoder's cross-attention and each sensor's part in the grid.

        Returns:
            Outputs, and the memory for the next tick. Nothing else changes.

        """
        outputs, notes = self.look(batch, self.recalled(batch, memory), seeds, with_attention=with_attention)
        return outputs, self.remembering(batch, memory, notes)

    def recalled(self, batch: SensorBatch, memory: QueryMemory) -> Recalled | None:
        """What the network is told of earlier ticks; None of a network without memory."""
        config = self.config.kept
        if not config.objects:
            return None
        return memory.recalled(batch.timestamps_ns, batch.odom_from_ego, config, self.config.decoder.width)

    def remembering(self, batch: SensorBatch, memory: QueryMemory, notes: ObjectNotes | None) -> QueryMemory:
        """The memory after a tick."""
        if notes is None:
            return memory
        return memory.with_tick(notes, batch.timestamps_ns, batch.odom_from_ego, self.config.kept)

    def look(
        self,
        batch: SensorBatch,
        recalled: Recalled | None,
        seeds: TrainingSeeds | None = None,
        *,
        with_attention: bool = False,
    ) -> tuple[QueryOutputs, ObjectNotes | None]:
        """`forward` as a function of what is recalled, for fixed shapes; gives what is to be remembered of the tick.

        Without memory both are None.
        """
        camera = self.camera_encoder(batch)  # tokens (B, N, h, w, D), features to look up
        lidar = self.lidar_encoder(batch)  # bev (B, C, Y, X), fine (B, F, 2Y, 2X)
        radar = self.radar_encoder(batch)  # bev (B, C, Y, X)
        camera_bev, camera_observed = self.camera_lift(camera, batch)  # (B, C, Y, X)
        observed = (camera_observed, lidar.observed, radar.observed)
        fused = self.fusion((camera_bev, lidar.bev, radar.bev), observed, batch.present)  # (B, C, Y, X)
        trunk, coarse = self.trunk(fused)  # (B, C, Y, X), (B, 2C, Y/2, X/2)
        heatmap, fine = self.heatmap_head(trunk, lidar.fine)  # (B, classes, 2Y, 2X), (B, F, 2Y, 2X)
        cells, classes, mask = self._starts(heatmap, seeds)  # (B, Q) each
        queries, places_m = self.seeding((fine, trunk, coarse), cells, classes)  # (B, Q, D), (B, Q, 2)
        rays, origins_m = batch.ray_directions, batch.ray_origins_m
        tokens = self.tokenizer(coarse, camera.tokens, batch.camera_mask, rays, origins_m)  # (B, T, D)
        num_seeded, prior = self.config.decoder.queries, self.prior(places_m, classes)
        pictures = pictures_of(camera.features, rays, origins_m, batch.camera_mask)
        near = near_points(batch, cells, self.config.decoder.points, heatmap.shape[3], self.config.batch.range_m)
        remembered = self.memory_tokenizer(recalled) if self.memory_tokenizer is not None and recalled else None
        decoded = self.decoder(
            queries, prior, tokens, pictures, near, remembered, mask, num_seeded, with_attention=with_attention
        )
        # Decoded: queries (B, Q, D), boxes of every layer.
        points, log_scales, logits = self.trajectory_head(decoded.queries, decoded.layers[-1])  # (B, Q, K, 12, 2)
        outputs = QueryOutputs(
            heatmap=heatmap,
            camera_heatmap=self._auxiliary(self.camera_heatmap, camera_bev, batch.with_camera),
            radar_heatmap=self._auxiliary(self.radar_heatmap, radar.bev, batch.with_radar),
            query_cells=cells,
            query_classes=classes,
            query_mask=mask,
            num_seeded=num_seeded,
            layers=decoded.layers,
            mode_points_m=points,
            mode_log_scales=log_scales,
            mode_logits=logits,
            footprint_logits=self.footprint_head(fine) if self.training else None,
            picture_logits=self.picture_head(camera.features) if self.training else None,
            depth_logits=camera.depth_logits if self.training else None,
            shape_logits=self.shape_head(decoded.shapes) if self.training else None,
            attention=decoded.attention,
            grid_shares=self.fusion.shares((camera_bev, lidar.bev, radar.bev), batch.present)
            if with_attention
            else None,
        )
        return outputs, self._notes(outputs, decoded.queries)

    def _notes(self, outputs: QueryOutputs, queries: Tensor) -> ObjectNotes | None:
        """What is to be remembered of the queries (B, Q, D) that come from peaks."""
        if not self.config.memory.objects:
            return None
        last = outputs.layers[-1]
        from_peaks = LayerOutputs(**{f.name: getattr(last, f.name)[:, : outputs.num_seeded] for f in fields(last)})
        return notes_of(queries[:, : outputs.num_seeded], from_peaks, self.config.kept.objects)

    def _starts(self, heatmap: Tensor, seeds: TrainingSeeds | None) -> tuple[Tensor, Tensor, Tensor]:
        """Cells, classes and mask (B, Q) of the queries: peaks, then training seeds."""
        peaks = peaks_of(heatmap, self.config.decoder.queries)
        mask = torch.ones_like(peaks.cells, dtype=torch.bool)
        if seeds is None:
            return peaks.cells, peaks.classes, mask
        cells = torch.cat([peaks.cells, seeds.cells], dim=1)
        return cells, torch.cat([peaks.classes, seeds.classes], dim=1), torch.cat([mask, seeds.mask], dim=1)

    def _auxiliary(self, head: nn.Module, bev: Tensor, slots: Tensor) -> Tensor | None:
        return (
            on_present(head, bev, slots, (len(DETECTION_CLASSES), bev.shape[2], bev.shape[3]))
            if self.training
            else None
        )
