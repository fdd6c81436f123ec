"""A Kalman filter of constant velocity for many objects at once, with one variance for all axes of an object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class MotionFilter:
    """N objects with D coordinates each, their rates, and the covariance of coordinate and rate.

    Noise is the same along all axes, so that a single 2x2 covariance per object serves them all and every step is a
    few array operations. Plane positions are D = 2, headings D = 1.

    Args:
        positions: (N, D).
        rates: (N, D) change of positions per second.
        position_variances: (N,).
        cross_covariances: (N,) of position and rate.
        rate_variances: (N,).

    """

    positions: Float64
    rates: Float64
    position_variances: Float64
    cross_covariances: Float64
    rate_variances: Float64

    @staticmethod
    def born(positions: Float64, rates: Float64, position_sigmas: Float64, rate_sigmas: Float64) -> MotionFilter:
        """Objects seen for the first time."""
        return MotionFilter(
            positions=positions,
            rates=rates,
            position_variances=position_sigmas**2,
            cross_covariances=np.zeros(len(positions)),
            rate_variances=rate_sigmas**2,
        )

    @staticmethod
    def joined(parts: Sequence[MotionFilter]) -> MotionFilter:
        """All objects of several filters, in order."""
        return MotionFilter(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(MotionFilter)}
        )

    def __getitem__(self, rows: Any) -> MotionFilter:
        """Select objects by an index array or a boolean mask."""
        return MotionFilter(**{f.name: getattr(self, f.name)[rows] for f in fields(MotionFilter)})

    def replaced(self, rows: NDArray[np.bool_], other: MotionFilter) -> MotionFilter:
        """The objects with those of `rows` (N,) taken from another filter of the same objects."""
        mask = {2: rows[:, None], 1: rows}
        pairs = {f.name: (getattr(other, f.name), getattr(self, f.name)) for f in fields(MotionFilter)}
        return MotionFilter(**{name: np.where(mask[own.ndim], new, own) for name, (new, own) in pairs.items()})

    def predicted(self, dt_s: float, accelerations: Float64) -> MotionFilter:
        """The objects `dt_s` later; accelerations (N,) are standard deviations, constant over the step."""
        noise = accelerations**2
        return MotionFilter(
            positions=self.positions + dt_s * self.rates,
            rates=self.rates,
            position_variances=self.position_variances
            + 2 * dt_s * self.cross_covariances
            + dt_s**2 * self.rate_variances
            + noise * dt_s**4 / 4,
            cross_covariances=self.cross_covariances + dt_s * self.rate_variances + noise * dt_s**3 / 2,
            rate_variances=self.rate_variances + noise * dt_s**2,
        )

    def position_seen(self, measured: Float64, sigmas: Float64) -> MotionFilter:
        """After a measurement of the positions (N, D); an infinite sigma measures nothing."""
        spread = self.position_variances + sigmas**2
        gain, rate_gain = self.position_variances / spread, self.cross_covariances / spread
        surprise = np.where(np.isfinite(sigmas)[:, None], measured - self.positions, 0.0)
        return MotionFilter(
            positions=self.positions + gain[:, None] * surprise,
            rates=self.rates + rate_gain[:, None] * surprise,
            position_variances=(1 - gain) * self.position_variances,
            cross_covariances=(1 - gain) * self.cross_covariances,
            rate_variances=self.rate_variances - rate_gain * self.cross_covariances,
        )

    def rate_seen(self, measured: Float64, sigmas: Float64) -> MotionFilter:
        """After a measurement of the rates (N, D); an infinite sigma measures nothing."""
        spread = self.rate_variances + sigmas**2
        gain, rate_gain = self.cross_covariances / spread, self.rate_variances / spread
        surprise = np.where(np.isfinite(sigmas)[:, None], measured - self.rates, 0.0)
        return MotionFilter(
            positions=self.positions + gain[:, None] * surprise,
            rates=self.rates + rate_gain[:, None] * surprise,
            position_variances=self.position_variances - gain * self.cross_covariances,
            cross_covariances=(1 - rate_gain) * self.cross_covariances,
            rate_variances=(1 - rate_gain) * self.rate_variances,
        )
