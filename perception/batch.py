"""What the network takes: images, rays, look-up tables and flat point lists, under one BEV transform each.

Nothing above this file knows a camera matrix: cameras enter as pixels, rays and a table that says which pixel each
BEV cell looks up. Letters in shapes: B samples, N cameras a sample at most, M cameras that delivered in the whole
batch, P points, Y and X cells, Z heights, h and w rows and columns of a feature map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from tricast.configs.strict import StrictConfig
from tricast.sensors.geometry.se3 import SE3

Float64 = NDArray[np.float64]

FEATURE_STRIDE_PX = 8
"""Of the image features that BEV cells look up."""
TOKEN_STRIDE_PX = 16
MODALITY_ORDER = ("camera", "lidar", "radar")
"""Columns of `SensorBatch.present`."""


class BatchConfig(StrictConfig):
    """The grid around the vehicle, the image size and the heights at which cells look into pictures."""

    range_m: float = Field(default=51.2, gt=0, le=300)
    """The grid covers x and y from minus to plus this, in ego axes at the tick."""
    cells: int = Field(default=64, ge=8, le=512, multiple_of=2)
    """Of the BEV grid along each axis; the heatmap and the LiDAR pillars have twice as many."""
    image_size_px: tuple[int, int] = (320, 192)
    """Width and height, multiples of 16, at least 32; other images are resized."""
    lift_heights_m: tuple[float, ...] = Field(default=(0.2, 0.9, 1.8, 3.2), min_length=1)
    depth_bins: int = Field(default=24, ge=2, le=256)
    """Of the depth distribution along a pixel's ray, spaced by logarithm."""
    depth_range_m: tuple[float, float] = (2.0, 72.0)
    lidar_z_m: tuple[float, float] = (-3.0, 6.0)
    """Returns outside these heights are left out."""
    lidar_voxel_m: float = Field(default=0.2, ge=0.01, le=2)
    """Of the returns of one age in a cube of this side, one is kept: near the vehicle there are far more than needed,
    and how many depends on the LiDAR."""
    lidar_age_step_s: float = Field(default=0.2, gt=0, le=2)

    @model_validator(mode="after")
    def _possible(self) -> BatchConfig:
        if any(side < 2 * TOKEN_STRIDE_PX or side % TOKEN_STRIDE_PX for side in self.image_size_px):
            raise ValueError(
                f"image_size_px of multiples of {TOKEN_STRIDE_PX} from {2 * TOKEN_STRIDE_PX} on, "
                f"not {list(self.image_size_px)}"
            )
        near_m, far_m = self.depth_range_m
        if not 0 < near_m < far_m:
            raise ValueError(f"depth_range_m above zero and ascending, not {[near_m, far_m]}")
        if self.lidar_z_m[0] >= self.lidar_z_m[1]:
            raise ValueError(f"lidar_z_m ascending, not {list(self.lidar_z_m)}")
        return self

    @property
    def feature_size(self) -> tuple[int, int]:
        """Rows and columns of the image features."""
        width, height = self.image_size_px
        return height // FEATURE_STRIDE_PX, width // FEATURE_STRIDE_PX

    @property
    def token_size(self) -> tuple[int, int]:
        """Rows and columns of the image tokens."""
        width, height = self.image_size_px
        return height // TOKEN_STRIDE_PX, width // TOKEN_STRIDE_PX

    @property
    def heatmap_cells(self) -> int:
        """Cells of the heatmap along each axis."""
        return 2 * self.cells

    @property
    def heatmap_cell_m(self) -> float:
        """Side of a cell of the heatmap."""
        return 2 * self.range_m / self.heatmap_cells


@dataclass(frozen=True, kw_only=True)
class BevTransform:
    """An augmentation of the ego frame itself: reflect x and y, then rotate by `yaw_rad` about +z.

    Points, rays, look-up tables, truth and ego motion all move with it; pictures stay as they are, because a reflected
    frame only changes where a cell looks up its pixel.
    """

    yaw_rad: float = 0.0
    flip_x: bool = False
    flip_y: bool = False

    @property
    def matrix(self) -> Float64:
        """(2, 2), new x and y from old ones."""
        cosine, sine = math.cos(self.yaw_rad), math.sin(self.yaw_rad)
        flips = np.diag([-1.0 if self.flip_x else 1.0, -1.0 if self.flip_y else 1.0])
        return np.array([[cosine, -sine], [sine, cosine]]) @ flips

    def vectors(self, vectors: NDArray[np.floating]) -> NDArray[np.floating]:
        """Points, velocities or directions (..., 2 or more) whose first two columns are x and y; the rest stays."""
        moved = vectors.copy()
        if self == BevTransform():
            return moved
        moved[..., :2] = vectors[..., :2] @ self.matrix.T.astype(vectors.dtype)
        return moved

    def pose(self, odom_from_ego: SE3) -> Float64:
        """(4, 4) pose of the turned frame: odometry stays as it is."""
        ego_from_turned = np.eye(4)
        ego_from_turned[:2, :2] = self.matrix.T
        return odom_from_ego.matrix @ ego_from_turned

    def yaws_rad(self, yaws_rad: Float64) -> Float64:
        """Headings, by the direction they point in."""
        ahead = np.stack([np.cos(yaws_rad), np.sin(yaws_rad)], axis=-1) @ self.matrix.T
        return np.arctan2(ahead[..., 1], ahead[..., 0])


@dataclass(frozen=True, kw_only=True, eq=False)
class SensorBatch:
    """Everything the network takes. A sensor that is absent has no row here; masks are True where something is.

    Made for a GPU, pictures, LiDAR rows, tables and rays are there already and the rest on the host; `to` brings all of
    it together.

    Args:
        images: (M, 3, H, W) uint8 RGB of the cameras that delivered.
        camera_slots: (M,) int64, `sample * N + camera` of each image.
        camera_mask: (B, N) bool.
        lift_index: (B, Y, X, Z) int64 into the sample's N*h*w image features, -1 where no present camera sees it.
        lift_depth_bin: (B, Y, X, Z) int64, the bin of the distance from that camera.
        ray_directions: (B, N, h, w, 3) unit vectors in ego axes at the centres of image features; zeros where a lens
            has no ray.
        ray_origins_m: (B, N, 3) places of the cameras in ego axes.
        with_camera: (S,) int64 samples of which a camera delivered.
        lidar_points: (P, 5) float32, `LIDAR_COLUMNS`, sample by sample in the order of the heatmap's cells.
        lidar_sample: (P,) int64; B marks padding rows at the end, which change nothing.
        with_lidar: (L,) int64 samples whose LiDAR delivered.
        radar_points: (R, 9) float32, `RADAR_COLUMNS`, likewise in order.
        radar_sample: (R,) int64 likewise.
        with_radar: (K,) int64 samples whose radar delivered.
        present: (B, 3) bool for camera, LiDAR and radar.
        timestamps_ns: (B,) int64 of the ticks.
        odom_from_ego: (B, 4, 4) float64 poses of the ticks, whose motion memory is moved by.

    """

    images: Tensor
    camera_slots: Tensor
    camera_mask: Tensor
    lift_index: Tensor
    lift_depth_bin: Tensor
    ray_directions: Tensor
    ray_origins_m: Tensor
    with_camera: Tensor
    lidar_points: Tensor
    lidar_sample: Tensor
    with_lidar: Tensor
    radar_points: Tensor
    radar_sample: Tensor
    with_radar: Tensor
    present: Tensor
    timestamps_ns: Tensor
    odom_from_ego: Tensor

    def to(self, device: torch.device | str) -> SensorBatch:
        """The same batch on another device, wherever its tensors are; to a GPU through memory that it reads while this
        goes on.
        """
        tensors = {f.name: getattr(self, f.name) for f in fields(self)}
        if torch.device(device).type == "cuda":
            tensors = {name: t if t.is_cuda else t.pin_memory() for name, t in tensors.items()}
            return SensorBatch(**{name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()})
        return SensorBatch(**{name: tensor.to(device) for name, tensor in tensors.items()})

    def padded(self, lidar_rows: int, radar_rows: int) -> SensorBatch:
        """The same batch with its point lists filled up to fixed lengths, for static shapes.

        Raises:
            ValueError: A list is longer than its fixed length.

        """
        count = len(self.present)
        lidar_points, lidar_sample = _filled(self.lidar_points, self.lidar_sample, lidar_rows, count)
        radar_points, radar_sample = _filled(self.radar_points, self.radar_sample, radar_rows, count)
        return replace(
            self,
            lidar_points=lidar_points,
            lidar_sample=lidar_sample,
            radar_points=radar_points,
            radar_sample=radar_sample,
        )

    def without(self, modality: str) -> SensorBatch:
        """The same batch as if no sensor of a modality had delivered."""
        present = self.present.clone()
        present[:, MODALITY_ORDER.index(modality)] = False
        if modality == "lidar":
            lost = ("lidar_points", "lidar_sample", "with_lidar")
        elif modality == "radar":
            lost = ("radar_points", "radar_sample", "with_radar")
        else:
            lost = ("images", "camera_slots", "with_camera")
        batch = replace(self, present=present, **{name: getattr(self, name)[:0] for name in lost})
        if modality != "camera":
            return batch
        return replace(
            batch,
            camera_mask=self.camera_mask[:, :0],
            ray_directions=self.ray_directions[:, :0],
            ray_origins_m=self.ray_origins_m[:, :0],
            lift_index=torch.full_like(self.lift_index, -1),
            lift_depth_bin=torch.zeros_like(self.lift_depth_bin),
        )

    def __len__(self) -> int:
        return len(self.present)


def cell_centers_m(cells: int, range_m: float) -> NDArray[np.float32]:
    """Coordinates (cells,) of the centres along one axis, from the negative end."""
    return ((np.arange(cells) + 0.5) * (2 * range_m / cells) - range_m).astype(np.float32)


def _filled(points: Tensor, sample: Tensor, rows: int, count: int) -> tuple[Tensor, Tensor]:
    missing = rows - len(points)
    if missing < 0:
        raise ValueError(f"{len(points)} points do not fit into {rows} rows")
    return (
        torch.cat([points, points.new_zeros(missing, points.shape[1])]),
        torch.cat([sample, sample.new_full((missing,), count)]),
    )
