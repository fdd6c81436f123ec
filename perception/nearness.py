"""Pairs of things that lie near each other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def near_along(
    places: NDArray[Any], reaches: NDArray[Any], others: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (K,), (K,) of indices whose places along one axis are no further apart than the first one's reach.

    Args:
        places: (N,).
        reaches: (N,), not below 0.
        others: (M,), sorted here: where few are near, far fewer pairs are looked at than there are.

    """
    order = np.argsort(others, kind="stable")
    first = np.searchsorted(others[order], places - reaches, "left")
    counts = np.searchsorted(others[order], places + reaches, "right") - first
    own = np.repeat(np.arange(len(places)), counts)
    return own, order[np.arange(len(own)) + np.repeat(first + counts - np.cumsum(counts), counts)]
