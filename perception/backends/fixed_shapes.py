"""One tick at fixed shapes, for graphs compiled once: every sensor has its slots, masks say what is there.

Letters in shapes: N camera slots, P LiDAR rows, R radar rows, Y and X cells, Z heights, h and w of image features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from tricast.perception.batch import MODALITY_ORDER, BatchConfig, SensorBatch
from tricast.perception.model import ModelConfig
from tricast.perception.query_memory import Recalled
from tricast.perception.tick_sample import LIDAR_COLUMNS, RADAR_COLUMNS

ROW_STEP = 4096
"""LiDAR rows are rounded up to a multiple of this, radar rows to an eighth of it: coarse, so that logs share graphs."""
SPARE_SHARE = 0.25
"""Room left above the largest tick that was seen."""


@dataclass(frozen=True, kw_only=True)
class FixedShapes:
    """How much fits into a graph: camera slots, LiDAR rows and radar rows of one tick."""

    cameras: int
    lidar_rows: int
    radar_rows: int

    @staticmethod
    def around(batches: Sequence[SensorBatch]) -> FixedShapes:
        """Shapes that hold these ticks with room to spare."""
        return FixedShapes(
            cameras=max((batch.camera_mask.shape[1] for batch in batches), default=0) or 1,
            lidar_rows=_rounded(max((len(b.lidar_points) for b in batches), default=0), ROW_STEP),
            radar_rows=_rounded(max((len(b.radar_points) for b in batches), default=0), ROW_STEP // 8),
        )

    def hold(self, batch: SensorBatch) -> bool:
        """Whether a batch is one tick that fits."""
        return (
            len(batch) == 1
            and batch.camera_mask.shape[1] <= self.cameras
            and len(batch.lidar_points) <= self.lidar_rows
            and len(batch.radar_points) <= self.radar_rows
        )


def _rounded(rows: int, step: int) -> int:
    return max(1, math.ceil(rows * (1 + SPARE_SHARE) / step)) * step


@dataclass(frozen=True, kw_only=True, eq=False)
class FixedInputs:
    """The inputs of a graph, in this order. What is absent is padding, which changes nothing.

    Args:
        images: (N, H, W, 3) uint8, as decoding leaves them.
        camera_mask: (1, N) bool.
        lift_index: (1, Y, X, Z) int64.
        lift_depth_bin: (1, Y, X, Z) int64.
        ray_directions: (1, N, h, w, 3); padding slots look ahead, so that no direction is undefined.
        ray_origins_m: (1, N, 3).
        lidar_points: (P, 5).
        lidar_sample: (P,) int64; 1 marks padding.
        radar_points: (R, 9).
        radar_sample: (R,) int64 likewise.
        present: (1, 3) bool.
        recalled: Of a network with memory what it remembers, in the axes of the tick.

    """

    images: Tensor
    camera_mask: Tensor
    lift_index: Tensor
    lift_depth_bin: Tensor
    ray_directions: Tensor
    ray_origins_m: Tensor
    lidar_points: Tensor
    lidar_sample: Tensor
    radar_points: Tensor
    radar_sample: Tensor
    present: Tensor
    recalled: Recalled | None = None

    @staticmethod
    def of(
        batch: SensorBatch, shapes: FixedShapes, config: BatchConfig, recalled: Recalled | None = None
    ) -> FixedInputs:
        """Put a tick that fits into its slots."""
        padded = batch.padded(shapes.lidar_rows, shapes.radar_rows)
        width, height = config.image_size_px
        missing = shapes.cameras - batch.camera_mask.shape[1]
        images = batch.images.permute(0, 2, 3, 1)
        if len(images) < shapes.cameras:
            images = _blank_images(shapes.cameras, width, height).to(images.device)
            images[batch.camera_slots] = batch.images.permute(0, 2, 3, 1)
        ahead = batch.ray_directions.new_tensor([1.0, 0.0, 0.0]).expand(1, missing, *config.feature_size, 3)
        return FixedInputs(
            images=images,
            camera_mask=torch.cat([batch.camera_mask, batch.camera_mask.new_zeros(1, missing)], dim=1),
            lift_index=batch.lift_index,
            lift_depth_bin=batch.lift_depth_bin,
            ray_directions=torch.cat([batch.ray_directions, ahead], dim=1),
            ray_origins_m=torch.cat([batch.ray_origins_m, batch.ray_origins_m.new_zeros(1, missing, 3)], dim=1),
            lidar_points=padded.lidar_points,
            lidar_sample=padded.lidar_sample,
            radar_points=padded.radar_points,
            radar_sample=padded.radar_sample,
            present=batch.present,
            recalled=recalled,
        )

    @staticmethod
    def blank(shapes: FixedShapes, model: ModelConfig) -> FixedInputs:
        """A tick in which all sensors are there, none saw anything and nothing is known: an example of the shapes."""
        config, memory = model.batch, model.kept
        width, height = config.image_size_px
        look_up = (1, config.cells, config.cells, len(config.lift_heights_m))
        rays = torch.zeros(1, shapes.cameras, *config.feature_size, 3)
        rays[..., 0] = 1
        return FixedInputs(
            images=_blank_images(shapes.cameras, width, height),
            camera_mask=torch.ones(1, shapes.cameras, dtype=torch.bool),
            lift_index=torch.full(look_up, -1, dtype=torch.int64),
            lift_depth_bin=torch.zeros(look_up, dtype=torch.int64),
            ray_directions=rays,
            ray_origins_m=torch.zeros(1, shapes.cameras, 3),
            lidar_points=torch.zeros(shapes.lidar_rows, len(LIDAR_COLUMNS)),
            lidar_sample=torch.ones(shapes.lidar_rows, dtype=torch.int64),
            radar_points=torch.zeros(shapes.radar_rows, len(RADAR_COLUMNS)),
            radar_sample=torch.ones(shapes.radar_rows, dtype=torch.int64),
            present=torch.ones(1, len(MODALITY_ORDER), dtype=torch.bool),
            recalled=Recalled.nothing(1, memory, model.decoder.width) if memory.objects else None,
        )

    @staticmethod
    def of_tensors(tensors: Sequence[Tensor]) -> FixedInputs:
        """What `tensors` gives, as it was."""
        own = dict(zip(SENSOR_NAMES, tensors, strict=False))
        memory = tensors[len(SENSOR_NAMES) :]
        recalled = Recalled(**dict(zip(RECALLED_NAMES, memory, strict=True))) if memory else None
        return FixedInputs(**own, recalled=recalled)

    def named(self) -> dict[str, Tensor]:
        """All inputs of a graph by name, in order."""
        own = {name: getattr(self, name) for name in SENSOR_NAMES}
        if self.recalled is None:
            return own
        return own | {f"memory_{name}": getattr(self.recalled, name) for name in RECALLED_NAMES}

    def tensors(self) -> tuple[Tensor, ...]:
        """All inputs in order."""
        return tuple(self.named().values())

    def as_batch(self) -> SensorBatch:
        """The batch that the network takes: every slot and every sensor has its rows, absent or not."""
        device = self.images.device
        first = torch.zeros(1, dtype=torch.int64, device=device)
        own = {name: getattr(self, name) for name in SENSOR_NAMES}
        return SensorBatch(
            **own | {"images": self.images.permute(0, 3, 1, 2)},
            camera_slots=torch.arange(len(self.images), device=device),
            with_camera=first,
            with_lidar=first,
            with_radar=first,
            # What is remembered enters beside the batch, in the axes of the tick.
            timestamps_ns=first,
            odom_from_ego=torch.eye(4, dtype=torch.float64, device=device)[None],
        )


def _blank_images(count: int, width: int, height: int) -> Tensor:
    return torch.zeros((count, height, width, 3), dtype=torch.uint8)


SENSOR_NAMES = tuple(field.name for field in fields(FixedInputs) if field.name != "recalled")
RECALLED_NAMES = tuple(field.name for field in fields(Recalled))
LIDAR_COLUMN = MODALITY_ORDER.index("lidar")
