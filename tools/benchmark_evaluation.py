"""Speed of the evaluation against the nuScenes devkit: `python -m tricast.tools.benchmark_evaluation`.

`--devkit-python P` names the Python of an environment with the devkit (see `make_oracle_fixtures.py`); it then scores
the same boxes in the same run, from boxes in memory on both sides. Without it only Tricast is measured. The devkit's
tracking takes long: `--limit-s S` ends it after S seconds of scoring, and the ratio is then a lower bound. Processor
times are given beside those of the clock, which other work on the machine lengthens.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tricast.configs.errors import InputError
from tricast.perception.evaluation.box_table import ATTRIBUTES, BoxTable
from tricast.perception.evaluation.detection import evaluate_detection
from tricast.perception.evaluation.tracking import evaluate_tracking
from tricast.sensors.annotations import DETECTION_CLASSES
from tricast.tools.user_input import mistakes_in_one_line, positive_int

SAMPLES_PER_SCENE = 40
TRACKED = ("car", "truck", "bus", "trailer", "pedestrian", "motorcycle", "bicycle")


def made_boxes(samples: int, boxes: int, classes: tuple[str, ...], seed: int = 0) -> tuple[BoxTable, BoxTable]:
    """Predictions and truth: objects that drift through scenes, each found with noise, at half its place, or not."""
    rng = np.random.default_rng(seed)
    sample, slot = np.repeat(np.arange(samples), boxes), np.tile(np.arange(boxes), samples)
    scene, step = sample // SAMPLES_PER_SCENE, sample % SAMPLES_PER_SCENE
    number = scene * boxes + slot
    objects = int(number[-1]) + 1
    kinds = np.array([DETECTION_CLASSES.index(name) for name in classes])[rng.integers(len(classes), size=objects)]
    velocity = rng.normal(0, 0.5, (objects, 2))
    start = rng.uniform(-28, 28, (objects, 2)) - velocity * SAMPLES_PER_SCENE / 4
    places = np.concatenate([start[number] + velocity[number] * 0.5 * step[:, None], np.ones((len(sample), 1))], axis=1)
    columns: dict[str, Any] = {
        "sample_index": sample,
        "class_index": kinds[number],
        "sizes_m": rng.uniform(0.5, 5, (objects, 3))[number],
        "track_ids": slot,
        "attribute_index": rng.integers(len(ATTRIBUTES), size=len(sample)),
        "sample_scene": np.arange(samples) // SAMPLES_PER_SCENE,
        "sample_time_ns": (np.arange(samples) % SAMPLES_PER_SCENE) * 500_000_000,
    }
    tokens = [f"s{row}" for row in range(samples)]
    tables = []
    for noise_m in (0.6, 0.0):
        moved = places + rng.normal(0, 1, places.shape) * noise_m
        far = (rng.random(len(sample)) < 0.3) & (noise_m > 0)
        moved[far, :2] = rng.uniform(-28, 28, (int(far.sum()), 2))
        tables.append(
            BoxTable.of(
                tokens,
                centers_m=moved,
                yaws_rad=rng.uniform(-3, 3, objects)[number],
                velocities_mps=velocity[number],
                ego_distance_m=np.hypot(moved[:, 0], moved[:, 1]),
                scores=rng.random(len(sample)) if noise_m else None,
                **columns,
            )
        )
    return tables[0], tables[1]


def measured(task: str, predictions: BoxTable, truth: BoxTable) -> dict[str, Any]:
    """Figures and seconds of Tricast."""
    start, processor_start = time.perf_counter(), time.process_time()
    if task == "detection":
        metrics = evaluate_detection(predictions, truth)
        figures = {"mAP": metrics.mean_ap, "NDS": metrics.nds}
    else:
        figures = {"AMOTA": evaluate_tracking(predictions, truth).amota}
    seconds, processor_s = time.perf_counter() - start, time.process_time() - processor_start
    return {**figures, "seconds": round(seconds, 2), "processor_s": round(processor_s, 2), "peak_mb": _peak_mb()}


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def devkit_measured(
    python: Path, task: str, predictions: BoxTable, truth: BoxTable, limit_s: float | None = None
) -> dict[str, Any]:
    """Figures and seconds of the devkit on the same boxes, in its own environment; only `ended_after_s` past a limit.

    Raises:
        InputError: The devkit does not run there.

    """
    names = ("sample_index", "class_index", "centers_m", "sizes_m", "yaws_rad", "velocities_mps", "scores")
    names += ("attribute_index", "track_ids", "ego_distance_m")
    with tempfile.TemporaryDirectory() as folder:
        for name, table in (("results", predictions), ("truth", truth)):
            columns = {column: getattr(table, column) for column in names}
            np.savez(Path(folder) / f"{name}.npz", **columns)
        if shutil.which(python) is None:
            raise InputError(
                where="--devkit-python", got=f"no program {python}", expected="a Python", remedy="check the path"
            )
        script = Path(__file__).with_name("benchmark_devkit.py")
        command = [str(python), "-W", "ignore", str(script), task, folder, str(len(truth.sample_tokens))]
        with (
            tempfile.TemporaryFile("w+") as errors,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
        ):
            try:
                # The first line says that the boxes are loaded; the limit is of the scoring alone.
                loaded = process.stdout.readline() if process.stdout else ""
                printed, _ = process.communicate(timeout=limit_s if loaded else None)
            except subprocess.TimeoutExpired:
                process.kill()
                return {"ended_after_s": limit_s}
            errors.seek(0)
            messages = errors.read().strip().splitlines()
    if process.returncode:
        got = (messages or ["no message"])[-1]
        remedy = "install it as tools/make_oracle_fixtures.py says"
        raise InputError(where=str(python), got=got, expected="a Python with nuscenes-devkit", remedy=remedy)
    return json.loads(printed.splitlines()[-1])


def compared(tricast: Mapping[str, Any], devkit: Mapping[str, Any]) -> dict[str, float]:
    """How many times faster Tricast is, by the clock and the processor; at least so many where the devkit was ended."""
    if "ended_after_s" in devkit:
        return {"times_faster_at_least": round(devkit["ended_after_s"] / tricast["seconds"], 1)}
    return {
        "times_faster": round(devkit["seconds"] / tricast["seconds"], 1),
        "times_less_processor": round(devkit["processor_s"] / tricast["processor_s"], 1),
    }


@mistakes_in_one_line
def main() -> int:
    """Print one line of JSON per task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=positive_int, default=6000)
    parser.add_argument("--boxes", type=positive_int, default=100)
    parser.add_argument("--tracking-samples", type=positive_int, default=120, help="the devkit takes minutes for few")
    parser.add_argument("--tracking-boxes", type=positive_int, default=30)
    parser.add_argument("--task", choices=["detection", "tracking"], help="only this one")
    parser.add_argument("--devkit-python", type=Path)
    parser.add_argument("--limit-s", type=float, help="end the devkit's scoring of a task after so many seconds")
    args = parser.parse_args()
    sizes = {
        "detection": (args.samples, args.boxes, DETECTION_CLASSES),
        "tracking": (args.tracking_samples, args.tracking_boxes, TRACKED),
    }
    for task, (samples, boxes, classes) in sizes.items():
        if args.task not in (None, task):
            continue
        predictions, truth = made_boxes(samples, boxes, classes)
        line: dict[str, Any] = {"task": task, "samples": samples, "boxes_per_sample": boxes}
        line["tricast"] = measured(task, predictions, truth)
        if args.devkit_python:
            line["devkit"] = devkit_measured(args.devkit_python, task, predictions, truth, args.limit_s)
            line |= compared(line["tricast"], line["devkit"])
        else:
            line["devkit"] = "not measured: no --devkit-python"
        print(json.dumps(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
