"""Play into live, recorded: the offline replay that follows the recorded manifests gives the same boxes."""

import json
from pathlib import Path
from typing import Any

from tricast.tools.cli import main
from tricast.tools.demo import demo_log_path


def lines(path: Path) -> dict[int, dict[str, Any]]:
    return {tick["timestamp_ns"]: tick for tick in map(json.loads, path.read_text().splitlines())}


def manifest(tick: dict[str, Any]) -> list[tuple[str, int]]:
    return [(used["channel"], used["timestamp_ns"]) for used in tick["inputs"]]


def test_a_replay_along_the_recorded_manifests_gives_the_same_boxes(graph: Any) -> None:
    run, log = graph.folder / "live", graph.folder / "drive" / "drive.mcap"
    recorder = graph.start("record", "--out", str(log), "--use-sim-time", "--json")
    graph.wait_for(lambda: "recording" in graph.errors(1), within_s=60, what="the recorder")
    results = graph.ear.results()
    live = graph.live("--out", str(run), "--use-sim-time")
    player = graph.start("play", str(demo_log_path()), "--rate", "0.3", "--wait", "60", "--json")
    assert graph.end(player, number=0, within_s=120)[0] == 0
    graph.wait_for(lambda: len(results) > 5, what="results of many ticks")
    assert graph.end(live)[0] == 0
    code, recorded = graph.end(recorder)
    assert code == 0
    assert recorded["messages"]["/tricast/result"] > 5

    follow = ["replay", str(log), "--follow", str(log), "--detector", "cluster", "--no-pictures"]
    assert main([*follow, "--out", str(graph.folder / "followed")]) == 0
    lived, followed = lines(run / "results.jsonl"), lines(graph.folder / "followed" / "results.jsonl")
    assert recorded["messages"]["/tricast/result"] == len(lived), "a result missing from the recording ends likeness"
    assert followed.keys() == lived.keys()
    assert len(followed) > 5
    assert sum(len(tick["objects"]) for tick in followed.values()) > 20
    for time_ns, tick in followed.items():
        assert tick == lived[time_ns]

    free = ["replay", str(log), "--origin-ns", "0", "--detector", "cluster", "--no-pictures"]
    assert main([*free, "--out", str(graph.folder / "free")]) == 0
    offline = lines(graph.folder / "free" / "results.jsonl")
    shared = offline.keys() & lived.keys()
    assert shared
    same = [time_ns for time_ns in shared if manifest(offline[time_ns]) == manifest(lived[time_ns])]
    print(f"{len(same)} of {len(shared)} ticks had the same members without following")


def test_results_say_what_they_used_and_how_late_they_are(graph: Any) -> None:
    graph.vehicle(("LIDAR_TOP",))
    graph.live()
    results = graph.ear.results()
    found = graph.wait_for(lambda: next((m for _, m in results if m.inputs and m.objects), None), what="an object")
    assert found.header.frame_id == "base_link"
    assert found.inputs[0].channel == "LIDAR_TOP"
    assert 0 < found.since_newest_input_ns <= found.since_oldest_input_ns < 10_000_000_000
    assert abs(sum(t.probability for t in found.objects[0].trajectories) - 1) < 1e-6
