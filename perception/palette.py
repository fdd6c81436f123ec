"""One colour per class, in every picture and marker, and the dark theme of the pictures."""

from __future__ import annotations

CLASS_COLORS: dict[str, tuple[float, float, float]] = {
    "car": (0.20, 0.65, 1.00),
    "truck": (0.10, 0.85, 0.75),
    "bus": (0.60, 0.85, 0.25),
    "trailer": (0.45, 0.55, 0.95),
    "construction_vehicle": (0.95, 0.75, 0.15),
    "pedestrian": (1.00, 0.40, 0.45),
    "motorcycle": (0.95, 0.45, 0.90),
    "bicycle": (0.75, 0.40, 1.00),
    "traffic_cone": (1.00, 0.60, 0.20),
    "barrier": (0.75, 0.75, 0.75),
}
"""Red, green and blue in [0, 1]."""

Rgb = tuple[int, int, int]

BACKGROUND: Rgb = (13, 16, 22)
PANEL: Rgb = (20, 24, 32)
GRID: Rgb = (38, 45, 56)
FAINT_TEXT: Rgb = (120, 130, 146)
TEXT: Rgb = (226, 231, 238)
TRUTH: Rgb = (238, 240, 244)
RADAR: Rgb = (255, 176, 66)
SENSOR_COLORS: dict[str, Rgb] = {"camera": (140, 214, 110), "lidar": (130, 190, 225), "radar": RADAR}
"""Of the bars that show what each sensor had to do with an object."""
EGO: Rgb = (240, 244, 250)
HEALTH_COLORS: dict[str, Rgb] = {
    "ok": (74, 205, 130),
    "degraded": (245, 190, 70),
    "lost": (240, 85, 85),
    "waiting": (110, 118, 132),
}


def class_rgb(class_name: str) -> Rgb:
    """A class's colour as 8-bit red, green and blue."""
    red, green, blue = CLASS_COLORS[class_name]
    return round(255 * red), round(255 * green), round(255 * blue)
