"""The classical detector: ground removed, LiDAR points clustered, oriented boxes fitted, radar for velocity.

It needs no learning; boxes get a class by their size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.spatial import KDTree

from tricast.configs.strict import StrictConfig
from tricast.perception.detectors.box_fitting import fit_box
from tricast.perception.detectors.segmentation import clusters, height_above_ground, straight_run
from tricast.perception.outputs import Detections
from tricast.perception.typical_sizes import TYPICAL_SIZES_M
from tricast.perception.undecoded_pictures import UndecodedPictures
from tricast.sensors.frames import Modality
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.motion_compensation import LidarPoints, RadarPoints, lidar_in_ego, radar_in_ego
from tricast.sensors.synced_frame import SyncedFrame

Found = tuple[NDArray[np.float64], NDArray[np.float64], float, float, str]
"""Centre, size, yaw, score and class of an object."""


class ClusterConfig(StrictConfig):
    """Settings of the classical detector, tuned on validation seeds."""

    range_m: float = Field(default=55, gt=0, le=300)
    ground_cell_m: float = Field(default=2.0, gt=0)
    ground_clearance_m: float = Field(default=0.2, gt=0)
    max_height_m: float = Field(default=7.0, gt=0)
    """Points higher above the ground than this are left out: bridges and tree tops that reach over the road."""
    max_top_m: float = Field(default=4.3, gt=0)
    """Clusters that reach higher are trees, poles and houses."""
    cell_m: float = Field(default=0.25, gt=0)
    max_rail_height_m: float = Field(default=1.3, gt=0)
    """Clusters below this height and longer than `max_rail_length_m` are rails, kerbs and hedges."""
    max_rail_length_m: float = Field(default=4.0, gt=0)
    max_sparse_width_m: float = Field(default=3.4, gt=0)
    """Wider clusters are vegetation, or several things at once."""
    min_wall_m: float = Field(default=5.0, gt=0)
    """Straight runs of this length are taken out of clusters that are too long, too wide or rails."""
    min_rest_points: int = Field(default=5, ge=1)
    """Smaller remains are splinters of the wall."""
    min_fit: float = Field(default=0.42, ge=0, le=1)
    """How typical of its class a size must be, from 0 to 1."""
    min_points: int = Field(default=3, ge=1)
    max_extent_m: float = Field(default=14, gt=0)
    """Longer clusters hold walls and hedges."""
    radar_margin_m: float = Field(default=0.8, ge=0)
    radar_min_speed_mps: float = Field(default=1.5, gt=0)
    """Slower returns without LiDAR support are taken for the static world."""
    max_detections: int = Field(default=500, ge=1, le=500)


class ClusterDetector:
    """Detects by clustering; see the module."""

    name = "cluster"
    modalities: tuple[Modality, ...] = ("lidar", "radar")

    def __init__(self, config: ClusterConfig | None = None) -> None:
        self.config = config or ClusterConfig()
        self.undecoded = UndecodedPictures()

    def detect(self, frame: SyncedFrame, prepared: Detections | None = None) -> Detections:
        """See `Detector.detect`. LiDAR gives boxes; radar alone gives moving objects; cameras alone give none."""
        return self.prepare(frame) if prepared is None else prepared

    def prepare(self, frame: SyncedFrame) -> Detections:
        """See `Detector.prepare`: everything, as nothing is remembered between ticks."""
        tick_ns, motion = frame.timestamp_ns, frame.ego_motion
        lidars = [lidar_in_ego(s[:1], frame.rig[c], motion, tick_ns) for c, s in sorted(frame.lidars.items())]
        radars = [radar_in_ego(s, frame.rig[c], motion, tick_ns) for c, s in sorted(frame.radars.items())]
        found = self._from_lidar(lidars) if lidars else []
        if not lidars:
            found = self._from_radar(radars)
        if not found:
            return Detections.empty(tick_ns)
        centers, sizes, yaws, scores, names = (list(column) for column in zip(*found, strict=True))
        order = np.argsort(-np.array(scores), kind="stable")[: self.config.max_detections]
        boxes = Boxes(
            centers_m=np.array(centers)[order],
            sizes_m=np.array(sizes)[order],
            yaws_rad=np.array(yaws)[order],
            velocities_mps=np.full((len(order), 2), np.nan),
        )
        boxes = with_radar_velocity(boxes, radars, self.config.radar_margin_m)
        return Detections(
            timestamp_ns=tick_ns,
            boxes=boxes,
            class_names=tuple(names[i] for i in order),
            scores=np.array(scores)[order],
        )

    def reset(self) -> None:
        """Nothing is remembered between ticks."""

    def _from_lidar(self, lidars: list[LidarPoints]) -> list[Found]:
        points = np.concatenate([cloud.points_m for cloud in lidars]).astype(np.float64)
        points = points[np.hypot(points[:, 0], points[:, 1]) < self.config.range_m]
        heights = height_above_ground(points, self.config.ground_cell_m)
        keep = (heights > self.config.ground_clearance_m) & (heights < self.config.max_height_m)
        points, heights = points[keep], heights[keep]
        found = []
        for members in clusters(points, self.config.cell_m):
            found += self._objects(points[members], heights[members])
        return found

    def _objects(self, cluster: NDArray[np.float64], heights: NDArray[np.float64], *, cut: bool = False) -> list[Found]:
        """The objects in one cluster: itself, or what remains of it without its wall or railing."""
        if len(cluster) < self.config.min_points or heights.max() > self.config.max_top_m:
            return []
        if np.ptp(cluster[:, :2], axis=0).max() <= self.config.max_extent_m:
            ground_m = float(np.median(cluster[:, 2] - heights))
            center, size, yaw = fit_box(cluster, ground_m)
            is_rail = size[0] > self.config.max_rail_length_m and heights.max() < self.config.max_rail_height_m
            if size[1] <= self.config.max_sparse_width_m and not is_rail:
                return self._object(center, size, yaw, len(cluster))
        wall = None if cut else straight_run(cluster, self.config.min_wall_m)
        if wall is None:
            return []
        rest, rest_heights = cluster[~wall], heights[~wall]
        found = []
        for members in clusters(rest, self.config.cell_m):
            if len(members) >= self.config.min_rest_points:
                found += self._objects(rest[members], rest_heights[members], cut=True)
        return found

    def _object(
        self, center: NDArray[np.float64], size: NDArray[np.float64], yaw_rad: float, num_points: int
    ) -> list[Found]:
        name, fit = classify(size)
        if fit < self.config.min_fit:
            return []
        size, center = completed(center, size, yaw_rad, name)
        # A typical size says more than the number of points, which distance decides.
        score = fit * (1 - 0.5 * np.exp(-num_points / 5))
        return [(center, size, yaw_rad, float(np.clip(score, 0.01, 0.99)), name)]

    def _from_radar(self, radars: list[RadarPoints]) -> list[Found]:
        found = []
        for cloud in radars:
            moving = np.abs(cloud.radial_velocities_mps) > self.config.radar_min_speed_mps
            points = cloud.points_m[moving].astype(np.float64)
            headings = cloud.directions[moving] * np.sign(cloud.radial_velocities_mps[moving])[:, None]
            for members in clusters(points, 2.0):
                center = points[members].mean(axis=0)
                if np.hypot(center[0], center[1]) > self.config.range_m:
                    continue
                size = np.array(TYPICAL_SIZES_M["car"])
                heading = headings[members].mean(axis=0)
                center[2] = size[2] / 2
                score = 0.1 + 0.2 * (1 - np.exp(-len(members) / 3))
                found.append((center, size, float(np.arctan2(heading[1], heading[0])), float(score), "car"))
        return found


def classify(size_m: NDArray[np.float64]) -> tuple[str, float]:
    """Nearest class by log size, and how typical the size is in (0, 1]."""
    names = list(TYPICAL_SIZES_M)
    typical = np.log(np.array([TYPICAL_SIZES_M[name] for name in names]))
    departure = np.log(size_m) - typical
    # A sensor sees one or two sides, often in part: too small a size weighs less, and lengths less than heights.
    weights = np.array([0.6, 0.6, 1.0]) * np.where(departure < 0, 0.5, 1.0)
    distance = np.sqrt((departure**2 * weights).sum(axis=1))
    best = int(distance.argmin())
    return names[best], float(np.exp(-distance[best]))


def completed(
    center_m: NDArray[np.float64], size_m: NDArray[np.float64], yaw_rad: float, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Size and centre of a box grown to its class's typical length and width, away from the sensor.

    Returns:
        Size (3,) and centre (3,).

    """
    grown = np.maximum(size_m, np.array(TYPICAL_SIZES_M[name]) * [0.9, 0.9, 0.0])
    axes = np.array([[np.cos(yaw_rad), np.sin(yaw_rad)], [-np.sin(yaw_rad), np.cos(yaw_rad)]])
    away = np.sign(axes @ center_m[:2])
    center = center_m.copy()
    center[:2] += ((grown - size_m)[:2] / 2 * away) @ axes
    return grown, center


def with_radar_velocity(boxes: Boxes, radars: list[RadarPoints], margin_m: float) -> Boxes:
    """Boxes with the velocity that radar returns near them show, along the box's heading; NaN without a return."""
    points = np.concatenate([np.zeros((0, 2)), *(cloud.points_m[:, :2] for cloud in radars)])
    radial = np.concatenate([np.zeros(0), *(cloud.radial_velocities_mps for cloud in radars)])
    sight = np.concatenate([np.zeros((0, 2)), *(cloud.directions for cloud in radars)])
    known = np.isfinite(radial)
    if not known.any() or not len(boxes):
        return boxes
    points, radial, sight = points[known], radial[known], sight[known]
    velocities = boxes.velocities_mps.copy()
    reach = np.hypot(boxes.sizes_m[:, 0], boxes.sizes_m[:, 1]) / 2 + margin_m
    for i, near in enumerate(KDTree(points).query_ball_point(boxes.centers_m[:, :2], reach)):
        if not near:
            continue
        heading = np.array([np.cos(boxes.yaws_rad[i]), np.sin(boxes.yaws_rad[i])])
        along = sight[near] @ heading
        usable = np.abs(along) > 0.3
        speeds = radial[near][usable] / along[usable]
        if len(speeds):
            velocities[i] = float(np.median(speeds)) * heading
    return Boxes(centers_m=boxes.centers_m, sizes_m=boxes.sizes_m, yaws_rad=boxes.yaws_rad, velocities_mps=velocities)
