"""Figures of what sensors deliver, by which a simulated log and a recorded one are compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig
from tricast.sensors.errors import SensorDataError
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.log.stream import Message
from tricast.sensors.motion_compensation import EgoMotion, lidar_in_ego, radar_in_ego

RANGE_EDGES_M = (0, 5, 10, 20, 30, 50, 80, np.inf)
INTENSITY_EDGES = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
OBJECT_EDGES_M = (0, 15, 30, 50)
KINDS = {
    "car": ("car",),
    "large vehicle": ("truck", "bus", "trailer", "construction_vehicle"),
    "two-wheeler": ("motorcycle", "bicycle"),
    "pedestrian": ("pedestrian",),
}
RADAR_MARGIN_M = 0.5
"""A radar return this far outside of a box, seen from above, is still of its road user."""
NEAR_NS = 120_000_000
"""Truth is compared with the measurements nearest to it, no further than this."""
IMAGE_WIDTH_PX = 320
"""Pictures are judged at the width at which the network looks at them."""
MAX_IMAGES = 12
MOVING_MPS = 1.0
Figures = dict[str, float]


def measure(rig: Rig, messages: Iterable[Message]) -> Figures:
    """Figures of one log by name; those that its sensors or its truth cannot give are absent.

    Args:
        rig: Calibration of its sensors.
        messages: Its messages, held in memory all at once.

    """
    held: dict[str, list[Any]] = defaultdict(list)
    for message in messages:
        held[type(message).__name__].append(message)
    motion = EgoMotion(sorted(held[EgoPose.__name__], key=lambda p: p.timestamp_ns))
    sweeps: list[LidarSweep] = held[LidarSweep.__name__]
    scans: list[RadarScan] = held[RadarScan.__name__]
    truths: list[Annotations] = held[Annotations.__name__]
    return {
        **lidar_figures(sweeps),
        **object_figures(rig, motion, truths, sweeps),
        **radar_figures(rig, motion, truths, scans),
        **image_figures(held[CameraFrame.__name__]),
    }


def lidar_figures(sweeps: list[LidarSweep]) -> Figures:
    """Points per revolution of all LiDARs together, the share of them per range ring, and of intensity."""
    if not sweeps:
        return {}
    revolutions = len(sweeps) / len({sweep.channel for sweep in sweeps})
    ranges = np.concatenate([np.linalg.norm(sweep.without_invalid()[0].points_m, axis=1) for sweep in sweeps])
    intensity = np.concatenate([sweep.intensity for sweep in sweeps])
    figures = {"LiDAR points per sweep": len(ranges) / revolutions}
    for name, share in _shares(ranges, RANGE_EDGES_M, "m"):
        figures[f"LiDAR, % of points, {name}"] = share
    for name, share in _shares(intensity / _full_scale(intensity), INTENSITY_EDGES, "of full scale"):
        figures[f"LiDAR, % of intensities, {name}"] = share
    return figures


def object_figures(rig: Rig, motion: EgoMotion, truths: list[Annotations], sweeps: list[LidarSweep]) -> Figures:
    """Median LiDAR points of an object with at least one, by kind and range, and the share of objects with none."""
    counts: dict[tuple[str, str], list[NDArray[np.int64]]] = defaultdict(list)
    for truth in truths:
        chosen = _nearest(sweeps, truth.timestamp_ns)
        if not chosen:
            continue
        clouds = [lidar_in_ego([s], rig[s.channel], motion, truth.timestamp_ns).points_m for s in chosen]
        inside = _counted(truth.boxes, np.concatenate(clouds), margin_m=0.0, flat=False)
        for key, rows in _groups(truth):
            counts[key].append(inside[rows])
    figures: Figures = {}
    for kind in KINDS:
        for span in _spans(OBJECT_EDGES_M, "m"):
            points = np.concatenate(counts.get((kind, span), [np.zeros(0, np.int64)]))
            if len(points):
                hit = points[points > 0]
                figures[f"LiDAR points on a {kind}, median, {span}"] = float(np.median(hit)) if len(hit) else 0.0
                figures[f"{kind} without a LiDAR point, %, {span}"] = 100 * float((points == 0).mean())
    return figures


def radar_figures(rig: Rig, motion: EgoMotion, truths: list[Annotations], scans: list[RadarScan]) -> Figures:
    """Returns per scan and per object, and what stands still by Doppler outside of all boxes."""
    if not scans:
        return {}
    figures: Figures = {
        "radar returns per scan": float(np.mean([len(scan) for scan in scans])),
        "radar cross-section, median, dBsm": float(np.median(np.concatenate([scan.rcs_dbsm for scan in scans]))),
    }
    on_objects: dict[tuple[str, str], list[NDArray[np.int64]]] = defaultdict(list)
    elsewhere: list[NDArray[np.float32]] = []
    for truth in truths:
        chosen = _nearest(scans, truth.timestamp_ns)
        if not chosen:
            continue
        clouds = [radar_in_ego([s], rig[s.channel], motion, truth.timestamp_ns) for s in chosen]
        points = np.concatenate([cloud.points_m for cloud in clouds])
        inside = _inside(truth.boxes, points, margin_m=RADAR_MARGIN_M, flat=True)
        for key, rows in _groups(truth):
            on_objects[key].append(inside[rows].sum(axis=1))
        speeds = np.concatenate([cloud.radial_velocities_mps for cloud in clouds])
        elsewhere.append(speeds[~inside.any(axis=0) & np.isfinite(speeds)])
    for kind in KINDS:
        for span in _spans(OBJECT_EDGES_M, "m"):
            counts = on_objects.get((kind, span))
            if counts and sum(map(len, counts)):
                figures[f"radar returns on a {kind}, mean, {span}"] = float(np.concatenate(counts).mean())
    speeds = np.concatenate([np.zeros(0, np.float32), *elsewhere])
    if len(speeds):
        standing = speeds[np.abs(speeds) < MOVING_MPS]
        figures["radar off objects, % that seem to move"] = 100 * float((np.abs(speeds) >= MOVING_MPS).mean())
        if len(standing):
            figures["radar Doppler spread of what stands, m/s"] = float(standing.std())
    return figures


def image_figures(images: list[CameraFrame]) -> Figures:
    """Mean brightness, contrast, colour, edges and noise in % of full scale, at one width for all cameras."""
    rows: list[tuple[float, ...]] = []
    for frame in images[:: max(1, -(-len(images) // MAX_IMAGES))]:
        try:
            whole = Image.fromarray(frame.pixels())
        except SensorDataError:
            continue
        height = max(3, round(whole.height * IMAGE_WIDTH_PX / whole.width))
        color = np.asarray(whole.resize((IMAGE_WIDTH_PX, height), Image.Resampling.BOX), np.float64) / 255
        grey = color.mean(axis=2)
        edges = np.hypot(np.diff(grey, axis=0)[:, :-1], np.diff(grey, axis=1)[:-1])
        saturation = color.max(axis=2) - color.min(axis=2)
        rows.append((grey.mean(), grey.std(), saturation.mean(), edges.mean(), _noise(grey), (grey > 0.95).mean()))
    names = ("mean", "contrast", "colour", "edges", "noise", "overexposed")
    if not rows:
        return {}
    return {f"image {name}, %": 100 * float(value) for name, value in zip(names, np.mean(rows, axis=0), strict=True)}


def _noise(grey: NDArray[np.float64]) -> float:
    """Standard deviation of what is finer than edges, fine texture included: by differences in both directions.

    Source: the operator of Immerkaer, "Fast Noise Variance Estimation", 1996, with a median in place of the mean.
    """
    across = grey[:, :-2] - 2 * grey[:, 1:-1] + grey[:, 2:]
    both = across[:-2] - 2 * across[1:-1] + across[2:]
    return float(np.median(np.abs(both))) / 0.6745 / 6


def _full_scale(intensity: NDArray[np.float32]) -> float:
    """What the sensor's intensities count up to: 1, a byte, or two bytes."""
    largest = float(intensity.max(initial=0))
    return 1.0 if largest <= 1 else 255.0 if largest <= 255 else 65535.0


def _spans(edges: tuple[float, ...], unit: str) -> list[str]:
    return [
        f"{low:g} to {high:g} {unit}" if np.isfinite(high) else f"over {low:g} {unit}" for low, high in pairwise(edges)
    ]


def _shares(values: NDArray[Any], edges: tuple[float, ...], unit: str) -> list[tuple[str, float]]:
    counts, _ = np.histogram(values, np.array(edges))
    return [(span, 100 * float(c) / max(len(values), 1)) for span, c in zip(_spans(edges, unit), counts, strict=True)]


def _nearest(measured: list[Any], timestamp_ns: int) -> list[Any]:
    """The nearest measurement of each channel."""
    nearest: dict[str, Any] = {}
    for message in measured:
        best = nearest.get(message.channel, message)
        closer = abs(message.timestamp_ns - timestamp_ns) <= abs(best.timestamp_ns - timestamp_ns)
        nearest[message.channel] = message if closer else best
    return [m for m in nearest.values() if abs(m.timestamp_ns - timestamp_ns) <= NEAR_NS]


def _groups(truth: Annotations) -> Iterable[tuple[tuple[str, str], NDArray[np.int64]]]:
    """Rows of a truth by kind and range."""
    far = np.linalg.norm(truth.boxes.centers_m[:, :2], axis=1)
    names = np.array(truth.class_names, np.str_)
    spans = zip(_spans(OBJECT_EDGES_M, "m"), OBJECT_EDGES_M[:-1], OBJECT_EDGES_M[1:], strict=True)
    for span, low, high in spans:
        for kind, classes in KINDS.items():
            yield (kind, span), np.flatnonzero(np.isin(names, classes) & (far >= low) & (far < high))


def _inside(boxes: Boxes, points_m: NDArray[np.float32], *, margin_m: float, flat: bool) -> NDArray[np.bool_]:
    """Which points (P, 3) lie in which box (N, P); `flat` looks from above."""
    grown = Boxes(
        centers_m=boxes.centers_m * np.array([1, 1, 0 if flat else 1]),
        sizes_m=boxes.sizes_m + 2 * margin_m,
        yaws_rad=boxes.yaws_rad,
        velocities_mps=boxes.velocities_mps,
    )
    return grown.contains(points_m * np.array([1, 1, 0 if flat else 1]))


def _counted(boxes: Boxes, points_m: NDArray[np.float32], *, margin_m: float, flat: bool) -> NDArray[np.int64]:
    """Points inside each box (N,), box by box where all at once would not fit into memory."""
    return np.array(
        [int(_inside(boxes[i : i + 1], points_m, margin_m=margin_m, flat=flat).sum()) for i in range(len(boxes))],
        np.int64,
    )
