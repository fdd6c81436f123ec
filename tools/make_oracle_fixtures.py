"""Answers of the official tools on generated results, for the tests: `python tools/make_oracle_fixtures.py FAMILY`.

The official tools need environments of their own, without Tricast, so this file imports nothing of it:

    python -m venv devkit && devkit/bin/pip install nuscenes-devkit==1.2.0 "motmetrics==1.4.0" "pandas<3" "numpy<2"
    devkit/bin/python tools/make_oracle_fixtures.py nuscenes
    python -m venv av2 && av2/bin/pip install av2==0.3.6 trackeval==1.3.0
    NPY_DISABLE_CPU_FEATURES="X86_V3 X86_V4" av2/bin/python tools/make_oracle_fixtures.py argoverse2
    av2/bin/python tools/make_oracle_fixtures.py trackeval

The variable is there because `av2` sorts scores with NumPy's default sort, which leaves equal scores in an order that
depends on the processor; without vector instructions it is the order of the boxes.

Each call writes JSON files with inputs and answers to `tests/perception/evaluation/fixtures`.
"""

# pyright: reportMissingImports=false

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FIXTURES = Path(__file__).parents[1] / "tests" / "perception" / "evaluation" / "fixtures"
CLASSES = (
    *("car", "truck", "bus", "trailer", "construction_vehicle"),
    *("pedestrian", "motorcycle", "bicycle", "traffic_cone", "barrier"),
)
TRACKED = ("bicycle", "bus", "car", "motorcycle", "pedestrian", "trailer", "truck")
ATTRIBUTES = (
    *("pedestrian.moving", "pedestrian.sitting_lying_down", "pedestrian.standing", "cycle.with_rider"),
    *("cycle.without_rider", "vehicle.moving", "vehicle.parked", "vehicle.stopped"),
)
RANGES = {"pedestrian": 40, "motorcycle": 40, "bicycle": 40, "traffic_cone": 30, "barrier": 30}
COLUMNS = ("sample", "class", "x", "y", "z", "w", "l", "h", "yaw", "vx", "vy", "ex", "ey", "points", "score")
PERIOD_US = 500_000

Rows = list[dict[str, Any]]


def simulate(rng: np.random.Generator, *, scenes: int, samples: int, objects: int, classes: tuple[str, ...]) -> Rows:
    """True boxes of objects on straight lines past an ego vehicle that drives along x; sizes, poses rounded."""
    rows = []
    for scene in range(scenes):
        for number in range(objects):
            name = classes[int(rng.integers(len(classes)))]
            start, velocity = rng.uniform(-30, 30, 2), rng.normal(0, 2, 2)
            size, yaw = rng.uniform(0.5, 5, 3), rng.uniform(-math.pi, math.pi)
            born, dies = sorted(rng.integers(0, samples + 1, 2).tolist())
            for time in range(born, max(dies, born + 1) if born < samples else samples):
                x, y = start + velocity * 0.5 * time
                row = dict(zip(("w", "l", "h"), size, strict=True))
                row |= {
                    "scene": scene,
                    "time": time,
                    "sample": scene * samples + time,
                    "class": name,
                    "id": 100 * scene + number,
                }
                row |= {"x": x, "y": y, "z": 1.0, "yaw": yaw, "vx": velocity[0], "vy": velocity[1]}
                row |= {"points": int(rng.integers(0, 8)), "score": -1.0}
                row["attribute"] = "" if rng.random() < 0.2 else ATTRIBUTES[int(rng.integers(len(ATTRIBUTES)))]
                if rng.random() < 0.1:
                    row["vx"] = math.nan
                rows.append(row)
    return _finished(rows)


def _finished(rows: Rows) -> Rows:
    for row in rows:
        for key, value in row.items():
            if isinstance(value, float):
                row[key] = round(float(value), 3)
        row["ex"], row["ey"] = round(row["x"] - 2.0 * row["time"], 3), row["y"]
    return sorted(rows, key=lambda row: row["sample"])


def detect(rng: np.random.Generator, truth: Rows, *, noise: float = 0.4, drop: float = 0.2, false: float = 0.3) -> Rows:
    """Boxes of an imperfect detector and tracker with false boxes, exchanged identities and wrong classes."""
    rows = []
    for row in truth:
        if rng.random() < false:
            place = rng.uniform(-35, 35, 2)
            rows.append(
                {**row, "x": place[0], "y": place[1], "id": 1000 + int(rng.integers(30)), "score": rng.random()}
            )
        if rng.random() < drop:
            continue
        found = {**row, "score": rng.random(), "points": -1}
        for key, spread in (("x", noise), ("y", noise), ("yaw", 0.3), ("vx", 0.5), ("vy", 0.5)):
            found[key] = found[key] + rng.normal(0, spread)
        for key in ("w", "l", "h"):
            found[key] = found[key] * rng.uniform(0.8, 1.25)
        if rng.random() < 0.3:
            found["attribute"] = ATTRIBUTES[int(rng.integers(len(ATTRIBUTES)))]
        if rng.random() < 0.08:
            found["id"] = row["id"] + 500
        rows.append(found)
    seen: set[tuple[int, int]] = set()
    rows = [row for row in rows if not ((row["sample"], row["id"]) in seen or seen.add((row["sample"], row["id"])))]
    return _finished(rows)


def cases(family: str, classes: tuple[str, ...], *, scenes: int, samples: int, objects: int) -> dict[str, Any]:
    """Truth and results of every case, as lists of rows."""

    def truth_of(seed: int) -> tuple[np.random.Generator, Rows]:
        rng = np.random.default_rng([seed, len(family)])
        return rng, simulate(rng, scenes=scenes, samples=samples, objects=objects, classes=classes)

    made: dict[str, Any] = {"classes": list(classes), "samples_per_scene": samples, "scenes": scenes, "cases": {}}

    def add(name: str, truth: Rows, results: Rows) -> None:
        made["cases"][name] = {"truth": truth, "results": results}

    rng, truth = truth_of(1)
    add("random", truth, detect(rng, truth))
    rng, truth = truth_of(2)
    add("noisy", truth, detect(rng, truth, noise=1.2, drop=0.4, false=0.6))
    rng, truth = truth_of(3)
    add("perfect", truth, [{**row, "score": round(rng.random(), 3), "points": -1} for row in truth])
    rng, truth = truth_of(4)
    add("empty", truth, [])
    rng, truth = truth_of(5)
    add("equal_scores", truth, [{**row, "score": 0.5} for row in detect(rng, truth)])
    rng, truth = truth_of(6)
    add("ties", *_ties(rng, truth))
    rng, truth = truth_of(7)
    add("borders", *_borders(rng, truth))
    rng, truth = truth_of(8)
    found = detect(rng, truth)
    kept = [row for row in truth if row["class"] != "car"]
    add("class_missing", kept, [row for row in found if row["class"] != "pedestrian"])
    return made


def _ties(rng: np.random.Generator, truth: Rows) -> tuple[Rows, Rows]:
    """Places on a grid of half metres, three scores, every box twice: equal distances and equal scores abound."""
    found = detect(rng, truth, noise=0.6)
    twice = [{**row, "id": row["id"] + 5000} for row in found if rng.random() < 0.5]
    for row in (*truth, *found, *twice):
        row["x"], row["y"] = round(2 * row["x"]) / 2, round(2 * row["y"]) / 2
    for row in (*found, *twice):
        row["score"] = float(rng.integers(1, 4)) / 4
    return _finished(truth), _finished(found + twice)


def _borders(rng: np.random.Generator, truth: Rows) -> tuple[Rows, Rows]:
    """Distances that are exactly the class range or exactly a match distance."""
    found = []
    for row in truth:
        limit = RANGES.get(row["class"], 50)
        row["x"], row["y"] = (limit * 0.6, limit * 0.8) if rng.random() < 0.3 else (round(row["x"]), round(row["y"]))
        row["x"] += 2.0 * row["time"]
        step = float(rng.choice([0.0, 0.5, 1.0, 2.0, 4.0]))
        along = rng.random() < 0.5
        moved = {"x": row["x"] + step * along, "y": row["y"] + step * (not along)}
        found.append({**row, **moved, "score": rng.random(), "points": -1})
    return _finished(truth), _finished(found)


def packed(rows: Rows, extra: tuple[str, ...]) -> dict[str, list[Any]]:
    """Rows as columns, which keeps the files small."""
    return {key: [row[key] for row in rows] for key in (*COLUMNS, *extra)}


class Tables:
    """The few answers of a `NuScenes` object that the devkit's evaluation asks for."""

    def __init__(self, scenes: int, samples: int) -> None:
        from nuscenes.utils.splits import create_splits_scenes

        names = create_splits_scenes()["val"][:scenes]
        self.rows: dict[tuple[str, str], dict[str, Any]] = {}
        for scene, name in enumerate(names):
            tokens = [f"s{scene * samples + time}" for time in range(samples)]
            row = {"name": name, "first_sample_token": tokens[0], "last_sample_token": tokens[-1]}
            self.rows["scene", name] = row
            for time, token in enumerate(tokens):
                following = tokens[time + 1] if time + 1 < samples else ""
                sample = {"scene_token": name, "timestamp": time * PERIOD_US, "anns": [], "next": following}
                self.rows["sample", token] = sample

    def get(self, table: str, token: str) -> dict[str, Any]:
        return self.rows[table, token]


def devkit_boxes(rows: Rows, task: str, tokens: list[str]) -> Any:
    """Rows as the devkit's `EvalBoxes`."""
    from nuscenes.eval.common.data_classes import EvalBoxes
    from nuscenes.eval.detection.data_classes import DetectionBox
    from nuscenes.eval.tracking.data_classes import TrackingBox

    content: dict[str, list[Any]] = {token: [] for token in tokens}
    for row in rows:
        box = {
            "sample_token": f"s{row['sample']}",
            "translation": [row["x"], row["y"], row["z"]],
            "size": [row["w"], row["l"], row["h"]],
            "rotation": [math.cos(row["yaw"] / 2), 0.0, 0.0, math.sin(row["yaw"] / 2)],
            "velocity": [row["vx"], row["vy"]],
            "ego_translation": [row["ex"], row["ey"], 0.0],
            "num_pts": row["points"],
            f"{task}_name": row["class"],
            f"{task}_score": row["score"],
            "attribute_name": row["attribute"],
            "tracking_id": str(row["id"]),
        }
        content[f"s{row['sample']}"].append(box)
    return EvalBoxes.deserialize(content, DetectionBox if task == "detection" else TrackingBox)


def nuscenes_detection(truth: Rows, results: Rows, scenes: int, samples: int) -> Any:
    """Answer of the devkit's detection evaluation."""
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.common.loaders import filter_eval_boxes
    from nuscenes.eval.detection.evaluate import DetectionEval

    tables, tokens = Tables(scenes, samples), [f"s{i}" for i in range(scenes * samples)]
    evaluation = DetectionEval.__new__(DetectionEval)
    evaluation.cfg, evaluation.verbose = config_factory("detection_cvpr_2019"), False
    boxes = [devkit_boxes(rows, "detection", tokens) for rows in (truth, results)]
    boxes = [filter_eval_boxes(tables, b, evaluation.cfg.class_range) if b.all else b for b in boxes]
    evaluation.gt_boxes, evaluation.pred_boxes = boxes
    metrics, _ = evaluation.evaluate()
    answer = metrics.serialize()
    return {key: answer[key] for key in ("label_aps", "label_tp_errors", "mean_ap", "tp_errors", "nd_score")}


def nuscenes_tracking(truth: Rows, results: Rows, scenes: int, samples: int) -> Any:
    """Answer of the devkit's tracking evaluation."""
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.common.loaders import filter_eval_boxes
    from nuscenes.eval.tracking.evaluate import TrackingEval
    from nuscenes.eval.tracking.loaders import create_tracks

    tables, tokens = Tables(scenes, samples), [f"s{i}" for i in range(scenes * samples)]
    evaluation = TrackingEval.__new__(TrackingEval)
    evaluation.cfg, evaluation.verbose = config_factory("tracking_nips_2019"), False
    evaluation.output_dir, evaluation.render_classes = "", []
    boxes = [devkit_boxes(rows, "tracking", tokens) for rows in (truth, results)]
    boxes = [filter_eval_boxes(tables, b, evaluation.cfg.class_range) if b.all else b for b in boxes]
    evaluation.tracks_gt = create_tracks(boxes[0], tables, "val", gt=True)
    evaluation.tracks_pred = create_tracks(boxes[1], tables, "val", gt=False)
    metrics, _ = evaluation.evaluate()
    answer = metrics.serialize()
    names = list(metrics.label_metrics)
    return {"classes": answer["label_metrics"], "all": {name: answer[name] for name in names}}


def nuscenes_prediction(seed: int = 9) -> Any:
    """Inputs and answers of the devkit's prediction metrics, by agents with several modes."""
    from nuscenes.eval.prediction.data_classes import Prediction
    from nuscenes.eval.prediction.metrics import MinADEK, MinFDEK, MissRateTopK, RowMean

    rng = np.random.default_rng(seed)
    ks = [1, 5, 6, 10]
    made: dict[str, Any] = {"ks": ks, "cases": {}}
    for name, agents, modes in (("random", 12, 6), ("one_mode", 6, 1), ("ties", 8, 10)):
        future = np.cumsum(rng.normal(0, 1, (agents, 12, 2)), axis=1)
        spread = rng.choice([0.1, 0.5, 2.0], (agents, modes, 1, 1))
        points = future[:, None] + np.cumsum(rng.normal(0, 1, (agents, modes, 12, 2)), axis=2) * spread
        weights = np.full((agents, modes), 0.1) if name == "ties" else rng.dirichlet(np.ones(modes), agents)
        future, points, weights = future.round(3), points.round(3), weights.round(4)
        answer = {}
        for metric in (MinADEK(ks, [RowMean()]), MinFDEK(ks, [RowMean()]), MissRateTopK(ks, [RowMean()])):
            values = [
                metric(future[i], Prediction(str(i), "s", points[i], weights[i]))[0].astype(float).tolist()
                for i in range(agents)
            ]
            answer[metric.name] = np.mean(values, axis=0).tolist()
        inputs = {"futures": future.tolist(), "points": points.tolist(), "probabilities": weights.tolist()}
        made["cases"][name] = {**inputs, "answer": answer}
    return made


def trackeval_answer(truth: Rows, results: Rows, scenes: int, samples: int) -> Any:
    """Answers of TrackEval's HOTA and CLEAR per class, similarity 1 at distance 0 and 0 from 2 m on."""
    from trackeval.metrics import CLEAR, HOTA

    answer = {}
    for name in sorted({row["class"] for row in (*truth, *results)}):
        found: dict[str, dict[str, Any]] = {"hota": {}, "clear": {}}
        for scene in range(scenes):
            data = _trackeval_sequence(truth, results, name, range(scene * samples, (scene + 1) * samples))
            found["hota"][str(scene)] = HOTA().eval_sequence(data)
            found["clear"][str(scene)] = CLEAR({"PRINT_CONFIG": False}).eval_sequence(data)
        hota = HOTA().combine_sequences(found["hota"])
        clear = CLEAR({"PRINT_CONFIG": False}).combine_sequences(found["clear"])
        keys = ("HOTA", "DetA", "AssA", "AssRe", "AssPr", "LocA", "HOTA_TP", "HOTA_FN", "HOTA_FP")
        answer[name] = {key: hota[key].round(9).tolist() for key in keys}
        keys = ("MOTA", "MOTP", "IDSW", "Frag", "MT", "ML", "CLR_TP", "CLR_FN", "CLR_FP")
        answer[name] |= {key: float(clear[key]) for key in keys}
    return answer


def _trackeval_sequence(truth: Rows, results: Rows, name: str, samples: range) -> dict[str, Any]:
    """One scene and class as TrackEval's metrics take it: numbers from 0 on and a similarity matrix per sample."""
    data: dict[str, Any] = {"num_timesteps": len(samples)}
    places = []
    for kind, rows in (("gt", truth), ("tracker", results)):
        own = [row for row in rows if row["class"] == name and row["sample"] in samples]
        numbers = {identity: number for number, identity in enumerate(sorted({row["id"] for row in own}))}
        per_sample = [[row for row in own if row["sample"] == sample] for sample in samples]
        data[f"{kind}_ids"] = [np.array([numbers[row["id"]] for row in part], int) for part in per_sample]
        data[f"num_{kind}_ids"], data[f"num_{kind}_dets"] = len(numbers), len(own)
        places.append([np.array([[row["x"], row["y"]] for row in part]).reshape(-1, 2) for part in per_sample])
    distances = [np.linalg.norm(a[:, None] - b[None], axis=2) for a, b in zip(*places, strict=True)]
    data["similarity_scores"] = [np.maximum(0, 1 - distance / 2.0) for distance in distances]
    return data


def argoverse2_answer(truth: Rows, results: Rows, scenes: int, samples: int) -> Any:
    """Answer of the `av2` detection evaluation without its map, before it rounds to three digits."""
    import pandas
    from av2.evaluation.detection.eval import DETECTION_UUID_COLUMNS, DTS_COLUMNS, GTS_COLUMNS, summarize_metrics
    from av2.evaluation.detection.utils import DetectionCfg, accumulate

    categories = tuple(sorted({row["class"] for row in (*truth, *results)}))
    config = DetectionCfg(categories=categories, eval_only_roi_instances=False)
    tables = []
    for rows, last in ((results, "score"), (truth, "num_interior_pts")):
        columns = ["log_id", "timestamp_ns", "category", "tx_m", "ty_m", "tz_m", "length_m", "width_m", "height_m"]
        columns += ["qw", "qx", "qy", "qz", last]
        entries = [
            [str(row["scene"]), row["time"], row["class"]]
            + [row[key] for key in ("x", "y", "z", "l", "w", "h")]
            + [math.cos(row["yaw"] / 2), 0.0, 0.0, math.sin(row["yaw"] / 2)]
            + [row["score" if last == "score" else "points"]]
            for row in rows
        ]
        table = pandas.DataFrame(entries, columns=columns)
        tables.append(table.sort_values(list(DETECTION_UUID_COLUMNS), kind="stable").reset_index(drop=True))
    names = [*config.affinity_thresholds_m, "ATE", "ASE", "AOE", "is_evaluated"]
    for table in tables:
        table[names] = 0.0
    groups = [table.groupby(list(DETECTION_UUID_COLUMNS)).indices for table in tables]
    for key in sorted(set(groups[0]) | set(groups[1])):
        rows = [group.get(key, np.zeros(0, int)) for group in groups]
        wanted = zip(tables, rows, (DTS_COLUMNS, GTS_COLUMNS), strict=True)
        boxes = [table.loc[row, list(columns)].to_numpy(float) for table, row, columns in wanted]
        for table, row, values in zip(tables, rows, accumulate(*boxes, config), strict=True):
            table.loc[row, names] = values
    for table in tables:
        table["is_evaluated"] = table["is_evaluated"].astype(bool)
    summary = summarize_metrics(*tables, config)
    return {name: [float(v) for v in summary.loc[name]] for name in categories}


def fixture(made: dict[str, Any], answer: Callable[..., Any], extra: tuple[str, ...]) -> dict[str, Any]:
    """The cases with their answers, rows packed into columns."""
    for case in made["cases"].values():
        case["answer"] = answer(case["truth"], case["results"], made["scenes"], made["samples_per_scene"])
        case["truth"], case["results"] = packed(case["truth"], extra), packed(case["results"], extra)
    return made


def write(name: str, content: Any) -> None:
    """Write one compact JSON file."""
    FIXTURES.mkdir(parents=True, exist_ok=True)
    path = FIXTURES / f"{name}.json"
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n")
    print(f"{path}: {path.stat().st_size} bytes")


def main() -> None:
    """Write the fixtures of one family of official tools."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=("nuscenes", "argoverse2", "trackeval"))
    family = parser.parse_args().family
    if family == "nuscenes":
        made = cases("detection", CLASSES, scenes=2, samples=4, objects=14)
        write("nuscenes_detection", fixture(made, nuscenes_detection, ("attribute",)))
        made = cases("tracking", TRACKED, scenes=2, samples=9, objects=12)
        write("nuscenes_tracking", fixture(made, nuscenes_tracking, ("id",)))
        write("nuscenes_prediction", nuscenes_prediction())
    if family == "argoverse2":
        made = cases("argoverse2", CLASSES[:6], scenes=2, samples=4, objects=14)
        write("argoverse2", fixture(made, argoverse2_answer, ()))
    if family == "trackeval":
        made = cases("trackeval", TRACKED[:3], scenes=2, samples=9, objects=12)
        write("trackeval", fixture(made, trackeval_answer, ("id",)))


if __name__ == "__main__":
    main()
