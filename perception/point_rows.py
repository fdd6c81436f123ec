"""LiDAR and radar returns as the network takes them: in the grid and in the order of cells, LiDAR thinned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.perception.batch import BatchConfig, BevTransform
from tricast.perception.tick_sample import LIDAR_COLUMNS, RADAR_COLUMNS, TickSample

BORDER = 1e-4
"""Of a cell: no return lies nearer to the border of its cell. Rounding moves it by a fifth of that at most."""


def lidar_rows(sample: TickSample, config: BatchConfig, transform: BevTransform) -> NDArray[np.float32]:
    """LiDAR returns (P, 5) in the grid, one of each voxel and age, in the order of the heatmap's cells."""
    if sample.lidar is None:
        return np.zeros((0, len(LIDAR_COLUMNS)), np.float32)
    low, high = config.lidar_z_m
    rows = sample.lidar if transform == BevTransform() else transform.vectors(sample.lidar)
    # Column by column: along rows of a few numbers NumPy is slow.
    x, y, z, age = (np.ascontiguousarray(rows[:, i]) for i in (0, 1, 2, 4))
    inside = (np.maximum(np.abs(x), np.abs(y)) < config.range_m) & (z > low) & (z < high)
    places = np.flatnonzero(inside)
    kept = _thinned([column.take(places) for column in (x, y, z, age)], config)
    return _off_borders(rows.take(places.take(kept), axis=0), config)


def _thinned(columns: Sequence[NDArray[np.float32]], config: BatchConfig) -> NDArray[np.int64]:
    """Indices of one return of each voxel and age, in the order of the heatmap's cells and in them of voxels.

    Args:
        columns: x, y, z and age (N,) of returns in the grid.
        config: Sizes.

    """
    x, y, z, age = columns
    if not len(x):
        return np.zeros(0, np.int64)
    step_m, (bottom_m, top_m) = config.lidar_voxel_m, config.lidar_z_m
    side, levels = int(2 * config.range_m / step_m) + 2, int((top_m - bottom_m) / step_m) + 2
    ages = np.round(age / config.lidar_age_step_s).astype(np.int64)
    ages -= ages.min()
    steps = int(ages.max()) + 1
    number = np.int32 if side * side * levels * steps < 1 << 31 else np.int64
    # What is above a limit is rounded down by leaving its digits away.
    voxel = ((y - np.float32(-config.range_m)) / step_m).astype(number)
    voxel *= side
    voxel += ((x - np.float32(-config.range_m)) / step_m).astype(number)
    voxel *= levels
    voxel += ((z - np.float32(bottom_m)) / step_m).astype(number)
    voxel *= steps
    voxel += ages.astype(number)
    order = _ascending(voxel)
    voxel = voxel.take(order)
    first = order.compress(np.append(True, voxel[1:] != voxel[:-1]))
    return first.take(np.argsort(_cells(x.take(first), y.take(first), config), kind="stable"))


def _cells(x_m: NDArray[np.float32], y_m: NDArray[np.float32], config: BatchConfig) -> NDArray[np.int32]:
    """Cells (N,) of the heatmap of places in the grid, as the network computes them, to the bit.

    A voxel need not lie in one cell.
    """
    scale = config.heatmap_cells / (2 * config.range_m)
    column, line = (((axis + config.range_m) * scale).astype(np.int32) for axis in (x_m, y_m))
    return line * config.heatmap_cells + column


def _ascending(numbers: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
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
    return _off_borders(rows[np.lexsort((rows[:, 8], y_m, x_m, _cells(x_m, y_m, config)))], config)


def _off_borders(rows: NDArray[np.float32], config: BatchConfig) -> NDArray[np.float32]:
    """Move x and y (N, C), in place, off the borders of cells, by at most a ten-thousandth of a cell.

    Runtimes round in other ways, and a return that one of them puts into another cell is no longer in the order of
    cells: what queries look up of all returns behind it would be shifted.
    """
    scale = np.float32(config.heatmap_cells / (2 * config.range_m))
    for column in (0, 1):
        place = (rows[:, column] + np.float32(config.range_m)) * scale
        cell = np.floor(place)
        near = np.flatnonzero(np.abs(place - cell - np.float32(0.5)) > 0.5 - BORDER)
        inside = np.clip(place[near].astype(np.float64) - cell[near], BORDER, 1 - BORDER) + cell[near]
        rows[near, column] = inside / float(scale) - config.range_m
    return rows
