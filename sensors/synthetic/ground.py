"""What every kind of place has below: ground with its height, its roads' edges and its colours."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


class Ground(Protocol):
    """Ground of a place, in the world's axes."""

    @property
    def waves(self) -> NDArray[np.float64]:
        """Waves (W, 4) of the height: amplitude, wave numbers along x and y, phase."""
        ...

    def height_m(self, points_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Height (...) of points (..., 2)."""
        ...

    def off_road_m(self, points_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far outside the carriageways points (..., 2) lie; negative on them."""
        ...

    def colors(self, points_m: NDArray[Any]) -> Float32:
        """Colours (3, P) at points (3, P): surfaces and markings."""
        ...

    def detailed_colors(self, points_m: Float32, footprints_m: Float32) -> Float32:
        """Colours (3, P) at points (3, P) with wear, patches and seams, averaged where finer than a pixel.

        Args:
            points_m: (3, P).
            footprints_m: (P,) width of a pixel there.

        """
        ...


def wave_height_m(waves: NDArray[np.float64], points_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Height (...) of waves (W, 4), see `Ground.waves`, at points (..., 2)."""
    height = np.zeros(points_m.shape[:-1])
    for amplitude, kx, ky, phase in waves:
        height = height + amplitude * np.sin(kx * points_m[..., 0] + ky * points_m[..., 1] + phase)
    return height
