"""The KITTI tracking benchmark's rules for cars, with overlap in space: what counts as truth and as a false track.

Vans, cars that are hidden for the most part and cars cut by the image's edge are neither demanded nor wrong; tracks
without a match are not wrong where they are at most 25 pixels high or lie for the most part in a `DontCare` region.
Source: TrackEval 1.3.0 (`kitti_2d_box`; `kitti_3d_box` for overlap in space). One departure: a track's rectangle in
the image is its projected box, since trackers give no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tricast.perception.evaluation.box_table import BoxTable
from tricast.perception.evaluation.clear import ClearMetrics, evaluate_clear
from tricast.perception.evaluation.hota import HotaMetrics, evaluate_hota
from tricast.perception.evaluation.overlap import box_ious
from tricast.perception.evaluation.track_similarity import similar_by_iou
from tricast.sensors.annotations import DETECTION_CLASSES
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.log.kitti_tracking import IGNORED, KittiBoxes

MAX_OCCLUSION, MAX_TRUNCATION = 2, 0
MIN_HEIGHT_PX = 25.0
LEAST_IOU = 0.5
IMAGE_SIZE_PX = (1242, 375)
NEAREST_M = 0.1
CAR = DETECTION_CLASSES.index("car")


@dataclass(frozen=True, kw_only=True, eq=False)
class CarTracks:
    """N tracked cars of one sequence.

    Args:
        frames: (N,) int64 number of the frame.
        track_ids: (N,) int64.
        boxes: N boxes in sensor axes.
        scores: (N,) of each track's detection on the detector's scale, NaN while it coasts.

    """

    frames: NDArray[np.int64]
    track_ids: NDArray[np.int64]
    boxes: Boxes
    scores: NDArray[np.float64]

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> CarTracks:
        """Select rows."""
        return CarTracks(
            frames=self.frames[rows],
            track_ids=self.track_ids[rows],
            boxes=self.boxes[rows],
            scores=self.scores[rows],
        )


def score_cars(
    tracks: CarTracks, labels: KittiBoxes, pixels_from_sensor: NDArray[np.float64]
) -> tuple[HotaMetrics, ClearMetrics] | None:
    """HOTA over overlaps in space, and CLEAR at an overlap of 0.5, of one sequence; None where no car counts.

    Args:
        tracks: Tracks of cars.
        labels: All labels of the sequence.
        pixels_from_sensor: (3, 4) camera matrix.

    """
    frames = np.unique(np.concatenate([labels.frames, tracks.frames]))
    ours, theirs = [], []
    for frame in frames.tolist():
        seen = np.flatnonzero(tracks.frames == frame)
        true = np.flatnonzero(labels.frames == frame)
        counted, demanded = _counted(tracks.boxes[seen], labels[true], pixels_from_sensor)
        ours.append(seen[counted])
        theirs.append(true[demanded])
    if not sum(map(len, [*ours, *theirs])):
        return None
    kept, wanted = tracks[np.concatenate(ours)], labels[np.concatenate(theirs)]
    predictions = _table(frames, kept.frames, kept.boxes, kept.track_ids)
    truth = _table(frames, wanted.frames, wanted.boxes, wanted.track_ids)
    similar = similar_by_iou(predictions, truth)
    return evaluate_hota(similar)["car"], evaluate_clear(similar, threshold=LEAST_IOU)["car"]


def _counted(
    tracks: Boxes, labels: KittiBoxes, pixels_from_sensor: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which tracks of a frame are right or wrong, and which labels are demanded."""
    cars = labels.kinds == "Car"
    plain = cars & (labels.occlusions <= MAX_OCCLUSION) & (labels.truncations <= MAX_TRUNCATION)
    similar = np.flatnonzero(cars | (labels.kinds == "Van"))
    rows, columns = (grid.ravel() for grid in np.indices((len(tracks), len(similar))))
    a, b = tracks[rows], labels.boxes[similar[columns]]
    _, ious = box_ious(a.centers_m, a.sizes_m, a.yaws_rad, b.centers_m, b.sizes_m, b.yaws_rad)
    ious = ious.reshape(len(tracks), len(similar))
    ious[ious < LEAST_IOU] = 0
    rows, columns = linear_sum_assignment(-ious.T)[::-1]
    matched = ious[rows, columns] > 0
    rows, columns = rows[matched], columns[matched]
    counted, unmatched = np.ones(len(tracks), bool), np.ones(len(tracks), bool)
    unmatched[rows] = False
    counted[rows] = plain[similar[columns]]
    rectangles = _rectangles_px(tracks, pixels_from_sensor)
    ignored = _share_inside(rectangles, labels.rectangles_px[labels.kinds == IGNORED]) > 0.5
    counted &= ~(unmatched & (ignored | (rectangles[:, 3] - rectangles[:, 1] <= MIN_HEIGHT_PX)))
    return counted, plain


def _rectangles_px(boxes: Boxes, pixels_from_sensor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Left, top, right, bottom (N, 4) of boxes in the image."""
    corners = boxes.corners_m()
    projected = corners @ pixels_from_sensor[:, :3].T + pixels_from_sensor[:, 3]
    pixels = projected[..., :2] / np.maximum(projected[..., 2:], NEAREST_M)
    pixels = np.clip(pixels, 0, np.array(IMAGE_SIZE_PX) - 1)
    return np.concatenate([pixels.min(axis=1), pixels.max(axis=1)], axis=1)


def _share_inside(rectangles: NDArray[np.float64], regions: NDArray[np.float64]) -> NDArray[np.float64]:
    """The greatest share (N,) of each rectangle's area that lies in one region."""
    if not len(regions):
        return np.zeros(len(rectangles))
    low = np.maximum(rectangles[:, None, :2], regions[None, :, :2])
    high = np.minimum(rectangles[:, None, 2:], regions[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    area = (rectangles[:, 2:] - rectangles[:, :2]).prod(axis=1)
    return (shared / np.maximum(area, 1e-9)[:, None]).max(axis=1)


def _table(
    frames: NDArray[np.int64],
    box_frames: NDArray[np.int64],
    boxes: Boxes,
    track_ids: NDArray[np.int64],
) -> BoxTable:
    tokens: Sequence[str] = [str(frame) for frame in frames]
    return BoxTable.of(
        tokens,
        sample_index=np.searchsorted(frames, box_frames),
        class_index=np.full(len(box_frames), CAR),
        centers_m=boxes.centers_m,
        sizes_m=boxes.sizes_m,
        yaws_rad=boxes.yaws_rad,
        ego_distance_m=np.hypot(boxes.centers_m[:, 0], boxes.centers_m[:, 1]),
        sample_time_ns=frames * 100_000_000,
        track_ids=track_ids,
    )
