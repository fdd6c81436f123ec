"""How far image features should see: the nearest LiDAR return in each, as a bin of the network's depth distribution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tricast.perception.batch import FEATURE_STRIDE_PX, BatchConfig
from tricast.perception.camera_views import depth_bins_of
from tricast.perception.tick_sample import CameraInput

UNKNOWN = -1
NEWEST_S = 0.15
"""Only returns younger than this: what moves has moved since the older sweeps."""
THINNING = 2


def depth_targets(
    cameras: tuple[CameraInput, ...], lidar: NDArray[np.float32] | None, config: BatchConfig
) -> NDArray[np.int64]:
    """Bins (N, h, w) of the nearest return in each feature of each camera, -1 where there is none.

    Source: Li et al., BEVDepth, AAAI 2023.

    Args:
        cameras: N cameras.
        lidar: (P, 5) as in `TickSample`, from whichever LiDAR the tick had, also one that the sample has lost.
        config: Image size and bins.

    """
    rows, columns = config.feature_size
    targets = np.full((len(cameras), rows, columns), UNKNOWN, np.int64)
    if lidar is None:
        return targets
    points = lidar[lidar[:, 4] < NEWEST_S, :3][::THINNING]
    for target, camera in zip(targets, cameras, strict=True):
        in_camera = camera.tick_from_camera.inverse.apply(points)
        in_camera = in_camera[in_camera[:, 2] > -np.hypot(in_camera[:, 0], in_camera[:, 1])]
        pixels, seen = camera.lens.scaled(*config.image_size_px).project(in_camera)
        cells = np.floor((pixels[seen] + 0.5) / FEATURE_STRIDE_PX).astype(np.int64)
        distances_m = np.linalg.norm(in_camera[seen].astype(np.float64), axis=1)
        farthest_first = np.argsort(-distances_m, kind="stable")
        column, row = cells[farthest_first].T
        target[row, column] = depth_bins_of(distances_m[farthest_first], config)
    return targets
