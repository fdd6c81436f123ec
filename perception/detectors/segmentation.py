"""Points above the ground, parted into clusters; straight walls and railings taken out of clusters that hold them."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tricast.perception.detectors.box_fitting import DIRECTIONS, NORMALS

RUN_CELL_M = 0.2
RUN_THICKNESS_M = 0.3
RUN_GAP_M = 1.2
RUN_AXES = np.concatenate([DIRECTIONS, NORMALS])
RUN_NORMALS = np.concatenate([NORMALS, -DIRECTIONS])


def height_above_ground(points_m: NDArray[np.float64], cell_m: float) -> NDArray[np.float64]:
    """Height (P,) of points over the local ground: a smoothed grid of low quantiles that follows slopes.

    Cells whose lowest point stands far above that of their neighbours (a roof, a wall) take the neighbours' ground.
    """
    if not len(points_m):
        return np.zeros(0)
    index = np.floor(points_m[:, :2] / cell_m).astype(np.int64)
    index -= index.min(axis=0)
    shape = tuple(int(v) for v in index.max(axis=0) + 1)
    lowest = np.full(shape, np.inf)
    np.minimum.at(lowest, (index[:, 0], index[:, 1]), points_m[:, 2])
    seen = np.isfinite(lowest)
    # The type stubs do not tell which of its answers it gives.
    nearest: Any = ndimage.distance_transform_edt(~seen, return_distances=False, return_indices=True)
    filled = lowest[tuple(nearest)]
    ground = np.minimum(filled, ndimage.percentile_filter(filled, 25, size=5) + 0.3)
    return points_m[:, 2] - ground[index[:, 0], index[:, 1]]


def clusters(points_m: NDArray[np.float64], cell_m: float) -> list[NDArray[np.int64]]:
    """Indices of the points of each cluster: connected cells (8 neighbours) of a grid seen from above."""
    if not len(points_m):
        return []
    index = np.floor(points_m[:, :2] / cell_m).astype(np.int64)
    index -= index.min(axis=0)
    occupied = np.zeros(tuple(int(v) for v in index.max(axis=0) + 1), bool)
    occupied[index[:, 0], index[:, 1]] = True
    labels, count = cast("tuple[NDArray[np.int32], int]", ndimage.label(occupied, structure=np.ones((3, 3))))
    of_point = labels[index[:, 0], index[:, 1]]
    order = np.argsort(of_point, kind="stable")
    borders = np.searchsorted(of_point[order], np.arange(2, count + 1))
    return np.split(order, borders)


def straight_run(points_m: NDArray[np.float64], min_length_m: float) -> NDArray[np.bool_] | None:
    """Which points (P,) of a cluster lie on its longest straight run seen from above: a wall, a fence, a railing.

    The line is the fullest bin of a Hough transform of the occupied cells; gaps of up to `RUN_GAP_M` are bridged.

    Returns:
        True for the points of the run; None where the run is shorter than `min_length_m`.

    """
    flat = points_m[:, :2]
    cells = (np.unique(np.floor(flat / RUN_CELL_M), axis=0) + 0.5) * RUN_CELL_M
    offsets = cells @ RUN_NORMALS.T  # (cells, angles)
    bins = np.floor(offsets / RUN_THICKNESS_M).astype(np.int64)
    bins -= bins.min()
    width = int(bins.max()) + 1
    keys = (bins + np.arange(len(RUN_NORMALS)) * width).ravel()
    angle, fullest = divmod(int(np.bincount(keys).argmax()), width)
    middle = float(np.median(offsets[bins[:, angle] == fullest, angle]))
    along = np.sort(cells[np.abs(offsets[:, angle] - middle) < RUN_THICKNESS_M] @ RUN_AXES[angle])
    gaps = np.flatnonzero(np.diff(along) > RUN_GAP_M)
    starts, ends = along[np.append(0, gaps + 1)], along[np.append(gaps, len(along) - 1)]
    longest = int((ends - starts).argmax())
    if ends[longest] - starts[longest] < min_length_m:
        return None
    place = flat @ RUN_AXES[angle]
    on_line = np.abs(flat @ RUN_NORMALS[angle] - middle) < RUN_THICKNESS_M
    return on_line & (place >= starts[longest] - RUN_CELL_M) & (place <= ends[longest] + RUN_CELL_M)
