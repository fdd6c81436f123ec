"""A stage that aligns the sensors: one embedding a tick from each, near to those of the same tick from the others.

The losses of pictures (`picture_stage.py`) go on beside it: they cost next to nothing there, and where a pixel's
content lies is what the camera's embedding is made of. What is after the sensors' grids is not run: no trunk, no
decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import torch
from torch import Tensor

from tricast.configs.errors import InputError
from tricast.perception.batch import MODALITY_ORDER
from tricast.perception.collation import collate
from tricast.perception.losses.contrastive import alignment_losses, recall_at_1
from tricast.perception.losses.criterion import LossConfig, LossTable
from tricast.perception.model import Network
from tricast.perception.training.batches import TrainingBatch
from tricast.perception.training.picture_stage import picture_losses
from tricast.perception.training.shards import ShardSet


def contrastive_losses(model: Network, batch: TrainingBatch, config: LossConfig) -> LossTable:
    """InfoNCE over the pairs of sensors, depth and classes of image features."""
    heads, seen = model.alignment, model.encoded(batch.sensors)
    assert heads is not None, "checked by the configuration"
    embeddings, present = heads(seen.bevs), batch.sensors.present
    terms = alignment_losses(embeddings, present, heads.scale)
    aligned = torch.stack(list(terms.values())).mean() if terms else 0.0 * embeddings.sum()
    table = picture_losses(model, seen.camera, batch, config)
    told = {name: value.detach() for name, value in terms.items()}
    temperature = {"temperature": 1 / heads.scale.detach()}
    return replace(
        table, total=table.total + config.weights.alignment * aligned, terms={**table.terms, **told, **temperature}
    )


@torch.inference_mode()
def embeddings_of(model: Network, shards: ShardSet, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Embeddings (N, 3, D) of ticks one by one, and which sensors (N, 3) each has.

    Raises:
        InputError: The network has no heads for it.

    """
    if model.alignment is None:
        raise InputError(
            where="weights",
            got="a network without heads for alignment (model.alignment.width is 0)",
            expected="weights of a stage with training.objective 'contrastive'",
            remedy="train one: docs/training.md",
        )
    device = next(model.parameters()).device
    told, present = [], []
    for index in indices:
        batch = collate([shards[index].sample], model.config.batch).to(device)
        told.append(model.alignment(model.encoded(batch).bevs))
        present.append(batch.present)
    return torch.cat(told), torch.cat(present)


def retrieval_figures(model: Network, shards: ShardSet, indices: Sequence[int]) -> dict[str, tuple[float, int]]:
    """Recall at 1 from each sensor to each other, among the N ticks that have both; and N. Chance is 1 / N."""
    embeddings, present = embeddings_of(model, shards, indices)
    figures = {}
    for one, other in permutations(range(len(MODALITY_ORDER)), 2):
        both = present[:, one] & present[:, other]
        if bool(both.any()):
            recall = recall_at_1(embeddings[both, one], embeddings[both, other])
            figures[f"recall {MODALITY_ORDER[one]} to {MODALITY_ORDER[other]}"] = (recall, int(both.sum()))
    return figures
