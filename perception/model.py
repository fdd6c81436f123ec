"""The network: three sensors into one set of objects with futures; its classes in `networks/` differ in the fusion.

Letters in shapes: B batch, N cameras, T tokens, Q queries, D width, C channels, K modes, Y and X cells.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from tricast.configs.strict import StrictConfig
from tricast.perception.batch import BatchConfig, SensorBatch
from tricast.perception.encoders.camera_vit import CameraConfig, CameraEncoder, CameraFeatures
from tricast.perception.encoders.lidar_pointnet import LidarConfig, LidarEncoder, LidarFeatures
from tricast.perception.encoders.radar_pointnet import RadarConfig, RadarEncoder, RadarFeatures
from tricast.perception.fusion.camera_lift import CameraLift
from tricast.perception.fusion.learned_seeding import LearnedSeeding
from tricast.perception.fusion.query_decoder import DecoderConfig
from tricast.perception.fusion.query_seeding import QuerySeeding
from tricast.perception.heads.alignment import AlignmentConfig, AlignmentHeads
from tricast.perception.layers.convolution import on_present
from tricast.perception.query_memory import MemoryConfig, ObjectNotes, QueryMemory, Recalled, notes_of
from tricast.perception.query_outputs import LayerOutputs, QueryOutputs, TrainingSeeds
from tricast.perception.tick_sample import SampleConfig
from tricast.sensors.annotations import DETECTION_CLASSES

Seeding = QuerySeeding | LearnedSeeding
FusionName = Literal["early", "late", "cross_attention", "co_attention"]


class ModelConfig(StrictConfig):
    """The network's input and size; the defaults are the `tiny` configuration."""

    sample: SampleConfig = SampleConfig()
    batch: BatchConfig = BatchConfig()
    camera: CameraConfig = CameraConfig()
    lidar: LidarConfig = LidarConfig()
    radar: RadarConfig = RadarConfig()
    decoder: DecoderConfig = DecoderConfig()
    memory: MemoryConfig = MemoryConfig()
    fusion: FusionName = "cross_attention"
    """Where the sensors meet: on the grid alone (`early`), in the merging of what heads of each sensor decide (`late`),
    on the grid and in queries that attend to it, to pictures and to returns (`cross_attention`), or there after the
    tokens of grid and pictures have attended to each other (`co_attention`)."""
    grid_fusion: Literal["weighted_mean", "concatenation"] = "weighted_mean"
    """How the sensors' grids become one; `late` leaves them apart."""
    co_attention_blocks: int = Field(default=2, ge=1, le=12)
    """Of `co_attention`."""
    alignment: AlignmentConfig = AlignmentConfig()
    width: int = Field(default=64, ge=4, le=1024)
    """Of the fused grid; encoders' grids have the same."""
    trunk_blocks: int = Field(default=2, ge=0, le=32)
    heatmap_width: int = Field(default=32, ge=4, le=1024)

    @property
    def kept(self) -> MemoryConfig:
        """The memory, of no more objects than there are queries."""
        return self.memory.model_copy(update={"objects": min(self.memory.objects, self.decoder.queries)})

    @model_validator(mode="after")
    def _fitting(self) -> ModelConfig:
        if self.fusion == "late" and self.decoder.starts == "learned":
            raise ValueError(
                "decoder.starts 'learned' with fusion 'late', which merges what its heads find from one peak: "
                "choose 'heatmap', or another fusion"
            )
        for name, encoder in (("lidar", self.lidar), ("radar", self.radar)):
            if encoder.width not in (self.width, type(encoder)().width):
                raise ValueError(
                    f"{name}.width of {self.width}, as model.width says, not {encoder.width}: leave it out, all grids "
                    "have the same width"
                )
        if self.batch.range_m > self.sample.range_m:
            raise ValueError(
                f"sample.range_m of at least batch.range_m {self.batch.range_m:g}, not {self.sample.range_m:g}: "
                "the grid would reach farther than the returns that are kept"
            )
        return self


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """What the encoders make of a batch.

    Args:
        camera: Tokens, and features to look up.
        lidar: Its grid, and a finer map.
        radar: Its grid.
        bevs: (B, C, Y, X) for camera (lifted), LiDAR and radar.
        observed: (B, Y, X) bool likewise.

    """

    camera: CameraFeatures
    lidar: LidarFeatures
    radar: RadarFeatures
    bevs: tuple[Tensor, Tensor, Tensor]
    observed: tuple[Tensor, Tensor, Tensor]


class Network(nn.Module):
    """Cameras, LiDARs and radars, any of them missing, to object queries with boxes and futures.

    `Network(config)` makes one of the class that `config.fusion` names. Classes give `look`, and add to the encoders
    that are made here whatever comes after them.
    """

    picture_head: nn.Linear
    """Classes of image features, in training."""

    def __new__(cls, config: ModelConfig | None = None) -> Network:  # copying calls it without one
        chosen: Any = _class_of(config.fusion) if cls is Network and config is not None else cls
        return super().__new__(chosen)

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        grid, width = config.batch, config.width
        self.camera_encoder = CameraEncoder(config.camera, grid)
        self.lidar_encoder = LidarEncoder(config.lidar.model_copy(update={"width": width}), grid)
        self.radar_encoder = RadarEncoder(config.radar.model_copy(update={"width": width}), grid)
        self.camera_lift = CameraLift(config.camera, grid, width)
        self.alignment = AlignmentHeads(config.alignment, width) if config.alignment.width else None

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
        raise NotImplementedError

    def encoded(self, batch: SensorBatch) -> Seen:
        """What each sensor gives, before any of them meet."""
        camera = self.camera_encoder(batch)  # tokens (B, N, h, w, D), features to look up
        lidar = self.lidar_encoder(batch)  # bev (B, C, Y, X), fine (B, F, 2Y, 2X)
        radar = self.radar_encoder(batch)  # bev (B, C, Y, X)
        camera_bev, camera_observed = self.camera_lift(camera, batch)  # (B, C, Y, X)
        bevs, observed = (camera_bev, lidar.bev, radar.bev), (camera_observed, lidar.observed, radar.observed)
        return Seen(camera=camera, lidar=lidar, radar=radar, bevs=bevs, observed=observed)

    def _notes(self, outputs: QueryOutputs, queries: Tensor) -> ObjectNotes | None:
        """What is to be remembered of the queries (B, Q, D) that come from peaks."""
        if not self.config.memory.objects:
            return None
        last = outputs.layers[-1]
        from_peaks = LayerOutputs(**{f.name: getattr(last, f.name)[:, : outputs.num_seeded] for f in fields(last)})
        return notes_of(queries[:, : outputs.num_seeded], from_peaks, self.config.kept.objects)

    def _starts(self, seeding: Seeding, heatmap: Tensor, seeds: TrainingSeeds | None) -> tuple[Tensor, Tensor, Tensor]:
        """Cells, classes and mask (B, Q) of the queries: peaks or learned places, then training seeds."""
        peaks = seeding.starts(heatmap, self.config.decoder.queries)
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


def _class_of(fusion: FusionName) -> type[Any]:
    """The class of networks that fuse so; imported here, because they are made of what is above."""
    from tricast.perception.networks.late import LateFusion
    from tricast.perception.networks.one_grid import CoAttentionFusion, CrossAttentionFusion, EarlyFusion

    match fusion:
        case "early":
            return EarlyFusion
        case "late":
            return LateFusion
        case "cross_attention":
            return CrossAttentionFusion
        case "co_attention":
            return CoAttentionFusion
