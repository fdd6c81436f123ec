"""From tick samples to the tensors of a batch; letters in shapes as in `tricast.perception.batch`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np
import torch
from torch import Tensor

from tricast.perception.batch import MODALITY_ORDER, BatchConfig, BevTransform, SensorBatch
from tricast.perception.camera_views import CameraViews, camera_views
from tricast.perception.device_views import device_views
from tricast.perception.picture_decoding import AwaitedPictures, DecodedPictures, Picture, decoded
from tricast.perception.point_rows import lidar_rows, radar_rows
from tricast.perception.sent import sent
from tricast.perception.tick_sample import LIDAR_COLUMNS, RADAR_COLUMNS, TickSample

VIEW_NAMES = tuple(field.name for field in fields(CameraViews))


def collate(
    samples: Sequence[TickSample],
    config: BatchConfig,
    transforms: Sequence[BevTransform] | None = None,
    *,
    awaited: Sequence[AwaitedPictures] | None = None,
    lidar: Sequence[Tensor] | None = None,
    device: str = "cpu",
) -> SensorBatch:
    """Tensors of some ticks, each under its own transform (none: as it is).

    A picture that does not decode counts as a camera that did not deliver.

    Args:
        samples: The ticks.
        config: Sizes.
        transforms: One a tick.
        awaited: Of each tick the pictures of its cameras at the network's size, as they come: all that needs no pixels
            is made before they are taken. None has them decoded here; the tensors are the same.
        lidar: Of each tick its LiDAR rows in place of the sample's, on whatever device, where they were made elsewhere.
        device: Where look-up tables and rays are made, and pictures and LiDAR rows go; all else stays on the host.

    """
    transforms = [BevTransform()] * len(samples) if transforms is None else transforms
    awaited = [_pictures_of(sample, config) for sample in samples] if awaited is None else awaited
    points = _points(samples, config, transforms, lidar, device)
    views = _views(samples, config, transforms, device)
    taken = [pictures.taken() for pictures in awaited]
    if any(pixels is None for pictures in taken for pixels in pictures):
        samples = [_without_broken(s, pictures) for s, pictures in zip(samples, taken, strict=True)]
        views = _views(samples, config, transforms, device)
    images = [pixels for pictures in taken for pixels in pictures if pixels is not None]
    width, height = config.image_size_px
    present = [[bool(s.cameras), s.lidar is not None or lidar is not None, s.radar is not None] for s in samples]
    slots = _slots(samples)
    mask = [[n < len(sample.cameras) for n in range(slots)] for sample in samples]
    stacked = np.stack(images) if images else np.zeros((0, height, width, 3), np.uint8)
    return SensorBatch(
        images=(torch.from_numpy(stacked) if device == "cpu" else sent(stacked, device)).permute(0, 3, 1, 2),
        camera_slots=torch.tensor(
            [b * slots + n for b, row in enumerate(mask) for n, on in enumerate(row) if on]
        ).long(),
        camera_mask=torch.tensor(mask, dtype=torch.bool).reshape(len(samples), slots),
        **{name: torch.stack([view[name] for view in views]) for name in VIEW_NAMES},
        **points,
        with_camera=_holding(present, 0),
        with_lidar=_holding(present, 1),
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


def _views(
    samples: Sequence[TickSample], config: BatchConfig, transforms: Sequence[BevTransform], device: str
) -> list[dict[str, Tensor]]:
    """Of each sample the fields of `CameraViews` by name."""
    slots, pairs = _slots(samples), zip(samples, transforms, strict=True)
    if device != "cpu":
        return [device_views(s.cameras, slots, config, t, device) for s, t in pairs]
    views = [camera_views(s.cameras, slots, config, t) for s, t in pairs]
    return [{name: torch.from_numpy(getattr(view, name)) for name in VIEW_NAMES} for view in views]


def _points(
    samples: Sequence[TickSample],
    config: BatchConfig,
    transforms: Sequence[BevTransform],
    lidar: Sequence[Tensor] | None,
    device: str,
) -> dict[str, Tensor]:
    """Rows of LiDARs and radars, and of which sample each is, as `SensorBatch` names them."""
    pairs = list(zip(samples, transforms, strict=True))
    if lidar is None:
        lidar = [torch.from_numpy(lidar_rows(s, config, t)).to(device) for s, t in pairs]
    radar = [torch.from_numpy(radar_rows(s, config, t)) for s, t in pairs]
    lidar_points, lidar_sample = _flat(lidar, len(LIDAR_COLUMNS))
    radar_points, radar_sample = _flat(radar, len(RADAR_COLUMNS))
    return {
        "lidar_points": lidar_points,
        "lidar_sample": lidar_sample,
        "radar_points": radar_points,
        "radar_sample": radar_sample,
    }


def _without_broken(sample: TickSample, pictures: Sequence[Picture | None]) -> TickSample:
    cameras = zip(sample.cameras, pictures, strict=True)
    return replace(sample, cameras=tuple(camera for camera, pixels in cameras if pixels is not None))


def _holding(present: list[list[bool]], column: int) -> Tensor:
    return torch.tensor([b for b, row in enumerate(present) if row[column]], dtype=torch.int64)


def _flat(parts: Sequence[Tensor], columns: int) -> tuple[Tensor, Tensor]:
    """Rows of all samples one after another (P, columns), and of which sample each is (P,)."""
    numbers = [torch.full((len(part),), b, dtype=torch.int64, device=part.device) for b, part in enumerate(parts)]
    if len(parts) == 1:
        return parts[0], numbers[0]
    where = parts[0].device if parts else None
    nothing = torch.zeros((0, columns), device=where), torch.zeros(0, dtype=torch.int64, device=where)
    return torch.cat([nothing[0], *parts]), torch.cat([nothing[1], *numbers])
