"""Which query answers for which true object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from tricast.configs.strict import StrictConfig
from tricast.perception.losses.targets import TruthBatch
from tricast.perception.query_outputs import LayerOutputs

FORBIDDEN = 1e6


class MatchingConfig(StrictConfig):
    """Costs of pairing a query with a true object."""

    gate_m: float = 2.0
    """Pairs farther apart than this and half the object's length are no pairs."""
    class_cost: float = 2.0
    center_cost_per_m: float = 1.0
    log_size_cost: float = 0.5
    other_class_cost: float = 2.0
    """For layer 0: a query that started from another class than the object's."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Matches:
    """M pairs: query `queries[i]` of sample `samples[i]` answers for its true object `objects[i]`; all (M,) int64."""

    samples: Tensor
    queries: Tensor
    objects: Tensor

    def __len__(self) -> int:
        return len(self.samples)


def joined(first: Matches, second: Matches) -> Matches:
    """The pairs of both."""
    return Matches(
        samples=torch.cat([first.samples, second.samples]),
        queries=torch.cat([first.queries, second.queries]),
        objects=torch.cat([first.objects, second.objects]),
    )


@torch.no_grad()
def match_by_cell(
    cell_centers_m: Tensor, query_classes: Tensor, query_mask: Tensor, truth: TruthBatch, config: MatchingConfig
) -> Matches:
    """Pair queries with positive objects by where and as what they started: cell centres (B, Q, 2), classes (B, Q)."""
    distance = torch.cdist(cell_centers_m, truth.centers_m[..., :2])
    other = query_classes[:, :, None] != truth.class_indices[:, None, :]
    cost = config.center_cost_per_m * distance + config.other_class_cost * other
    return _assigned(cost, distance, query_mask, truth, config)


@torch.no_grad()
def match_by_box(layer: LayerOutputs, query_mask: Tensor, truth: TruthBatch, config: MatchingConfig) -> Matches:
    """Pair queries with positive objects at the least total cost of class and box (Hungarian, gated by distance).

    Source: Carion et al., DETR, 2020; focal class cost of Zhu et al., Deformable DETR, 2021.

    Args:
        layer: Outputs, of which the first `query_mask.shape[1]` queries take part.
        query_mask: (B, Q') bool.
        truth: The objects.
        config: Costs.

    """
    count = query_mask.shape[1]
    logits = layer.class_logits[:, :count].float()
    index = truth.class_indices[:, None, :].expand(-1, count, -1)
    own = torch.gather(logits, 2, index)
    probability = torch.sigmoid(own)
    found = 0.25 * (1 - probability) ** 2 * -torch.nn.functional.logsigmoid(own)
    wrong = 0.75 * probability**2 * -torch.nn.functional.logsigmoid(-own)
    distance = torch.cdist(layer.centers_m[:, :count, :2].float(), truth.centers_m[..., :2])
    size = torch.cdist(layer.log_sizes[:, :count].float(), truth.sizes_m.log(), p=1)
    cost = config.class_cost * (found - wrong) + config.center_cost_per_m * distance + config.log_size_cost * size
    return _assigned(cost, distance, query_mask, truth, config)


def seed_matches(seed_objects: Tensor, seed_mask: Tensor, num_seeded: int) -> Matches:
    """Training seeds (B, G) answer for the objects they were made of; their queries follow the `num_seeded` peaks."""
    samples, seeds = torch.nonzero(seed_mask, as_tuple=True)
    return Matches(samples=samples, queries=seeds + num_seeded, objects=seed_objects[samples, seeds])


def _assigned(cost: Tensor, distance: Tensor, query_mask: Tensor, truth: TruthBatch, config: MatchingConfig) -> Matches:
    gate = config.gate_m + 0.5 * truth.sizes_m[:, None, :, 0]
    allowed = (distance <= gate) & query_mask[:, :, None] & truth.positive[:, None, :]
    allowed = allowed & cost.isfinite()  # what is not finite is for the check of the loss to tell
    costs = torch.where(allowed, cost, FORBIDDEN).double().cpu().numpy()
    possible, positive = allowed.cpu().numpy(), truth.positive.cpu().numpy()
    parts: list[np.ndarray] = [np.zeros((3, 0), np.int64)]
    for sample, matrix in enumerate(costs):
        objects = np.flatnonzero(positive[sample])
        queries, columns = linear_sum_assignment(matrix[:, objects])
        objects = objects[columns]
        real = possible[sample, queries, objects]
        parts.append(np.stack([np.full(int(real.sum()), sample), queries[real], objects[real]]))
    samples, queries, objects = torch.from_numpy(np.concatenate(parts, axis=1)).to(cost.device)
    return Matches(samples=samples, queries=queries, objects=objects)
