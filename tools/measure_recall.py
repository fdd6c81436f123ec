"""Class-agnostic recall of the classical detector: `python -m tricast.tools.measure_recall LOG... [--seeds A B]`.

At every annotation stamp within 30 m: the share of true objects (with at least one LiDAR return where that is known)
with a detection, before tracking, whose centre is within 2 m, one to one; boxes per true object; precision.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from tricast.configs.strict import load_config
from tricast.perception.config import PipelineConfig
from tricast.perception.outputs import Detections
from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.streaming.tick_source import ticks
from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import Message
from tricast.sensors.synchronization import Synchronizer
from tricast.sensors.synthetic.drive import EPOCH_NS, SyntheticDrive
from tricast.sensors.synthetic.world_config import load_world
from tricast.tools.user_input import mistakes_in_one_line

RANGE_M = 30.0
MATCH_M = 2.0


def measure(rig: Rig, messages: Iterable[Message], origin_ns: int, config: PipelineConfig) -> dict[str, Any]:
    """Counts over one log: true objects, matched, boxes; and the same for cars alone."""
    pipeline = Pipeline(config)
    totals = {"truth": 0, "matched": 0, "boxes": 0, "cars": 0, "cars_matched": 0}
    for frame, truth in ticks(messages, Synchronizer(rig, config.synchronizer, origin_ns=origin_ns)):
        result = pipeline.step(frame)
        if truth is None or not frame.lidars:
            continue
        seen, matched, boxes = _match(truth, result.detections)
        cars = np.array([name == "car" for name in truth.class_names], bool)
        totals["truth"] += int(seen.sum())
        totals["matched"] += int((seen & matched).sum())
        totals["boxes"] += boxes
        totals["cars"] += int((seen & cars).sum())
        totals["cars_matched"] += int((seen & cars & matched).sum())
    return totals


def _match(truth: Annotations, detections: Detections) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], int]:
    centers, boxes = truth.boxes.centers_m[:, :2], detections.boxes.centers_m[:, :2]
    seen = (np.linalg.norm(centers, axis=1) < RANGE_M) & (truth.num_lidar_points != 0)
    # An object that does not count must not take the box of one that does.
    counted = np.flatnonzero(seen)
    distance = np.linalg.norm(centers[counted, None] - boxes[None], axis=2)
    rows, columns = linear_sum_assignment(np.where(distance <= MATCH_M, distance, 1e6))
    matched = np.zeros(len(centers), bool)
    matched[counted[rows]] = distance[rows, columns] <= MATCH_M
    return seen, matched, int((np.linalg.norm(boxes, axis=1) < RANGE_M).sum())


def _figures(totals: dict[str, int]) -> dict[str, Any]:
    truth, boxes = max(totals["truth"], 1), max(totals["boxes"], 1)
    return {
        **totals,
        "recall": round(totals["matched"] / truth, 3),
        "boxes_per_truth": round(totals["boxes"] / truth, 3),
        "precision": round(totals["matched"] / boxes, 3),
    }


@mistakes_in_one_line
def main() -> int:
    """Print one line of JSON per log, or for all scenes of a range of seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("logs", type=Path, nargs="*")
    parser.add_argument(
        "--seeds", type=int, nargs=2, metavar=("A", "B"), help="scenes of the standard world with seeds A to B - 1"
    )
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--config", default="cluster")
    args = parser.parse_args()
    config = load_config(PipelineConfig, args.config)
    for path in args.logs:
        log = open_log(path)
        print(json.dumps({"log": log.kind, **_figures(measure(log.rig, log.messages(), log.start_ns, config))}))
    if args.seeds:
        drive = SyntheticDrive(load_world(), range(*args.seeds), args.seconds)
        totals = measure(drive.rig, drive.messages(), EPOCH_NS, config)
        print(json.dumps({"seeds": args.seeds, **_figures(totals)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
