"""A panel beside the pictures: time, own speed, state of every sensor, what the marks mean, objects per class."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from tricast.perception.outputs import TickResult
from tricast.perception.palette import (
    CLASS_COLORS,
    FAINT_TEXT,
    HEALTH_COLORS,
    PANEL,
    RADAR,
    SENSOR_COLORS,
    TEXT,
    TRUTH,
    class_rgb,
)
from tricast.perception.viewing.bev_picture import MIN_SCORE, SUPERSAMPLING, font
from tricast.sensors.synced_frame import SyncedFrame

LINE_PX = 22
MARGIN_PX = 18


def draw_panel(
    frame: SyncedFrame, result: TickResult, *, since_ns: int, size_px: tuple[int, int] = (320, 720)
) -> NDArray[np.uint8]:
    """Draw the panel of one tick.

    Args:
        frame: What the tick had.
        result: Its tracks are counted, as far as the pictures show them.
        since_ns: Time that the panel counts from.
        size_px: (width, height); what does not fit is cut off below.

    Returns:
        RGB image (height, width, 3).

    """
    image = Image.new("RGB", (SUPERSAMPLING * size_px[0], SUPERSAMPLING * size_px[1]), PANEL)
    lines = _Lines(ImageDraw.Draw(image), image.width)
    lines.big(f"{(frame.timestamp_ns - since_ns) / 1e9:.1f} s")
    if frame.ego_motion.known:
        speed_mps = math.hypot(*frame.ego_motion.velocity_mps(frame.timestamp_ns)[:2])
        lines.write(f"driving {speed_mps:.1f} m/s")
    lines.heading("Sensors")
    for channel, health in sorted(frame.health.items()):
        age = health.state if health.age_ns is None else f"{health.age_ns / 1e6:.0f} ms"
        lines.item(HEALTH_COLORS[health.state], channel, age, round_mark=True)
    lines.heading("Marks")
    lines.item(RADAR, "radar, with Doppler", "", round_mark=True)
    lines.item(TRUTH, "truth, where the log has it", "")
    lines.write("arrow: way in 1 s; dots: 1 s apart")
    if result.detections.sensor_shares is not None:
        for modality, color in SENSOR_COLORS.items():
            lines.item(color, modality, "")
        lines.write("bars: attention; score lost without it")
    tracks = result.tracks
    shown = [name for name, score in zip(tracks.class_names, tracks.scores, strict=True) if score >= MIN_SCORE]
    lines.heading("Objects")
    counts = Counter(shown)
    for name in CLASS_COLORS:
        if counts[name]:
            lines.item(class_rgb(name), name.replace("_", " "), str(counts[name]))
    if not shown:
        lines.write("none")
    return np.array(image.reduce(SUPERSAMPLING))


class _Lines:
    """Writes line under line."""

    def __init__(self, draw: ImageDraw.ImageDraw, width: int) -> None:
        self._draw = draw
        self._left, self._right = SUPERSAMPLING * MARGIN_PX, width - SUPERSAMPLING * MARGIN_PX
        self._y = SUPERSAMPLING * MARGIN_PX

    def big(self, text: str) -> None:
        self._draw.text((self._left, self._y), text, fill=TEXT, font=font(60))
        self._y += 78

    def heading(self, text: str) -> None:
        self._y += 26
        self._draw.text((self._left, self._y), text, fill=FAINT_TEXT, font=font(26))
        self._y += 44

    def write(self, text: str) -> None:
        self._draw.text((self._left, self._y + LINE_PX), text, fill=FAINT_TEXT, font=font(24), anchor="lm")
        self._y += SUPERSAMPLING * LINE_PX

    def item(self, color: tuple[int, int, int], name: str, value: str, *, round_mark: bool = False) -> None:
        y = self._y + LINE_PX
        mark = [self._left, y - 9, self._left + 18, y + 9]
        if round_mark:
            self._draw.ellipse(mark, fill=color)
        else:
            self._draw.rounded_rectangle(mark, radius=4, fill=color)
        self._draw.text((self._left + 34, y), name, fill=TEXT, font=font(26), anchor="lm")
        self._draw.text((self._right, y), value, fill=FAINT_TEXT, font=font(26), anchor="rm")
        self._y += SUPERSAMPLING * LINE_PX
