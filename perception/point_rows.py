"""LiDAR and radar returns as the network takes them: in the grid, LiDAR thinned and in the order of cells."""

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
    # Cells as the network computes them, to the bit: a voxel need not lie in one cell.
    cells = config.heatmap_cells
    column, line = (
        np.floor((rows[:, i].take(first) + config.range_m) * (cells / (2 * config.range_m))).astype(np.int64)
        for i in range(2)
    )
    return first.take(np.argsort(line * cells + column, kind="stable"))


def _ascending(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices (N,) that sort numbers (N,) of 0 and more, equal ones in their order: two bytes after two bytes, as NumPy
    counts numbers of 16 bits in place of comparing them.
    """
    order = np.argsort(numbers.astype(np.uint16), kind="stable")
    for shift in range(16, int(numbers.max()).bit_length(), 16):
        order = order.take(np.argsort((numbers >> shift).astype(np.uint16).take(order), kind="stable"))
    return order


def radar_rows(sample: TickSample, config: BatchConfig, transform: BevTransform) -> NDArray[np.float32]:
    """Radar returns (R, 9) in the grid."""
    if sample.radar is None:
        return np.zeros((0, len(RADAR_COLUMNS)), np.float32)
    rows = transform.vectors(sample.radar)
    rows[:, 6:8] = transform.vectors(sample.radar[:, 6:8])
    return rows[np.maximum(np.abs(rows[:, 0]), np.abs(rows[:, 1])) < config.range_m]
