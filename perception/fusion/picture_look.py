"""What the pictures show where a query is: its centre sought among the rays of the image features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

SEEN_SHARE = 0.75
"""A centre is in a picture if a feature's ray passes it by no more than this share of the angle between two rays: half
a diagonal, and a little more."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictures:
    """Image features of all cameras with their rays; R = h * w a camera.

    Args:
        features: (B, N * R, C).
        ray_directions: (B, N, R, 3) unit vectors in ego axes.
        ray_origins_m: (B, N, 3).
        camera_mask: (B, N) bool.
        lowest_cosines: (B, N), of the angle up to which a ray counts as passing through a point.

    """

    features: Tensor
    ray_directions: Tensor
    ray_origins_m: Tensor
    camera_mask: Tensor
    lowest_cosines: Tensor


def pictures_of(features: Tensor, rays: Tensor, origins_m: Tensor, camera_mask: Tensor) -> Pictures:
    """Pictures of features (B * N * h * w, C) and rays (B, N, h, w, 3); the rest as in `Pictures`."""
    batch, cameras, rows, columns, _ = rays.shape
    middle = rays[:, :, rows // 2, columns // 2]
    beside, above = rays[:, :, rows // 2, columns // 2 - 1], rays[:, :, rows // 2 - 1, columns // 2]
    # Pictures of any shape are resized to one: in those that were tall, rows lie further apart than columns.
    nearest = torch.minimum((middle * beside).sum(dim=2), (middle * above).sum(dim=2))
    apart_rad = torch.acos(nearest.clamp(-1, 1))
    return Pictures(
        features=features.reshape(batch, cameras * rows * columns, features.shape[1]),
        ray_directions=rays.flatten(2, 3),
        ray_origins_m=origins_m,
        camera_mask=camera_mask,
        lowest_cosines=(SEEN_SHARE * apart_rad).cos(),
    )


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
    best = cosine.amax(dim=3)  # without a place: that is sought in one camera only, which is four times faster
    through = pictures.camera_mask[:, :, None] & (best > pictures.lowest_cosines[:, :, None])
    highest, camera = torch.where(through, best, -2.0).max(dim=1)  # (B, Q)
    count, cameras, queries, rays = cosine.shape
    sample, query = torch.arange(count, device=camera.device), torch.arange(queries, device=camera.device)
    line = (sample[:, None] * cameras + camera) * queries + query
    chosen = functional.embedding(line, cosine.flatten(0, 2))  # whole rows, (B, Q, R)
    return camera * rays + _place_of_highest(chosen), highest > -1


def _place_of_highest(values: Tensor) -> Tensor:
    """Where along the last axis the highest value is, the first of equal ones."""
    if not torch.compiler.is_exporting():
        return values.argmax(dim=-1)
    # OpenVINO would sort for it; comparing is several times faster.
    last = values.shape[-1] - 1
    places = torch.arange(last + 1, dtype=values.dtype, device=values.device)
    found = torch.where(values == values.amax(dim=-1, keepdim=True), places, float(last))
    return found.amin(dim=-1).long()
