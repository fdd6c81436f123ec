"""Camera features lifted to the BEV grid: looked up, and weighted by where along its ray a pixel sees something."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from tricast.perception.batch import BatchConfig, SensorBatch
from tricast.perception.encoders.camera_vit import CameraConfig, CameraFeatures
from tricast.perception.layers.convolution import Bottleneck, ConvNorm, on_present


class CameraLift(nn.Module):
    """Every cell looks up one pixel at each of a few heights: a gather, its table computed when calibration changes.

    Source: Harley et al., Simple-BEV, ICRA 2023, for the look-up; the depth weight is Lift, Splat, Shoot's.
    """

    def __init__(self, config: CameraConfig, batch: BatchConfig, width: int) -> None:
        super().__init__()
        self.depth_bins, self.shape = batch.depth_bins, (width, batch.cells, batch.cells)
        self.join = nn.Sequential(
            ConvNorm(len(batch.lift_heights_m) * config.width, width), Bottleneck(width, width // 2)
        )

    def forward(self, camera: CameraFeatures, batch: SensorBatch) -> tuple[Tensor, Tensor]:
        """Lift.

        Returns:
            (B, C, Y, X) and, as bool (B, Y, X), which cells a present camera sees.

        """
        seen = batch.lift_index >= 0  # (B, Y, X, Z)
        rows = len(camera.features)
        per_sample = rows // max(len(batch.present), 1)
        first_row = per_sample * torch.arange(len(batch.present), device=seen.device)
        index = torch.where(seen, batch.lift_index + first_row[:, None, None, None], rows)
        # Row `rows` of each table is the one that unseen places look up; it takes no gradient.
        features = functional.pad(camera.features, (0, 0, 0, 1))
        looked_up = functional.embedding(index, features, padding_idx=rows)  # (B, Y, X, Z, C)
        weights = functional.pad(camera.depth_logits.softmax(dim=1) * self.depth_bins, (0, 0, 0, 1)).flatten()
        places = index * self.depth_bins + batch.lift_depth_bin
        # Not `weights[places]`: its gradient goes, on a GPU, one by one through all that look up the row of the unseen.
        weight = weights.index_select(0, places.flatten()).view_as(places)
        columns = (looked_up * weight[..., None]).flatten(3).permute(0, 3, 1, 2)
        return on_present(self.join, columns, batch.with_camera, self.shape), seen.any(dim=3)
