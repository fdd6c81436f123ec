"""From tick samples to the tensors of a batch; letters in shapes as in `tricast.perception.batch`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tricast.perception.batch import MODALITY_ORDER, BatchConfig, BevTransform, SensorBatch
from tricast.perception.camera_views import CameraViews, camera_views
from tricast.perception.picture_decoding import AwaitedPictures, DecodedPictures, Picture, decoded
from tricast.perception.point_rows import lidar_rows, radar_rows
from tricast.perception.tick_sample import TickSample


def collate(
    samples: Sequence[TickSample],
    config: BatchConfig,
    transforms: Sequence[BevTransform] | None = None,
    *,
    awaited: Sequence[AwaitedPictures] | None = None,
) -> SensorBatch:
    """Tensors of some ticks, each under its own transform (none: as it is).

    A picture that does not decode counts as a camera that did not deliver.

    Args:
        samples: The ticks.
        config: Sizes.
        transforms: One a tick.
        awaited: Of each tick the pictures of its cameras at the network's size, as they come: all that needs no pixels
            is made before they are taken. None has them decoded here; the tensors are the same.

    """
    transforms = [BevTransform()] * len(samples) if transforms is None else transforms
    awaited = [_pictures_of(sample, config) for sample in samples] if awaited is None else awaited
    lidar_points, lidar_sample = _flat([lidar_rows(s, config, t) for s, t in zip(samples, transforms, strict=True)], 5)
    radar_points, radar_sample = _flat([radar_rows(s, config, t) for s, t in zip(samples, transforms, strict=True)], 9)
    views = _views(samples, config, transforms)
    taken = [pictures.taken() for pictures in awaited]
    if any(pixels is None for pictures in taken for pixels in pictures):
        samples = [_without_broken(s, pictures) for s, pictures in zip(samples, taken, strict=True)]
        views = _views(samples, config, transforms)
    images = [pixels for pictures in taken for pixels in pictures if pixels is not None]
    width, height = config.image_size_px
    present = [[bool(s.cameras), s.lidar is not None, s.radar is not None] for s in samples]
    slots = _slots(samples)
    mask = [[n < len(sample.cameras) for n in range(slots)] for sample in samples]
    stacked = np.stack(images) if images else np.zeros((0, height, width, 3), np.uint8)
    return SensorBatch(
        images=torch.from_numpy(stacked).permute(0, 3, 1, 2),
        camera_slots=torch.tensor(
            [b * slots + n for b, row in enumerate(mask) for n, on in enumerate(row) if on]
        ).long(),
        camera_mask=torch.tensor(mask, dtype=torch.bool).reshape(len(samples), slots),
        lift_index=torch.from_numpy(np.stack([view.lift_index for view in views])),
        lift_depth_bin=torch.from_numpy(np.stack([view.lift_depth_bin for view in views])),
        ray_directions=torch.from_numpy(np.stack([view.ray_directions for view in views])),
        ray_origins_m=torch.from_numpy(np.stack([view.ray_origins_m for view in views])),
        with_camera=_holding(present, 0),
        lidar_points=lidar_points,
        lidar_sample=lidar_sample,
        with_lidar=_holding(present, 1),
        radar_points=radar_points,
        radar_sample=radar_sample,
        with_radar=_holding(present, 2),
        present=torch.tensor(present, dtype=torch.bool).reshape(len(samples), len(MODALITY_ORDER)),
        timestamps_ns=torch.tensor([sample.timestamp_ns for sample in samples], dtype=torch.int64),
        odom_from_ego=torch.from_numpy(
            np.stack([t.pose(s.odom_from_ego) for s, t in zip(samples, transforms, strict=True)])
        ),
    )


def _pictures_of(sample: TickSample, config: BatchConfig) -> AwaitedPictures:
    return DecodedPictures([decoded(camera.image, config.image_size_px) for camera in sample.cameras])


def _slots(samples: Sequence[TickSample]) -> int:
    return max((len(sample.cameras) for sample in samples), default=0)


def _views(samples: Sequence[TickSample], config: BatchConfig, transforms: Sequence[BevTransform]) -> list[CameraViews]:
    slots = _slots(samples)
    return [camera_views(s.cameras, slots, config, t) for s, t in zip(samples, transforms, strict=True)]


def _without_broken(sample: TickSample, pictures: Sequence[Picture | None]) -> TickSample:
    cameras = zip(sample.cameras, pictures, strict=True)
    return replace(sample, cameras=tuple(camera for camera, pixels in cameras if pixels is not None))


def _holding(present: list[list[bool]], column: int) -> Tensor:
    return torch.tensor([b for b, row in enumerate(present) if row[column]], dtype=torch.int64)


def _flat(parts: Sequence[NDArray[np.float32]], columns: int) -> tuple[Tensor, Tensor]:
    rows = parts[0] if len(parts) == 1 else np.concatenate([np.zeros((0, columns), np.float32), *parts])
    sample = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return torch.from_numpy(rows), torch.from_numpy(sample)
