"""Camera lenses: `project` and `rays`, so that no code above this file knows a camera matrix.

Camera frame: ROS optical frame (REP 103): x right, y down, z forward. Pixel (0, 0) is the centre of
the top left pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tricast.sensors.errors import CalibrationError

Float64 = NDArray[np.float64]

UNDISTORTION_ITERATIONS = 30
BISECTIONS = 60
"""Halvings of an interval of pi until its middle no longer changes."""


class Lens(Protocol):
    """What every lens can do; image size in pixels."""

    @property
    def width_px(self) -> int: ...

    @property
    def height_px(self) -> int: ...

    def project(self, points_m: Any, xp: Any = np) -> tuple[Float64, NDArray[np.bool_]]:
        """Project points (N, 3) of the camera frame.

        Args:
            points_m: The points, an array or a tensor.
            xp: What has the functions of NumPy for arrays of the points' kind: for float64 tensors, `torch` itself.

        Returns:
            Pixels (N, 2) as (x, y), and a mask (N,): True where the lens sees the point inside the image.
            Pixels are finite only where the lens model is defined; elsewhere NaN.

        """
        ...

    def rays(self, pixels: NDArray[Any]) -> Float64:
        """Unit directions (N, 3) in the camera frame of pixels (N, 2); NaN where the lens model has none."""
        ...

    def scaled(self, width_px: int, height_px: int) -> Lens:
        """The same lens for the image resized to another size."""
        ...


@dataclass(frozen=True, kw_only=True)
class PinholeLens:
    """A pinhole, with Brown-Conrady distortion (k1, k2, p1, p2, k3) if it has any.

    The radial factor is (1 + k1 r^2 + k2 r^4 + k3 r^6) / (1 + k4 r^2 + k5 r^4 + k6 r^6), with `rational` k4 to k6.

    Source: Brown (1966); Claus and Fitzgibbon (2005); OpenCV, ROS `plumb_bob` and `rational_polynomial`.
    """

    width_px: int
    height_px: int
    focal_px: tuple[float, float]
    principal_px: tuple[float, float]
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    rational: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        _check_intrinsics(self)

    @property
    def coefficients(self) -> tuple[float, ...]:
        """k1, k2, p1, p2, k3, k4, k5, k6, as OpenCV and ROS order them; only as many as say something: 5 or 8."""
        return (*self.distortion, *self.rational) if any(self.rational) else self.distortion

    def project(self, points_m: Any, xp: Any = np) -> tuple[Float64, NDArray[np.bool_]]:
        """See `Lens.project`."""
        x, y, z = _columns(points_m, xp)
        ahead = z > 1e-3
        depth = xp.where(ahead, z, xp.nan)
        u, v = x / depth, y / depth
        squared = u * u + v * v
        within = squared <= _folding_limit(self.coefficients)
        if any(self.coefficients):
            u, v = _brown_conrady(u, v, self.coefficients)
        return _to_pixels(self, u, v, ahead & within, xp)

    def rays(self, pixels: NDArray[Any]) -> Float64:
        """See `Lens.rays`; distortion is inverted by Newton's method."""
        u, v = _from_pixels(self, pixels)
        if any(self.coefficients):
            u, v = _undistort(u, v, self.coefficients)
        directions = np.stack([u, v, np.ones_like(u)], axis=-1)
        rays = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
        # Beyond the fold another solution is found, on the other side of the axis.
        within = u * u + v * v <= _folding_limit(self.coefficients)
        return np.where(within[..., None], rays, np.nan)

    def scaled(self, width_px: int, height_px: int) -> PinholeLens:
        """See `Lens.scaled`."""
        return _scaled(self, width_px, height_px)


@dataclass(frozen=True, kw_only=True)
class FisheyeLens:
    """An equidistant fisheye with four coefficients: r = theta (1 + k1 theta^2 + ... + k4 theta^8).

    Source: Kannala and Brandt (2006); OpenCV `fisheye`, ROS `equidistant`.
    """

    width_px: int
    height_px: int
    focal_px: tuple[float, float]
    principal_px: tuple[float, float]
    distortion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        _check_intrinsics(self)

    def project(self, points_m: Any, xp: Any = np) -> tuple[Float64, NDArray[np.bool_]]:
        """See `Lens.project`."""
        x, y, z = _columns(points_m, xp)
        across = xp.hypot(x, y)
        theta = xp.arctan2(across, z)
        radius, aside = self._radius(theta), across > 0
        scale = xp.where(aside, radius / xp.where(aside, across, 1.0), 0.0)
        # Straight behind has no direction in the image, and would land on its centre.
        seen = (theta <= self._theta_limit()) & ((across > 1e-6) | (z > 1e-6))
        return _to_pixels(self, x * scale, y * scale, seen, xp)

    def rays(self, pixels: NDArray[Any]) -> Float64:
        """See `Lens.rays`; the angle is found by Newton's method, and by bisection where that does not arrive."""
        u, v = _from_pixels(self, pixels)
        radius = np.hypot(u, v)
        limit = self._theta_limit()
        theta = np.minimum(radius, limit)
        for _ in range(UNDISTORTION_ITERATIONS):
            slope = self._radius_slope(theta)
            theta = np.clip(theta - (self._radius(theta) - radius) / np.where(slope > 1e-6, slope, 1.0), 0, limit)
        theta = self._bisected(theta, radius, limit)
        solved = np.abs(self._radius(theta) - radius) < 1e-6
        scale = np.divide(np.sin(theta), radius, out=np.ones_like(radius), where=radius > 0)
        rays = np.stack([u * scale, v * scale, np.cos(theta)], axis=-1)
        return np.where(solved[..., None], rays, np.nan)

    def scaled(self, width_px: int, height_px: int) -> FisheyeLens:
        """See `Lens.scaled`."""
        return _scaled(self, width_px, height_px)

    def _bisected(self, theta: Float64, radius: Float64, limit: float) -> Float64:
        """Angles of radii, found anew where they are not yet; the radius grows from 0 to the limit."""
        lost = (np.abs(self._radius(theta) - radius) >= 1e-6) & (radius <= self._radius(np.array(limit)))
        if not lost.any():
            return theta
        low, high = np.zeros(int(lost.sum())), np.full(int(lost.sum()), limit)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            short = self._radius(middle) < np.asarray(radius)[lost]
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        found = np.array(theta)
        found[lost] = (low + high) / 2
        return found

    def _radius(self, theta: Float64) -> Float64:
        k1, k2, k3, k4 = self.distortion
        t2 = theta * theta
        return theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))

    def _radius_slope(self, theta: Float64) -> Float64:
        k1, k2, k3, k4 = self.distortion
        t2 = theta * theta
        return 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))

    def _theta_limit(self) -> float:
        """Largest angle up to which the radius grows, at most pi."""
        theta = np.linspace(0, np.pi, 721)
        falling = np.flatnonzero(self._radius_slope(theta) <= 0)
        return float(theta[falling[0]]) if len(falling) else float(np.pi)


@dataclass(frozen=True, kw_only=True)
class MeiLens:
    """A unified omnidirectional lens: unit sphere, shift by `mirror`, then Brown-Conrady (k1, k2, p1, p2).

    Source: Mei and Rives, ICRA 2007; OpenCV `omnidir`.
    """

    width_px: int
    height_px: int
    focal_px: tuple[float, float]
    principal_px: tuple[float, float]
    mirror: float
    distortion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        _check_intrinsics(self)

    def project(self, points_m: Any, xp: Any = np) -> tuple[Float64, NDArray[np.bool_]]:
        """See `Lens.project`."""
        x, y, z = _columns(points_m, xp)
        norm = xp.sqrt(x * x + y * y + z * z)
        norm = xp.where(norm > 1e-6, norm, xp.nan)
        cosine = z / norm
        # A point on the sphere is seen once only up to the cone where the projection stops growing.
        seen = cosine > (-1.0 / self.mirror if self.mirror > 1 else -self.mirror) + 1e-3
        depth = xp.where(seen, cosine + self.mirror, xp.nan)
        u, v = x / norm / depth, y / norm / depth
        seen &= u * u + v * v <= self._plane_limit()
        u, v = _brown_conrady(u, v, (*self.distortion, 0.0))
        return _to_pixels(self, u, v, seen, xp)

    def rays(self, pixels: NDArray[Any]) -> Float64:
        """See `Lens.rays`; distortion is inverted by Newton's method."""
        u, v = _from_pixels(self, pixels)
        if any(self.distortion):
            u, v = _undistort(u, v, (*self.distortion, 0.0))
        squared = u * u + v * v
        inner = 1 + (1 - self.mirror**2) * squared
        # Beyond the limit the distortion folds back, and `project` sees nothing there either.
        known = (inner >= 0) & (squared <= self._plane_limit())
        scale = (self.mirror + np.sqrt(np.where(known, inner, np.nan))) / (squared + 1)
        rays = np.stack([u * scale, v * scale, scale - self.mirror], axis=-1)
        return rays / np.linalg.norm(rays, axis=-1, keepdims=True)

    def scaled(self, width_px: int, height_px: int) -> MeiLens:
        """See `Lens.scaled`."""
        return _scaled(self, width_px, height_px)

    def _plane_limit(self) -> float:
        """Largest squared radius on the normalised plane at which the radial polynomial still grows."""
        k1, k2, _, _ = self.distortion
        roots = np.roots([5 * k2, 3 * k1, 1.0])
        real = roots[np.isreal(roots)].real
        positive = real[real > 0]
        return float(positive.min()) if len(positive) else np.inf


def _check_intrinsics(lens: PinholeLens | FisheyeLens | MeiLens) -> None:
    more = (getattr(lens, "mirror", 0.0), *getattr(lens, "rational", ()))
    values = (*lens.focal_px, *lens.principal_px, *lens.distortion, *more)
    if not all(np.isfinite(values)) or min(lens.focal_px) <= 0 or lens.width_px < 1 or lens.height_px < 1:
        distortion = lens.coefficients if isinstance(lens, PinholeLens) else lens.distortion
        raise CalibrationError(
            where=f"{type(lens).__name__} {lens.width_px}x{lens.height_px}",
            got=f"focal lengths {lens.focal_px}, principal point {lens.principal_px}, distortion {distortion}",
            expected="finite values, positive focal lengths and image size",
            remedy="check the camera's intrinsics; all-zero intrinsics mean an uncalibrated camera",
        )


def _columns(points_m: Any, xp: Any) -> tuple[Float64, Float64, Float64]:
    points = xp.asarray(points_m, dtype=xp.float64)
    return points[..., 0], points[..., 1], points[..., 2]


def _from_pixels(lens: Any, pixels: NDArray[Any]) -> tuple[Float64, Float64]:
    pixels = np.asarray(pixels, dtype=np.float64)
    u = (pixels[..., 0] - lens.principal_px[0]) / lens.focal_px[0]
    v = (pixels[..., 1] - lens.principal_px[1]) / lens.focal_px[1]
    return u, v


def _to_pixels(
    lens: Any, u: Float64, v: Float64, seen: NDArray[np.bool_], xp: Any
) -> tuple[Float64, NDArray[np.bool_]]:
    x = u * lens.focal_px[0] + lens.principal_px[0]
    y = v * lens.focal_px[1] + lens.principal_px[1]
    inside = seen & (x >= -0.5) & (x < lens.width_px - 0.5) & (y >= -0.5) & (y < lens.height_px - 0.5)
    return xp.where(seen[..., None], xp.stack([x, y], -1), xp.nan), inside


@lru_cache(maxsize=64)
def _folding_limit(k: tuple[float, ...]) -> float:
    """Largest squared radius up to which pixels move outwards: beyond it points would fold back."""
    k1, k2, _, _, k3, *rational = k
    above, below = np.poly1d([k3, k2, k1, 1.0]), np.poly1d([*rational[::-1], 1.0])
    # Of r N(r^2) / D(r^2) the slope has the sign of N D + 2 s (N' D - N D'), with s = r^2.
    slope = above * below + np.poly1d([2.0, 0.0]) * (above.deriv() * below - above * below.deriv())
    roots = np.concatenate([slope.roots, below.roots]).astype(np.complex128)
    real = roots[np.isreal(roots)].real
    positive = real[real > 0]
    return float(positive.min()) if len(positive) else np.inf


def _brown_conrady(u: Float64, v: Float64, k: tuple[float, ...]) -> tuple[Float64, Float64]:
    k1, k2, p1, p2, k3, *rational = k
    r2 = u * u + v * v
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    if rational:
        k4, k5, k6 = rational
        radial = radial / (1 + r2 * (k4 + r2 * (k5 + r2 * k6)))
    return (
        u * radial + 2 * p1 * u * v + p2 * (r2 + 2 * u * u),
        v * radial + p1 * (r2 + 2 * v * v) + 2 * p2 * u * v,
    )


def _undistort(u: Float64, v: Float64, k: tuple[float, ...]) -> tuple[Float64, Float64]:
    """Invert `_brown_conrady` by Newton's method with a numerical Jacobian; NaN where it does not converge."""
    x, y = u.copy(), v.copy()
    step = 1e-6
    with np.errstate(all="ignore"):
        for _ in range(UNDISTORTION_ITERATIONS):
            fx, fy = _brown_conrady(x, y, k)
            ax, ay = _brown_conrady(x + step, y, k)
            bx, by = _brown_conrady(x, y + step, k)
            a, b, c, d = (ax - fx) / step, (bx - fx) / step, (ay - fy) / step, (by - fy) / step
            determinant = a * d - b * c
            dx, dy = fx - u, fy - v
            x = x - (d * dx - b * dy) / determinant
            y = y - (a * dy - c * dx) / determinant
        fx, fy = _brown_conrady(x, y, k)
        solved = np.hypot(fx - u, fy - v) < 1e-6
    return np.where(solved, x, np.nan), np.where(solved, y, np.nan)


def _scaled(lens: Any, width_px: int, height_px: int) -> Any:
    sx, sy = width_px / lens.width_px, height_px / lens.height_px
    return replace(
        lens,
        width_px=width_px,
        height_px=height_px,
        focal_px=(lens.focal_px[0] * sx, lens.focal_px[1] * sy),
        # Pixel centres sit at whole numbers, so the image's corner is at -0.5.
        principal_px=((lens.principal_px[0] + 0.5) * sx - 0.5, (lens.principal_px[1] + 0.5) * sy - 0.5),
    )
