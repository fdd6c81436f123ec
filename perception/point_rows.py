"""LiDAR and radar returns as the network takes them: in the grid and in the order of cells, LiDAR thinned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tricast.perception.batch import BatchConfig, BevTransform
from tricast.perception.tick_sample import LIDAR_COLUMNS, RADAR_COLUMNS, TickSample


def lidar_rows(sample: TickSample, config: BatchConfig, transform: BevTransform) -> NDArray[np.float32]:
    """LiDAR returns (P, 5) in the grid, one of each voxel and age, in the order of the heatmap's cells."""
    if sample.lidar is None:
        return np.zeros((0, len(LIDAR_COLUMNS)), np.float32)
    low, high = config.lidar_z_m
    rows = transform.vectors(sample.lidar)
    inside = np.maximum(np.abs(rows[:, 0]), np.abs(rows[:, 1])) < config.range_m
    rows = rows.compress(inside & (rows[:, 2] > low) & (rows[:, 2] < high), axis=0)
    return rows.take(_thinned(rows, config), axis=0)


def _thinned(rows: NDArray[np.float32], config: BatchConfig) -> NDArray[np.int64]:
    """One row of each voxel and age, in the order of the heatmap's cells and in them of voxels."""
    if not len(rows):
        return np.zeros(0, np.int64)
    low = np.array([-config.range_m, -config.range_m, config.lidar_z_m[0]], np.float32)
    # Column by column: along rows of three numbers NumPy is slow.
    x, y, z = (np.floor((rows[:, i] - low[i]) / config.lidar_voxel_m).astype(np.int64) for i in range(3))
    age = np.round(rows[:, 4] / config.lidar_age_step_s).astype(np.int64)
    age -= age.min()
    side = int(2 * config.range_m / config.lidar_voxel_m) + 2
    levels = int((config.lidar_z_m[1] - config.lidar_z_m[0]) / config.lidar_voxel_m) + 2
    voxel = ((y * side + x) * levels + z) * (int(age.max()) + 1) + age
    order = _ascending(voxel)
    voxel = voxel.take(order)
    first = order.compress(np.append(True, voxel[1:] != voxel[:-1]))
    return first.take(np.argsort(_cells(rows[:, 0].take(first), rows[:, 1].take(first), config), kind="stable"))


def _cells(x_m: NDArray[np.float32], y_m: NDArray[np.float32], config: BatchConfig) -> NDArray[np.int64]:
    """Cells (N,) of the heatmap as the network computes them, to the bit: a voxel need not lie in one cell."""
    scale = config.heatmap_cells / (2 * config.range_m)
    column, line = (np.floor((axis + config.range_m) * scale).astype(np.int64) for axis in (x_m, y_m))
    return line * config.heatmap_cells + column


def _ascending(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices (N,) that sort numbers (N,) of 0 and more, equal ones in their order: two bytes after two bytes, as NumPy
    counts numbers of 16 bits in place of comparing them.
    """
    order = np.argsort(numbers.astype(np.uint16), kind="stable")
    for shift in range(16, int(numbers.max()).bit_length(), 16):
        order = order.take(np.argsort((numbers >> shift).astype(np.uint16).take(order), kind="stable"))
    return order


def radar_rows(sample: TickSample, config: BatchConfig, transform: BevTransform) -> NDArray[np.float32]:
    """Radar returns (R, 9) in the grid, in the order of the heatmap's cells and in them of places and ages."""
    if sample.radar is None:
        return np.zeros((0, len(RADAR_COLUMNS)), np.float32)
    rows = transform.vectors(sample.radar)
    rows[:, 6:8] = transform.vectors(sample.radar[:, 6:8])
    rows = rows[np.maximum(np.abs(rows[:, 0]), np.abs(rows[:, 1])) < config.range_m]
    x_m, y_m = rows[:, 0], rows[:, 1]
    return rows[np.lexsort((rows[:, 8], y_m, x_m, _cells(x_m, y_m, config)))]
