"""nuScenes tracking: AMOTA, AMOTP and the figures at the best threshold, equal to the official devkit's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tricast.configs.strict import StrictConfig
from tricast.perception.evaluation.box_table import BoxTable, check_box_counts
from tricast.perception.evaluation.detection import CLASS_RANGES_M, in_class_range
from tricast.perception.evaluation.devkit_files import TRACKING_CLASSES
from tricast.perception.evaluation.track_matching import (
    MATCH,
    MISS,
    SWITCH,
    TrackEvents,
    TrackProblem,
    match_tracks,
    track_problem,
)
from tricast.perception.evaluation.track_tables import in_time_order, interpolated, with_scenes_of, with_track_scores
from tricast.sensors.annotations import DETECTION_CLASSES

SUMMED = ("mt", "ml", "tp", "fp", "fn", "ids", "frag")
"""Figures that are summed over classes; the others are averaged."""

METRICS = ("recall", "motar", "gt", "mota", "motp", *SUMMED, "faf", "tid", "lgd")
"""Figures at each threshold; `ids` identity switches, `tid` and `lgd` seconds, `faf` false boxes per 100 samples."""

WORST = {"amota": 0.0, "amotp": 2.0, "recall": 0.0, "motar": 0.0, "mota": 0.0, "motp": 2.0, "mt": 0.0, "tp": 0.0}
WORST |= {"faf": 500.0, "tid": 20.0, "lgd": 20.0, "fp": np.nan, "ids": np.nan, "frag": np.nan}


class TrackingConfig(StrictConfig):
    """Settings of the nuScenes tracking protocol (`tracking_nips_2019`); the defaults are the official ones."""

    class_ranges_m: dict[str, float] = Field(
        default_factory=lambda: {name: CLASS_RANGES_M[name] for name in TRACKING_CLASSES}
    )
    match_distance_m: float = 2.0
    min_recall: float = 0.1
    num_thresholds: int = 40
    max_boxes_per_sample: int = 500
    sample_period_s: float = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackingMetrics:
    """Figures of the nuScenes tracking protocol.

    Args:
        classes: Per class of `TRACKING_CLASSES`: `amota`, `amotp` and every name of `METRICS` at the threshold with
            the best MOTA; NaN where the truth has none of the class.
        curves: Per class: every name of `METRICS`, and `confidence`, as (40,) float64 from the highest recall to the
            lowest; NaN where a recall is not reached.

    """

    classes: Mapping[str, Mapping[str, float]]
    curves: Mapping[str, Mapping[str, NDArray[np.float64]]]

    def overall(self, metric: str) -> float:
        """One figure over all classes: counts summed, others averaged; NaN where no class has it."""
        values = np.array([figures[metric] for figures in self.classes.values()])
        known = values[~np.isnan(values)]
        if metric in SUMMED:
            return float(known.sum())
        return float(known.mean()) if len(known) else float("nan")

    @property
    def amota(self) -> float:
        """Average multi-object tracking accuracy over 40 recalls and the classes."""
        return self.overall("amota")


@dataclass(frozen=True, kw_only=True, eq=False)
class TrackMatches:
    """What matching found at every threshold.

    Args:
        problem: Tracks and true tracks.
        thresholds: (K, 10) float64 scores per class from the highest recall to the lowest; NaN where not reached.
        events: What became of every true box.

    """

    problem: TrackProblem
    thresholds: NDArray[np.float64]
    events: TrackEvents


def evaluate_tracking(predictions: BoxTable, truth: BoxTable, config: TrackingConfig | None = None) -> TrackingMetrics:
    """Score tracks by the nuScenes tracking protocol.

    Boxes count within the class ranges, truth without returns leaves, both kinds of tracks are interpolated over their
    holes, and each box counts with the mean score of its track. Scenes and times are those of the truth.

    Raises:
        InputError: A box has no identity or shares one, a sample has too many boxes, or the samples differ.

    Source: Caesar et al. 2020, nuScenes; nuscenes-devkit 1.2.0 `eval/tracking`, with py-motmetrics 1.4.0.

    """
    config = config or TrackingConfig()
    return score_track_matches(match_all_tracks(predictions, truth, config), config)


def match_all_tracks(predictions: BoxTable, truth: BoxTable, config: TrackingConfig) -> TrackMatches:
    """Match at every threshold once, for `score_track_matches` and `scene_amota`.

    Raises:
        InputError: As for `evaluate_tracking`.

    """
    check_box_counts(predictions, config.max_boxes_per_sample)
    predictions = in_time_order(with_scenes_of(truth, predictions))
    predictions = interpolated(with_track_scores(in_class_range(predictions, config.class_ranges_m)))
    truth = interpolated(in_class_range(in_time_order(truth), config.class_ranges_m))
    problem = track_problem(predictions, truth, config.match_distance_m)
    everything = match_tracks(problem, np.full((1, len(DETECTION_CLASSES)), -np.inf))
    thresholds = _thresholds(problem, everything, config)
    return TrackMatches(problem=problem, thresholds=thresholds, events=match_tracks(problem, thresholds))


def score_track_matches(matches: TrackMatches, config: TrackingConfig) -> TrackingMetrics:
    """All figures of the protocol."""
    problem, thresholds = matches.problem, matches.thresholds
    figures = _figures(problem, matches.events, thresholds, config)
    curves, classes = {}, {}
    for name in TRACKING_CLASSES:
        row = DETECTION_CLASSES.index(name)
        curve = {key: values[:, row] for key, values in figures.items()}
        boxes = problem.truth.class_index == row
        if np.isnan(thresholds[:, row]).all():
            num_tracks = len(np.unique(problem.object_of[boxes]))
            curve |= _unmatched(int(boxes.sum()), num_tracks, config.num_thresholds)
        else:
            curve = {key: np.where(np.isnan(thresholds[:, row]), np.nan, values) for key, values in curve.items()}
        curves[name] = {**curve, "confidence": thresholds[:, row]}
        classes[name] = _best(curve)
    return TrackingMetrics(classes=classes, curves=curves)


def scene_amota(matches: TrackMatches) -> Callable[[NDArray[np.int64]], float]:
    """AMOTA over scenes taken as often as given counts (S,) say, without matching again.

    The score thresholds stay those of all scenes together; with every scene once it is the protocol's AMOTA.
    """
    truth, predictions = matches.problem.truth, matches.problem.predictions
    classes, scenes = len(DETECTION_CLASSES), int(truth.sample_scene.max(initial=-1)) + 1
    shape = (len(matches.thresholds), scenes, classes)
    cells = truth.sample_scene[truth.sample_index] * classes + truth.class_index
    shown_cells = predictions.sample_scene[predictions.sample_index] * classes + predictions.class_index
    totals = np.bincount(cells, minlength=scenes * classes).reshape(scenes, classes)
    counts = np.zeros((3, *shape))
    for k, thresholds in enumerate(matches.thresholds):
        with np.errstate(invalid="ignore"):
            shown = predictions.scores >= thresholds[predictions.class_index]
        for place, chosen in ((0, matches.events.kind[k] == MATCH), (1, matches.events.kind[k] == SWITCH)):
            counts[place, k] = np.bincount(cells[chosen], minlength=scenes * classes).reshape(shape[1:])
        counts[2, k] = np.bincount(shown_cells[shown], minlength=scenes * classes).reshape(shape[1:])
    reached = ~np.isnan(matches.thresholds)

    def amota(scene_counts: NDArray[np.int64]) -> float:
        hits, switches, shown = np.einsum("s,nksc->nkc", scene_counts.astype(np.float64), counts)
        total = scene_counts @ totals
        values = np.where(reached, _motar(hits, switches, shown, total), np.nan)
        per_class = np.where(np.isnan(values), WORST["amota"], values).mean(axis=0)
        tracked = [row for row in map(DETECTION_CLASSES.index, TRACKING_CLASSES) if total[row]]
        return float(per_class[tracked].mean()) if tracked else float("nan")

    return amota


def _motar(
    hits: NDArray[np.float64], switches: NDArray[np.float64], shown: NDArray[np.float64], total: NDArray[Any]
) -> NDArray[np.float64]:
    """Accuracy at a recall, which counts the matches alone, without the switches; NaN without matches."""
    wrong = (total - hits - switches) + switches + (shown - hits - switches)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / total
        values = np.maximum(0, 1 - (wrong - (1 - recall) * total) / (recall * total))
    return np.where(hits == 0, np.nan, values)


def _thresholds(problem: TrackProblem, events: TrackEvents, config: TrackingConfig) -> NDArray[np.float64]:
    """Scores (K, 10) at which each class reaches recalls from 1 down to the lowest; NaN where it does not."""
    recalls = np.linspace(config.min_recall, 1, config.num_thresholds).round(12)
    thresholds = np.full((config.num_thresholds, len(DETECTION_CLASSES)), np.nan)
    for row in range(len(DETECTION_CLASSES)):
        boxes = problem.truth.class_index == row
        matched = events.taken[0, boxes & (events.kind[0] == MATCH)]
        if len(matched):
            scores = np.sort(problem.predictions.scores[matched])[::-1]
            reached = np.arange(1, len(scores) + 1) / boxes.sum()
            values = np.interp(recalls, reached, scores, right=0)
            thresholds[:, row] = np.where(recalls > reached.max(), np.nan, values)[::-1]
    return thresholds


def _figures(
    problem: TrackProblem, events: TrackEvents, thresholds: NDArray[np.float64], config: TrackingConfig
) -> dict[str, NDArray[np.float64]]:
    """Every figure as (K, 10), meaningless where the threshold is NaN."""
    truth, predictions = problem.truth, problem.predictions
    classes, samples = len(DETECTION_CLASSES), len(truth.sample_tokens)
    shape = thresholds.shape
    figures = {name: np.full(shape, np.nan) for name in METRICS}
    total = np.bincount(truth.class_index, minlength=classes).astype(np.float64)
    truth_cell = truth.sample_index * classes + truth.class_index
    order = np.lexsort((truth.sample_index, problem.object_of))
    for k in range(shape[0]):
        with np.errstate(invalid="ignore"):
            shown = predictions.scores >= thresholds[k, predictions.class_index]
        cells = predictions.sample_index[shown] * classes + predictions.class_index[shown]
        present = np.zeros(samples * classes, bool)
        present[truth_cell], present[cells] = True, True
        frame = np.cumsum(present.reshape(samples, classes), axis=0)
        per_object = _per_object(problem, events.kind[k], frame.reshape(-1)[truth_cell], order)
        for name, values in per_object.items():
            figures[name][k] = values
        counts = [np.bincount(truth.class_index[events.kind[k] == e], minlength=classes) for e in (MISS, MATCH, SWITCH)]
        figures["fn"][k], figures["tp"][k], figures["ids"][k] = counts
        figures["fp"][k] = np.bincount(predictions.class_index[shown], minlength=classes) - counts[1] - counts[2]
        with np.errstate(invalid="ignore", divide="ignore"):
            figures["faf"][k] = figures["fp"][k] / frame[-1] * 100 if samples else np.nan
    found = figures["tp"] + figures["ids"]
    wrong = figures["fn"] + figures["ids"] + figures["fp"]
    with np.errstate(invalid="ignore", divide="ignore"):
        figures["mota"] = np.maximum(0, 1 - wrong / total)
        figures["motp"] = np.where(found > 0, events.distance_sums_m / found, np.nan)
        figures["recall"] = found / total
    figures["motar"] = _motar(figures["tp"], figures["ids"], figures["fp"] + found, total)
    figures["gt"] = np.broadcast_to(total, shape)
    figures["tid"], figures["lgd"] = (figures[name] * config.sample_period_s for name in ("tid", "lgd"))
    return figures


def _per_object(
    problem: TrackProblem, kind: NDArray[np.int8], frame: NDArray[np.int64], order: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Figures of whole objects, per class (10,): mostly tracked and lost, fragments, start and longest gap in frames.

    Frames are counted as py-motmetrics sees them: only samples with any box of the class.
    """
    classes = len(DETECTION_CLASSES)
    objects = problem.object_of[order]
    count = int(objects.max(initial=-1)) + 1
    found, frames = kind[order] != MISS, frame[order]
    starts, ends = np.searchsorted(objects, np.arange(count)), np.searchsorted(objects, np.arange(count), "right") - 1
    class_of = problem.truth.class_index[order][starts]
    hits, lives = np.bincount(objects[found], minlength=count), ends - starts + 1
    places = np.flatnonzero(found)
    owner = objects[places]
    first, last = np.searchsorted(owner, np.arange(count)), np.searchsorted(owner, np.arange(count), "right") - 1
    seen = np.flatnonzero(hits)
    delay, tail = np.zeros(count, np.int64), np.zeros(count, np.int64)
    delay[seen] = frames[places[first[seen]]] - frames[starts[seen]]
    tail[seen] = frames[ends[seen]] - frames[places[last[seen]]]
    longest = np.maximum(delay, tail)
    inside = owner[1:] == owner[:-1]
    np.maximum.at(longest, owner[1:][inside], np.diff(frames[places])[inside] - 1)
    breaks = np.bincount(owner[1:][inside & (np.diff(places) > 1)], minlength=count)

    def summed(values: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.bincount(class_of, values, minlength=classes).astype(np.float64)

    ratio = hits / lives
    tracked = summed((hits > 0).astype(np.int64))
    with np.errstate(invalid="ignore"):
        return {
            "mt": summed((ratio >= 0.8).astype(np.int64)),
            "ml": summed((ratio < 0.2).astype(np.int64)),
            "frag": summed(breaks),
            "tid": summed(delay) / tracked,
            "lgd": summed(longest) / tracked,
        }


def _unmatched(num_boxes: int, num_tracks: int, num_thresholds: int) -> dict[str, NDArray[np.float64]]:
    """Figures of a class in which no box was matched: the worst there are, or none without truth."""
    values = {name: np.nan for name in METRICS}
    if num_boxes:
        values = {**{name: WORST.get(name, np.nan) for name in METRICS}, "ml": num_tracks, "gt": num_boxes}
        values["fn"] = num_boxes
    return {name: np.full(num_thresholds, value, np.float64) for name, value in values.items()}


def _best(curve: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Averages over the recalls, and everything else at the threshold with the best MOTA."""
    if np.isnan(curve["mota"]).all():
        best = {name: float("nan") for name in METRICS}
    else:
        place = int(np.nanargmax(curve["mota"]))
        best = {name: float(curve[name][place]) for name in METRICS}
    for name, source in (("amota", "motar"), ("amotp", "motp")):
        values = curve[source]
        none = np.isnan(values).all()
        best[name] = float("nan") if none else float(np.where(np.isnan(values), WORST[name], values).mean())
    return best
