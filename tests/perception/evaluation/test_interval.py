"""Bootstrap over scenes: exact weighting, coverage, pairs, seeds."""

import numpy as np
import pytest

from tricast.perception.evaluation.argoverse2 import Argoverse2Config, evaluate_argoverse2, match_argoverse2
from tricast.perception.evaluation.box_table import BoxTable, concatenate_tables
from tricast.perception.evaluation.detection import DetectionConfig, evaluate_detection, match_detections
from tricast.perception.evaluation.hota import evaluate_hota, hota_totals, mean_hota
from tricast.perception.evaluation.interval import (
    argoverse2_score,
    bootstrap,
    bootstrap_difference,
    detection_score,
    kitti_score,
    mean_score,
    scene_draws,
    tracking_score,
)
from tricast.perception.evaluation.kitti import KittiConfig, evaluate_kitti, match_kitti
from tricast.perception.evaluation.track_similarity import similar_by_distance
from tricast.perception.evaluation.tracking import TrackingConfig, evaluate_tracking, match_all_tracks

SCENES = 6


def scene_tables(seed: int, noise_m: float = 0.5) -> tuple[BoxTable, BoxTable]:
    """Predictions and truth of one scene: five cars and five pedestrians over eight samples."""
    rng = np.random.default_rng(seed)
    samples, objects = 8, 10
    sample = np.repeat(np.arange(samples), objects)
    track = np.tile(np.arange(objects), samples)
    places = rng.uniform(-20, 20, (objects, 3))[track] + 0.5 * sample[:, None]
    columns = {
        "sample_index": sample,
        "class_index": np.where(track < 5, 0, 5),
        "sizes_m": np.ones((len(track), 3)),
        "yaws_rad": np.zeros(len(track)),
        "ego_distance_m": np.zeros(len(track)),
        "sample_time_ns": np.arange(samples) * 500_000_000,
        "track_ids": track,
    }
    tokens = [f"{seed}-{i}" for i in range(samples)]
    truth = BoxTable.of(tokens, centers_m=places, **columns)
    found = places + rng.normal(0, noise_m, places.shape)
    return BoxTable.of(tokens, centers_m=found, scores=rng.random(len(track)), **columns), truth


def all_scenes(noise_m: float = 0.5) -> tuple[BoxTable, BoxTable]:
    predictions, truths = zip(*(scene_tables(seed, noise_m) for seed in range(SCENES)), strict=True)
    return concatenate_tables(predictions), concatenate_tables(truths)


def repeated(table: BoxTable, counts: np.ndarray) -> BoxTable:
    """The scenes of a table as often as counts say, copies with names of their own."""
    parts = []
    for scene, count in enumerate(counts):
        for copy in range(count):
            rows = np.flatnonzero(table.sample_scene == scene)
            own = table.where(np.isin(table.sample_index, rows))
            parts.append(
                BoxTable.of(
                    [f"{table.sample_tokens[row]}-{copy}" for row in rows],
                    sample_time_ns=table.sample_time_ns[rows],
                    sample_index=own.sample_index - rows[0],
                    class_index=own.class_index,
                    centers_m=own.centers_m,
                    sizes_m=own.sizes_m,
                    yaws_rad=own.yaws_rad,
                    ego_distance_m=own.ego_distance_m,
                    scores=own.scores,
                    track_ids=own.track_ids,
                )
            )
    return concatenate_tables(parts)


def test_drawn_scenes_score_as_if_they_were_there_that_often() -> None:
    predictions, truth = all_scenes()
    config = DetectionConfig()
    counts = np.array([2, 0, 1, 3, 0, 0])
    score = detection_score(match_detections(predictions, truth, config), config)(counts)
    direct = evaluate_detection(repeated(predictions, counts), repeated(truth, counts))
    assert score["mAP"] == pytest.approx(direct.mean_ap, abs=1e-9)
    assert score["NDS"] == pytest.approx(direct.nds, abs=1e-9)
    hota = tracking_score(
        match_all_tracks(predictions, truth, TrackingConfig()), hota_totals(similar_by_distance(predictions, truth))
    )(counts)["HOTA"]
    again = evaluate_hota(similar_by_distance(repeated(predictions, counts), repeated(truth, counts)))
    assert hota == pytest.approx(mean_hota(again), abs=1e-9)


def test_drawn_scenes_score_so_by_the_other_protocols_too() -> None:
    predictions, truth = all_scenes()
    counts = np.array([2, 0, 1, 3, 0, 0])
    config = Argoverse2Config()
    score = argoverse2_score(match_argoverse2(predictions, truth, config), config)(counts)
    direct = evaluate_argoverse2(repeated(predictions, counts), repeated(truth, counts))
    assert direct.present == ("car", "pedestrian")
    assert score["CDS"] == pytest.approx(direct.mean_score(direct.present), abs=1e-9)
    assert score["mAP"] == pytest.approx(direct.mean_ap(direct.present), abs=1e-9)
    assert 0 < score["CDS"] < score["mAP"] < 1
    predictions, truth = all_scenes(noise_m=0.1)
    overlaps = kitti_score(match_kitti(predictions, truth, KittiConfig()))(counts)
    by_kitti = evaluate_kitti(repeated(predictions, counts), repeated(truth, counts))
    assert overlaps["AP_3D"] == pytest.approx(by_kitti.mean_ap_3d, abs=1e-9)
    assert overlaps["AP_BEV"] == pytest.approx(by_kitti.mean_ap_bev, abs=1e-9)
    assert 0 < overlaps["AP_3D"] < overlaps["AP_BEV"] < 1


def test_every_scene_once_gives_the_figure_itself() -> None:
    predictions, truth = all_scenes(noise_m=1.5)
    once = np.ones(SCENES, np.int64)
    matches = match_all_tracks(predictions, truth, TrackingConfig())
    score = tracking_score(matches, hota_totals(similar_by_distance(predictions, truth)))(once)
    assert score["AMOTA"] == pytest.approx(evaluate_tracking(predictions, truth).amota, abs=1e-12)
    assert 0.1 < score["AMOTA"] < 1.0


def test_interval_of_a_mean_covers_it_as_often_as_promised() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(100):
        scene = np.repeat(np.arange(30), 4)
        values = rng.normal(1.0, 1.0, 30)[scene] + rng.normal(0, 0.1, len(scene))
        found = bootstrap(mean_score({"x": values}, scene, 30), 30, draws=200, seed=trial)["x"]
        hits += found.low <= 1.0 <= found.high
    assert 85 <= hits <= 99


def test_a_pair_is_surer_than_its_parts() -> None:
    rng = np.random.default_rng(1)
    scene = np.arange(20)
    first = rng.normal(0, 1, 20)
    scores = [mean_score({"x": values}, scene, 20) for values in (first, first + 0.1 + rng.normal(0, 0.02, 20))]
    difference = bootstrap_difference(scores[0], scores[1], 20)["x"]
    alone = bootstrap(scores[0], 20)["x"]
    assert 0.05 < difference.low < difference.high < 0.15
    assert difference.share_above_zero == 1.0
    assert alone.high - alone.low > 10 * (difference.high - difference.low)


def test_a_class_missing_from_the_drawn_scenes_is_left_out_not_counted_as_zero() -> None:
    _, truth = scene_tables(0, 0.0)
    _, cars_only = scene_tables(1, 0.0)
    cars_only = cars_only.where(cars_only.class_index == 0)
    everything = concatenate_tables([truth, cars_only])
    perfect = everything.replaced(scores=np.linspace(0.1, 1, len(everything)))
    score = detection_score(match_detections(perfect, everything, DetectionConfig()), DetectionConfig())
    # Eight classes that no scene has count 0; without pedestrians one of nine remains.
    assert score(np.array([0, 2]))["mAP"] == pytest.approx(1 / 9)
    assert score(np.array([1, 1]))["mAP"] == pytest.approx(2 / 10)


def test_the_same_seed_draws_the_same_scenes() -> None:
    assert (scene_draws(7, 50, 3) == scene_draws(7, 50, 3)).all()
    assert (scene_draws(7, 50, 3).sum(axis=1) == 7).all()
    assert (scene_draws(7, 50, 3) != scene_draws(7, 50, 4)).any()


def test_a_figure_without_values_has_no_interval() -> None:
    empty = mean_score({"x": np.zeros(0)}, np.zeros(0, np.int64), 3)
    assert np.isnan(bootstrap(empty, 3, draws=5)["x"].low)


def test_interval_of_detection_holds_the_figure() -> None:
    predictions, truth = all_scenes()
    config = DetectionConfig()
    found = bootstrap(detection_score(match_detections(predictions, truth, config), config), SCENES, draws=50)
    metrics = evaluate_detection(predictions, truth)
    assert found["mAP"].low < metrics.mean_ap < found["mAP"].high
