"""Replay of the packaged demo log, as a user runs it."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tricast.perception.config import PipelineConfig, chosen_config
from tricast.perception.streaming.replay import ReplayOptions, _numpy_threads, replay, select_channels
from tricast.sensors.errors import InputError
from tricast.sensors.log.convert import convert
from tricast.sensors.log.open_log import open_log
from tricast.tools.demo import demo_log_path

GOLDEN = Path(__file__).parent / "golden"
TOLERANCE = 1e-3


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    replay(open_log(demo_log_path()), PipelineConfig(), out)
    return out


def test_a_run_directory_holds_whole_files_only(run: Path) -> None:
    assert sorted(p.name for p in run.iterdir()) == [
        "config.yaml",
        "metadata.yaml",
        "results.jsonl",
        "results.mcap",
        "summary.json",
    ]


@pytest.mark.parametrize(
    ("variable", "threads"), [("3", 3), ("2,1", 2), ("", None), ("many", None), ("0", None), (None, None)]
)
def test_threads_are_those_of_the_outermost_level(
    variable: str | None, threads: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert _numpy_threads() == (threads or os.cpu_count())


def test_ticks_lie_on_the_grid_of_the_log_and_never_use_the_future(run: Path) -> None:
    log = open_log(demo_log_path())
    for tick in lines(run):
        assert tick["schema_version"] == 1
        assert tick["frame"] == "ego"
        assert (tick["timestamp_ns"] - log.start_ns) % 100_000_000 == 0
        assert all(used["timestamp_ns"] <= tick["timestamp_ns"] for used in tick["inputs"])


def test_objects_have_boxes_identity_and_weighted_futures(run: Path) -> None:
    objects = [o for tick in lines(run) for o in tick["objects"]]
    assert len(objects) > 100
    for o in objects:
        assert all(s > 0 for s in o["size_m"])
        assert abs(sum(t["probability"] for t in o["trajectories"]) - 1) < 1e-4
        assert all(len(t["points_m"]) == 12 for t in o["trajectories"])
    seen = {}
    for o in objects:
        seen[o["track_id"]] = seen.get(o["track_id"], 0) + 1
    assert max(seen.values()) >= 10


def test_the_same_log_gives_the_same_bytes_at_any_rate(run: Path, tmp_path: Path) -> None:
    for rate in (None, 1.0):
        out = tmp_path / str(rate)
        replay(open_log(demo_log_path()), PipelineConfig(), out, options=ReplayOptions(rate=rate))
        assert (out / "results.jsonl").read_bytes() == (run / "results.jsonl").read_bytes()
        assert (out / "results.mcap").read_bytes() == (run / "results.mcap").read_bytes()


def test_a_converted_copy_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    convert(open_log(demo_log_path()), tmp_path / "copy.mcap")
    replay(open_log(tmp_path / "copy.mcap"), PipelineConfig(), tmp_path / "run")
    assert (tmp_path / "run" / "results.jsonl").read_bytes() == (run / "results.jsonl").read_bytes()


@pytest.mark.parametrize("sensors", [("camera",), ("lidar",), ("radar",), ("camera", "radar")])
def test_any_subset_of_sensors_replays_on_the_same_ticks(run: Path, tmp_path: Path, sensors: tuple[str, ...]) -> None:
    replay(open_log(demo_log_path()), PipelineConfig(), tmp_path, options=ReplayOptions(sensors=sensors))
    stamps = [tick["timestamp_ns"] for tick in lines(tmp_path)]
    assert stamps == [tick["timestamp_ns"] for tick in lines(run)]
    log = open_log(demo_log_path())
    wanted = {c for c, s in log.rig.sensors.items() if s.modality in sensors}
    assert {used["channel"] for tick in lines(tmp_path) for used in tick["inputs"]} == wanted


def test_a_part_of_the_log_keeps_the_grid(run: Path, tmp_path: Path) -> None:
    options = ReplayOptions(start_s=0.55, duration_s=0.6)
    replay(open_log(demo_log_path()), PipelineConfig(), tmp_path, options=options)
    part = [tick["timestamp_ns"] for tick in lines(tmp_path)]
    assert part
    assert set(part) < {tick["timestamp_ns"] for tick in lines(run)}


def test_the_resolved_configuration_states_backend_and_threads(run: Path) -> None:
    resolved = yaml.safe_load((run / "config.yaml").read_text())
    assert resolved["backend"] == "numpy"
    assert resolved["threads"] >= 1
    assert resolved["workers"] == 1
    assert PipelineConfig.model_validate(resolved["pipeline"]) == PipelineConfig()


def test_the_configuration_of_a_run_with_the_network_names_its_threads(tmp_path: Path) -> None:
    config = chosen_config(detector="network")
    config = config.model_copy(update={"network": config.network.model_copy(update={"threads": 3})})
    replay(open_log(demo_log_path()), config, tmp_path, stopped=lambda: True)
    resolved = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert (resolved["backend"], resolved["threads"]) == ("eager", 3)


def test_the_summary_tells_how_each_channel_did(run: Path) -> None:
    channels = json.loads((run / "summary.json").read_text())["channels"]
    log = open_log(demo_log_path())
    assert sorted(channels) == sorted(log.rig.channels())
    assert {channel["state"] for channel in channels.values()} == {"ok"}
    assert all(channel["rate_hz"] > 1 and channel["gaps"] == 0 for channel in channels.values())


def test_every_key_of_summary_and_results_is_told_in_the_documents(run: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "results.md").read_text()
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", text))))
    summary = json.loads((run / "summary.json").read_text())
    tick = max(lines(run), key=lambda tick: len(tick["objects"]))
    told: list[dict[str, Any]] = [summary, next(iter(summary["channels"].values())), summary["losses"], tick]
    told += [tick["inputs"][0], tick["objects"][0], tick["objects"][0]["trajectories"][0]]
    told += [next(iter(tick["health"].values()))]
    assert {key for values in told for key in values} - named == set()


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_log_gives_the_same_bytes_for_any_number_of_workers(run: Path, tmp_path: Path, workers: int) -> None:
    options = ReplayOptions(workers=workers, duration_s=1.0)
    replay(open_log(demo_log_path()), PipelineConfig(), tmp_path, options=options)
    part = (tmp_path / "results.jsonl").read_text().splitlines()
    assert len(part) >= 10
    # The last tick of a part closes without what arrives after its end.
    assert part[:-1] == (run / "results.jsonl").read_text().splitlines()[: len(part) - 1]


def test_unknown_sensor_names_are_refused_with_the_channels_of_the_log() -> None:
    with pytest.raises(InputError, match=r"sonar.*CAM"):
        select_channels(open_log(demo_log_path()).rig, ("sonar",))


def golden_rows(run: Path) -> list[list[Any]]:
    return [
        [
            o["track_id"],
            o["class"],
            *o["center_m"],
            o["yaw_rad"],
            *o["velocity_mps"],
            *o["trajectories"][0]["points_m"][-1],
        ]
        for tick in lines(run)[::5]
        for o in tick["objects"][:12]
    ]


def compare_with_golden(run: Path, golden: Path) -> None:
    now = golden_rows(run)
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text("[\n" + ",\n".join(json.dumps(row) for row in now) + "\n]\n")
    stored = json.loads(golden.read_text())
    assert [row[:2] for row in now] == [row[:2] for row in stored]
    for row, expected in zip(now, stored, strict=True):
        assert row[2:] == pytest.approx(expected[2:], abs=TOLERANCE)


def test_golden_replay_of_the_demo_log(run: Path) -> None:
    """Boxes and futures of the demo equal the stored ones to 1e-3.

    After a change that is meant to alter results, state it in CHANGELOG.md and store them anew:
    `UPDATE_GOLDEN=1 pytest tests/perception/streaming/test_replay.py -k golden`.
    """
    compare_with_golden(run, GOLDEN / "demo_objects.json")


def test_the_demo_with_the_packaged_network_gives_the_golden_objects(tmp_path: Path) -> None:
    """One second of the demo with the packaged weights; updated as above, with the change of metrics in CHANGELOG."""
    replay(open_log(demo_log_path()), chosen_config(), tmp_path, options=ReplayOptions(duration_s=1.0))
    compare_with_golden(tmp_path, GOLDEN / "demo_network_objects.json")
