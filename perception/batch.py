"""From tick samples to tensors: images, rays, look-up tables and flat point lists, under one BEV transform each.

Nothing above this file knows a camera matrix: cameras enter as pixels, rays and a table that says which pixel each
BEV cell looks up. Letters in shapes: B samples, N cameras a sample at most, M cameras that delivered in the whole
batch, P points, Y and X cells, Z heights, h and w rows and columns of a feature map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, fields, replace
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from torch import Tensor

from tricast.configs.strict import StrictConfig
from tricast.perception.tick_sample import LIDAR_COLUMNS, RADAR_COLUMNS, CameraInput, TickSample
from tricast.sensors.errors import SensorDataError
from tricast.sensors.geometry.lenses import Lens
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
    cells: int = Field(default=64, ge=8, le=512)
    """Of the BEV grid along each axis; the heatmap and the LiDAR pillars have twice as many."""
    image_size_px: tuple[int, int] = (320, 192)
    """Width and height, multiples of 16; other images are resized."""
    lift_heights_m: tuple[float, ...] = (0.2, 0.9, 1.8, 3.2)
    depth_bins: int = Field(default=24, ge=2, le=256)
    """Of the depth distribution along a pixel's ray, spaced by logarithm."""
    depth_range_m: tuple[float, float] = (2.0, 72.0)
    lidar_z_m: tuple[float, float] = (-3.0, 6.0)
    """Returns outside these heights are left out."""
    lidar_voxel_m: float = Field(default=0.2, ge=0.01, le=2)
    """Of the returns of one age in a cube of this side, one is kept: near the vehicle there are far more than needed,
    and how many depends on the LiDAR."""
    lidar_age_step_s: float = Field(default=0.2, gt=0, le=2)

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
        radar_points: (R, 9) float32, `RADAR_COLUMNS`.
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
        """The same batch on another device; to a GPU through memory that it reads while this goes on."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self)}
        if torch.device(device).type == "cuda" and self.present.device.type == "cpu":
            return SensorBatch(**{n: t.pin_memory().to(device, non_blocking=True) for n, t in tensors.items()})
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


def collate(
    samples: Sequence[TickSample],
    config: BatchConfig,
    transforms: Sequence[BevTransform] | None = None,
    *,
    pool: Executor | None = None,
) -> SensorBatch:
    """Tensors of some ticks, each under its own transform (none: as it is).

    A picture that does not decode counts as a camera that did not deliver.

    Args:
        samples: The ticks.
        config: Sizes.
        transforms: One a tick.
        pool: Threads that decode pictures beside each other; the tensors are the same without.

    """
    transforms = [BevTransform()] * len(samples) if transforms is None else transforms
    decoded = [_decoded(sample, config, pool) for sample in samples]
    slots = max((len(cameras) for cameras in decoded), default=0)
    views = [
        _camera_views([camera for camera, _ in cameras], slots, config, transform)
        for cameras, transform in zip(decoded, transforms, strict=True)
    ]
    images = [pixels for cameras in decoded for _, pixels in cameras]
    width, height = config.image_size_px
    lidar_rows, lidar_sample = _flat([_lidar_rows(s, config, t) for s, t in zip(samples, transforms, strict=True)], 5)
    radar_rows, radar_sample = _flat([_radar_rows(s, config, t) for s, t in zip(samples, transforms, strict=True)], 9)
    present = [[bool(c), s.lidar is not None, s.radar is not None] for s, c in zip(samples, decoded, strict=True)]
    mask = [[n < len(cameras) for n in range(slots)] for cameras in decoded]
    stacked = np.stack(images) if images else np.zeros((0, height, width, 3), np.uint8)
    return SensorBatch(
        images=torch.from_numpy(stacked).permute(0, 3, 1, 2),
        camera_slots=torch.tensor(
            [b * slots + n for b, row in enumerate(mask) for n, on in enumerate(row) if on]
        ).long(),
        camera_mask=torch.tensor(mask, dtype=torch.bool).reshape(len(samples), slots),
        lift_index=torch.from_numpy(np.stack([view.lift_index for view in views])),
        lift_depth_bin=torch.from_numpy(np.stack([view.lift_depth_bin for view in views])),
        ray_directions=torch.from_numpy(np.stack([view.ray_directions for view in views])),
        ray_origins_m=torch.from_numpy(np.stack([view.ray_origins_m for view in views])),
        with_camera=_holding(present, 0),
        lidar_points=lidar_rows,
        lidar_sample=lidar_sample,
        with_lidar=_holding(present, 1),
        radar_points=radar_rows,
        radar_sample=radar_sample,
        with_radar=_holding(present, 2),
        present=torch.tensor(present, dtype=torch.bool).reshape(len(samples), len(MODALITY_ORDER)),
        timestamps_ns=torch.tensor([sample.timestamp_ns for sample in samples], dtype=torch.int64),
        odom_from_ego=torch.from_numpy(
            np.stack([t.pose(s.odom_from_ego) for s, t in zip(samples, transforms, strict=True)])
        ),
    )


def cell_centers_m(cells: int, range_m: float) -> NDArray[np.float32]:
    """Coordinates (cells,) of the centres along one axis, from the negative end."""
    return ((np.arange(cells) + 0.5) * (2 * range_m / cells) - range_m).astype(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class _CameraViews:
    """Of one sample, shapes as in `SensorBatch` without B."""

    lift_index: NDArray[np.int64]
    lift_depth_bin: NDArray[np.int64]
    ray_directions: NDArray[np.float32]
    ray_origins_m: NDArray[np.float32]


def _decoded(
    sample: TickSample, config: BatchConfig, pool: Executor | None
) -> list[tuple[CameraInput, NDArray[np.uint8]]]:
    def picture(camera: CameraInput) -> NDArray[np.uint8] | None:
        return _picture(camera, config.image_size_px)

    pictures = map(picture, sample.cameras) if pool is None else pool.map(picture, sample.cameras)
    return [(camera, pixels) for camera, pixels in zip(sample.cameras, pictures, strict=True) if pixels is not None]


def _picture(camera: CameraInput, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """Pixels at the network's size (width, height); None where the picture does not decode."""
    try:
        pixels = camera.image.pixels(at_least_px=size)
    except SensorDataError:
        return None
    if (pixels.shape[1], pixels.shape[0]) != size:
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    return pixels


def _camera_views(
    cameras: Sequence[CameraInput], slots: int, config: BatchConfig, transform: BevTransform
) -> _CameraViews:
    rows, columns = config.feature_size
    points = _lift_points_m(config.cells, config.range_m, config.lift_heights_m, transform)
    index = np.full(len(points), -1, np.int64)
    depth_bin = np.zeros(len(points), np.int64)
    off_center = np.full(len(points), np.inf)
    directions = np.zeros((slots, rows, columns, 3), np.float32)
    origins = np.zeros((slots, 3), np.float32)
    for slot, camera in enumerate(cameras):
        lens = camera.lens.scaled(*config.image_size_px)
        in_camera = camera.tick_from_camera.inverse.apply(points)
        ahead = np.flatnonzero(in_camera[:, 2] >= _lowest_cosine(lens) * np.linalg.norm(in_camera, axis=1))
        pixels, seen = lens.project(in_camera[ahead])
        ahead, pixels = ahead[seen], pixels[seen]
        # Where cameras overlap, a cell looks into the one that sees it nearest to its centre.
        off = np.abs(pixels / config.image_size_px - 0.5).max(axis=1)
        better = off < off_center[ahead]
        ahead, pixels = ahead[better], np.floor((pixels[better] + 0.5) / FEATURE_STRIDE_PX).astype(np.int64)
        index[ahead] = (slot * rows + pixels[:, 1]) * columns + pixels[:, 0]
        depth_bin[ahead] = depth_bins_of(np.linalg.norm(in_camera[ahead], axis=1), config)
        off_center[ahead] = off[better]
        directions[slot] = _feature_rays(camera, config, transform)
        origins[slot] = transform.vectors(camera.tick_from_camera.translation)
    shape = (config.cells, config.cells, len(config.lift_heights_m))
    return _CameraViews(
        lift_index=index.reshape(shape),
        lift_depth_bin=depth_bin.reshape(shape),
        ray_directions=directions,
        ray_origins_m=origins,
    )


@lru_cache(maxsize=2)
def _lift_points_m(cells: int, range_m: float, heights_m: tuple[float, ...], transform: BevTransform) -> Float64:
    """Places (Y * X * Z, 3) in ego axes at which cells look into pictures; kept, and so not to be written to."""
    heights = np.array(heights_m)
    axis = cell_centers_m(cells, range_m).astype(np.float64)
    grid = np.stack(np.meshgrid(axis, axis, indexing="xy"), axis=-1)  # (Y, X, 2), x and y
    # Cells lie in the transformed frame, cameras in the ego frame: an orthonormal matrix is undone by itself.
    in_ego = np.broadcast_to((grid @ transform.matrix)[:, :, None], (cells, cells, len(heights), 2))
    height = np.broadcast_to(heights[:, None], (cells, cells, len(heights), 1))
    points = np.concatenate([in_ego, height], axis=-1).reshape(-1, 3)
    points.flags.writeable = False
    return points


@lru_cache(maxsize=64)
def _lowest_cosine(lens: Lens) -> float:
    """Cosine of the widest angle from the optical axis at which a lens may see: projecting the rest is in vain."""
    x, y = np.linspace(-0.5, lens.width_px - 0.5, 9), np.linspace(-0.5, lens.height_px - 0.5, 9)
    rays = lens.rays(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
    return float(rays[:, 2].min() - 0.02) if np.isfinite(rays).all() else -1.0


def depth_bins_of(distances_m: Float64, config: BatchConfig) -> NDArray[np.int64]:
    """Bins (N,) of distances (N,) from a camera; what is nearer or farther than the range goes to the end bins."""
    near, far = config.depth_range_m
    place = np.log(np.maximum(distances_m, 1e-3) / near) / math.log(far / near)
    return np.clip(np.floor(place * config.depth_bins), 0, config.depth_bins - 1).astype(np.int64)


def _feature_rays(camera: CameraInput, config: BatchConfig, transform: BevTransform) -> NDArray[np.float32]:
    rows, columns = config.feature_size
    rays = _optical_rays(camera.lens, config.image_size_px)
    return transform.vectors(camera.tick_from_camera.rotate(rays)).reshape(rows, columns, 3).astype(np.float32)


@lru_cache(maxsize=64)
def _optical_rays(lens: Lens, image_size_px: tuple[int, int]) -> Float64:
    """Rays (h * w, 3) in optical axes through the centres of image features, zeros where a lens has none.

    Kept while the lens is the same: for wide lenses they take iterations. Look-up tables are not kept: they follow
    from the ego motion between exposure and tick, which is another one at every tick of a vehicle that moves.
    """
    columns, rows = (size // FEATURE_STRIDE_PX for size in image_size_px)
    centers = [np.arange(n) * FEATURE_STRIDE_PX + (FEATURE_STRIDE_PX - 1) / 2 for n in (columns, rows)]
    pixels = np.stack(np.meshgrid(*centers, indexing="xy"), axis=-1).reshape(-1, 2)
    rays = lens.scaled(*image_size_px).rays(pixels)
    rays = np.where(np.isfinite(rays), rays, 0.0)
    rays.flags.writeable = False
    return rays


def _lidar_rows(sample: TickSample, config: BatchConfig, transform: BevTransform) -> NDArray[np.float32]:
    if sample.lidar is None:
        return np.zeros((0, len(LIDAR_COLUMNS)), np.float32)
    low, high = config.lidar_z_m
    rows = transform.vectors(sample.lidar)
    inside = np.maximum(np.abs(rows[:, 0]), np.abs(rows[:, 1])) < config.range_m
    rows = rows[inside & (rows[:, 2] > low) & (rows[:, 2] < high)]
    return rows[_thinned(rows, config)]


def _thinned(rows: NDArray[np.float32], config: BatchConfig) -> NDArray[np.int64]:
    """One row of each voxel and age, in the order of the heatmap's cells and in them of voxels."""
    low = np.array([-config.range_m, -config.range_m, config.lidar_z_m[0]], np.float32)
    x, y, z = np.floor((rows[:, :3] - low) / config.lidar_voxel_m).astype(np.int64).T
    if not len(rows):
        return np.zeros(0, np.int64)
    age = np.round(rows[:, 4] / config.lidar_age_step_s).astype(np.int64)
    age -= age.min()
    side = int(2 * config.range_m / config.lidar_voxel_m) + 2
    levels = int((config.lidar_z_m[1] - config.lidar_z_m[0]) / config.lidar_voxel_m) + 2
    voxel = ((y * side + x) * levels + z) * (int(age.max()) + 1) + age
    # Voxel and row in one number: sorting plain numbers is many times faster than sorting an index by them.
    bits = len(rows).bit_length()
    order = np.sort((voxel << bits) | np.arange(len(rows)))
    voxel, row = order >> bits, order & ((1 << bits) - 1)
    first = row[np.append(True, voxel[1:] != voxel[:-1])]
    # Cells as the network computes them, to the bit: a voxel need not lie in one cell.
    cells = config.heatmap_cells
    column, line = np.floor((rows[first, :2] + config.range_m) * (cells / (2 * config.range_m))).astype(np.int64).T
    return first[np.argsort(line * cells + column, kind="stable")]


def _radar_rows(sample: TickSample, config: BatchConfig, transform: BevTransform) -> NDArray[np.float32]:
    if sample.radar is None:
        return np.zeros((0, len(RADAR_COLUMNS)), np.float32)
    rows = transform.vectors(sample.radar)
    rows[:, 6:8] = transform.vectors(sample.radar[:, 6:8])
    return rows[np.maximum(np.abs(rows[:, 0]), np.abs(rows[:, 1])) < config.range_m]


def _holding(present: list[list[bool]], column: int) -> Tensor:
    return torch.tensor([b for b, row in enumerate(present) if row[column]], dtype=torch.int64)


def _flat(parts: Sequence[NDArray[np.float32]], columns: int) -> tuple[Tensor, Tensor]:
    rows = np.concatenate([np.zeros((0, columns), np.float32), *parts])
    sample = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return torch.from_numpy(rows), torch.from_numpy(sample)


def _filled(points: Tensor, sample: Tensor, rows: int, count: int) -> tuple[Tensor, Tensor]:
    missing = rows - len(points)
    if missing < 0:
        raise ValueError(f"{len(points)} points do not fit into {rows} rows")
    return (
        torch.cat([points, points.new_zeros(missing, points.shape[1])]),
        torch.cat([sample, sample.new_full((missing,), count)]),
    )
