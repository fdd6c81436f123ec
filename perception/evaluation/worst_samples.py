"""The samples that a detector does worst on, for a person to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tricast.perception.evaluation.box_table import BoxTable
from tricast.perception.evaluation.true_positives import matched_truth
from tricast.sensors.annotations import DETECTION_CLASSES

MIN_TRUTH = 5
"""Samples with less truth say little."""


@dataclass(frozen=True, kw_only=True)
class SampleScore:
    """How one sample went, counting boxes above their class's best threshold.

    Args:
        sample: Row of the sample.
        found: True objects found within 2 m.
        missed: True objects not found.
        false_boxes: Boxes that found nothing.

    """

    sample: int
    found: int
    missed: int
    false_boxes: int

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.found / max(2 * self.found + self.missed + self.false_boxes, 1)


def worst_samples(boxes: BoxTable, truth: BoxTable, count: int) -> list[SampleScore]:
    """The samples with the lowest F1, worst first, at most one of each scene."""
    matched = matched_truth(boxes, truth)
    shown = boxes.scores >= best_thresholds(boxes, truth, matched)[boxes.class_index]
    samples = len(truth.sample_tokens)
    found = np.bincount(boxes.sample_index[shown & (matched >= 0)], minlength=samples)
    false_boxes = np.bincount(boxes.sample_index[shown & (matched < 0)], minlength=samples)
    missed = np.bincount(truth.sample_index, minlength=samples) - found
    scores = [
        SampleScore(sample=int(i), found=int(found[i]), missed=int(missed[i]), false_boxes=int(false_boxes[i]))
        for i in np.flatnonzero(found + missed >= MIN_TRUTH)
    ]
    chosen: dict[int, SampleScore] = {}
    for score in sorted(scores, key=lambda s: (s.f1, s.sample)):
        chosen.setdefault(int(truth.sample_scene[score.sample]), score)
    return list(chosen.values())[:count]


def best_thresholds(boxes: BoxTable, truth: BoxTable, matched: NDArray[np.int64]) -> NDArray[np.float64]:
    """Score (10,) per class from which on boxes give the greatest F1 of all samples; infinite where none is right."""
    thresholds = np.full(len(DETECTION_CLASSES), np.inf)
    for row in range(len(DETECTION_CLASSES)):
        own = boxes.class_index == row
        scores, right = boxes.scores[own], matched[own] >= 0
        order = np.argsort(-scores, kind="stable")
        f1 = 2 * np.cumsum(right[order]) / (np.arange(1, len(order) + 1) + np.sum(truth.class_index == row))
        if len(f1) and f1.max() > 0:
            thresholds[row] = scores[order][int(f1.argmax())]
    return thresholds
