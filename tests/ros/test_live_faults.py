"""Faults of sensors on a real graph: the node keeps publishing, its diagnostics say what happened, it recovers."""

import time
from itertools import pairwise
from typing import Any

import pytest

OK, WARN, ERROR = 0, 1, 2
WELL = ("ok", "recovered")


def state(graph: Any, channel: str) -> str:
    return graph.ear.value(channel, "state")


def level(graph: Any, name: str) -> int | None:
    status = graph.ear.status(name)
    return None if status is None else int(status.level)


def message(graph: Any, name: str) -> str:
    status = graph.ear.status(name)
    return "" if status is None else status.message


def all_well(graph: Any, vehicle: Any) -> bool:
    return all(state(graph, channel) == "ok" for channel in vehicle.channels)


def results_go_on(graph: Any) -> None:
    count = len(graph.ear.results())
    graph.wait_for(lambda: len(graph.ear.results()) >= count + 3, what="results that go on")


def used(graph: Any) -> set[str]:
    """Channels that the newest result used."""
    return {used.channel for used in graph.ear.results()[-1][1].inputs}


def test_every_sensor_may_die_and_come_back(graph: Any) -> None:
    vehicle = graph.vehicle()
    graph.live()
    graph.wait_for(lambda: all_well(graph, vehicle), within_s=30, what="all sensors well")
    for channel in vehicle.channels:
        others = [c for c in vehicle.channels if c != channel]
        vehicle.faults[channel].dead = True
        graph.wait_for(lambda c=channel: state(graph, c) == "lost", what=f"{channel} said to be lost")
        assert level(graph, channel) == ERROR
        results_go_on(graph)
        graph.wait_for(lambda c=channel: c not in used(graph) and used(graph), what=f"results without {channel}")
        assert all(state(graph, c) != "lost" for c in others)
        vehicle.faults[channel].dead = False
        graph.wait_for(lambda c=channel: state(graph, c) in WELL, what=f"{channel} well again")
        graph.wait_for(lambda c=channel: c in used(graph), what=f"{channel} used")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"frozen": True}, ("same content", "equal content", "frozen", "change")),
        ({"late_s": 0.3}, ("after its stamps",)),
        ({"times": 10}, ("are usual",)),
    ],
    ids=["frozen", "300 ms late", "ten times the rate"],
)
def test_a_sensor_that_misbehaves_is_named_and_forgiven(
    graph: Any, fault: dict[str, Any], words: tuple[str, ...]
) -> None:
    vehicle = graph.vehicle()
    graph.live()
    graph.wait_for(lambda: all_well(graph, vehicle), within_s=30, what="all sensors well")
    time.sleep(2.0)  # What is usual is learned from the first messages: a fault among them would be taken for it.
    for name, value in fault.items():
        setattr(vehicle.faults["RADAR_FRONT"], name, value)
    graph.wait_for(lambda: any(w in message(graph, "RADAR_FRONT") for w in words), what=f"the fault said: {words}")
    assert state(graph, "RADAR_FRONT") in ("degraded", "lost")
    results_go_on(graph)
    assert state(graph, "LIDAR_TOP") in WELL
    for name, value in {"frozen": False, "late_s": 0.0, "times": 1}.items():
        setattr(vehicle.faults["RADAR_FRONT"], name, value)
    graph.wait_for(lambda: state(graph, "RADAR_FRONT") in WELL, what="the radar well again")


def test_messages_that_do_not_decode_are_counted_and_survived(graph: Any) -> None:
    vehicle = graph.vehicle()
    graph.live()
    graph.wait_for(lambda: all_well(graph, vehicle), within_s=30, what="all sensors well")
    vehicle.faults["LIDAR_TOP"].malformed = True
    graph.wait_for(lambda: int(graph.ear.value("LIDAR_TOP", "malformed") or 0) >= 3, what="malformed messages counted")
    assert "PointCloud2" in graph.ear.value("LIDAR_TOP", "last_malformed")
    results_go_on(graph)
    vehicle.faults["LIDAR_TOP"].malformed = False
    graph.wait_for(lambda: state(graph, "LIDAR_TOP") in WELL, what="the LiDAR well again")


def test_a_clock_set_back_begins_anew(graph: Any) -> None:
    from tricast.tools.demo import demo_log_path

    graph.live("--use-sim-time")
    graph.start("play", str(demo_log_path()), "--loop", "--duration", "3", "--delay", "2")
    results = graph.ear.results()

    def stamps() -> list[int]:
        return [int(m.header.stamp.sec) * 1_000_000_000 + int(m.header.stamp.nanosec) for _, m in results if m.inputs]

    def rounds() -> int:
        times = stamps()
        return sum(b < a for a, b in pairwise(times))

    graph.wait_for(lambda: rounds() >= 1, within_s=60, what="results of a second round")
    back = next(k for k, (a, b) in enumerate(pairwise(stamps())) if b < a)
    count = len(stamps())
    graph.wait_for(lambda: len(stamps()) > count + 5, what="results that go on")
    with_inputs = [m for _, m in results if m.inputs]
    assert any(m.discontinuity for m in [m for _, m in results])
    assert not {o.track_id for o in with_inputs[back].objects} & {o.track_id for o in with_inputs[back + 3].objects}
