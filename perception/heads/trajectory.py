"""Trajectory head: several weighted futures per query, as corrections to what physics would do."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tricast.perception.query_outputs import LayerOutputs
from tricast.sensors.annotations import FUTURE_STEP_S, NUM_FUTURE_STEPS

NUM_MODES = 6
MODE_PROBABILITIES = (0.5, 0.15, 0.1, 0.1, 0.1, 0.05)
"""At the start of training: going on, slowing, stopping, turning left, turning right, speeding up."""
SLOWING_S, STOPPING_S = 4.0, 1.5
"""Time constants of speeds that fade exponentially."""
TURNING_MPS2, MAX_TURN_RADPS = 2.5, 0.4
SPEEDING_UP_PER_S = 0.2


class TrajectoryHead(nn.Module):
    """A small network on a query and its motion gives corrections, scales and weights of all modes at once.

    Futures are in the object's own frame, which learns faster than the vehicle's (ViP3D, CVPR 2023). The motion is
    the query's own predicted velocity, without gradient, so that modes begin no worse than physics.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(width + 3, 2 * width),
            nn.GELU(),
            nn.LayerNorm(2 * width),
            nn.Linear(2 * width, 2 * width),
            nn.GELU(),
        )
        self.output = nn.Linear(2 * width, NUM_MODES * (4 * NUM_FUTURE_STEPS + 1))
        nn.init.normal_(self.output.weight, std=0.01)
        nn.init.zeros_(self.output.bias)
        times_s = FUTURE_STEP_S * torch.arange(1, NUM_FUTURE_STEPS + 1)
        self.register_buffer("times_s", times_s, persistent=False)
        self.register_buffer("log_scales", (0.2 + 0.15 * times_s).log(), persistent=False)
        self.register_buffer("logits", torch.tensor([math.log(p) for p in MODE_PROBABILITIES]), persistent=False)

    def forward(self, queries: Tensor, boxes: LayerOutputs) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, Q, D) and their boxes to futures.

        Returns:
            Points (B, Q, K, 12, 2) and logarithms of Laplace scales, both along and across the predicted heading from
            the centre, and logits (B, Q, K).

        """
        sine, cosine = boxes.headings.detach().unbind(dim=2)
        vx, vy = boxes.velocities_mps.detach().unbind(dim=2)
        velocity = torch.stack([cosine * vx + sine * vy, cosine * vy - sine * vx], dim=2)  # (B, Q, 2) along, across
        speed = velocity.norm(dim=2, keepdim=True)
        raw = self.output(self.network(torch.cat([queries, velocity / 10, speed / 10], dim=2)))
        shape = (NUM_MODES, NUM_FUTURE_STEPS, 4)
        corrections, logits = raw.split((math.prod(shape), NUM_MODES), dim=2)
        steps, scales = corrections.unflatten(2, shape).split((2, 2), dim=4)
        points = self._physics(velocity, speed) + steps.cumsum(dim=3)
        return points, scales + self.get_buffer("log_scales")[:, None], logits + self.get_buffer("logits")

    def _physics(self, velocity: Tensor, speed: Tensor) -> Tensor:
        """Anchors (B, Q, K, 12, 2) in the order of `MODE_PROBABILITIES`."""
        times = self.get_buffer("times_s")
        slowing = SLOWING_S * (1 - (-times / SLOWING_S).exp())
        stopping = STOPPING_S * (1 - (-times / STOPPING_S).exp())
        straight = [times, slowing, stopping, times + 0.5 * SPEEDING_UP_PER_S * times**2]
        going_on, slow, stop, faster = (velocity[..., None, :] * elapsed[:, None] for elapsed in straight)
        rate = (TURNING_MPS2 / speed.clamp(min=TURNING_MPS2 / MAX_TURN_RADPS))[..., None]  # (B, Q, 1, 1)
        sine, cosine = (rate * times[:, None]).sin() / rate, (1 - (rate * times[:, None]).cos()) / rate
        across = torch.stack([-velocity[..., 1], velocity[..., 0]], dim=2)[..., None, :]
        left, right = velocity[..., None, :] * sine + across * cosine, velocity[..., None, :] * sine - across * cosine
        return torch.stack([going_on, slow, stop, left, right, faster], dim=2)
