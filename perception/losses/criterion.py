"""All losses of one forward pass as one weighted sum, with the table of its parts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field, field_validator
from torch import Tensor

from tricast.configs.strict import StrictConfig
from tricast.perception.losses.boxes import BoxLossConfig, MatchedTruth, box_losses, layer_at, truth_at
from tricast.perception.losses.focal import (
    class_focal_loss,
    class_or_nothing_loss,
    depth_loss,
    heatmap_focal_loss,
    picture_loss,
    shape_loss,
)
from tricast.perception.losses.footprints import EMPTY_WEIGHT, footprint_targets
from tricast.perception.losses.matching import (
    Matches,
    MatchingConfig,
    joined,
    match_by_box,
    match_by_cell,
    seed_matches,
)
from tricast.perception.losses.targets import TruthBatch, cell_centers_m, heatmap_targets
from tricast.perception.losses.trajectories import TrajectoryLossConfig, displacements, trajectory_losses
from tricast.perception.query_outputs import LayerOutputs, QueryOutputs
from tricast.sensors.annotations import DETECTION_CLASSES

CLASS_WEIGHTS = {
    "car": 0.9,
    "truck": 1.65,
    "bus": 1.7,
    "trailer": 1.4,
    "construction_vehicle": 1.35,
    "pedestrian": 0.5,
    "motorcycle": 1.7,
    "bicycle": 1.7,
    "traffic_cone": 0.8,
    "barrier": 1.05,
}
"""Inverse square roots of how often a class is seen in the standard world's training scenes, around 1."""


class LossWeights(StrictConfig):
    """Weights of the sum."""

    heatmap: float = Field(default=2.0, ge=0)
    camera_heatmap: float = Field(default=0.3, ge=0)
    radar_heatmap: float = Field(default=0.3, ge=0)
    depth: float = Field(default=0.3, ge=0)
    picture: float = Field(default=1.0, ge=0)
    alignment: float = Field(default=1.0, ge=0)
    """Of a contrastive stage alone."""
    footprint: float = Field(default=1.0, ge=0)
    shape: float = Field(default=0.5, ge=0)
    classification: float = Field(default=2.0, ge=0)
    center: float = Field(default=0.5, ge=0)
    height: float = Field(default=0.15, ge=0)
    size: float = Field(default=0.15, ge=0)
    yaw: float = Field(default=0.2, ge=0)
    axis: float = Field(default=0.3, ge=0)
    velocity: float = Field(default=0.4, ge=0)
    quality: float = Field(default=0.2, ge=0)
    forecast: float = Field(default=0.3, ge=0)
    mode: float = Field(default=0.2, ge=0)


class LossConfig(StrictConfig):
    """Weights, costs and scales."""

    weights: LossWeights = LossWeights()
    matching: MatchingConfig = MatchingConfig()
    boxes: BoxLossConfig = BoxLossConfig()
    trajectories: TrajectoryLossConfig = TrajectoryLossConfig()
    class_weights: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=lambda: dict(CLASS_WEIGHTS))
    """Of an object of a class in heatmaps and classification; 1 for a class that is not named, 0 for one not asked for.
    """
    focal_alpha: float = Field(default=0.25, ge=0, le=1)
    focal_gamma: float = Field(default=2.0, ge=0)
    ignore_m: float = Field(default=2.0, ge=0)
    """An unmatched query so near an object that the sensors cannot see is not told that nothing is there."""

    @field_validator("class_weights")
    @classmethod
    def _of_known_classes(cls, weights: dict[str, float]) -> dict[str, float]:
        if not weights.keys() <= set(DETECTION_CLASSES):
            raise ValueError(f"weights of classes among {', '.join(DETECTION_CLASSES)}")
        return weights


@dataclass(frozen=True, kw_only=True, eq=False)
class LossTable:
    """The loss of a batch.

    Args:
        total: The weighted sum, with its graph.
        terms: Unweighted parts by name, detached; decoder layers are told apart by `_0`, `_1`, ...
        matches: Peaks of the last layer and the objects they answer for, without training seeds.

    """

    total: Tensor
    terms: Mapping[str, Tensor]
    matches: Matches

    def describe(self) -> str:
        """One line: total and parts."""
        parts = ", ".join(f"{name} {float(value):.4g}" for name, value in self.terms.items())
        return f"total {float(self.total.detach()):.4g} ({parts})"


def training_losses(
    outputs: QueryOutputs,
    truth: TruthBatch,
    seed_objects: Tensor,
    seed_mask: Tensor,
    present: Tensor,
    config: LossConfig,
    *,
    range_m: float,
    depth_targets: Tensor | None = None,
    picture_targets: Tensor | None = None,
) -> LossTable:
    """Losses of one forward pass.

    Args:
        outputs: Of the network.
        truth: Of the batch, T objects a sample.
        seed_objects: (B, G) int64, the object that each training seed was made of.
        seed_mask: (B, G) bool.
        present: (B, 3) bool for camera, LiDAR and radar.
        config: Weights and scales.
        range_m: Half the grid's side.
        depth_targets: (B * N * h * w) int64, the bin at which each image feature sees something; -1 where unknown.
        picture_targets: (B * N * h * w) int64, the class that each image feature sees; C for none, -1 where unknown.

    """
    weights_of_classes = class_weights(config, outputs.heatmap)
    terms = _heatmaps(outputs, truth, present, weights_of_classes, range_m)
    if outputs.depth_logits is not None and depth_targets is not None:
        terms["depth"] = depth_loss(outputs.depth_logits, depth_targets)
    if outputs.footprint_logits is not None:
        terms["footprint"] = _footprints(outputs.footprint_logits, truth, weights_of_classes, range_m)
    if outputs.picture_logits is not None and picture_targets is not None:
        terms["picture"] = picture_loss(outputs.picture_logits, picture_targets, weights_of_classes)
    from_seeds = seed_matches(seed_objects, seed_mask, outputs.num_seeded)
    mask = outputs.query_mask[:, : outputs.num_seeded]
    matching = config.matching if outputs.from_peaks else config.matching.model_copy(update={"gate_m": math.inf})
    matches = from_peaks = _first_matches(outputs, truth, matching, range_m)
    for number, layer in enumerate(outputs.layers):
        if number > 0:
            from_peaks = match_by_box(layer, mask, truth, matching)
        terms[f"classification_{number}"] = _classification(layer, mask, from_peaks, truth, weights_of_classes, config)
        matches = joined(from_peaks, from_seeds)
        boxes = box_losses(layer_at(layer, matches), truth_at(truth, matches), config.boxes)
        terms.update({f"{name}_{number}": value for name, value in boxes.items()})
    if outputs.shape_logits is not None:
        logits, classes = outputs.shape_logits[matches.samples, matches.queries], truth_at(truth, matches).class_indices
        terms["shape"] = shape_loss(logits, classes, weights_of_classes)
    terms.update(_trajectories(outputs, matches, truth_at(truth, matches), config))
    weights = config.weights.model_dump()
    total = torch.stack([value * weights[_kind(name)] for name, value in terms.items()]).sum()
    return LossTable(total=total, terms={name: value.detach() for name, value in terms.items()}, matches=from_peaks)


def _kind(name: str) -> str:
    """The weight's name of a term: without the number of the layer."""
    stem, _, number = name.rpartition("_")
    return stem if number.isdigit() else name


def class_weights(config: LossConfig, like: Tensor) -> Tensor:
    """Weights (C,) of the classes, of the type and on the device of a tensor."""
    return like.new_tensor([config.class_weights.get(name, 1.0) for name in DETECTION_CLASSES])


def _heatmaps(
    outputs: QueryOutputs, truth: TruthBatch, present: Tensor, of_classes: Tensor, range_m: float
) -> dict[str, Tensor]:
    """The fused heatmap is asked for what any sensor sees, one sensor's own for what that sensor sees."""
    on_grid = truth.positive | truth.ignored
    wanted = {
        "heatmap": (outputs.heatmap, truth.positive, present.any(dim=1)),
        "camera_heatmap": (outputs.camera_heatmap, truth.camera_positive, present[:, 0]),
        "radar_heatmap": (outputs.radar_heatmap, truth.radar_positive, present[:, 2]),
    }
    losses: dict[str, Tensor] = {}
    for name, (logits, positive, delivered) in wanted.items():
        if logits is not None:
            targets = heatmap_targets(
                truth,
                positive,
                on_grid & ~positive,
                num_classes=logits.shape[1],
                num_cells=logits.shape[-1],
                range_m=range_m,
            )
            losses[name] = heatmap_focal_loss(logits, targets, delivered, of_classes)
    return losses


def _footprints(logits: Tensor, truth: TruthBatch, of_classes: Tensor, range_m: float) -> Tensor:
    classes, cells = logits.shape[1] - 1, logits.shape[-1]
    targets = footprint_targets(truth, num_classes=classes, num_cells=cells, range_m=range_m)
    return class_or_nothing_loss(logits, targets, of_classes, nothing_weight=EMPTY_WEIGHT)


def _first_matches(outputs: QueryOutputs, truth: TruthBatch, config: MatchingConfig, range_m: float) -> Matches:
    """By where queries began; learned places know no classes, and are matched as boxes from the beginning."""
    count = outputs.num_seeded
    if not outputs.from_peaks:
        return match_by_box(outputs.layers[0], outputs.query_mask[:, :count], truth, config)
    centers = cell_centers_m(outputs.query_cells[:, :count], num_cells=outputs.heatmap.shape[-1], range_m=range_m)
    mask = outputs.query_mask[:, :count]
    return match_by_cell(centers, outputs.query_classes[:, :count], mask, truth, config)


def _classification(
    layer: LayerOutputs, mask: Tensor, matches: Matches, truth: TruthBatch, of_classes: Tensor, config: LossConfig
) -> Tensor:
    """Focal loss of every peak: its object's class if it has one, else none; seeds have no say."""
    logits = layer.class_logits[:, : mask.shape[1]]
    targets = torch.zeros_like(logits)
    classes = truth.class_indices[matches.samples, matches.objects]
    targets[matches.samples, matches.queries, classes] = 1.0
    weights = mask[..., None].expand_as(logits).float()
    distance = torch.cdist(layer.centers_m[:, : mask.shape[1], :2].detach(), truth.centers_m[..., :2])
    reach = config.ignore_m + 0.5 * truth.sizes_m[:, None, :, 0]
    near = (distance <= reach) & truth.ignored[:, None, :]
    own = torch.nn.functional.one_hot(truth.class_indices, logits.shape[-1]).to(logits.dtype)
    open_classes = torch.matmul(near.to(logits.dtype), own) > 0
    weights = weights * (~open_classes | (targets > 0))
    weights = weights * torch.where(targets > 0, of_classes, 1.0)
    loss = class_focal_loss(logits, targets, weights, alpha=config.focal_alpha, gamma=config.focal_gamma)
    return loss / max(len(matches), 1)


def _trajectories(
    outputs: QueryOutputs, matches: Matches, target: MatchedTruth, config: LossConfig
) -> dict[str, Tensor]:
    place = (matches.samples, matches.queries)
    sin, cos = outputs.layers[-1].headings[place].detach().unbind(-1)
    return trajectory_losses(
        outputs.mode_points_m[place],
        outputs.mode_log_scales[place],
        outputs.mode_logits[place],
        displacements(target, torch.atan2(sin, cos)),
        target,
        config.trajectories,
    )
