"""The network as a plain function of tensors at fixed shapes, which compilers and exporters take."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import fields, replace

import torch
from torch import Tensor, nn

from tricast.perception.backends.fixed_shapes import LIDAR_COLUMN, FixedInputs
from tricast.perception.batch import SensorBatch
from tricast.perception.encoders.lidar_pointnet import LidarEncoder, LidarFeatures
from tricast.perception.fusion.point_look import PointNet
from tricast.perception.fusion.radar_look import RadarLook
from tricast.perception.model import ModelConfig, Network
from tricast.perception.query_memory import ObjectNotes
from tricast.perception.query_outputs import LayerOutputs, QueryOutputs

BOX_NAMES = tuple(field.name for field in fields(LayerOutputs))
QUERY_NAMES = ("heatmap", "query_cells", "query_classes", "mode_points_m", "mode_log_scales", "mode_logits")
NOTE_NAMES = tuple(field.name for field in fields(ObjectNotes))


def output_names(config: ModelConfig) -> tuple[str, ...]:
    """Outputs of a graph in order: of `QueryOutputs`, of the last layer's boxes, and what is to be remembered."""
    notes = tuple(f"noted_{name}" for name in NOTE_NAMES) if config.memory.objects else ()
    return (*QUERY_NAMES, *BOX_NAMES, *notes)


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
    """From `FixedInputs.tensors()` to tensors named by `output_names`; no shape depends on what sensors deliver.

    Fusion gives absent sensors no weight, look-ups and attention are masked; only the LiDAR's fine map goes around
    them, and gets a mask here. What is remembered goes in moved to the tick, and what is to be remembered comes out:
    a graph keeps nothing.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval()
        self.network.lidar_encoder = _MaskedLidar(self.network.lidar_encoder)  # type: ignore[assignment]
        for module in self.network.modules():
            if isinstance(module, PointNet | RadarLook):
                module.fixed_shapes = True

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """One tick."""
        inputs = FixedInputs.of_tensors(tensors)
        outputs, notes = self.network.look(inputs.as_batch(), inputs.recalled)
        return (
            *(getattr(outputs, name) for name in QUERY_NAMES),
            *(getattr(outputs.layers[-1], name) for name in BOX_NAMES),
            *(() if notes is None else (getattr(notes, name) for name in NOTE_NAMES)),
        )


def outputs_of(tensors: Sequence[Tensor], *, from_peaks: bool = True) -> tuple[QueryOutputs, ObjectNotes | None]:
    """The outputs of a graph as those of `Network.look`, with the last layer's boxes alone.

    Args:
        tensors: Named by `output_names`.
        from_peaks: See `QueryOutputs`.

    """
    named = dict(zip((*QUERY_NAMES, *BOX_NAMES), tensors, strict=False))
    noted = tensors[len(named) :]
    notes = ObjectNotes(**dict(zip(NOTE_NAMES, noted, strict=True))) if noted else None
    cells = named["query_cells"]
    outputs = QueryOutputs(
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
        from_peaks=from_peaks,
        layers=(LayerOutputs(**{name: named[name] for name in BOX_NAMES}),),
    )
    return outputs, notes
