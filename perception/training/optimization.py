"""The optimiser, its learning rate by samples seen, and the moving average of weights."""

from __future__ import annotations

import copy
import math
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from tricast.perception.training.config import OptimizerConfig


def learning_rate(samples: int, max_samples: int, config: OptimizerConfig) -> float:
    """Linear from zero over the warm-up, then half a cosine down to the final share at the last planned sample."""
    if samples < config.warmup_samples:
        return config.learning_rate * (samples + 1) / config.warmup_samples
    span = max(1, max_samples - config.warmup_samples)
    progress = min(1.0, (samples - config.warmup_samples) / span)
    share = config.final_share + (1 - config.final_share) * 0.5 * (1 + math.cos(math.pi * progress))
    return config.learning_rate * share


def make_optimizer(model: nn.Module, config: OptimizerConfig) -> torch.optim.AdamW:
    """AdamW whose weight decay leaves vectors alone."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    on_gpu = all(p.is_cuda for p in parameters)
    return torch.optim.AdamW(groups, lr=config.learning_rate, foreach=not on_gpu, fused=on_gpu)


ModelT = TypeVar("ModelT", bound=nn.Module)


class AveragedModel(Generic[ModelT]):
    """Exponential moving average of a model's parameters and statistics; short at first, so that it forgets the start.

    Args:
        model: Copied once.
        decay: Of the average in the long run.

    """

    def __init__(self, model: ModelT, decay: float) -> None:
        self.model: ModelT = copy.deepcopy(model).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, model: ModelT, step: int) -> None:
        """Move the average towards the model after so many steps."""
        decay = min(self._decay, (1 + step) / (10 + step))
        pairs = list(zip(_tensors(self.model), _tensors(model), strict=True))
        real = [(own, other) for own, other in pairs if own.is_floating_point()]
        # All at once: on a GPU hundreds of small kernels would take longer than what they do.
        get_ema_multi_avg_fn(decay)([own for own, _ in real], [other for _, other in real], step)
        for own, other in pairs:
            if not own.is_floating_point():
                own.copy_(other)


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
