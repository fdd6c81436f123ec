"""`tricast compare` on runs made from tables by hand: cars found by A half the time, by B always."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tricast.perception.config import PipelineConfig
from tricast.perception.evaluation.box_table import BoxTable
from tricast.perception.evaluation.evaluation import evaluate_tables
from tricast.perception.evaluation.run_directory import save_run
from tricast.perception.evaluation.run_tables import Forecasts, LogTables, ResultTables, TruthTables
from tricast.sensors.log.stream import Losses
from tricast.tools.cli import main

SCENES, SAMPLES, CARS = 6, 4, 3
TIMES_S = 0.5 * np.arange(1, 13)


def cars(keep: np.ndarray, *, scored: bool, scenes: int = SCENES) -> BoxTable:
    """Cars 10, 20 and 30 m ahead in every sample, going 2 m/s; only some rows of them."""
    sample = np.repeat(np.arange(SCENES * SAMPLES), CARS)
    place = np.tile(10.0 * np.arange(1, CARS + 1), SCENES * SAMPLES) + (sample % SAMPLES)
    count = len(sample)
    return BoxTable.of(
        [f"s{i}" for i in range(SCENES * SAMPLES)],
        sample_scene=np.repeat(np.arange(SCENES), SAMPLES) % scenes,
        sample_time_ns=np.tile(500_000_000 * np.arange(SAMPLES), SCENES),
        sample_index=sample,
        class_index=np.zeros(count),
        centers_m=np.column_stack([place, np.zeros((count, 2))]),
        sizes_m=np.ones((count, 3)),
        yaws_rad=np.zeros(count),
        velocities_mps=np.tile([2.0, 0.0], (count, 1)),
        ego_distance_m=place,
        track_ids=np.tile(np.arange(CARS), SCENES * SAMPLES),
        scores=np.full(count, 0.8) if scored else None,
    ).where(keep)


def futures_of(table: BoxTable) -> np.ndarray:
    return table.centers_m[:, None, :2] + TIMES_S[:, None] * np.array([2.0, 0.0])


def write_run(out: Path, keep: np.ndarray, truth_rows: np.ndarray | None = None, scenes: int = SCENES) -> None:
    everything = np.ones(SCENES * SAMPLES * CARS, bool)
    true_boxes = cars(everything if truth_rows is None else truth_rows, scored=False, scenes=scenes)
    found = cars(keep, scored=True, scenes=scenes)
    results = ResultTables(
        detections=found,
        tracks=found,
        forecasts=Forecasts(
            offsets_m=np.tile(TIMES_S[:, None] * [2.0, 0.0], (len(found), 1, 1, 1)).astype(np.float32),
            probabilities=np.ones((len(found), 1)),
            turn_rates_radps=np.zeros(len(found)),
            accelerations_mps2=np.zeros(len(found)),
        ),
        ticks=SCENES * SAMPLES,
        latencies_ms={"total": np.ones(SCENES * SAMPLES)},
    )
    truth = TruthTables(boxes=true_boxes, futures_m=futures_of(true_boxes))
    tables = LogTables(truth=truth, results={"all": results}, late_truth=0, losses=Losses(), path=Path("by_hand"))
    evaluation = evaluate_tables([tables], {"detector": "by hand", "logs": []})
    save_run(out, evaluation.summary, PipelineConfig(), truth, evaluation.results, "")


def limited(run: Path, out: Path, max_range_m: float) -> Path:
    """The same run, scored up to a distance."""
    shutil.copytree(run, out)
    summary = json.loads((out / "evaluation.json").read_text())
    (out / "evaluation.json").write_text(json.dumps({**summary, "max_range_m": max_range_m}))
    return out


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("runs")
    rows = np.arange(SCENES * SAMPLES * CARS)
    write_run(folder / "a", rows % 2 == 0)
    write_run(folder / "b", rows >= 0)
    return folder / "a", folder / "b"


def test_differences_come_with_their_interval(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *map(str, runs), "--json"]) == 0
    comparison = json.loads(capsys.readouterr().out)
    assert comparison["scenes"] == SCENES
    figure = comparison["figures"]["detection.mAP"]
    # One class of ten: B finds all of it; A half, at full precision, so recalls above 0.1 up to 0.5 of 90.
    assert figure["b"] == pytest.approx(0.1)
    assert figure["a"] == pytest.approx(0.1 * 40 / 90, abs=1e-3)
    low, high = figure["interval"]
    assert 0 < low <= figure["difference"] <= high
    assert figure["share_above_zero"] == 1.0


def test_the_table_says_where_a_difference_is_sure(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *map(str, runs)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("mAP")).endswith("better")
    assert main(["compare", *map(str, reversed(runs))]) == 0
    assert next(x for x in capsys.readouterr().out.splitlines() if x.startswith("mAP")).endswith("worse")


def test_a_run_equals_itself(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(runs[0]), str(runs[0]), "--json"]) == 0
    for figure in json.loads(capsys.readouterr().out)["figures"].values():
        assert figure["difference"] in (0, None)
        assert figure["interval"] in ([0, 0], [None, None])


def test_runs_that_were_scored_to_a_distance_are_compared_to_that_distance(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    near = [limited(run, tmp_path / run.name, 0.5) for run in runs]
    assert main(["compare", *map(str, near), "--json"]) == 0
    nothing_so_near = json.loads(capsys.readouterr().out)["figures"]["detection.mAP"]
    assert nothing_so_near["b"] in (0, None)
    assert main(["compare", str(near[0]), str(runs[1])]) == 2
    assert "got scored to the protocol's ranges" in capsys.readouterr().err
    assert main(["compare", str(near[0]), str(runs[1]), "--max-range", "40"]) == 0


def test_of_one_scene_no_difference_is_sure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.arange(SCENES * SAMPLES * CARS)
    for name, keep in (("a", rows % 2 == 0), ("b", rows >= 0)):
        write_run(tmp_path / name, keep, scenes=1)
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--json"]) == 0
    figure = json.loads(capsys.readouterr().out)["figures"]["detection.mAP"]
    assert figure["difference"] > 0
    assert (figure["interval"], figure["share_above_zero"]) == ([None, None], None)
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    told = capsys.readouterr().out
    assert "better" not in told
    assert "\n1 scene, which gives no intervals\n" in told


def test_runs_over_other_truth_are_refused(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.arange(SCENES * SAMPLES * CARS)
    write_run(tmp_path / "other", rows >= 0, truth_rows=rows > 5)
    assert main(["compare", str(runs[0]), str(tmp_path / "other")]) == 2
    assert "same logs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("which", "words"), [("none", ["no readable evaluation.json"]), ("a:lidar", ["lidar", "all-subsets"])]
)
def test_what_is_no_run_is_refused_in_one_line(
    runs: tuple[Path, Path], which: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(runs[0].with_name(which)), str(runs[1])]) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    for word in words:
        assert word in error


def test_a_damaged_table_is_refused(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    table = runs[1] / "tables" / "all.npz"
    whole = table.read_bytes()
    try:
        table.write_bytes(whole[: len(whole) // 2])
        assert main(["compare", *map(str, runs)]) == 2
        assert "all.npz" in capsys.readouterr().err
    finally:
        table.write_bytes(whole)
