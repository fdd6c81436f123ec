"""From tick samples to the tensors of a batch; letters in shapes as in `tricast.perception.batch`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tricast.perception.batch import MODALITY_ORDER, BatchConfig, BevTransform, SensorBatch
from tricast.perception.camera_views import camera_views
from tricast.perception.point_rows import lidar_rows, radar_rows
from tricast.perception.tick_sample import CameraInput, TickSample
from tricast.sensors.errors import SensorDataError


def collate(
    samples: Sequence[TickSample],
    config: BatchConfig,
    transforms: Sequence[BevTransform] | None = None,
    *,
    pool: Executor | None = None,
) -> SensorBatch:
    """Tensors of some ticks, each under its own transform (none: as it is).

    A picture that does not decode counts as a camera that did not deliver.

    Args:
        samples: The ticks.
        config: Sizes.
        transforms: One a tick.
        pool: Threads that decode pictures beside each other; the tensors are the same without.

    """
    transforms = [BevTransform()] * len(samples) if transforms is None else transforms
    decoded = [_decoded(sample, config, pool) for sample in samples]
    slots = max((len(cameras) for cameras in decoded), default=0)
    views = [
        camera_views([camera for camera, _ in cameras], slots, config, transform)
        for cameras, transform in zip(decoded, transforms, strict=True)
    ]
    images = [pixels for cameras in decoded for _, pixels in cameras]
    width, height = config.image_size_px
    lidar_points, lidar_sample = _flat([lidar_rows(s, config, t) for s, t in zip(samples, transforms, strict=True)], 5)
    radar_points, radar_sample = _flat([radar_rows(s, config, t) for s, t in zip(samples, transforms, strict=True)], 9)
    present = [[bool(c), s.lidar is not None, s.radar is not None] for s, c in zip(samples, decoded, strict=True)]
    mask = [[n < len(cameras) for n in range(slots)] for cameras in decoded]
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


def _decoded(
    sample: TickSample, config: BatchConfig, pool: Executor | None
) -> list[tuple[CameraInput, NDArray[np.uint8]]]:
    def picture(camera: CameraInput) -> NDArray[np.uint8] | None:
        return _picture(camera, config.image_size_px)

    pictures = map(picture, sample.cameras) if pool is None else pool.map(picture, sample.cameras)
    return [(camera, pixels) for camera, pixels in zip(sample.cameras, pictures, strict=True) if pixels is not None]


def _picture(camera: CameraInput, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """Pixels at the network's size (width, height); None where the picture does not decode."""
    try:
        pixels = camera.image.pixels(at_least_px=size)
    except SensorDataError:
        return None
    if (pixels.shape[1], pixels.shape[0]) != size:
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    return pixels


def _holding(present: list[list[bool]], column: int) -> Tensor:
    return torch.tensor([b for b, row in enumerate(present) if row[column]], dtype=torch.int64)


def _flat(parts: Sequence[NDArray[np.float32]], columns: int) -> tuple[Tensor, Tensor]:
    rows = np.concatenate([np.zeros((0, columns), np.float32), *parts])
    sample = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return torch.from_numpy(rows), torch.from_numpy(sample)
