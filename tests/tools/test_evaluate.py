"""`tricast evaluate` as a user runs it."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tricast.perception.evaluation.headlines import figure
from tricast.perception.evaluation.run_tables import load_truth
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.writer import LogWriter
from tricast.tools.cli import main
from tricast.tools.demo import demo_log_path


def tricast(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tricast.tools.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("evaluation")
    done = tricast("evaluate", demo_log_path(), "--workers", "1", "--sensors", "all-subsets", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    return out, json.loads(done.stdout)


def test_json_holds_the_stable_figures(run: tuple[Path, dict[str, Any]]) -> None:
    _, summary = run
    figures = (
        *("detection.mAP", "detection.NDS", "tracking.AMOTA", "tracking.HOTA", "calibration.ECE", "ticks", "scenes"),
        *(f"prediction.{name}" for name in ("minADE_6", "minFDE_6", "MissRate_6", "EPA")),
        *(f"baseline.{name}.minADE_6" for name in ("constant_velocity", "physics_modes")),
    )
    for path in figures:
        assert isinstance(figure(summary, path), float | int), path
    car = summary["detection"]["per_class"]["car"]
    assert list(car["AP"]) == ["0.5", "1.0", "2.0", "4.0"]
    assert {"ATE", "ASE", "AOE", "AVE", "AAE"} <= car.keys()
    assert summary["scenes"] == 1
    assert summary["samples"] == 6
    assert 0 < summary["detection"]["NDS"] < 1
    assert 0 < summary["detection"]["argoverse2"]["CDS"] < summary["detection"]["argoverse2"]["mAP"] < 1
    assert 0 <= summary["detection"]["kitti"]["AP_3D"] <= summary["detection"]["kitti"]["AP_BEV"] < 1


def test_every_key_of_the_summary_is_told_in_the_documents(run: tuple[Path, dict[str, Any]]) -> None:
    _, summary = run
    text = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
    named = set(re.findall(r"[\w-]+", " ".join(re.findall(r"`([^`]+)`", text))))
    assert summary.keys() - named == set()
    # Of tracking the table names the figures that are most asked for.
    for part in ("detection", "prediction", "calibration"):
        keys = {re.sub(r"_\d+$", "_k", key) for key in summary[part]}
        assert keys - named - {"mASE", "mAOE", "mAVE"} == set(), part


def test_all_subsets_are_the_seven_with_the_whole_first(run: tuple[Path, dict[str, Any]]) -> None:
    out, summary = run
    assert list(summary["subsets"]) == [
        "camera+lidar+radar",
        "camera+lidar",
        "camera+radar",
        "lidar+radar",
        "camera",
        "lidar",
        "radar",
    ]
    assert summary["sensors"] == "camera+lidar+radar"
    assert summary["subsets"]["camera+lidar+radar"]["detection"] == summary["detection"]
    stored = {path.stem for path in (out / "tables").iterdir()}
    assert stored == {"truth", *summary["subsets"]}


def test_the_run_directory_holds_the_same_figures_and_whole_files(run: tuple[Path, dict[str, Any]]) -> None:
    out, summary = run
    assert json.loads((out / "evaluation.json").read_text()) == summary
    assert sorted(p.name for p in out.iterdir()) == [
        "config.yaml",
        "evaluation.json",
        "evaluation.md",
        "report.html",
        "tables",
        "tables.md",
    ]
    truth = load_truth(out / "tables" / "truth.npz")
    assert len(truth.boxes.sample_tokens) == summary["samples"]


class _Page(HTMLParser):
    """Collects what a page loads, and checks that its elements close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.names: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_is_one_page_that_loads_nothing(run: tuple[Path, dict[str, Any]]) -> None:
    out, summary = run
    page = _Page()
    text = (out / "report.html").read_text()
    page.feed(text.removeprefix("<!doctype html>"))
    assert page.open == []
    assert page.loads and all(load.startswith("data:image/png;base64,") for load in page.loads)
    assert "script" not in page.names and "link" not in page.names
    assert page.names.count("svg") > 10
    assert f"{summary['detection']['mAP']:.3f}" in text
    for name, value in (("Argoverse 2 CDS", "argoverse2.CDS"), ("KITTI AP, BEV", "kitti.AP_BEV")):
        assert f"<td>{name}</td><td>{figure(summary['detection'], value):.3f}</td>" in text
    assert "not runs with published tables" in text


@pytest.fixture(scope="module")
def short_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first second of the demo log, with truth at three ticks."""
    log, path = open_log(demo_log_path()), tmp_path_factory.mktemp("short") / "short.mcap"
    with LogWriter(path, log.rig) as writer:
        for message in log.messages(end_ns=log.start_ns + 1_100_000_000):
            writer.write(message)
    return path


def test_measured_and_given_latencies_are_scored_by_one_command(
    short_log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--detector", "cluster", "--workers", "1", "--streaming", "measured,constant:80"]
    assert main(["evaluate", str(short_log), *options, "--out", str(tmp_path), "--markdown"]) == 0
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "tables.md").read_text()
    streaming = json.loads((tmp_path / "evaluation.json").read_text())["streaming"]
    assert list(streaming) == ["measured", "constant:80"]
    assert streaming["measured"]["latency"]["processor_share"] > 0
    assert f"close to `{streaming['measured']['latency']['repeat_with']}`" in printed
    assert streaming["constant:80"]["latency"]["ms"]["p50"] == 80.0
    for stream in streaming.values():
        assert stream["rows"]["10_hz_copy"]["latency_ms"] > 0
        assert f"| {stream['rows']['10_hz_copy']['NDS']:.3f} |" in printed
    report = (tmp_path / "report.html").read_text()
    assert "Streaming, measured" in report and "Streaming, constant:80" in report


@pytest.mark.slow
def test_one_command_makes_all_tables_of_a_readme(
    short_log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--detector", "cluster", "--workers", "1", "--sensors", "all-subsets"]
    options += ["--corruptions", "--streaming", "constant:80", "--out", str(tmp_path), "--json"]
    assert main(["evaluate", str(short_log), *options]) == 0
    summary = json.loads(capsys.readouterr().out)
    tables = (tmp_path / "tables.md").read_text()
    assert "| camera + lidar; lidar |" in tables
    # Nothing that happens to pictures concerns a detector that looks at none.
    assert summary["robustness"]["not_concerned"] == ["missing_camera", "brightness", "dark"]
    assert "Of sensors that no log has or that are not looked at: missing camera, brightness, dark." in tables
    assert len(summary["robustness"]["corruptions"]) == 13
    for name, values in summary["robustness"]["corruptions"].items():
        cells = " | ".join(f"{value:.3f}" for value in [*values["relative"], values["RA"]])
        assert f"| {name.replace('_', ' ')} | {cells} |" in tables
    assert "| 20 Hz |" in tables


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate"], ["no log", "standard:test"]),
        (["evaluate", "standard:tset"], ["tset", "validation"]),
        (["evaluate", "none.mcap"], ["none.mcap"]),
        (["evaluate", "standard:validation", "--scenes", "0"], ["--scenes", "0"]),
        (["evaluate", str(demo_log_path()), "--scenes", "2"], ["--scenes", "synthetic"]),
        (["evaluate", str(demo_log_path()), "--start", "99"], ["--start", "99 s", "the log's length"]),
        (["evaluate", str(demo_log_path()), "--duration", "2", "--corruptions"], ["--duration", "run the two apart"]),
        (["evaluate", str(demo_log_path()), "--sensors", "sonar"], ["sonar", "camera"]),
        (["evaluate", str(demo_log_path()), "--streaming", "quick"], ["quick", "constant:80"]),
        (["evaluate", str(demo_log_path()), "--streaming", "measured,quick"], ["quick", "constant:80"]),
        (["evaluate", "--results", "r.json"], ["--truth", "--protocol"]),
        (["evaluate", str(demo_log_path()), str(demo_log_path())], ["twice"]),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    for word in words:
        assert word in error


def test_damaged_logs_are_named_and_kept_in_the_report(tmp_path: Path) -> None:
    data = bytearray(demo_log_path().read_bytes())
    data[len(data) // 2] ^= 0xFF
    broken, out = tmp_path / "broken.mcap", tmp_path / "run"
    broken.write_bytes(data)
    options = ["--detector", "cluster", "--workers", "2", "--out", out, "--json"]
    done = tricast("evaluate", demo_log_path(), broken, *options)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert list(summary["damaged_logs"]) == [str(broken)]
    lost = summary["damaged_logs"][str(broken)]
    assert sum(lost["by_channel"].values()) == summary["lost_messages"] > 0
    assert str(broken) in lost["details"][0]
    said = f"{broken}: {summary['lost_messages']} messages lost ("
    assert f"tricast: warning: {said}" in done.stderr
    assert str(demo_log_path()) not in done.stderr
    assert said in (out / "evaluation.md").read_text()
    assert said in (out / "report.html").read_text()


def test_a_cache_that_cannot_be_written_is_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["evaluate", "standard:validation", "--cache", str(tmp_path / "file" / "cache")]) == 2
    error = capsys.readouterr().err
    assert f"--cache {tmp_path / 'file' / 'cache'}" in error
    assert "--out" not in error


@pytest.mark.parametrize("command", [["evaluate", str(demo_log_path())], ["compare", "a", "b"]])
def test_a_range_that_is_none_is_refused(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--max-range", "-5"])
    assert ended.value.code == 2
    assert "--max-range: got '-5'; expected more than 0" in capsys.readouterr().err


def devkit_box(token: str, x: float, **more: Any) -> dict[str, Any]:
    return {
        "sample_token": token,
        "translation": [x, 0.0, 0.0],
        "size": [2.0, 4.0, 1.5],
        "rotation": [1.0, 0.0, 0.0, 0.0],
        "velocity": [0.0, 0.0],
        "ego_translation": [x, 0.0, 0.0],
        "num_pts": 5,
        "attribute_name": "vehicle.parked",
        **more,
    }


def test_devkit_files_are_scored_without_a_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, truth = tmp_path / "results.json", tmp_path / "truth.json"
    found = [devkit_box("a", x, detection_name="car", detection_score=0.5) for x in (10.0, 20.0)]
    results.write_text(json.dumps({"a": found}))
    truth.write_text(json.dumps({"a": [{**box, "detection_score": -1.0} for box in found]}))
    files = ["--results", str(results), "--truth", str(truth), "--protocol", "nuscenes-detection"]
    assert main(["evaluate", *files, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["detection"]["per_class"]["car"]["AP"] == {
        k: pytest.approx(1.0) for k in ("0.5", "1.0", "2.0", "4.0")
    }
    assert summary["detection"]["mAP"] == pytest.approx(0.1)
    assert main(["evaluate", *files]) == 0
    assert "mAP" in capsys.readouterr().out


def test_a_nan_score_in_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results, truth = tmp_path / "results.json", tmp_path / "truth.json"
    results.write_text(json.dumps({"a": [devkit_box("a", 1.0, detection_name="car", detection_score=np.nan)]}))
    truth.write_text(json.dumps({"a": []}))
    files = ["--results", str(results), "--truth", str(truth), "--protocol", "nuscenes-detection"]
    assert main(["evaluate", *files]) == 2
    assert "results.json" in capsys.readouterr().err
