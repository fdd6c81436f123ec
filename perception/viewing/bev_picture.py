"""The scene from above: LiDAR, radar, boxes with identity, velocities and forecasts; forward is up."""

from __future__ import annotations

import math
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tricast.perception.outputs import TickResult
from tricast.perception.palette import BACKGROUND, EGO, FAINT_TEXT, GRID, RADAR, TEXT, TRUTH, Rgb, class_rgb
from tricast.perception.viewing.share_bars import HEIGHT_PX as BARS_PX
from tricast.perception.viewing.share_bars import ShareBars, bars_of
from tricast.sensors.annotations import Annotations
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.motion_compensation import lidar_in_ego, radar_in_ego
from tricast.sensors.synced_frame import SyncedFrame

SUPERSAMPLING = 2
"""Drawn this much larger, then reduced: smooth lines and text without an antialiasing canvas."""
RING_STEP_M = 10
MIN_SCORE = 0.15
"""Fainter tracks would hide the others; results hold them all the same."""
MIN_SPEED_MPS = 0.7
"""Slower objects get neither arrow nor forecast: their direction is noise."""
ARROW_S = 1.0
"""An arrow ends where its object will be after this time."""
DOPPLER_S = 0.5
MIN_RADAR_TICK_MPS = 0.3
LABEL_PX = 22
LABEL_RANGE_M = 40.0
SMALLEST_BARS_PX = 60
EGO_SIZE_M = (4.6, 1.9, 1.6)
EGO_CENTER_M = (1.3, 0.0, 0.8)
LOW_POINT, HIGH_POINT = np.array([56.0, 80.0, 128.0]), np.array([176.0, 218.0, 228.0])
HEIGHTS_M = (-0.3, 2.5)
"""LiDAR points are coloured from `LOW_POINT` to `HIGH_POINT` between these heights."""


class BevView:
    """Maps ego metres to pixels: x up, y to the left, the ego vehicle below the middle as most happens ahead.

    Args:
        width_px: Image width.
        height_px: Image height.
        half_width_m: Metres from the ego vehicle to the left and right edge.
        behind: Share of the height that lies behind the ego vehicle.

    """

    def __init__(self, width_px: int, height_px: int, half_width_m: float, behind: float = 0.38) -> None:
        self.width_px, self.height_px = width_px, height_px
        self.px_per_m = width_px / (2 * half_width_m)
        self._origin_px = (width_px / 2, height_px * (1 - behind))

    def to_px(self, points_m: NDArray[np.floating]) -> NDArray[np.float64]:
        """Pixels (..., 2) of ego points (..., 2 or 3)."""
        x = self._origin_px[0] - points_m[..., 1] * self.px_per_m
        y = self._origin_px[1] - points_m[..., 0] * self.px_per_m
        return np.stack([x, y], axis=-1).astype(np.float64)


def draw_bev(
    frame: SyncedFrame,
    result: TickResult,
    annotations: Annotations | None,
    *,
    size_px: tuple[int, int] = (960, 720),
    half_width_m: float = 54.0,
) -> NDArray[np.uint8]:
    """Draw one tick.

    Args:
        frame: What the tick had; LiDAR and radar are drawn moved to the tick.
        result: Tracks and forecasts.
        annotations: Truth at the tick, outlined thin and white; None draws none.
        size_px: (width, height).
        half_width_m: Metres from the ego vehicle to the left and right edge.

    Returns:
        RGB image (height, width, 3).

    """
    width, height = (SUPERSAMPLING * side for side in size_px)
    view = BevView(width, height, half_width_m)
    canvas = _grid(width, height, half_width_m).copy()
    _paint_lidar(canvas, frame, view)
    image = Image.fromarray(canvas)
    draw = ImageDraw.Draw(image, "RGBA")
    _draw_radar(draw, frame, view)
    if annotations is not None:
        for corners in view.to_px(annotations.boxes.corners_m()[:, :4]):
            _outline(draw, corners, (*TRUTH, 210), 2)
    _draw_tracks(draw, result, view)
    _draw_ego(draw, view)
    return np.array(image.reduce(SUPERSAMPLING))


@cache
def font(size_px: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Pillow's own typeface at a size."""
    return ImageFont.load_default(size_px)


class Labels:
    """Writes small plates of text on a picture; one that would cover an earlier one is left out.

    Args:
        draw: Where to write; mode RGBA, so that plates let the picture through.
        size_px: (width, height) of the picture; plates are kept inside.

    """

    def __init__(self, draw: ImageDraw.ImageDraw, size_px: tuple[int, int]) -> None:
        self._draw, self._size_px = draw, size_px
        self._taken: list[tuple[float, float, float, float]] = []

    def write(
        self,
        place: tuple[float, float],
        text: str,
        color: Rgb,
        *,
        centered: bool = False,
        bars: ShareBars | None = None,
    ) -> None:
        """Write at a place: left end, or middle, of the plate at half its height; bars stand below the text."""
        line = LABEL_PX * 1.15
        width, height = _text_width(text) + 10, line
        if bars is not None:
            width, height = max(width, SMALLEST_BARS_PX + 10), line + BARS_PX
        left = min(max(place[0] - (width / 2 if centered else 0), 0), self._size_px[0] - width)
        top = min(max(place[1] - height / 2, 0), self._size_px[1] - height)
        right, bottom = left + width, top + height
        if any(left < x1 and x0 < right and top < y1 and y0 < bottom for x0, y0, x1, y1 in self._taken):
            return
        self._taken.append((left, top, right, bottom))
        self._draw.rectangle([left, top, right, bottom], fill=(*BACKGROUND, 175))
        pale = tuple((2 * c + 255) // 3 for c in color)
        self._draw.text((left + 5, top + line / 2), text, fill=(*pale, 255), font=font(LABEL_PX), anchor="lm")
        if bars is not None:
            bars.draw(self._draw, left + 5, top + line, width - 10)


@lru_cache(maxsize=4096)
def _text_width(text: str) -> float:
    return font(LABEL_PX).getlength(text)


@cache
def _grid(width: int, height: int, half_width_m: float) -> NDArray[np.uint8]:
    """Background with range rings and axes; the same for every tick."""
    view = BevView(width, height, half_width_m)
    image = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(image)
    cx, cy = view.to_px(np.zeros(2))
    draw.line([cx, 0, cx, height], fill=(26, 31, 40), width=2)
    draw.line([0, cy, width, cy], fill=(26, 31, 40), width=2)
    reach_m = math.ceil(math.hypot(width, height) / view.px_per_m / RING_STEP_M) * RING_STEP_M
    for radius_m in range(RING_STEP_M, reach_m, RING_STEP_M):
        radius = radius_m * view.px_per_m
        draw.ellipse([cx - radius, cy - radius, cx + radius, cy + radius], outline=GRID, width=2)
        draw.text((cx + 8, cy - radius + 4), f"{radius_m} m", fill=FAINT_TEXT, font=font(20))
    grid = np.array(image)
    grid.flags.writeable = False
    return grid


def _paint_lidar(canvas: NDArray[np.uint8], frame: SyncedFrame, view: BevView) -> None:
    for channel, sweeps in sorted(frame.lidars.items()):
        # One sweep is enough to look at; older ones would smear what moves.
        cloud = lidar_in_ego(sweeps[:1], frame.rig[channel], frame.ego_motion, frame.timestamp_ns)
        columns, rows = np.floor(view.to_px(cloud.points_m)).astype(np.int32).T
        inside = (columns >= 0) & (columns < view.width_px - 1) & (rows >= 0) & (rows < view.height_px - 1)
        # Low points first: a pixel shows the highest of its points.
        order = np.flatnonzero(inside)[np.argsort(cloud.points_m[inside, 2], kind="stable")]
        columns, rows = columns[order], rows[order]
        lowest, highest = HEIGHTS_M
        share = np.clip((cloud.points_m[order, 2:] - lowest) / (highest - lowest), 0, 1)
        colors = (LOW_POINT + share * (HIGH_POINT - LOW_POINT)).astype(np.uint8)
        for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
            canvas[rows + down, columns + right] = colors


def _draw_radar(draw: ImageDraw.ImageDraw, frame: SyncedFrame, view: BevView) -> None:
    for channel, scans in sorted(frame.radars.items()):
        cloud = radar_in_ego(scans[:1], frame.rig[channel], frame.ego_motion, frame.timestamp_ns)
        speeds = np.nan_to_num(cloud.radial_velocities_mps)
        tips = view.to_px(cloud.points_m[:, :2] + cloud.directions * speeds[:, None] * DOPPLER_S)
        for (x, y), tip, speed in zip(view.to_px(cloud.points_m), tips, speeds, strict=True):
            moving = abs(speed) > MIN_RADAR_TICK_MPS
            radius = 5 if moving else 3
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=(*RADAR, 220 if moving else 110))
            if moving:
                draw.line([x, y, *tip], fill=(*RADAR, 220), width=3)


def _draw_tracks(draw: ImageDraw.ImageDraw, result: TickResult, view: BevView) -> None:
    tracks = result.tracks
    shown = np.flatnonzero(tracks.scores >= MIN_SCORE)
    speeds = np.hypot(*tracks.boxes.velocities_mps.T)
    corners = view.to_px(tracks.boxes.corners_m()[:, :4])
    for i in shown[speeds[shown] > MIN_SPEED_MPS]:
        _draw_forecasts(draw, result, i, view)
    for i in shown:
        color = class_rgb(tracks.class_names[i])
        draw.polygon(corners[i].ravel().tolist(), fill=(*color, 80))
        _outline(draw, corners[i], (*color, 255), 4)
        middle, front = corners[i].mean(axis=0), (corners[i][0] + corners[i][1]) / 2
        draw.line([*middle, *front], fill=(*color, 255), width=3)
        if speeds[i] > MIN_SPEED_MPS:
            center = tracks.boxes.centers_m[i, :2]
            _arrow(
                draw, front, front + view.to_px(center + ARROW_S * tracks.boxes.velocities_mps[i]) - view.to_px(center)
            )
    # Labels last, so that no box covers one, and near objects first, as later ones give way.
    labels = Labels(draw, (view.width_px, view.height_px))
    for i in shown[np.argsort(np.hypot(*tracks.boxes.centers_m[shown, :2].T), kind="stable")]:
        inside = ((corners[i] >= 0) & (corners[i] < (view.width_px, view.height_px))).all()
        near = math.hypot(*tracks.boxes.centers_m[i, :2]) < LABEL_RANGE_M
        if inside and (near or speeds[i] > MIN_SPEED_MPS):
            speed = f"  {speeds[i]:.0f} m/s" if speeds[i] > MIN_SPEED_MPS else ""
            place = float(corners[i][:, 0].max()) + 6, float(corners[i][:, 1].mean())
            text = f"{int(tracks.track_ids[i])}{speed}"
            labels.write(place, text, class_rgb(tracks.class_names[i]), bars=bars_of(result, i))


def _draw_forecasts(draw: ImageDraw.ImageDraw, result: TickResult, i: int, view: BevView) -> None:
    """One track's futures, the least probable first and faintest."""
    futures, color = result.trajectories, class_rgb(result.tracks.class_names[i])
    center = result.tracks.boxes.centers_m[i, :2]
    for m in reversed(range(futures.probabilities.shape[1])):
        path = view.to_px(np.vstack([center, futures.points_m[i, m]]))
        probability = float(futures.probabilities[i, m])
        alpha = int(50 + 190 * probability)
        draw.line(path.ravel().tolist(), fill=(*color, alpha), width=3 + round(2 * probability))
        for x, y in path[2::2].tolist():
            draw.ellipse([x - 4, y - 4, x + 4, y + 4], fill=(*color, alpha))


def _draw_ego(draw: ImageDraw.ImageDraw, view: BevView) -> None:
    ego = Boxes(
        centers_m=np.array([EGO_CENTER_M]),
        sizes_m=np.array([EGO_SIZE_M]),
        yaws_rad=np.zeros(1),
        velocities_mps=np.zeros((1, 2)),
    )
    front_left, _, rear_right, _ = view.to_px(ego.corners_m()[0, :4])
    draw.rounded_rectangle([*front_left, *rear_right], radius=8, fill=(*EGO, 255))
    (left, top), (right, bottom) = front_left, rear_right
    windscreen = top + 0.28 * (bottom - top)
    draw.rounded_rectangle([left + 3, windscreen, right - 3, windscreen + 8], radius=3, fill=(60, 70, 86, 255))


def _arrow(draw: ImageDraw.ImageDraw, tail: NDArray[np.float64], tip: NDArray[np.float64]) -> None:
    along = tip - tail
    length = float(np.hypot(*along))
    if length < 1:
        return
    along = along / length
    across = np.array([-along[1], along[0]])
    head = min(14.0, length)
    neck = tip - head * along
    draw.line([*tail, *neck], fill=(*TEXT, 235), width=3)
    barbs = [tuple(tip), tuple(neck + 0.45 * head * across), tuple(neck - 0.45 * head * across)]
    draw.polygon(barbs, fill=(*TEXT, 235))


def _outline(draw: ImageDraw.ImageDraw, pixels: NDArray[np.float64], color: tuple[int, ...], width: int) -> None:
    # The first edge twice, so that the corner where the line begins is joined too.
    draw.line([*pixels.ravel().tolist(), *pixels[:2].ravel().tolist()], fill=color, width=width)
