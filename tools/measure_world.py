"""How hard a synthetic world is: `python -m tricast.tools.measure_world [LOG...] [--world W] [--seeds A B]`.

Over all annotation stamps of the logs, or of scenes made for it: objects within 51.2 m, those of them that count (a
LiDAR or radar return, or 20 visible pixels), the share of these with 20 to 80 % of their own rays blocked, boxes
per class that count, speeds of those that move (5, 50 and 95 % of them are slower), and pairs of boxes that overlap.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tricast.perception.evaluation.overlap import bev_intersections_m2
from tricast.sensors.annotations import Annotations
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.log.open_log import open_log
from tricast.sensors.synthetic.drive import SyntheticDrive
from tricast.sensors.synthetic.world_config import load_world
from tricast.tools.user_input import mistakes_in_one_line, positive_int

RANGE_M = 51.2
LEAST_PIXELS = 20
PARTLY = (0.2, 0.8)
MOVING_MPS = 0.5
OVERLAP_M2 = 0.01


@mistakes_in_one_line
def main() -> int:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path, nargs="*", help="logs with truth; none makes scenes of the seeds")
    parser.add_argument("--world", default="standard")
    parser.add_argument("--seeds", type=int, nargs=2, default=(100_000, 100_016), metavar=("FIRST", "END"))
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--workers", type=positive_int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    stamps = near = counted = partly = overlapping = 0
    classes: Counter[str] = Counter()
    speeds: dict[str, list[float]] = defaultdict(list)
    for truth in _truths(args):
        within = np.linalg.norm(truth.boxes.centers_m[:, :2], axis=1) < RANGE_M
        seen = (truth.num_lidar_points > 0) | (truth.num_radar_points > 0)
        seen = within & (seen | (truth.num_visible_pixels >= LEAST_PIXELS))
        stamps, near, counted = stamps + 1, near + int(within.sum()), counted + int(seen.sum())
        partly += int((seen & (truth.occlusion >= PARTLY[0]) & (truth.occlusion <= PARTLY[1])).sum())
        classes.update(np.array(truth.class_names)[seen].tolist())
        overlapping += overlapping_pairs(truth.boxes)
        for i in np.flatnonzero(seen):
            speed = float(np.linalg.norm(truth.boxes.velocities_mps[i]))
            if speed > MOVING_MPS:
                speeds[truth.class_names[i]].append(speed)
    figures = {
        **({"logs": len(args.logs)} if args.logs else {"seeds": list(args.seeds)}),
        "stamps": stamps,
        "objects_per_stamp": round(near / max(stamps, 1), 1),
        "counted_per_stamp": round(counted / max(stamps, 1), 1),
        "partly_hidden_share": round(partly / max(counted, 1), 3),
        "boxes_per_class": dict(sorted(classes.items())),
        "moving_mps": {name: np.percentile(v, (5, 50, 95)).round(1).tolist() for name, v in sorted(speeds.items())},
        "overlapping_pairs": overlapping,
    }
    print(json.dumps(figures))
    return 0


def overlapping_pairs(boxes: Boxes) -> int:
    """How many pairs of boxes share ground."""
    first, second = np.triu_indices(len(boxes), 1)
    shared = bev_intersections_m2(
        boxes.centers_m[first],
        boxes.sizes_m[first],
        boxes.yaws_rad[first],
        boxes.centers_m[second],
        boxes.sizes_m[second],
        boxes.yaws_rad[second],
    )
    return int((shared > OVERLAP_M2).sum())


def _truths(args: argparse.Namespace) -> Iterator[Annotations]:
    if args.logs:
        messages = (message for path in args.logs for message in open_log(path).messages())
    else:
        # Sparse: the truth is that of the full drive, and less is measured for it.
        drive = SyntheticDrive(
            load_world(args.world), range(*args.seeds), args.seconds, workers=args.workers, sparse=True
        )
        messages = drive.messages()
    return (message for message in messages if isinstance(message, Annotations))


if __name__ == "__main__":
    sys.exit(main())
