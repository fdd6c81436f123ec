"""How hard a synthetic world is: `python -m tricast.tools.measure_world [--world W] [--seeds A B] [--seconds S]`.

Over all annotation stamps: objects within 51.2 m, those of them that count (a LiDAR or radar return, or 20 visible
pixels), the share of these with 20 to 80 % of their own rays blocked, and boxes per class that count.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter

import numpy as np

from tricast.sensors.annotations import Annotations
from tricast.sensors.synthetic.drive import SyntheticDrive
from tricast.sensors.synthetic.world_config import load_world

RANGE_M = 51.2
LEAST_PIXELS = 20
PARTLY = (0.2, 0.8)


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", default="standard")
    parser.add_argument("--seeds", type=int, nargs=2, default=(100_000, 100_016), metavar=("FIRST", "END"))
    parser.add_argument("--seconds", type=float, default=4.0)
    args = parser.parse_args()
    drive = SyntheticDrive(load_world(args.world), range(*args.seeds), args.seconds, workers=os.cpu_count() or 1)
    stamps = near = counted = partly = 0
    classes: Counter[str] = Counter()
    for message in drive.messages():
        if not isinstance(message, Annotations):
            continue
        within = np.linalg.norm(message.boxes.centers_m[:, :2], axis=1) < RANGE_M
        seen = (message.num_lidar_points > 0) | (message.num_radar_points > 0)
        seen = within & (seen | (message.num_visible_pixels >= LEAST_PIXELS))
        stamps, near, counted = stamps + 1, near + int(within.sum()), counted + int(seen.sum())
        partly += int((seen & (message.occlusion >= PARTLY[0]) & (message.occlusion <= PARTLY[1])).sum())
        classes.update(np.array(message.class_names)[seen].tolist())
    figures = {
        "seeds": list(args.seeds),
        "stamps": stamps,
        "objects_per_stamp": round(near / max(stamps, 1), 1),
        "counted_per_stamp": round(counted / max(stamps, 1), 1),
        "partly_hidden_share": round(partly / max(counted, 1), 3),
        "boxes_per_class": dict(sorted(classes.items())),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
