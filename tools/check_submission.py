"""Whether the official tools accept a file of `tricast submission`: `python tools/check_submission.py FORMAT FILE`.

Run by a Python that has `nuscenes-devkit` (any nuscenes format) or `av2` (argoverse2-detection) installed; Tricast
itself is not needed, as the devkit wants an older NumPy. Prints one line, or fails as the official tool does.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def check_boxes(task: str, path: Path) -> str:
    """Load a detection or tracking submission as the devkit's evaluation does."""
    from nuscenes.eval.common.config import config_factory  # pyright: ignore[reportMissingImports]
    from nuscenes.eval.common.loaders import load_prediction  # pyright: ignore[reportMissingImports]
    from nuscenes.eval.detection.data_classes import DetectionBox  # pyright: ignore[reportMissingImports]
    from nuscenes.eval.tracking.data_classes import TrackingBox  # pyright: ignore[reportMissingImports]

    config = config_factory("detection_cvpr_2019" if task == "detection" else "tracking_nips_2019")
    box_class = DetectionBox if task == "detection" else TrackingBox
    boxes, meta = load_prediction(str(path), config.max_boxes_per_sample, box_class, verbose=False)
    return f"{len(boxes.all)} boxes in {len(boxes.sample_tokens)} samples, {meta}"


def check_prediction(path: Path) -> str:
    """Load a prediction submission and score it against itself, so that every array is used."""
    from nuscenes.eval.prediction.data_classes import Prediction  # pyright: ignore[reportMissingImports]
    from nuscenes.eval.prediction.metrics import min_ade_k  # pyright: ignore[reportMissingImports]

    loaded = [Prediction.deserialize(entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
    for prediction in loaded:
        best = prediction.prediction[[prediction.probabilities.argmax()]]
        errors = min_ade_k(best, prediction.prediction, prediction.probabilities)
        assert errors.min() == 0, f"{prediction.instance} is no forecast of itself"
    return f"{len(loaded)} forecasts of up to {max((p.number_of_modes for p in loaded), default=0)} modes"


def check_argoverse2(path: Path) -> str:
    """Read detections and score them against themselves as truth, which finds every evaluated box."""
    from av2.evaluation import SensorCompetitionCategories  # pyright: ignore[reportMissingImports]
    from av2.evaluation.detection.eval import evaluate  # pyright: ignore[reportMissingImports]
    from av2.evaluation.detection.utils import DetectionCfg  # pyright: ignore[reportMissingImports]
    from av2.utils.io import read_feather  # pyright: ignore[reportMissingImports]

    detections = read_feather(path)
    unknown = set(detections["category"]) - {category.value for category in SensorCompetitionCategories}
    assert not unknown, f"unknown categories {unknown}"
    config = DetectionCfg(eval_only_roi_instances=False, categories=tuple(sorted(set(detections["category"]))))
    _, _, metrics = evaluate(detections, detections.assign(num_interior_pts=1), config, n_jobs=1)
    return f"{len(detections)} boxes, AP against themselves {metrics['AP'].to_dict()}"


def main() -> None:
    """Check one file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "format", choices=["nuscenes-detection", "nuscenes-tracking", "nuscenes-prediction", "argoverse2-detection"]
    )
    parser.add_argument("file", type=Path)
    args = parser.parse_args()
    task = args.format.split("-")[1]
    if args.format == "argoverse2-detection":
        print(check_argoverse2(args.file))
    elif task == "prediction":
        print(check_prediction(args.file))
    else:
        print(check_boxes(task, args.file))


if __name__ == "__main__":
    main()
