"""A stage that trains the camera encoder alone: what its features see and how far away it is.

Source: supervision in perspective before that on the grid, Yang et al., BEVFormer v2, CVPR 2023.
"""

from __future__ import annotations

import numpy as np
import torch

from tricast.perception.batch import BevTransform
from tricast.perception.encoders.camera_vit import CameraFeatures
from tricast.perception.losses.criterion import LossConfig, LossTable, class_weights
from tricast.perception.losses.focal import depth_loss, picture_loss
from tricast.perception.losses.matching import Matches
from tricast.perception.model import Network
from tricast.perception.training.augmentation import AugmentedTick, restricted
from tricast.perception.training.batches import TrainingBatch, make_batch
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.shards import ShardSet
from tricast.sensors.annotations import DETECTION_CLASSES


def picture_stage_losses(model: Network, batch: TrainingBatch, config: LossConfig) -> LossTable:
    """Depth and class losses of the image features alone."""
    return picture_losses(model, model.camera_encoder(batch.sensors), batch, config)


def picture_losses(model: Network, camera: CameraFeatures, batch: TrainingBatch, config: LossConfig) -> LossTable:
    """The same of features that are there already."""
    logits = model.picture_head(camera.features)
    terms = {
        "depth": depth_loss(camera.depth_logits, batch.depth_targets),
        "picture": picture_loss(logits, batch.picture_targets, class_weights(config, logits)),
    }
    total = config.weights.depth * terms["depth"] + config.weights.picture * terms["picture"]
    nobody = torch.zeros(0, dtype=torch.int64, device=total.device)
    matches = Matches(samples=nobody, queries=nobody, objects=nobody)
    return LossTable(total=total, terms={name: value.detach() for name, value in terms.items()}, matches=matches)


@torch.inference_mode()
def picture_figures(
    model: Network, shards: ShardSet, indices: list[int], config: TrainingRunConfig, device: torch.device
) -> dict[str, float]:
    """How many image features on objects are told right, over all and as a mean over classes, and false alarms."""
    size = len(DETECTION_CLASSES) + 1
    counts = np.zeros((size, size), np.int64)
    for index in indices:
        tick = shards[index]
        pictures = AugmentedTick(
            sample=restricted(tick.sample, ("camera",)),
            truth=tick.truth,
            transform=BevTransform(),
            lidar_before=tick.sample.lidar,
        )
        batch = make_batch([pictures], config.model.batch, [np.random.default_rng(index)], jitter_m=0.0).to(device)
        told = model.picture_head(model.camera_encoder(batch.sensors).features).argmax(dim=1)
        known = batch.picture_targets >= 0
        np.add.at(counts, (batch.picture_targets[known].cpu().numpy(), told[known].cpu().numpy()), 1)
    objects, seen = counts[:-1], counts[:-1].sum(axis=1)
    right = np.diagonal(counts)[:-1]
    return {
        "picture accuracy": float(right.sum() / max(seen.sum(), 1)),
        "picture accuracy mean over classes": float((right[seen > 0] / seen[seen > 0]).mean()) if seen.any() else 0.0,
        "picture objects found": float(objects[:, :-1].sum() / max(seen.sum(), 1)),
        "picture false alarms": float(counts[-1, :-1].sum() / max(counts[-1].sum(), 1)),
    }
