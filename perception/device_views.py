"""Look-up table and rays of cameras, worked out on a device: what `camera_views` gives, for all cameras at once.

The host sends a pose of each camera. Letters in shapes as in `tricast.perception.batch`; P places at which cells look
into pictures, Y * X * Z of them, and C cameras of the sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tricast.perception.batch import FEATURE_STRIDE_PX, BatchConfig, BevTransform
from tricast.perception.camera_views import lift_points_m, optical_rays
from tricast.perception.sent import sent
from tricast.perception.tick_sample import CameraInput
from tricast.sensors.geometry.lenses import Lens, PinholeLens


def device_views(
    cameras: Sequence[CameraInput], slots: int, config: BatchConfig, transform: BevTransform, device: str
) -> dict[str, Tensor]:
    """The fields of `CameraViews` as tensors on a device, by name; what lies on the border of two features or bins may
    fall into the other.
    """
    rows, columns = config.feature_size
    shape = (config.cells, config.cells, len(config.lift_heights_m))
    directions = torch.zeros((slots, rows, columns, 3), device=device)
    origins_m = torch.zeros((slots, 3), device=device)
    if not cameras:
        nothing = torch.zeros(shape, dtype=torch.int64, device=device)
        index, depth_bin = nothing - 1, nothing
    else:
        from_tick, turns, places_m = _poses(cameras, transform, device)
        lenses = tuple(camera.lens for camera in cameras)
        directions[: len(cameras)] = (_rays(lenses, config.image_size_px, device) @ turns).view(-1, rows, columns, 3)
        origins_m[: len(cameras)] = places_m
        points = _points_m(config.cells, config.range_m, config.lift_heights_m, transform, device)
        index, depth_bin = _table(points @ from_tick[:, :3] + from_tick[:, 3:], lenses, config)
    return {
        "lift_index": index.view(shape),
        "lift_depth_bin": depth_bin.view(shape),
        "ray_directions": directions,
        "ray_origins_m": origins_m,
    }


def _table(in_cameras: Tensor, lenses: tuple[Lens, ...], config: BatchConfig) -> tuple[Tensor, Tensor]:
    """Index of the image feature (P,), -1 where no camera sees the place, and bin of its distance (P,).

    Args:
        in_cameras: (C, P, 3) float64 the places in the axes of each camera.
        lenses: C of them.
        config: Sizes.

    """
    rows, columns = config.feature_size
    width, height = config.image_size_px
    pixels, seen = _projected(in_cameras, _scaled(lenses, config.image_size_px))
    x, y = pixels.unbind(dim=2)
    # Where cameras overlap, a cell looks into the one that sees it nearest to its centre.
    off = torch.where(seen, torch.maximum((x / width - 0.5).abs(), (y / height - 0.5).abs()), math.inf)
    slot = off.argmin(dim=0, keepdim=True)  # (1, P), of equal ones the first
    looks, x, y = (values.gather(0, slot)[0] for values in (seen, x, y))
    distances_m = in_cameras.square().sum(dim=2).sqrt().gather(0, slot)[0]
    line, column = (((pixel + 0.5) / FEATURE_STRIDE_PX).floor() for pixel in (y, x))
    index = torch.where(looks, (slot[0] * rows + line) * columns + column, -1.0).long()
    near, far = config.depth_range_m
    share = (distances_m.clamp(min=1e-3) / near).log() / math.log(far / near)
    depth_bin = (share * config.depth_bins).floor().clamp(0, config.depth_bins - 1)
    return index, torch.where(looks, depth_bin, 0.0).long()


def _projected(in_cameras: Tensor, lenses: tuple[Lens, ...]) -> tuple[Tensor, Tensor]:
    """Pixels (C, P, 2) of places (C, P, 3) in the axes of cameras, and whether these see them (C, P): `Lens.project`.

    Pinholes without distortion, as rectified pictures have, go all at once.
    """
    if all(isinstance(lens, PinholeLens) and not any(lens.coefficients) for lens in lenses):
        focal_px, principal_px, size_px = _pinholes(lenses, str(in_cameras.device)).unbind(dim=1)  # (C, 1, 2) each
        ahead = in_cameras[..., 2] > 1e-3
        depth_m = torch.where(ahead, in_cameras[..., 2], math.nan)
        pixels = in_cameras[..., :2] / depth_m[..., None] * focal_px + principal_px
        return pixels, ahead & ((pixels >= -0.5) & (pixels < size_px - 0.5)).all(dim=2)
    projected: list[Any] = [lens.project(places, torch) for lens, places in zip(lenses, in_cameras, strict=True)]
    return torch.stack([pixels for pixels, _ in projected]), torch.stack([seen for _, seen in projected])


@lru_cache(maxsize=8)
def _scaled(lenses: tuple[Lens, ...], image_size_px: tuple[int, int]) -> tuple[Lens, ...]:
    return tuple(lens.scaled(*image_size_px) for lens in lenses)


@lru_cache(maxsize=8)
def _pinholes(lenses: tuple[PinholeLens, ...], device: str) -> Tensor:
    """(C, 3, 1, 2) float64: focal lengths, principal point and size of each, in pixels along x and y."""
    numbers = [[[lens.focal_px], [lens.principal_px], [(lens.width_px, lens.height_px)]] for lens in lenses]
    return sent(np.array(numbers, np.float64), device)


def _poses(cameras: Sequence[CameraInput], transform: BevTransform, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """For rows of vectors: to camera axes (C, 4, 3), the last row a shift; from camera axes to the transformed frame's
    (C, 3, 3); and places of the cameras in that frame (C, 3).
    """
    packed = np.empty((len(cameras), 8, 3))
    for own, camera in zip(packed, cameras, strict=True):
        pose = camera.tick_from_camera
        own[:3], own[3] = pose.rotation, pose.inverse.translation
        own[4:7] = transform.vectors(pose.rotation.T)
        own[7] = transform.vectors(pose.translation)
    there = sent(packed, device)
    return there[:, :4], there[:, 4:7], there[:, 7]


@lru_cache(maxsize=2)
def _points_m(cells: int, range_m: float, heights_m: tuple[float, ...], transform: BevTransform, device: str) -> Tensor:
    return sent(lift_points_m(cells, range_m, heights_m, transform), device)


@lru_cache(maxsize=8)
def _rays(lenses: tuple[Lens, ...], image_size_px: tuple[int, int], device: str) -> Tensor:
    """(C, h * w, 3) in the axes of each camera, kept while the lenses are the same."""
    return sent(np.stack([optical_rays(lens, image_size_px) for lens in lenses]), device)
