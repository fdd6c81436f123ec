"""Camera images with boxes, identities and forecasts projected through each lens."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from tricast.perception.outputs import TickResult
from tricast.perception.palette import CLASS_COLORS
from tricast.perception.viewing.bev_picture import BACKGROUND, MIN_SCORE, MIN_SPEED_MPS
from tricast.sensors.calibration import SensorCalibration
from tricast.sensors.errors import SensorDataError
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.synced_frame import SyncedFrame

EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7))
EDGE_STEPS = 12
"""Points per edge, so that edges bend as the lens bends them and end where it stops seeing."""
MAX_RANGE_M = 60.0


def draw_camera(frame: SyncedFrame, result: TickResult, channel: str, *, size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw one camera at one tick; a dark panel that says why where it has no image.

    Returns:
        RGB image (height, width, 3).

    """
    image, note = _background(frame, channel, size_px)
    draw = ImageDraw.Draw(image, "RGBA")
    sensor = frame.rig[channel]
    if channel in frame.cameras and not note:
        # The world as it was when the image was taken: boxes are moved back by the ego motion since then.
        _draw_tracks(draw, frame, result, sensor, frame.cameras[channel].timestamp_ns, size_px)
    text = channel + (f": {note}" if note else "")
    draw.rectangle([0, 0, 8 + 7 * len(text), 18], fill=(0, 0, 0, 140))
    draw.text((4, 2), text, fill=(235, 235, 235, 255), font=ImageFont.load_default(12))
    return np.array(image)


def _background(frame: SyncedFrame, channel: str, size_px: tuple[int, int]) -> tuple[Image.Image, str]:
    empty = Image.new("RGB", size_px, BACKGROUND)
    if channel not in frame.cameras:
        health = frame.health.get(channel)
        return empty, "no image" + (f" ({health.state})" if health else "")
    try:
        pixels = frame.cameras[channel].pixels()
    except SensorDataError:
        return empty, "broken image"
    return Image.fromarray(pixels).resize(size_px, Image.Resampling.BILINEAR), ""


def _draw_tracks(
    draw: ImageDraw.ImageDraw,
    frame: SyncedFrame,
    result: TickResult,
    sensor: SensorCalibration,
    image_ns: int,
    size_px: tuple[int, int],
) -> None:
    tracks, futures = result.tracks, result.trajectories
    near = np.hypot(tracks.boxes.centers_m[:, 0], tracks.boxes.centers_m[:, 1]) < MAX_RANGE_M
    shown = np.flatnonzero(near & (tracks.scores >= MIN_SCORE))
    age_s = (result.timestamp_ns - image_ns) / 1e9
    moved = tracks.boxes.centers_m.copy()
    moved[:, :2] -= tracks.boxes.velocities_mps * age_s
    boxes = Boxes(
        centers_m=moved,
        sizes_m=tracks.boxes.sizes_m,
        yaws_rad=tracks.boxes.yaws_rad,
        velocities_mps=tracks.boxes.velocities_mps,
    )
    camera_from_tick = sensor.ego_from_sensor.inverse @ frame.ego_motion.ego_from_ego(image_ns, result.timestamp_ns)
    corners = boxes.corners_m()
    assert sensor.lens is not None
    scale = np.array(size_px) / (sensor.lens.width_px, sensor.lens.height_px)
    for i in shown:
        color = tuple(int(255 * c) for c in CLASS_COLORS[tracks.class_names[i]])
        lines = [np.linspace(corners[i, a], corners[i, b], EDGE_STEPS) for a, b in EDGES]
        alphas = [255] * len(lines)
        if math.hypot(*tracks.boxes.velocities_mps[i]) > MIN_SPEED_MPS:
            ground_m = float(corners[i, 0, 2])
            for m in range(futures.probabilities.shape[1]):
                path = np.vstack([boxes.centers_m[i, :2], futures.points_m[i, m, :6]])
                lines.append(np.column_stack([path, np.full(len(path), ground_m)]))
                alphas.append(int(60 + 190 * futures.probabilities[i, m]))
        for line, alpha in zip(lines, alphas, strict=True):
            pixels, seen = sensor.lens.project(camera_from_tick.apply(line))
            for start in np.flatnonzero(seen[:-1] & seen[1:]):
                a, b = (pixels[start] + 0.5) * scale, (pixels[start + 1] + 0.5) * scale
                draw.line([*a, *b], fill=(*color, alpha), width=1)
        above, visible = sensor.lens.project(camera_from_tick.apply(corners[i, 4:].mean(axis=0)[None]))
        if visible[0]:
            x, y = above[0] * scale
            draw.text((x, y - 12), str(int(tracks.track_ids[i])), fill=(*color, 255), font=ImageFont.load_default(11))
