"""What limits a network: `python -m tricast.tools.measure_limits --shards DIR [--weights W] [--ticks N]`.

mAP on ticks of shards as it is, and again with parts of the truth given to every box that has a true object within 4 m:
its class, its place, both. What rises most is what is worth work. Beside it the classes of boxes on objects. Use
shards of validation scenes. Source of the idea: Bolya et al., TIDE, ECCV 2020.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tricast.perception.collation import collate
from tricast.perception.decoding import DecodingConfig, decode
from tricast.perception.detectors.network_config import NetworkConfig, weights_path
from tricast.perception.evaluation.detection import evaluate_detection
from tricast.perception.model import Network
from tricast.perception.model_weights import load_network
from tricast.perception.outputs import Detections
from tricast.perception.training.augmentation import SUBSETS, restricted
from tricast.perception.training.shards import ShardSet
from tricast.perception.training.tick_truth import TickTruth, countable
from tricast.perception.training.validation import found_table, spread, truth_table
from tricast.perception.training.warm_up import WarmNetwork
from tricast.sensors.annotations import DETECTION_CLASSES
from tricast.tools.user_input import mistakes_in_one_line, positive_int

NEAR_M = 4.0
ON_OBJECT_M = 2.0


@torch.inference_mode()
def detected(
    network: Network, shards: ShardSet, indices: list[int], modalities: tuple[str, ...], config: DecodingConfig
) -> list[Detections]:
    """Detections of some ticks."""
    found, warm = [], WarmNetwork(network, shards, modalities)
    for index in indices:
        sample = restricted(shards[index].sample, modalities)
        outputs = warm(index, collate([sample], network.config.batch))
        found.append(decode(outputs, sample.timestamp_ns, config))
    return found


def corrected(detections: Detections, truth: TickTruth, *, right_class: bool, right_place: bool) -> Detections:
    """Boxes with a true object within 4 m given its class, its place or both; the nearest object counts.

    Of those that a correction makes copies of each other, only the best-scored is left, as in TIDE.
    """
    nearest, distance_m = _nearest(detections, truth)
    near = distance_m <= NEAR_M
    names, centers = list(detections.class_names), detections.boxes.centers_m.copy()
    for box in np.flatnonzero(near):
        if right_class:
            names[box] = DETECTION_CLASSES[int(truth.class_indices[nearest[box]])]
        if right_place:
            centers[box] = truth.centers_m[nearest[box]]
    changed = near & (right_place | (np.array(names) != np.array(detections.class_names)))
    best: dict[tuple[int, str], int] = {}
    kept = np.ones(len(names), bool)
    for box in np.argsort(-detections.scores, kind="stable"):
        if near[box]:
            first = best.setdefault((int(nearest[box]), names[box]), int(box))
            kept[box] = first == box or not (changed[box] or changed[first])
    rows = np.flatnonzero(kept)
    return replace(
        detections,
        boxes=replace(detections.boxes, centers_m=centers)[rows],
        class_names=tuple(names[row] for row in rows),
        scores=detections.scores[rows],
    )


def confusion(found: list[Detections], truths: list[TickTruth]) -> dict[str, dict[str, int]]:
    """Of true objects by class, the class of the best box within 2 m; "none" where there is no box."""
    counts: dict[str, dict[str, int]] = {
        name: dict.fromkeys((*DETECTION_CLASSES, "none"), 0) for name in map(str, DETECTION_CLASSES)
    }
    for detections, truth in zip(found, truths, strict=True):
        apart = _distances(detections, truth)
        for number, kind in enumerate(truth.class_indices):
            on_it = np.flatnonzero(apart[:, number] <= ON_OBJECT_M)
            told = detections.class_names[on_it[detections.scores[on_it].argmax()]] if len(on_it) else "none"
            counts[DETECTION_CLASSES[int(kind)]][told] += 1
    return counts


def _distances(detections: Detections, truth: TickTruth) -> NDArray[np.float64]:
    return np.linalg.norm(detections.boxes.centers_m[:, None, :2] - truth.centers_m[None, :, :2], axis=2)


def _nearest(detections: Detections, truth: TickTruth) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    apart = _distances(detections, truth)
    if not apart.size:
        return np.zeros(len(detections), np.int64), np.full(len(detections), np.inf)
    nearest = apart.argmin(axis=1)
    return nearest, apart[np.arange(len(apart)), nearest]


def measured(
    network: Network, shards: ShardSet, indices: list[int], modalities: tuple[str, ...], config: DecodingConfig
) -> dict[str, Any]:
    """The figures that the command prints."""
    found = detected(network, shards, indices, modalities, config)
    truths = [shards[index].truth for index in indices]
    truths = [truth[countable(truth)] for truth in truths]
    tokens, scenes = [str(i) for i in indices], np.array([shards.scene_of(i) for i in indices])
    true = truth_table(tokens, scenes, truths)

    def score(*, right_class: bool = False, right_place: bool = False) -> Any:
        given = [
            corrected(d, t, right_class=right_class, right_place=right_place)
            for d, t in zip(found, truths, strict=True)
        ]
        return evaluate_detection(found_table(tokens, scenes, given), true)

    plain = score()
    of_classes = plain.average_precisions.mean(axis=1)
    return {
        "ticks": len(indices),
        "mAP": round(plain.mean_ap, 3),
        "mAP_right_class": round(score(right_class=True).mean_ap, 3),
        "mAP_right_place": round(score(right_place=True).mean_ap, 3),
        "mAP_both": round(score(right_class=True, right_place=True).mean_ap, 3),
        "AP": {name: round(float(ap), 3) for name, ap in zip(DETECTION_CLASSES, of_classes, strict=True)},
        "classes_of_boxes_on_objects": confusion(found, truths),
    }


@mistakes_in_one_line
def main() -> int:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=Path, required=True, help="a folder of shards")
    parser.add_argument("--weights", default=NetworkConfig().weights)
    parser.add_argument("--ticks", type=positive_int, default=60, help="spread evenly over all scenes")
    parser.add_argument("--sensors", choices=tuple(SUBSETS), default=next(iter(SUBSETS)))
    args = parser.parse_args()
    shards = ShardSet(args.shards)
    network = load_network(weights_path(args.weights)).eval()
    indices = spread(len(shards), args.ticks)
    print(json.dumps(measured(network, shards, indices, SUBSETS[args.sensors], DecodingConfig())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
