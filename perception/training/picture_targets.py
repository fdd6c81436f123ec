"""What image features should see: the class of the first true box along each ray."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tricast.perception.batch import BatchConfig, SensorBatch
from tricast.perception.losses.targets import TruthBatch
from tricast.sensors.annotations import DETECTION_CLASSES

UNKNOWN, NOTHING = -1, len(DETECTION_CLASSES)
WIDER_RAD = 0.012
"""A box is taken to be so much wider than it is, seen from the camera, so that the rays do not miss narrow ones."""
NEARER_M = 1.5
"""A return so much nearer than the box is of something in front of it."""


def picture_targets(sensors: SensorBatch, truth: TruthBatch, depths: Tensor, config: BatchConfig) -> Tensor:
    """Classes (B * N * h * w) int64 that image features see, C for none, -1 for absent cameras.

    Only boxes that some camera sees count; where a LiDAR return lies clearly in front of the box, nothing is seen.

    Args:
        sensors: Rays of the batch.
        truth: Boxes in the same (turned) frames.
        depths: (B * N * h * w) int64 bins of LiDAR returns, -1 where unknown.
        config: Bins.

    """
    batch = len(sensors.camera_mask)
    rays = sensors.ray_directions.flatten(2, 3).numpy().astype(np.float64)  # (B, N, R, 3)
    targets = np.full(rays.shape[:3], UNKNOWN, np.int64)
    reach_m = _far_ends_m(depths.numpy().reshape(targets.shape), config)
    for sample in range(batch):
        shown = truth.camera_positive[sample].numpy()
        classes = truth.class_indices[sample].numpy()[shown]
        boxes = [part[sample].numpy()[shown] for part in (truth.centers_m, truth.sizes_m, truth.yaws_rad)]
        for camera in np.flatnonzero(sensors.camera_mask[sample].numpy()):
            origin_m = sensors.ray_origins_m[sample, camera].numpy()
            entry_m, first = first_boxes(origin_m, rays[sample, camera], *boxes)
            hit = np.isfinite(entry_m) & (entry_m < reach_m[sample, camera] + NEARER_M)
            targets[sample, camera] = np.where(hit, classes[first] if len(classes) else NOTHING, NOTHING)
    return torch.from_numpy(targets).flatten()


def first_boxes(
    origin_m: NDArray[np.float32],
    rays: NDArray[np.float64],
    centers_m: NDArray[np.float32],
    sizes_m: NDArray[np.float32],
    yaws_rad: NDArray[np.float32],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Where rays (R, 3) from a point (3,) enter the first of T boxes: distances (R,), infinite for none, and its index.

    A box around the camera itself is not seen. Source: the slab method (Kay and Kajiya, SIGGRAPH 1986).
    """
    if not len(centers_m):
        return np.full(len(rays), np.inf), np.zeros(len(rays), np.int64)
    apart = origin_m.astype(np.float64) - centers_m  # (T, 3) from the box to the camera
    half = 0.5 * sizes_m + WIDER_RAD * np.linalg.norm(apart, axis=1, keepdims=True)
    cos, sin = np.cos(yaws_rad.astype(np.float64)), np.sin(yaws_rad.astype(np.float64))
    axes = np.stack([np.stack([cos, sin, 0 * cos], 1), np.stack([-sin, cos, 0 * cos], 1)], axis=1)  # (T, 2, 3)
    axes = np.concatenate([axes, np.broadcast_to([[[0.0, 0.0, 1.0]]], (len(cos), 1, 3))], axis=1)
    start = np.einsum("tij,tj->ti", axes, apart)  # (T, 3) in the box's axes
    enter, leave = np.full((len(axes), len(rays)), -np.inf), np.full((len(axes), len(rays)), np.inf)
    for axis in range(3):  # one after the other: NumPy is slow at reducing over three numbers
        along = axes[:, axis] @ rays.T  # (T, R)
        along = np.where(np.abs(along) < 1e-9, 1e-9, along)
        one, other = (-half - start)[:, axis, None] / along, (half - start)[:, axis, None] / along
        np.maximum(enter, np.minimum(one, other), out=enter)
        np.minimum(leave, np.maximum(one, other), out=leave)
    enter = np.where((enter <= leave) & (enter > 0), enter, np.inf)
    first = enter.argmin(axis=0)
    return enter[first, np.arange(len(rays))], first


def _far_ends_m(bins: NDArray[np.int64], config: BatchConfig) -> NDArray[np.float64]:
    """The far end of each bin; infinite where it is unknown or the last one."""
    near, far = config.depth_range_m
    ends = near * np.exp(math.log(far / near) * (bins + 1) / config.depth_bins)
    return np.where((bins == UNKNOWN) | (bins == config.depth_bins - 1), np.inf, ends)
