"""How a run is watched: mAP of every subset of sensors, and the errors of every channel, on ticks of its own."""

from __future__ import annotations

import numpy as np
import torch

from tricast.perception.batch import BevTransform
from tricast.perception.decoding import DecodingConfig, decode
from tricast.perception.evaluation.box_table import BoxTable
from tricast.perception.evaluation.detection import evaluate_detection
from tricast.perception.losses.channels import ChannelMeter
from tricast.perception.losses.criterion import training_losses
from tricast.perception.model import Network
from tricast.perception.outputs import Detections
from tricast.perception.training.augmentation import SUBSETS, AugmentedTick, restricted
from tricast.perception.training.batches import make_batch
from tricast.perception.training.config import TrainingRunConfig
from tricast.perception.training.contrastive_stage import retrieval_figures
from tricast.perception.training.picture_stage import picture_figures
from tricast.perception.training.shards import ShardSet
from tricast.perception.training.tick_truth import TickTruth, countable
from tricast.perception.training.warm_up import WarmNetwork
from tricast.sensors.geometry.boxes import concatenate_boxes


def validate(model: Network, shards: ShardSet, config: TrainingRunConfig, device: torch.device) -> dict[str, float]:
    """Figures of a model in evaluation mode: `mAP`, `mAP <subset>` for each smaller subset, and channel errors.

    Truth is what any sensor sees, whichever the model was given.
    """
    settings = config.training.validation
    if config.training.objective == "pictures":
        return picture_figures(model, shards, spread(len(shards), settings.ticks), config, device)
    if config.training.objective == "contrastive":
        recalls = retrieval_figures(model, shards, spread(len(shards), settings.ticks))
        return {name: recall for name, (recall, _) in recalls.items()}
    figures: dict[str, float] = {}
    for name, modalities in SUBSETS.items():
        whole = len(modalities) == len(next(iter(SUBSETS.values())))
        count = settings.ticks if whole else settings.subset_ticks
        if count:
            scored = _scored(model, shards, spread(len(shards), count), modalities, config, device)
            figures.update(scored if whole else {f"mAP {name}": scored["mAP"]})
    return figures


def spread(total: int, count: int) -> list[int]:
    """So many ticks, evenly over all; all if there are fewer."""
    return sorted({int(i) for i in np.linspace(0, total - 1, min(count, total))})


def spread_runs(total: int, count: int, length: int = 4) -> list[int]:
    """The same in runs of ticks that follow each other, which a network with memory does in less time."""
    starts = np.linspace(0, max(total - length, 0), max(min(count, total) // length, 1))
    return sorted({index for start in starts for index in range(int(start), min(int(start) + length, total))})


@torch.inference_mode()
def _scored(
    model: Network,
    shards: ShardSet,
    indices: list[int],
    modalities: tuple[str, ...],
    config: TrainingRunConfig,
    device: torch.device,
) -> dict[str, float]:
    meter = ChannelMeter()
    truths: list[TickTruth] = []
    found: list[Detections] = []
    grid, warm = config.model.batch, WarmNetwork(model, shards, modalities)
    for index in indices:
        tick = shards[index]
        sample = restricted(tick.sample, modalities)
        augmented = AugmentedTick(sample=sample, truth=tick.truth, transform=BevTransform(), lidar_before=None)
        batch = make_batch([augmented], grid, [np.random.default_rng(index)], jitter_m=0.0).to(device)
        outputs = warm(index, batch.sensors)
        no_seeds = torch.zeros_like(batch.seeds.mask)
        table = training_losses(
            outputs,
            batch.truth,
            batch.seed_objects,
            no_seeds,
            batch.sensors.present,
            config.training.loss,
            range_m=grid.range_m,
        )
        meter.add(outputs, table, batch.truth, range_m=grid.range_m)
        truths.append(tick.truth[countable(tick.truth)])
        found.append(decode(outputs, tick.sample.timestamp_ns, DecodingConfig()))
    tokens = [str(index) for index in indices]
    scenes = np.array([shards.scene_of(index) for index in indices])
    metrics = evaluate_detection(found_table(tokens, scenes, found), truth_table(tokens, scenes, truths))
    errors = {f"true positives {name}": value for name, value in metrics.mean_errors.items() if name != "AAE"}
    return {"mAP": metrics.mean_ap, **errors, **meter.figures()}


def found_table(tokens: list[str], scenes: np.ndarray, found: list[Detections]) -> BoxTable:
    """Detections of samples as columns; tokens and scenes one a sample."""
    boxes = concatenate_boxes([detections.boxes for detections in found])
    return BoxTable.of(
        tokens,
        sample_scene=scenes,
        sample_index=np.repeat(np.arange(len(found)), [len(detections) for detections in found]),
        class_index=np.concatenate([detections.class_indices for detections in found]),
        scores=np.concatenate([detections.scores for detections in found]),
        centers_m=boxes.centers_m,
        sizes_m=boxes.sizes_m,
        yaws_rad=boxes.yaws_rad,
        velocities_mps=boxes.velocities_mps,
        ego_distance_m=np.linalg.norm(boxes.centers_m[:, :2], axis=1),
    )


def truth_table(tokens: list[str], scenes: np.ndarray, truths: list[TickTruth]) -> BoxTable:
    """Truth of samples as columns, likewise."""
    centers = np.concatenate([truth.centers_m for truth in truths])
    return BoxTable.of(
        tokens,
        sample_scene=scenes,
        sample_index=np.repeat(np.arange(len(truths)), [len(truth) for truth in truths]),
        class_index=np.concatenate([truth.class_indices for truth in truths]),
        centers_m=centers,
        sizes_m=np.concatenate([truth.sizes_m for truth in truths]),
        yaws_rad=np.concatenate([truth.yaws_rad for truth in truths]),
        velocities_mps=np.concatenate([truth.velocities_mps for truth in truths]),
        ego_distance_m=np.linalg.norm(centers[:, :2], axis=1),
    )
