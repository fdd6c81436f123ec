"""Play into live, recorded: the offline replay that follows the recorded manifests gives the same boxes."""

import json
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from mcap.reader import make_reader

from tricast.perception.streaming.results_mcap import RESULT_TOPIC, RESULT_TYPE
from tricast.sensors.frames import CameraFrame
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.schema import deserialize, serialize, stamp_ns
from tricast.sensors.log.writer import LogWriter
from tricast.tools.cli import main
from tricast.tools.demo import demo_log_path
from tricast.tools.live_vehicle import raw


def lines(path: Path) -> dict[int, dict[str, Any]]:
    return {tick["timestamp_ns"]: tick for tick in map(json.loads, path.read_text().splitlines())}


def results(path: Path) -> dict[int, Any]:
    """Full results of a run, by tick."""
    with path.open("rb") as file:
        found = [deserialize(m.data, RESULT_TYPE) for _, _, m in make_reader(file).iter_messages(topics=[RESULT_TOPIC])]
    return {stamp_ns(result.header.stamp): result for result in found}


def manifest(result: Any) -> list[Any]:
    return [*((used.channel, used.timestamp_ns) for used in result.inputs), result.pose_stamps_ns.tolist()]


def with_raw_pictures(path: Path) -> Path:
    """The demo log with its pictures as pixels, which travel as `sensor_msgs/Image`."""
    log = open_log(demo_log_path())
    with LogWriter(path, log.rig) as writer:
        for message in log.messages():
            writer.write(raw(message) if isinstance(message, CameraFrame) else message)
    return path


@pytest.mark.parametrize("detector", ["cluster", "network"])
def test_a_replay_along_the_recorded_manifests_gives_the_same_boxes(graph: Any, detector: str) -> None:
    """With the network, the packaged weights on raw pictures; slower, as two cores give it little time.

    The classical detector speaks alone: then ticks with the same members have the same boxes whatever came before.
    """
    source = demo_log_path() if detector == "cluster" else with_raw_pictures(graph.folder / "raw.mcap")
    run, log = graph.folder / "live", graph.folder / "drive" / "drive.mcap"
    recorder = graph.start("record", "--out", str(log), "--use-sim-time", "--json")
    graph.wait_for(lambda: "recording" in graph.errors(1), within_s=60, what="the recorder")
    heard = graph.ear.results()
    alone = graph.folder / "alone.yaml"
    alone.write_text("detector: cluster\nrefinement: {place_share: 0, score_share: 0, unclaimed_share: 1}\n")
    config = ("--config", str(alone)) if detector == "cluster" else ()
    live = graph.live("--out", str(run), "--use-sim-time", *config, detector=detector)
    # Two programs may find each other seconds later than the test finds both.
    graph.wait_for(lambda: "/tricast/result: subscribed" in graph.errors(1), within_s=30, what="the recorder's ear")
    rate = "0.3" if detector == "cluster" else "0.1"
    player = graph.start("play", str(source), "--rate", rate, "--wait", "60", "--json")
    assert graph.end(player, number=0, within_s=180)[0] == 0
    graph.wait_for(lambda: len(heard) > 5, what="results of many ticks")
    assert graph.end(live)[0] == 0
    code, recorded = graph.end(recorder)
    assert code == 0
    assert recorded["messages"]["/tricast/result"] > 5
    if detector == "network":
        assert recorded["messages"]["/sensors/CAM_FRONT/image_raw"] > 5

    replayed = ["replay", str(log), "--detector", detector, *config, "--no-pictures"]
    assert main([*replayed, "--follow", str(log), "--out", str(graph.folder / "followed")]) == 0
    lived, followed = lines(run / "results.jsonl"), lines(graph.folder / "followed" / "results.jsonl")
    assert recorded["messages"]["/tricast/result"] == len(lived), "a result missing from the recording ends likeness"
    assert followed.keys() == lived.keys()
    assert len(followed) > 5
    assert sum(len(tick["objects"]) for tick in followed.values()) > 20
    kinds = {used["channel"].split("_")[0] for tick in followed.values() for used in tick["inputs"]}
    assert kinds == {"CAM", "LIDAR", "RADAR"}
    for time_ns, tick in followed.items():
        assert tick == lived[time_ns]

    assert main([*replayed, "--origin-ns", "0", "--out", str(graph.folder / "free")]) == 0
    live_results, free_results = results(run / "results.mcap"), results(graph.folder / "free" / "results.mcap")
    shared = sorted(live_results.keys() & free_results.keys())
    same = [t for t in shared if manifest(live_results[t]) == manifest(free_results[t])]
    print(f"{len(same)} of {len(shared)} ticks had the same members without following")
    assert same, "no tick was the same without following: nothing was compared"
    if detector == "network":
        # What it remembers hangs on every tick before: alike are ticks of a beginning that both have.
        ticks = sorted(live_results.keys() | free_results.keys())
        same = list(takewhile(lambda time_ns: time_ns in same, ticks))
    for time_ns in same:
        pair = live_results[time_ns].detections, free_results[time_ns].detections
        assert [serialize(d) for d in pair[0]] == [serialize(d) for d in pair[1]]


def test_results_say_what_they_used_and_how_late_they_are(graph: Any) -> None:
    graph.vehicle(("LIDAR_TOP",))
    graph.live()
    heard = graph.ear.results()
    found = graph.wait_for(lambda: next((m for _, m in heard if m.inputs and m.objects), None), what="an object")
    assert found.header.frame_id == "base_link"
    assert found.inputs[0].channel == "LIDAR_TOP"
    assert 0 < found.since_newest_input_ns <= found.since_oldest_input_ns < 10_000_000_000
    assert abs(sum(t.probability for t in found.objects[0].trajectories) - 1) < 1e-6
