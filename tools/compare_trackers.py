"""Our tracker beside AB3DMOT on recorded boxes: `python -m tricast.tools.compare_trackers DIR [--json]`.

DIR is laid out as the KITTI tracking benchmark (`training/label_02`, `training/calib`) with a detector's boxes in
`detections_pointrcnn/Car`. Both trackers get the same boxes of cars, in sensor axes: there are no poses, so what stands
seems to move, and our tracker is told not to read headings from motion. HOTA, MOTA and identity switches follow the
benchmark's rules with overlap in space. Twice: every track, and tracks whose mean score reaches 3.240738, which
AB3DMOT's authors publish for cars from PointRCNN.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.perception.evaluation.ab3dmot import Ab3dmot
from tricast.perception.evaluation.kitti_tracks import CarTracks, score_cars
from tricast.perception.outputs import Detections
from tricast.perception.tracking.tracker import Tracker, TrackerConfig
from tricast.sensors.errors import LogError
from tricast.sensors.geometry.boxes import Boxes, concatenate_boxes
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.kitti_tracking import KittiBoxes, read_camera_matrix, read_detections, read_labels
from tricast.tools.user_input import mistakes_in_one_line

FRAME_NS = 100_000_000
LEAST_MEAN_SCORE = 3.240738
SENSOR_FRAME_CONFIG = TrackerConfig(
    heading_from_motion=False,
    birth_speed_mps=20.0,
    acceleration_mps2=5.0,
    max_shown_sigma_m=0.0,
    max_unseen_s=0.5,
    max_tentative_unseen_s=0.11,
    birth_score=0.6,
    position_noise_m=0.15,
    position_noise_per_m=0.02,
    yaw_noise_rad=0.15,
    size_gain=0.5,
)
"""What departs from the defaults: PointRCNN's boxes are closer than those of clusters, and nothing is over ground, so
that a box of what is not seen would be a guess: the vehicle's own turning and braking moves it."""


def compare(root: Path) -> list[dict[str, Any]]:
    """Figures of both trackers on every sequence that has boxes.

    Raises:
        InputError: A file is missing or damaged.

    """
    paths = sorted((root / "detections_pointrcnn/Car").glob("*.txt"))
    if not paths:
        raise LogError(
            where=str(root / "detections_pointrcnn/Car"),
            got="no .txt files",
            expected="a detector's boxes, a file per sequence",
            remedy="give the folder that holds training/ and detections_pointrcnn/",
        )
    rows = []
    for path in paths:
        labels = read_labels(root / "training/label_02" / path.name)
        matrix = read_camera_matrix(root / "training/calib" / path.name)
        detections = read_detections(path)
        num_frames = int(max(labels.frames.max(initial=0), detections.frames.max(initial=0))) + 1
        runs = {"tricast": run_tracker(detections, num_frames), "ab3dmot": run_ab3dmot(detections, num_frames)}
        for name, tracks in runs.items():
            for kept, chosen in (("all", tracks), ("confident", confident(tracks))):
                scores = score_cars(chosen, labels, matrix)
                if scores is None:
                    continue
                hota, clear = scores
                rows.append(
                    {
                        "sequence": path.stem,
                        "tracks": kept,
                        "tracker": name,
                        "HOTA": round(hota.hota, 4),
                        "MOTA": round(clear.mota, 4),
                        "identity_switches": clear.identity_switches,
                        "DetA": round(float(hota.detection_accuracy.mean()), 4),
                        "AssA": round(float(hota.association_accuracy.mean()), 4),
                        "false_positives": clear.false_positives,
                        "false_negatives": clear.false_negatives,
                    }
                )
    if not rows:
        raise LogError(
            where=str(root),
            got="no sequence with a car that counts",
            expected="labels or detections of cars",
            remedy="give sequences with cars",
        )
    return rows


def run_tracker(detections: KittiBoxes, num_frames: int, config: TrackerConfig = SENSOR_FRAME_CONFIG) -> CarTracks:
    """Our tracker on one sequence."""
    tracker, parts = Tracker(config), []
    for frame in range(num_frames):
        found = detections[detections.frames == frame]
        tick = Detections(
            timestamp_ns=frame * FRAME_NS,
            boxes=found.boxes,
            class_names=("car",) * len(found),
            scores=1 / (1 + np.exp(-found.scores)),
        )
        tracks = tracker.update(tick, SE3())
        parts.append((frame, tracks.boxes, tracks.track_ids, _scores(found, tracks.detection_indices)))
    return _joined(parts)


def run_ab3dmot(detections: KittiBoxes, num_frames: int) -> CarTracks:
    """AB3DMOT on one sequence."""
    tracker, parts = Ab3dmot(), []
    for frame in range(num_frames):
        found = detections[detections.frames == frame]
        boxes = found.boxes
        states, identities, rows = tracker.update(np.column_stack([boxes.centers_m, boxes.yaws_rad, boxes.sizes_m]))
        tracked = Boxes(
            centers_m=states[:, :3],
            sizes_m=np.maximum(states[:, 4:], 0.01),
            yaws_rad=states[:, 3],
            velocities_mps=np.full((len(states), 2), np.nan),
        )
        parts.append((frame, tracked, identities, _scores(found, rows)))
    return _joined(parts)


def confident(tracks: CarTracks) -> CarTracks:
    """Tracks whose mean score over their detections reaches the published threshold."""
    known = np.isfinite(tracks.scores)
    names, index = np.unique(tracks.track_ids, return_inverse=True)
    sums = np.bincount(index[known], tracks.scores[known], len(names))
    counts = np.bincount(index[known], minlength=len(names))
    return tracks[(sums >= LEAST_MEAN_SCORE * np.maximum(counts, 1))[index] & (counts > 0)[index]]


def _scores(found: KittiBoxes, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """The detector's scores of each track's box, NaN while it coasts."""
    return np.where(rows >= 0, np.append(found.scores, np.nan)[rows], np.nan)


def _joined(parts: list[tuple[int, Boxes, NDArray[np.int64], NDArray[np.float64]]]) -> CarTracks:
    return CarTracks(
        frames=np.concatenate([np.full(len(boxes), frame, np.int64) for frame, boxes, _, _ in parts]),
        track_ids=np.concatenate([identities for _, _, identities, _ in parts]),
        boxes=concatenate_boxes([boxes for _, boxes, _, _ in parts]),
        scores=np.concatenate([scores for _, _, _, scores in parts]),
    )


@mistakes_in_one_line
def main() -> int:
    """Print a table, or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = compare(args.directory)
    if args.json:
        print(json.dumps({"frame": "sensor", "class": "car", "rows": rows}))
        return 0
    names = list(rows[0])
    for row in [dict(zip(names, names, strict=True)), *rows]:
        print("  ".join(f"{row[name]!s:>{max(9, len(name))}}" for name in names))
    return 0


if __name__ == "__main__":
    sys.exit(main())
