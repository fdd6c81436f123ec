"""Figures of a training run from one row of its curve to the next."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tricast.perception.losses.channels import ChannelMeter
from tricast.perception.losses.criterion import LossTable


@dataclass
class Interval:
    """What has been seen since the last row of the curve."""

    losses: dict[str, Tensor] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    """Of the steps that had each loss: what no sample of a batch has is no part of it."""
    steps: int = 0
    meter: ChannelMeter = field(default_factory=ChannelMeter)
    waiting_s: float = 0.0
    began_s: float = field(default_factory=time.monotonic)

    def add(self, tables: Sequence[LossTable], norm: Tensor) -> None:
        """Take the losses of a step, as means over its parts."""
        parts = [{"loss": table.total, **table.terms} for table in tables]
        means = {name: torch.stack([part[name] for part in parts]).mean() for name in parts[0]}
        named = {**means, "gradient_norm": norm}
        # Fetched in one go: a GPU is waited for once, not once for every loss.
        for name, value in zip(named, torch.stack([v.float() for v in named.values()]).cpu(), strict=True):
            self.losses[name] = self.losses.get(name, torch.zeros(())) + value
            self.counts[name] += 1
        self.steps += 1

    def means(self) -> dict[str, Tensor]:
        """Of each loss over the steps that had it."""
        return {name: value / self.counts[name] for name, value in self.losses.items()}
