"""The scene from above: LiDAR, radar, boxes with identity, velocities and forecasts, ego at the centre, x up."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from tricast.perception.outputs import TickResult
from tricast.perception.palette import CLASS_COLORS
from tricast.sensors.annotations import Annotations
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.motion_compensation import lidar_in_ego, radar_in_ego
from tricast.sensors.synced_frame import SyncedFrame

BACKGROUND = (14, 17, 23)
RING = (44, 50, 60)
TRUTH = (235, 235, 235)
RADAR = (255, 170, 60)
MIN_SCORE = 0.15
"""Fainter tracks would hide the others; results hold them all the same."""
MIN_SPEED_MPS = 0.7


class BevView:
    """Maps ego metres to pixels: x up, y to the left.

    Args:
        width_px: Image width.
        height_px: Image height.
        half_width_m: Metres from the centre to the left and right edge.

    """

    def __init__(self, width_px: int, height_px: int, half_width_m: float) -> None:
        self.width_px, self.height_px = width_px, height_px
        self.px_per_m = width_px / (2 * half_width_m)

    def to_px(self, points_m: NDArray[np.floating]) -> NDArray[np.float64]:
        """Pixels (..., 2) of ego points (..., 2 or 3)."""
        x = self.width_px / 2 - points_m[..., 1] * self.px_per_m
        y = self.height_px / 2 - points_m[..., 0] * self.px_per_m
        return np.stack([x, y], axis=-1).astype(np.float64)


def draw_bev(
    frame: SyncedFrame,
    result: TickResult,
    annotations: Annotations | None,
    *,
    size_px: tuple[int, int] = (960, 640),
    half_width_m: float = 55.0,
) -> NDArray[np.uint8]:
    """Draw one tick.

    Returns:
        RGB image (height, width, 3).

    """
    view = BevView(*size_px, half_width_m)
    image = Image.fromarray(_points(frame, view))
    draw = ImageDraw.Draw(image, "RGBA")
    for radius_m in range(10, 60, 10):
        (cx, cy), r = view.to_px(np.zeros(2)), radius_m * view.px_per_m
        draw.ellipse([cx - r, cy - r, cx + r, cy + r], outline=RING)
        draw.text((cx + 3, cy - r - 12), f"{radius_m} m", fill=(90, 98, 110), font=ImageFont.load_default(11))
    _draw_radar(draw, frame, view)
    if annotations is not None:
        for corners in annotations.boxes.corners_m()[:, :4]:
            _outline(draw, view.to_px(corners), (*TRUTH, 200), 1)
    _draw_tracks(draw, result, view)
    ego = Boxes(
        centers_m=np.array([[1.3, 0, 0.8]]),
        sizes_m=np.array([[4.6, 1.9, 1.6]]),
        yaws_rad=np.zeros(1),
        velocities_mps=np.zeros((1, 2)),
    )
    draw.polygon([tuple(p) for p in view.to_px(ego.corners_m()[0, :4])], fill=(240, 240, 240, 255))
    return np.array(image)


def _points(frame: SyncedFrame, view: BevView) -> NDArray[np.uint8]:
    canvas = np.empty((view.height_px, view.width_px, 3), np.uint8)
    canvas[:] = BACKGROUND
    for channel, sweeps in sorted(frame.lidars.items()):
        cloud = lidar_in_ego(sweeps, frame.rig[channel], frame.ego_motion, frame.timestamp_ns)
        pixels = np.rint(view.to_px(cloud.points_m)).astype(int)
        inside = ((pixels >= 0) & (pixels < (view.width_px, view.height_px))).all(axis=1)
        x, y = pixels[inside].T
        shade = np.clip(70 + 40 * cloud.points_m[inside, 2], 60, 170).astype(np.uint8)
        canvas[y, x] = np.stack([shade, shade, np.minimum(shade + 20, 255)], axis=1)
    return canvas


def _draw_radar(draw: ImageDraw.ImageDraw, frame: SyncedFrame, view: BevView) -> None:
    for channel, scans in sorted(frame.radars.items()):
        cloud = radar_in_ego(scans, frame.rig[channel], frame.ego_motion, frame.timestamp_ns)
        speeds = np.nan_to_num(cloud.radial_velocities_mps)
        tips = cloud.points_m[:, :2] + cloud.directions * speeds[:, None] * 0.5
        for (x, y), (tx, ty) in zip(view.to_px(cloud.points_m), view.to_px(tips), strict=True):
            draw.ellipse([x - 2, y - 2, x + 2, y + 2], fill=(*RADAR, 150))
            draw.line([x, y, tx, ty], fill=(*RADAR, 150))


def _draw_tracks(draw: ImageDraw.ImageDraw, result: TickResult, view: BevView) -> None:
    tracks, futures = result.tracks, result.trajectories
    font = ImageFont.load_default(12)
    corners = view.to_px(tracks.boxes.corners_m()[:, :4]) if len(tracks) else np.zeros((0, 4, 2))
    for i in range(len(tracks)):
        if tracks.scores[i] < MIN_SCORE:
            continue
        red, green, blue = (int(255 * c) for c in CLASS_COLORS[tracks.class_names[i]])
        center = tracks.boxes.centers_m[i, :2]
        speed = math.hypot(*tracks.boxes.velocities_mps[i])
        if speed > MIN_SPEED_MPS:
            for m in reversed(range(futures.probabilities.shape[1])):
                path = view.to_px(np.vstack([center, futures.points_m[i, m]]))
                alpha = int(60 + 190 * futures.probabilities[i, m])
                draw.line([tuple(p) for p in path], fill=(red, green, blue, alpha), width=2)
        draw.polygon([tuple(p) for p in corners[i]], fill=(red, green, blue, 70))
        _outline(draw, corners[i], (red, green, blue, 255), 2)
        front = (corners[i][0] + corners[i][1]) / 2
        draw.line([tuple(corners[i].mean(axis=0)), tuple(front)], fill=(red, green, blue, 255), width=2)
        label = f"{int(tracks.track_ids[i])}" + (f" {speed:.0f} m/s" if speed > MIN_SPEED_MPS else "")
        draw.text(
            (corners[i][:, 0].max() + 3, corners[i][:, 1].min() - 4), label, fill=(red, green, blue, 255), font=font
        )


def _outline(draw: ImageDraw.ImageDraw, pixels: NDArray[np.float64], color: tuple[int, ...], width: int) -> None:
    draw.line([tuple(p) for p in (*pixels, pixels[0])], fill=color, width=width)
