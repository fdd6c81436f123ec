"""Forecasts by physics: constant velocity, constant turn rate and standing still as weighted modes."""

from __future__ import annotations

import numpy as np
from pydantic import Field, model_validator

from tricast.configs.strict import StrictConfig
from tricast.perception.outputs import FUTURE_STEP_S, NUM_FUTURE_STEPS, Tracks, Trajectories

TIMES_S = FUTURE_STEP_S * np.arange(1, NUM_FUTURE_STEPS + 1)
STRAIGHT_RATE_RADPS = 1e-4


class ForecastConfig(StrictConfig):
    """Probabilities of the modes; their sum is 1."""

    constant_velocity: float = Field(default=0.5, ge=0, le=1)
    constant_turn_rate: float = Field(default=0.3, ge=0, le=1)
    braking: float = Field(default=0.15, ge=0, le=1)
    standing_still: float = Field(default=0.05, ge=0, le=1)
    braking_mps2: float = Field(default=3.0, gt=0)

    @model_validator(mode="after")
    def _sums_to_one(self) -> ForecastConfig:
        total = self.constant_velocity + self.constant_turn_rate + self.braking + self.standing_still
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the modes' probabilities must sum to 1, not {total:g}")
        return self


def forecast(tracks: Tracks, config: ForecastConfig) -> Trajectories:
    """Weighted futures of every track, in ego axes at the tick; modes are sorted by probability."""
    count = len(tracks)
    position = tracks.boxes.centers_m[:, None, :2]
    velocity = tracks.boxes.velocities_mps[:, None, :]
    speed = np.linalg.norm(velocity, axis=2)  # (N, 1)
    straight = velocity * TIMES_S[None, :, None]
    rate = tracks.turn_rates_radps[:, None]
    curved = np.abs(rate) > STRAIGHT_RATE_RADPS
    safe = np.where(curved, rate, 1.0)
    angle = rate * TIMES_S[None]
    sine = np.where(curved, np.sin(angle) / safe, TIMES_S[None])
    cosine = np.where(curved, (1 - np.cos(angle)) / safe, 0.0)
    turning = np.stack(
        [
            velocity[..., 0] * sine - velocity[..., 1] * cosine,
            velocity[..., 0] * cosine + velocity[..., 1] * sine,
        ],
        axis=2,
    )
    # Braking ends where the speed is used up, after speed / deceleration seconds.
    elapsed = np.minimum(TIMES_S[None], speed / config.braking_mps2)
    scale = elapsed - 0.5 * config.braking_mps2 * elapsed**2 / np.maximum(speed, 1e-9)
    braking = velocity * scale[..., None]
    modes = [
        (config.constant_velocity, straight),
        (config.constant_turn_rate, turning),
        (config.braking, braking),
        (config.standing_still, np.zeros_like(straight)),
    ]
    modes.sort(key=lambda mode: -mode[0])
    probabilities = np.tile([probability for probability, _ in modes], (count, 1)).reshape(count, len(modes))
    points = np.stack([position + offset for _, offset in modes], axis=1)
    return Trajectories(probabilities=probabilities, points_m=points)
