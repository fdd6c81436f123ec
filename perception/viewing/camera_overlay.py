"""Camera images with boxes, identities and forecasts projected through each lens."""

from __future__ import annotations

import io
import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tricast.perception.outputs import TickResult
from tricast.perception.palette import BACKGROUND, FAINT_TEXT, HEALTH_COLORS, PANEL, TEXT, Rgb, class_rgb
from tricast.perception.viewing.bev_picture import MIN_SCORE, MIN_SPEED_MPS, SUPERSAMPLING, Labels, font
from tricast.perception.viewing.share_bars import HEIGHT_PX as BARS_PX
from tricast.perception.viewing.share_bars import bars_of
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.errors import SensorDataError
from tricast.sensors.frames import CameraFrame
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.synced_frame import SyncedFrame

EDGE_STEPS = 9
"""Points per edge, so that edges bend as the lens bends them and end where it stops seeing."""
EDGE_LINES = ((0, 1, 2, 3, 0), (4, 5, 6, 7, 4), (0, 4), (1, 5), (2, 6), (3, 7))
"""A box's edges as lines through its corners: bottom, top, uprights."""
EDGES = tuple(edge for line in EDGE_LINES for edge in pairwise(line))
LINE_ENDS = np.cumsum([EDGE_STEPS * (len(line) - 1) for line in EDGE_LINES])[:-1]
FRONT_FACE = (0, 1, 5, 4)
FUTURE_STEPS = 6
"""Steps of each forecast that are drawn: 3 s; further ones crowd at the horizon."""
MAX_RANGE_M = 60.0
MIN_LABELLED_PX = 14.0
"""Smaller boxes get no label: it would hide them."""
MAX_PER_ROW = 4
MAX_ROW_HEIGHT_PX = 400


def draw_cameras(frame: SyncedFrame, result: TickResult, *, width_px: int = 1280) -> NDArray[np.uint8]:
    """Draw every camera of the rig in rows, as they look: left to right, front above back.

    Returns:
        RGB image (height, width_px, 3), height even; no rows if the rig has no camera.

    """
    rows = arrangement(frame.rig)
    if not rows:
        return np.zeros((0, width_px, 3), np.uint8)
    columns = max(len(row) for row in rows)
    lenses = [frame.rig[channel].lens for row in rows for channel in row]
    aspect = float(np.median([lens.height_px / lens.width_px for lens in lenses if lens is not None]))
    height = min(int(width_px / columns * aspect), MAX_ROW_HEIGHT_PX) // 2 * 2
    width = min(width_px // columns, int(height / aspect)) // 2 * 2
    mosaic = np.empty((height * len(rows), width_px, 3), np.uint8)
    mosaic[:] = BACKGROUND
    for r, row in enumerate(rows):
        left = (width_px - width * len(row)) // 2
        for c, channel in enumerate(row):
            picture = draw_camera(frame, result, channel, size_px=(width, height))
            mosaic[r * height : (r + 1) * height, left + c * width : left + (c + 1) * width] = picture
    return mosaic


def arrangement(rig: Rig) -> list[list[str]]:
    """Channels of a rig's cameras in rows from left to right; with more than four, front above back."""
    azimuths = {channel: _azimuth_rad(rig[channel]) for channel in rig.channels("camera")}
    forward = sorted(azimuths, key=lambda c: (round(abs(azimuths[c]), 6), c))
    if len(forward) <= MAX_PER_ROW:
        return [sorted(forward, key=lambda c: -azimuths[c])] if forward else []
    half = (len(forward) + 1) // 2
    # Below, what lies behind to the left stands on the left, as in a mirror.
    back = sorted(forward[half:], key=lambda c: azimuths[c] % (2 * math.pi))
    return [sorted(forward[:half], key=lambda c: -azimuths[c]), back]


def draw_camera(frame: SyncedFrame, result: TickResult, channel: str, *, size_px: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw one camera at one tick, its aspect kept; a dark panel that says why where it has no image.

    Returns:
        RGB image (height, width, 3).

    """
    width, height = (SUPERSAMPLING * side for side in size_px)
    canvas = Image.new("RGB", (width, height), PANEL)
    sensor = frame.rig[channel]
    assert sensor.lens is not None
    scale = min(width / sensor.lens.width_px, height / sensor.lens.height_px)
    fitted = max(1, round(sensor.lens.width_px * scale)), max(1, round(sensor.lens.height_px * scale))
    picture = _picture(frame.cameras.get(channel), fitted)
    health = frame.health.get(channel)
    if picture is None:
        state = "broken image" if channel in frame.cameras else f"no image ({health.state})" if health else "no image"
        middle = (width / 2, height / 2)
        ImageDraw.Draw(canvas).text(middle, state, fill=FAINT_TEXT, font=font(32), anchor="mm")
    else:
        draw = ImageDraw.Draw(picture, "RGBA")
        # The world as it was when the image was taken: boxes are moved back by all motion since then.
        _draw_tracks(draw, frame, result, sensor, frame.cameras[channel].timestamp_ns, fitted)
        canvas.paste(picture, ((width - fitted[0]) // 2, (height - fitted[1]) // 2))
    draw = ImageDraw.Draw(canvas, "RGBA")
    color = HEALTH_COLORS[health.state] if health else HEALTH_COLORS["waiting"]
    draw.rounded_rectangle([8, 8, 44 + draw.textlength(channel, font=font(22)), 40], radius=8, fill=(*BACKGROUND, 190))
    draw.ellipse([17, 18, 29, 30], fill=(*color, 255))
    draw.text((36, 24), channel, fill=(*TEXT, 255), font=font(22), anchor="lm")
    draw.rectangle([0, 0, width - 1, height - 1], outline=(*BACKGROUND, 255), width=2)
    return np.array(canvas.reduce(SUPERSAMPLING))


def _azimuth_rad(sensor: SensorCalibration) -> float:
    """Direction of view about +z, in [-pi, pi); straight back is -pi, so that it stands at the right end."""
    x, y, _ = sensor.ego_from_sensor.rotate(np.array([0.0, 0.0, 1.0]))
    azimuth = math.atan2(y, x)
    return azimuth if azimuth < math.pi - 0.1 else azimuth - 2 * math.pi


def _picture(camera: CameraFrame | None, size_px: tuple[int, int]) -> Image.Image | None:
    """The image at a size; None where there is none that decodes."""
    if camera is None:
        return None
    if camera.encoding != "jpeg":
        try:
            return Image.fromarray(camera.pixels()).resize(size_px, Image.Resampling.BILINEAR)
        except SensorDataError:
            return None
    try:
        with Image.open(io.BytesIO(camera.data), formats=["JPEG"]) as image:
            # The decoder itself leaves out what a smaller picture does not need: several times faster.
            image.draft("RGB", size_px)
            return image.convert("RGB").resize(size_px, Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def _draw_tracks(
    draw: ImageDraw.ImageDraw,
    frame: SyncedFrame,
    result: TickResult,
    sensor: SensorCalibration,
    image_ns: int,
    size_px: tuple[int, int],
) -> None:
    tracks = result.tracks
    distances = np.hypot(*tracks.boxes.centers_m[:, :2].T)
    shown = np.flatnonzero((distances < MAX_RANGE_M) & (tracks.scores >= MIN_SCORE))
    shown = shown[np.argsort(-distances[shown], kind="stable")]
    boxes = _at_image_time(tracks.boxes[shown], (result.timestamp_ns - image_ns) / 1e9)
    to_camera = sensor.ego_from_sensor.inverse @ frame.ego_motion.ego_from_ego(image_ns, result.timestamp_ns)

    def to_px(points_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixels (..., 2) in the resized picture; NaN where the lens sees nothing."""
        assert sensor.lens is not None
        flat, _ = sensor.lens.project(to_camera.apply(points_m.reshape(-1, 3)))
        scale = np.array(size_px) / (sensor.lens.width_px, sensor.lens.height_px)
        pixels = (flat + 0.5) * scale - 0.5
        # Far outside, a pinhole's lines run to infinity; nothing there reaches the picture.
        pixels[(np.abs(pixels) > 4 * max(size_px)).any(axis=1)] = np.nan
        return pixels.reshape(*points_m.shape[:-1], 2)

    corners = boxes.corners_m()
    share = np.linspace(0, 1, EDGE_STEPS)[:, None]
    first, second = (corners[:, [edge[end] for edge in EDGES], None] for end in (0, 1))
    edges = to_px(first + share * (second - first))
    inside = ((edges >= 0) & (edges < size_px)).all(axis=-1)
    visible = np.any(inside.reshape(len(shown), len(EDGES) * EDGE_STEPS), axis=1)
    faces = to_px(corners[:, FRONT_FACE])
    for row, i in enumerate(shown):
        if not visible[row]:
            continue
        color, width = class_rgb(tracks.class_names[i]), 4 if distances[i] < 20 else 3
        if math.hypot(*tracks.boxes.velocities_mps[i]) > MIN_SPEED_MPS:
            _draw_forecasts(
                draw, to_px(_ground_paths(result, i, boxes, row)), result.trajectories.probabilities[i], color
            )
        if np.isfinite(faces[row]).all():
            draw.polygon(faces[row].ravel().tolist(), fill=(*color, 70))
        for line in np.split(edges[row].reshape(-1, 2), LINE_ENDS):
            _polyline(draw, line, (*color, 235), width)
    labels = Labels(draw, size_px)
    for row in reversed(range(len(shown))):
        if visible[row]:
            _label(labels, edges[row], result, int(shown[row]))


def _at_image_time(boxes: Boxes, age_s: float) -> Boxes:
    centers = boxes.centers_m.copy()
    centers[:, :2] -= boxes.velocities_mps * age_s
    return Boxes(centers_m=centers, sizes_m=boxes.sizes_m, yaws_rad=boxes.yaws_rad, velocities_mps=boxes.velocities_mps)


def _ground_paths(result: TickResult, i: int, boxes: Boxes, row: int) -> NDArray[np.float64]:
    """Futures (M, steps, 3) of one track on the ground under its box, beginning at the box; finely stepped."""
    points = result.trajectories.points_m[i, :, :FUTURE_STEPS]
    start = np.broadcast_to(boxes.centers_m[row, :2], (len(points), 1, 2))
    path = np.concatenate([start, points], axis=1)
    halfway = (path[:, 1:] + path[:, :-1]) / 2
    fine = np.empty((len(path), 2 * FUTURE_STEPS + 1, 2))
    fine[:, ::2], fine[:, 1::2] = path, halfway
    ground_m = boxes.centers_m[row, 2] - boxes.sizes_m[row, 2] / 2
    return np.concatenate([fine, np.full((*fine.shape[:2], 1), ground_m)], axis=2)


def _draw_forecasts(
    draw: ImageDraw.ImageDraw, paths: NDArray[np.float64], probabilities: NDArray[np.float64], color: Rgb
) -> None:
    for path, probability in reversed(list(zip(paths, probabilities, strict=True))):
        _polyline(draw, path, (*color, int(60 + 180 * probability)), 4 + round(3 * probability))


def _polyline(draw: ImageDraw.ImageDraw, pixels: NDArray[np.float64], color: tuple[int, ...], width: int) -> None:
    """Draw the runs of a line that the lens sees."""
    finite = np.isfinite(pixels[:, 0])
    if finite.all():
        draw.line(pixels.ravel().tolist(), fill=color, width=width)
        return
    breaks = np.flatnonzero(np.diff(finite)) + 1
    for part in np.split(pixels, breaks)[0 if finite[0] else 1 :: 2]:
        if len(part) > 1:
            draw.line(part.ravel().tolist(), fill=color, width=width)


def _label(labels: Labels, edges: NDArray[np.float64], result: TickResult, i: int) -> None:
    """Write above a box, if it is large enough to be told apart."""
    seen = edges[np.isfinite(edges).all(axis=-1)]
    (left, top), (right, bottom) = seen.min(axis=0), seen.max(axis=0)
    if bottom - top >= SUPERSAMPLING * MIN_LABELLED_PX:
        name = result.tracks.class_names[i]
        text = f"{int(result.tracks.track_ids[i])} {name.replace('_', ' ')}"
        bars = bars_of(result, i)
        above = 14 if bars is None else 14 + BARS_PX / 2
        labels.write(((left + right) / 2, max(top - above, 56)), text, class_rgb(name), centered=True, bars=bars)
