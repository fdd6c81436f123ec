"""What the pictures show where a query is: its centre sought among the rays of the image features."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

SEEN_RAD = 0.06
"""A centre is in a picture if a ray of one of its features passes it by no more than this."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictures:
    """Image features of all cameras with their rays; R = h * w a camera.

    Args:
        features: (B, N * R, C).
        ray_directions: (B, N, R, 3) unit vectors in ego axes.
        ray_origins_m: (B, N, 3).
        camera_mask: (B, N) bool.

    """

    features: Tensor
    ray_directions: Tensor
    ray_origins_m: Tensor
    camera_mask: Tensor


class PictureLook(nn.Module):
    """The feature nearest to a centre, as a correction to its query; nothing at first and where no camera sees it.

    Source: sampling at projected reference points, as DETR3D (Wang et al., CoRL 2021) and FUTR3D (Chen et al., 2022)
    do; here by rays, so that any lens will do.
    """

    def __init__(self, image_width: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(image_width, width)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, centers_m: Tensor, pictures: Pictures) -> Tensor:
        """Centres (B, Q, 3) to corrections (B, Q, D)."""
        if not pictures.camera_mask.shape[1]:
            return centers_m.new_zeros(*centers_m.shape[:2], self.project.out_features)
        rows, seen = nearest_features(centers_m, pictures)
        first = torch.arange(len(rows), device=rows.device)[:, None] * pictures.features.shape[1]
        looked_up = functional.embedding(rows + first, pictures.features.flatten(0, 1))
        return self.project(looked_up) * seen[..., None]


@torch.no_grad()
def nearest_features(centers_m: Tensor, pictures: Pictures) -> tuple[Tensor, Tensor]:
    """Rows (B, Q) of the features whose rays pass nearest to centres (B, Q, 3), and whether (B, Q) any camera sees it.

    Where cameras overlap, the nearest ray of all counts.
    """
    sight = functional.normalize(centers_m[:, None] - pictures.ray_origins_m[:, :, None], dim=3)  # (B, N, Q, 3)
    cosine = sight @ pictures.ray_directions.transpose(2, 3)  # (B, N, Q, R)
    best, place = cosine.max(dim=3)
    best = torch.where(pictures.camera_mask[:, :, None], best, -2.0)
    highest, camera = best.max(dim=1, keepdim=True)
    rows = camera * cosine.shape[3] + place.gather(1, camera)
    return rows[:, 0], highest[:, 0] > math.cos(SEEN_RAD)
