"""A log onto the graph and from the graph into a log."""

import os
import pty
import signal
import sys
import threading
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from mcap.reader import make_reader

from tricast.sensors.frames import EgoPose
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log import messages as ros
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.reader import McapLog
from tricast.sensors.log.schema import serialize, stamp, stamp_ns
from tricast.sensors.ros.installation import message_type, ros_module
from tricast.sensors.ros.player import LogPlayer, PlayOptions
from tricast.sensors.ros.qos import LATCHED, Qos
from tricast.sensors.ros.recorder import GraphRecorder, RecordOptions
from tricast.sensors.ros.session import spinning
from tricast.tools.demo import demo_log_path
from tricast.tools.play import _keys as keys

CLOUDS = "sensor_msgs/msg/PointCloud2"
LIDAR = "/sensors/LIDAR_TOP/points"


def held(path: Path) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    with path.open("rb") as file:
        for _, channel, message in make_reader(file).iter_messages():
            found.setdefault(channel.topic, []).append(message.data)
    return found


def set_parameter(graph: Any, node: str, name: str, value: Any) -> bool:
    """Set a parameter of another node by its service, as `ros2 param set` does."""
    parameter = ros_module("rclpy.parameter").Parameter(name, value=value).to_parameter_msg()
    services = ros_module("rcl_interfaces.srv")
    client = graph.ear.node.create_client(services.SetParameters, f"/{node}/set_parameters")
    graph.wait_for(client.service_is_ready, what=f"parameters of {node}")
    future = client.call_async(services.SetParameters.Request(parameters=[parameter]))
    graph.wait_for(future.done, what=f"{name} set")
    return bool(future.result().results[0].successful)


def test_a_played_log_is_recorded_to_the_byte_with_its_qos(graph: Any) -> None:
    out = graph.folder / "heard" / "drive.mcap"
    recorder = graph.start("record", "--out", str(out), "--use-sim-time", "--json")
    graph.wait_for(lambda: "recording" in graph.errors(1), within_s=60, what="the recorder")
    player = graph.start("play", str(demo_log_path()), "--duration", "2", "--rate", "0.5", "--wait", "60", "--json")
    code, played = graph.end(player, number=0, within_s=90)
    assert code == 0
    code, recorded = graph.end(recorder)
    assert code == 0
    assert recorded["messages"] == played["messages"]
    source, copy = held(demo_log_path()), held(out)
    for topic in copy.keys() - {"/tf_static"}:
        for sent, heard in zip(source[topic], copy[topic], strict=False):
            assert heard.startswith(sent), topic
            padding = heard[len(sent) :]
            assert len(padding) < 4 and not padding.strip(b"\x00"), "DDS fills up to whole words"
    log = open_log(out)
    assert log.rig == open_log(demo_log_path()).rig
    assert isinstance(log, McapLog)
    static = yaml.safe_load(log.offered_qos()["/tf_static"])[0]
    assert (static["durability"], static["reliability"]) == (1, 1)
    assert Counter(type(m).__name__ for m in log.messages())["LidarSweep"] == len(copy[LIDAR])


def test_a_recorder_that_is_told_to_terminate_leaves_a_whole_log(graph: Any) -> None:
    graph.vehicle(("LIDAR_TOP",), qos=Qos(reliability="best_effort"), topics={LIDAR: "/lidar/points"})
    out = graph.folder / "drive.mcap"
    recorder = graph.start("record", "--out", str(out), "--map", "/lidar/points=LIDAR_TOP", "--json")
    graph.wait_for(
        lambda: "subscribed" in graph.errors(1) and "/lidar/points" in graph.errors(1), within_s=60, what="it"
    )
    graph.wait_for(lambda: out.with_name(out.name + ".partial").exists(), what="a file being written")
    time.sleep(2)
    code, recorded = graph.end(recorder, number=signal.SIGTERM)
    assert code == 0
    assert recorded["messages"][LIDAR] >= 5
    log = open_log(out)
    assert isinstance(log, McapLog)
    assert log.rig.channels() == ("LIDAR_TOP",)
    assert yaml.safe_load(log.offered_qos()[LIDAR])[0]["reliability"] == 2
    assert sum(1 for m in log.messages() if getattr(m, "channel", "") == "LIDAR_TOP") == recorded["messages"][LIDAR]


def test_a_damaged_log_is_played_and_what_it_lost_is_said(graph: Any) -> None:
    data = bytearray(demo_log_path().read_bytes())
    data[len(data) // 2] ^= 0xFF
    path = graph.folder / "damaged.mcap"
    path.write_bytes(data)
    player = graph.start("play", str(path), "--rate", "20", "--delay", "0", "--json")
    code, played = graph.end(player, number=0, within_s=90)
    assert code == 0
    log = open_log(path)
    assert sum(1 for _ in log.messages()) > 0
    assert played["lost_messages"] == log.losses.total > 0
    assert f"tricast: warning: {log.losses.details[0]}" in graph.errors(1)


def test_what_is_latched_before_simulated_time_begins_is_recorded_when_it_does(graph: Any) -> None:
    node, parameter = ros_module("rclpy.node").Node, ros_module("rclpy.parameter").Parameter
    car, ear = node("car"), node("ear", parameter_overrides=[parameter("use_sim_time", value=True)])

    def publisher(topic: str, type_name: str, qos: Qos) -> Any:
        return car.create_publisher(message_type(type_name), topic, qos.profile())

    clock = publisher("/clock", "rosgraph_msgs/msg/Clock", Qos())
    odometry = publisher("/odometry", "nav_msgs/msg/Odometry", Qos())
    static = publisher("/tf_static", "tf2_msgs/msg/TFMessage", LATCHED)
    static.publish(serialize(ros.transform_message(0, [("base_link", "LIDAR", SE3(translation_m=(0.0, 0.0, 1.8)))])))
    time_7 = serialize(ros.message_class("rosgraph_msgs/msg/Clock")(clock=stamp(7_000_000_000)))
    path = graph.folder / "late.mcap"
    with GraphRecorder(ear, path, RecordOptions(topics=("/tf_static", "/odometry"))) as recorder, spinning([car, ear]):
        graph.wait_for(
            lambda: static.get_subscription_count() and odometry.get_subscription_count(), what="subscriptions"
        )
        odometry.publish(serialize(ros.odometry_message(EgoPose(timestamp_ns=0, received_ns=0, odom_from_ego=SE3()))))
        graph.wait_for(lambda: recorder.recorded.before_time == 1, what="a message before time began")
        assert recorder.recorded.messages == {}
        clock.publish(time_7)
        graph.wait_for(lambda: recorder.recorded.messages == {"/tf_static": 1}, what="the latched one")
    car.destroy_node()
    ear.destroy_node()
    assert recorder.recorded.before_time == 1
    with path.open("rb") as file:
        assert [m.log_time for _, _, m in make_reader(file).iter_messages()] == [7_000_000_000]


def test_who_joins_while_a_log_plays_is_sent_static_transforms(graph: Any) -> None:
    """Also who does not ask for what is latched."""
    clock = graph.ear.listen("/clock", "rosgraph_msgs/msg/Clock")
    player = graph.start("play", str(demo_log_path()), "--rate", "0.2", "--json")
    graph.wait_for(lambda: len(clock) > 50, within_s=60, what="a log that plays")
    late = graph.ear.listen("/tf_static", "tf2_msgs/msg/TFMessage")
    graph.wait_for(lambda: late, what="static transforms")
    assert len(late[0][1].transforms) == len(open_log(demo_log_path()).rig.channels())
    assert graph.end(player, number=signal.SIGTERM)[0] == 0


def test_a_log_plays_from_the_first_as_its_parameters_say(graph: Any) -> None:
    clock = graph.ear.listen("/clock", "rosgraph_msgs/msg/Clock")
    begin_ns = open_log(demo_log_path()).start_ns
    given = ("-p", "paused:=true", "-p", "position_s:=2.0")
    player = graph.start("play", str(demo_log_path()), "--json", "--ros-args", *given)
    graph.wait_for(lambda: clock and stamp_ns(clock[-1][1].clock) - begin_ns == 2_000_000_000, what="the position")
    time.sleep(0.5)
    assert stamp_ns(clock[-1][1].clock) - begin_ns == 2_000_000_000
    assert set_parameter(graph, "tricast_play", "paused", False)
    assert graph.end(player, number=0, within_s=30)[0] == 0


def test_keys_change_the_parameters_and_go_on_from_them(graph: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    node, parameter = ros_module("rclpy.node").Node("tricast_play"), ros_module("rclpy.parameter").Parameter
    player = LogPlayer(node, open_log(demo_log_path()), PlayOptions(rate=2.0))
    keyboard, terminal = pty.openpty()

    def pressed(key: bytes, name: str, value: Any) -> None:
        os.write(keyboard, key)
        graph.wait_for(lambda: node.get_parameter(name).value == value, what=f"{name} {value}")

    with os.fdopen(terminal) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with spinning([node]), keys(player, threading.Event()):
            pressed(b" ", "paused", True)
            pressed(b" ", "paused", False)
            pressed(b"\x1b[A", "rate", 2.5)
            node.set_parameters([parameter("rate", value=1.0)])
            pressed(b"\x1b[B", "rate", 0.8)
    assert player.rate == 0.8
    os.close(keyboard)
    node.destroy_node()


def test_a_parameter_of_another_kind_is_one_clear_line(graph: Any) -> None:
    player = graph.start("play", str(demo_log_path()), "--ros-args", "-p", "rate:=fast")
    assert graph.end(player, number=0, within_s=30)[0] == 2
    assert graph.errors(1).strip().splitlines()[-1].startswith("tricast: error: parameter rate")


def test_a_loop_and_a_seek_set_the_clock_and_send_static_transforms_again(graph: Any) -> None:
    clock = graph.ear.listen("/clock", "rosgraph_msgs/msg/Clock")
    static = graph.ear.listen("/tf_static", "tf2_msgs/msg/TFMessage", latched=True)
    begin_ns = open_log(demo_log_path()).start_ns
    player = graph.start("play", str(demo_log_path()), "--loop", "--duration", "2", "--rate", "2", "--json")
    graph.wait_for(lambda: len(static) >= 2, within_s=60, what="a second round")

    def backward() -> list[int]:
        return [b for a, b in pairwise([stamp_ns(m.clock) for _, m in clock]) if b < a]

    graph.wait_for(backward, what="the clock set back")
    assert all(abs(t - begin_ns) < 100_000_000 for t in backward())

    assert set_parameter(graph, "tricast_play", "paused", True)
    graph.wait_for(lambda: len({stamp_ns(m.clock) for _, m in clock[-4:]}) == 1, what="time that stands still")
    rounds = len(static)
    assert set_parameter(graph, "tricast_play", "position_s", 1.5)
    graph.wait_for(lambda: len(static) > rounds, what="static transforms after the seek")
    assert stamp_ns(clock[-1][1].clock) - begin_ns == 1_500_000_000
    assert not set_parameter(graph, "tricast_play", "position_s", 1e6)
    assert set_parameter(graph, "tricast_play", "paused", False)
    graph.wait_for(lambda: stamp_ns(clock[-1][1].clock) - begin_ns > 1_600_000_000, what="time that runs again")
    code, played = graph.end(player, number=signal.SIGTERM)
    assert code == 0
    assert played["rounds"] >= 1
