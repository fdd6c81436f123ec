"""The network as a plain function of tensors at fixed shapes, which compilers and exporters take."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import fields, replace

import torch
from torch import Tensor, nn

from tricast.perception.backends.fixed_shapes import INPUT_NAMES, LIDAR_COLUMN, FixedInputs
from tricast.perception.batch import SensorBatch
from tricast.perception.encoders.lidar_pointnet import LidarEncoder, LidarFeatures
from tricast.perception.model import Network
from tricast.perception.query_outputs import LayerOutputs, QueryMemory, QueryOutputs

BOX_NAMES = tuple(field.name for field in fields(LayerOutputs))
QUERY_NAMES = ("heatmap", "query_cells", "query_classes", "mode_points_m", "mode_log_scales", "mode_logits")
OUTPUT_NAMES = (*QUERY_NAMES, *BOX_NAMES)
"""Outputs of a graph in this order: those of `QueryOutputs`, then the boxes of the last layer."""


class _MaskedLidar(nn.Module):
    """The LiDAR encoder whose fine map is all zeros where the LiDAR is absent, by a mask in place of missing rows."""

    def __init__(self, encoder: LidarEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, batch: SensorBatch) -> LidarFeatures:
        """See `LidarEncoder`."""
        features = self.encoder(batch)
        there = batch.present[:, LIDAR_COLUMN].to(features.fine.dtype)
        return replace(features, fine=features.fine * there[:, None, None, None])


class FixedNetwork(nn.Module):
    """From `FixedInputs.tensors()` to tensors named by `OUTPUT_NAMES`; no shape depends on which sensors are there.

    Fusion gives absent sensors no weight, look-ups and attention are masked; only the LiDAR's fine map goes around
    them, and gets a mask here. The network carries nothing from tick to tick, so that a graph has no memory.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval()
        self.network.lidar_encoder = _MaskedLidar(self.network.lidar_encoder)  # type: ignore[assignment]

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """One tick."""
        batch = FixedInputs(**dict(zip(INPUT_NAMES, tensors, strict=True))).as_batch()
        outputs, _ = self.network(batch, QueryMemory())
        return (
            *(getattr(outputs, name) for name in QUERY_NAMES),
            *(getattr(outputs.layers[-1], name) for name in BOX_NAMES),
        )


def outputs_of(tensors: Sequence[Tensor]) -> QueryOutputs:
    """The outputs of a graph as those of the network, with the last layer's boxes alone."""
    named = dict(zip(OUTPUT_NAMES, tensors, strict=True))
    cells = named["query_cells"]
    return QueryOutputs(
        heatmap=named["heatmap"],
        query_cells=cells,
        query_classes=named["query_classes"],
        mode_points_m=named["mode_points_m"],
        mode_log_scales=named["mode_log_scales"],
        mode_logits=named["mode_logits"],
        camera_heatmap=None,
        radar_heatmap=None,
        query_mask=torch.ones_like(cells, dtype=torch.bool),
        num_seeded=cells.shape[1],
        layers=(LayerOutputs(**{name: named[name] for name in BOX_NAMES}),),
    )
