"""Contrastive alignment: embeddings of one tick from two sensors are nearer than those of different ticks."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional

from tricast.perception.batch import MODALITY_ORDER

PAIRS = tuple(combinations(range(len(MODALITY_ORDER)), 2))


def info_nce(first: Tensor, second: Tensor, scale: Tensor) -> Tensor:
    """Symmetric InfoNCE: the mean cross-entropy of finding the own counterpart, from either side.

    Source: van den Oord et al., 2018; both directions as in CLIP (Radford et al., ICML 2021).

    Args:
        first: (N, D) unit vectors.
        second: (N, D) of the same ticks.
        scale: Inverse temperature.

    """
    own, alike = torch.arange(len(first), device=first.device), scale * first @ second.T
    return (functional.cross_entropy(alike, own) + functional.cross_entropy(alike.T, own)) / 2


def alignment_losses(embeddings: Tensor, present: Tensor, scale: Tensor) -> dict[str, Tensor]:
    """InfoNCE of every pair of sensors over the samples that have both; pairs that no sample has are left out.

    Args:
        embeddings: (B, 3, D).
        present: (B, 3) bool.
        scale: Inverse temperature.

    """
    losses: dict[str, Tensor] = {}
    for one, other in PAIRS:
        both = present[:, one] & present[:, other]
        if bool(both.any()):
            name = f"alignment {MODALITY_ORDER[one]}-{MODALITY_ORDER[other]}"
            losses[name] = info_nce(embeddings[both, one], embeddings[both, other], scale)
    return losses


def recall_at_1(first: Tensor, second: Tensor) -> float:
    """The share of N embeddings (N, D) whose nearest among the other sensor's (N, D) is of the same tick."""
    found = (first @ second.T).argmax(dim=1)
    return float((found == torch.arange(len(first), device=first.device)).float().mean())
