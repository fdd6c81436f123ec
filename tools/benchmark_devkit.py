"""The devkit's side of `benchmark_evaluation`, run by its own Python: `benchmark_devkit.py TASK FOLDER SAMPLES`.

Needs nuscenes-devkit and imports nothing of Tricast. Only `evaluate` is timed, not the making of boxes and tracks.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from make_oracle_fixtures import ATTRIBUTES, CLASSES, Rows, Tables, devkit_boxes

SAMPLES_PER_SCENE = 40


def rows_of(path: Path) -> Rows:
    """Boxes of a file of columns as the rows that `devkit_boxes` takes."""
    with np.load(path) as stored:
        columns = {name: stored[name].tolist() for name in stored.files}
    return [
        {
            "sample": columns["sample_index"][i],
            "class": CLASSES[columns["class_index"][i]],
            **dict(zip(("x", "y", "z"), columns["centers_m"][i], strict=True)),
            **dict(zip(("l", "w", "h"), columns["sizes_m"][i], strict=True)),
            "yaw": columns["yaws_rad"][i],
            **dict(zip(("vx", "vy"), columns["velocities_mps"][i], strict=True)),
            "ex": columns["ego_distance_m"][i],
            "ey": 0.0,
            "points": -1,
            "score": columns["scores"][i],
            "attribute": ATTRIBUTES[columns["attribute_index"][i]],
            "id": columns["track_ids"][i],
        }
        for i in range(len(columns["sample_index"]))
    ]


def main() -> None:
    """Print figures, seconds and peak memory as JSON."""
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.common.loaders import filter_eval_boxes
    from nuscenes.eval.detection.evaluate import DetectionEval
    from nuscenes.eval.tracking.evaluate import TrackingEval
    from nuscenes.eval.tracking.loaders import create_tracks

    task, folder, samples = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    config = config_factory("detection_cvpr_2019" if task == "detection" else "tracking_nips_2019")
    tables, tokens = Tables(samples // SAMPLES_PER_SCENE, SAMPLES_PER_SCENE), [f"s{i}" for i in range(samples)]
    boxes: list[Any] = [devkit_boxes(rows_of(folder / f"{name}.npz"), task, tokens) for name in ("truth", "results")]
    boxes = [filter_eval_boxes(tables, part, config.class_range) for part in boxes]
    evaluation: Any = (DetectionEval if task == "detection" else TrackingEval).__new__(
        DetectionEval if task == "detection" else TrackingEval
    )
    evaluation.cfg, evaluation.verbose, evaluation.output_dir, evaluation.render_classes = config, False, "", []
    if task == "detection":
        evaluation.gt_boxes, evaluation.pred_boxes = boxes
    else:
        evaluation.tracks_gt = create_tracks(boxes[0], tables, "val", gt=True)
        evaluation.tracks_pred = create_tracks(boxes[1], tables, "val", gt=False)
    # Said before the clock starts: whoever limits the time counts from here.
    print("loaded", flush=True)
    start, processor_start = time.perf_counter(), time.process_time()
    metrics, _ = evaluation.evaluate()
    seconds, processor_s = round(time.perf_counter() - start, 2), round(time.process_time() - processor_start, 2)
    answer = metrics.serialize()
    names = {"mAP": "mean_ap", "NDS": "nd_score"} if task == "detection" else {"AMOTA": "amota"}
    figures = {ours: answer[theirs] for ours, theirs in names.items()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({**figures, "seconds": seconds, "processor_s": processor_s, "peak_mb": peak}))


if __name__ == "__main__":
    main()
