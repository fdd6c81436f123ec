"""The live node as a citizen of a ROS 2 graph: states, parameters, QoS, names and other stacks' messages."""

import gc
import math
import os
import signal
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tricast.perception.ros.live_node import make_node
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.messages import transform_message
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.schema import serialize, stamp_ns
from tricast.sensors.ros.installation import message_type, ros_module
from tricast.sensors.ros.qos import LATCHED, Qos
from tricast.tools.demo import demo_log_path

LIDAR = "/sensors/LIDAR_TOP/points"
ACTIVATE, CONFIGURE, DEACTIVATE = 3, 1, 4
OK, ERROR = 0, 2


def test_results_come_from_the_first_sensor_on_and_before_it_nothing_is_well(graph: Any) -> None:
    """An empty list of channels is none that is named: every one found is heard."""
    boxes = hear(graph, "/tricast/objects", "vision_msgs/msg/Detection3DArray")
    graph.live("--ros-args", "-p", "lidars:=[]")
    results = graph.ear.results()
    graph.wait_for(lambda: int(graph.ear.value("pipeline", "ticks") or 0) > 3, what="ticks without a sensor")
    levels = [s.level for _, m in graph.ear.heard["/diagnostics"] for s in m.status if s.name == "tricast: pipeline"]
    assert OK not in levels
    assert "no sensor was heard yet" in graph.ear.status("pipeline").message
    assert results == []
    vehicle = graph.vehicle(("RADAR_FRONT",))
    graph.wait_for(lambda: results and results[0][1].inputs, what="the radar in the first result")
    graph.wait_for(lambda: graph.ear.status("pipeline").level == OK, what="all well")
    vehicle.faults["RADAR_FRONT"].dead = True
    graph.wait_for(lambda: graph.ear.status("pipeline").message == "every sensor is lost", what="the loss told")
    assert graph.ear.status("pipeline").level == ERROR

    def blind() -> list[tuple[int, int]]:
        return [stamp_of(m) for _, m in results if not (m.inputs or m.objects)]

    graph.wait_for(lambda: len(blind()) > 3, what="results that go on")
    told = {stamp_of(m) for m in boxes}
    assert told & {stamp_of(m) for _, m in results}
    assert not told & set(blind()), "no empty world is told by a tick that saw nothing by any sensor"


def test_the_network_runs_by_default_on_raw_pictures_clouds_and_scans(graph: Any) -> None:
    vehicle = graph.vehicle(raw_images=True, qos=Qos(reliability="best_effort"))
    graph.live(detector="network")
    results = graph.ear.results()

    def all_used(message: Any) -> bool:
        every = {u.channel for u in message.inputs} == set(vehicle.channels)
        return every and any(len(o.trajectories) == 6 for o in message.objects)

    graph.wait_for(lambda: any(all_used(m) for _, m in results), within_s=30, what="objects with the network's futures")
    assert "configured: detector network" in graph.errors(1)
    assert graph.ear.value("CAM_FRONT", "malformed") == "0"
    vehicle.faults["LIDAR_TOP"].dead = vehicle.faults["RADAR_FRONT"].dead = True
    graph.wait_for(lambda: [u.channel for u in results[-1][1].inputs] == ["CAM_FRONT"], what="the camera alone")


def test_objects_are_carried_on_to_the_time_of_sending_where_that_is_asked_for(graph: Any) -> None:
    now = graph.ear.listen("/tricast/objects_now", "tricast_msgs/msg/ExtrapolatedObjects")
    boxes = hear(graph, "/tricast/objects", "vision_msgs/msg/Detection3DArray")
    graph.vehicle(("LIDAR_TOP",))
    graph.live("--ros-args", "-p", "extrapolate:=true")
    results = graph.ear.results()

    def same_tick() -> Any:
        """A result, its objects at the time of sending, and the boxes of that time for other stacks."""
        ticks = {stamp_ns(m.header.stamp): m for _, m in results if m.objects}
        for _, carried in reversed(now):
            result = None if carried.beyond else ticks.get(carried.tick_ns)
            at = (carried.header.stamp.sec, carried.header.stamp.nanosec)
            other = next((m for m in boxes if stamp_of(m) == at), None)
            if result is not None and other is not None:
                return result, carried, other
        return None

    result, carried, other = graph.wait_for(same_tick, within_s=20, what="a result at two times")
    by_ns = carried.extrapolated_by_ns
    assert 0 < by_ns == stamp_ns(carried.header.stamp) - stamp_ns(result.header.stamp) < 6_000_000_000
    # It was carried to the time of sending, which is just after that of the result.
    sent_ns = max(u.timestamp_ns for u in result.inputs) + result.since_newest_input_ns
    assert sent_ns <= stamp_ns(carried.header.stamp)
    assert [o.track_id for o in carried.objects] == [o.track_id for o in result.objects]
    assert [d.id for d in other.detections] == [str(o.track_id) for o in result.objects]
    assert [d.bbox.center.position.x for d in other.detections] == [o.box.center_m[0] for o in carried.objects]
    # The vehicle drives: what stands still comes nearer.
    before, after = (m.odom_from_ego.position for m in (result, carried))
    assert math.dist((before.x, before.y), (after.x, after.y)) > 1e-3
    graph.wait_for(lambda: graph.ear.value("pipeline", "extrapolated_ms"), what="how far, in the diagnostics")


def test_termination_finishes_the_files_and_exits_with_0(graph: Any) -> None:
    graph.vehicle(("LIDAR_TOP",))
    run = graph.folder / "run"
    process = graph.live("--out", str(run))
    graph.wait_for(lambda: any(m.inputs for _, m in graph.ear.results()), what="results")
    assert graph.end(process, number=signal.SIGTERM)[0] == 0
    assert {p.name for p in run.iterdir()} >= {"results.mcap", "results.jsonl"}
    assert not list(run.glob("*.partial"))


def test_it_adapts_to_best_effort_and_says_when_it_may_not(graph: Any) -> None:
    graph.vehicle(("LIDAR_TOP",), qos=Qos(reliability="best_effort"))
    first = graph.live()
    graph.wait_for(lambda: graph.ear.value("LIDAR_TOP", "state") == "ok", within_s=20, what="the LiDAR heard")
    assert "best_effort" in graph.ear.value("LIDAR_TOP", "qos")
    assert "offered: best_effort" in graph.errors(1)
    graph.end(first)
    graph.live("--ros-args", "-p", "reliability:=reliable")
    graph.wait_for(
        lambda: "publisher offers best effort" in getattr(graph.ear.status("LIDAR_TOP"), "message", ""),
        what="the mismatch said",
    )
    assert "is not heard" in graph.errors(2)


def test_topics_are_remapped_the_ros_way_and_a_rig_file_calibrates(graph: Any) -> None:
    from tricast.sensors.log.rig_file import load_rig

    mount = open_log(demo_log_path()).rig["LIDAR_TOP"].ego_from_sensor
    rig = graph.folder / "rig.yaml"
    rig.write_text(
        "sensors:\n  LIDAR_TOP:\n    modality: lidar\n"
        f"    translation_m: [{', '.join(map(str, mount.translation_m))}]\n"
        f"    quaternion_wxyz: [{', '.join(map(str, mount.quaternion_wxyz))}]\n"
    )
    assert load_rig(rig)["LIDAR_TOP"].ego_from_sensor == mount
    graph.vehicle(("LIDAR_TOP",), topics={LIDAR: "/os_cloud_node/points", "/tf_static": "/unused_static"})
    graph.live(
        "--calibration", str(rig), "--ros-args", "-p", "lidars:=[LIDAR_TOP]", "-r", f"{LIDAR}:=/os_cloud_node/points"
    )
    graph.wait_for(lambda: any(m.objects for _, m in graph.ear.results()), within_s=20, what="objects")


def test_without_odometry_the_transform_tells_where_the_vehicle_is(graph: Any) -> None:
    graph.vehicle(("RADAR_FRONT",), topics={"/odometry": "/unused_odometry"})
    graph.live()
    found = graph.wait_for(
        lambda: next((m for _, m in graph.ear.results() if len(m.pose_stamps_ns) > 2), None), what="poses of /tf"
    )
    assert found.odom_from_ego.position.x != 0.0


def test_a_sensor_without_transform_is_said_not_to_be_calibrated(graph: Any) -> None:
    graph.vehicle(("LIDAR_TOP",), topics={"/tf_static": "/unused_static"})
    graph.live()
    graph.wait_for(
        lambda: "no transform base_link > LIDAR_TOP" in getattr(graph.ear.status("LIDAR_TOP"), "message", ""),
        what="what the LiDAR lacks",
    )


def test_radar_scans_of_ranges_and_angles_are_heard(graph: Any) -> None:
    kind, returned = message_type("radar_msgs/msg/RadarScan"), message_type("radar_msgs/msg/RadarReturn")
    if kind is None or returned is None:
        pytest.skip("radar_msgs is not installed")
    graph.live()
    node, results = graph.ear.node, graph.ear.results()
    scans = node.create_publisher(kind, "/sensors/RADAR/scan", 10)
    frames = node.create_publisher(message_type("tf2_msgs/msg/TFMessage"), "/tf_static", LATCHED.profile())
    frames.publish(serialize(transform_message(1, [("base_link", "RADAR", SE3(translation_m=(3.0, 0.0, 0.5)))])))
    scan = kind(returns=[returned(range=10.0, azimuth=0.1, doppler_velocity=-2.0, amplitude=5.0)])
    scan.header.frame_id = "RADAR"

    def heard() -> bool:
        scan.header.stamp = node.get_clock().now().to_msg()
        scans.publish(scan)
        time.sleep(0.05)
        return bool(results) and {used.channel for used in results[-1][1].inputs} == {"RADAR"}

    graph.wait_for(heard, within_s=20, what="the radar used")


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ("lidrs:=[LIDAR_TOP]", ("lidrs", "did you mean lidars")),
        ("deadline_ms:=-1.0", ("deadline_ms", "greater than 0")),
        ("config:=nowhere", ("nowhere",)),
        ("queue_depth:=many", ("queue_depth",)),
        ("lidars:=LIDAR_TOP", ("lidars: got 'LIDAR_TOP'; expected a list of channels",)),
        ("deadline_ms:=[]", ("deadline_ms: got []; expected input should be a valid number",)),
        ("use_sim_time:=5", ("use_sim_time: got 5; expected true or false",)),
        ("nonsense", ("--ros-args -p nonsense",)),
    ],
)
def test_wrong_parameters_are_one_clear_line(graph: Any, parameter: str, words: tuple[str, ...]) -> None:
    process = graph.start("live", "--detector", "cluster", "--ros-args", "-p", parameter)
    assert graph.end(process, number=0, within_s=60)[0] == 2
    line = graph.errors(1).strip().splitlines()[-1]
    assert line.startswith("tricast: error: ")
    assert all(word in line for word in words), line


def test_a_start_that_fails_in_activation_is_told_and_ends(graph: Any) -> None:
    out = graph.folder / "run"
    while len(str(out)) < 4085:  # just too long for the names of the files in it, which only activation makes
        out = out / ("x" * min(200, 4085 - len(str(out))))
    process = graph.start("live", "--detector", "cluster", "--out", str(out))
    code, said = graph.end(process, number=0, within_s=60)
    assert code == 1
    assert "File name too long" in graph.errors(1).strip().splitlines()[-1]
    assert "live; end with Ctrl-C" not in said + graph.errors(1)


def test_a_lifecycle_manager_configures_activates_and_deactivates(graph: Any) -> None:
    graph.vehicle(("LIDAR_TOP",))
    graph.ear.results()
    graph.start("live", "--detector", "cluster", "--ros-args", "-p", "autostart:=false")
    services = ros_module("lifecycle_msgs.srv")
    change = graph.ear.node.create_client(services.ChangeState, "/tricast_live/change_state")
    graph.wait_for(change.service_is_ready, within_s=60, what="the lifecycle's service")
    for transition, given in ((CONFIGURE, False), (ACTIVATE, True), (DEACTIVATE, False), (ACTIVATE, True)):
        request = services.ChangeState.Request()
        request.transition.id = transition
        future = change.call_async(request)
        graph.wait_for(future.done, within_s=30, what=f"transition {transition}")
        assert future.result().success
        graph.ear.results().clear()
        if given:
            graph.wait_for(
                lambda: any(m.inputs for _, m in graph.ear.results()), within_s=20, what="results while active"
            )
        else:
            with pytest.raises(pytest.fail.Exception):
                graph.wait_for(lambda: graph.ear.results(), within_s=1.0, what="results while inactive")


@contextmanager
def node_here(graph: Any, **parameters: Any) -> Iterator[tuple[Any, Any]]:
    """A configured live node in this process and thread, and what serves it until something is true."""
    parameter = ros_module("rclpy.parameter").Parameter
    executor = ros_module("rclpy.executors").SingleThreadedExecutor()
    values = {"detector": "cluster", **parameters}
    node = make_node([parameter(name, value=value) for name, value in values.items()])
    executor.add_node(node)

    def served(true: Callable[[], Any]) -> Any:
        end_s = time.monotonic() + 0.1
        while time.monotonic() < end_s:
            executor.spin_once(timeout_sec=0.01)
        return true()

    graph.ear.status("pipeline")  # listened to from the start: what a test that fails has to tell
    try:
        node.trigger_configure()
        yield node, lambda true, what: graph.wait_for(lambda: served(true), within_s=30, what=what)
    finally:
        node.live.clean_up()
        executor.shutdown()
        node.destroy_node()


def test_each_activation_keeps_its_own_results_and_begins_anew(graph: Any) -> None:
    out, vehicle = graph.folder / "run", graph.vehicle(("LIDAR_TOP",))
    with node_here(graph, out=str(out)) as (node, until):
        entities = len(node._managed_entities)
        for names in ({"results.mcap", "results.jsonl"}, {"results.1.mcap", "results.1.jsonl"}):
            node.trigger_activate()
            until(lambda: node.live._outputs._sensed, "the LiDAR heard")
            node.trigger_deactivate()
            assert names <= {p.name for p in out.iterdir()}
            assert len(node._managed_entities) == entities
        vehicle.close()
        node.trigger_activate()
        until(lambda: node.live._runtime.status().results > 2, "ticks without a vehicle")
        assert "LIDAR_TOP" not in node.live._channels
    assert [bool((out / f"results{n}.jsonl").stat().st_size) for n in ("", ".1", ".2")] == [True, True, False]


def test_cleaning_up_lets_go_of_the_weights_and_deactivating_of_what_ran(graph: Any) -> None:
    with node_here(graph, detector="network") as (node, until):
        network = weakref.ref(node.live._pipeline.detector.network)
        node.trigger_activate()
        runtime = weakref.ref(node.live._runtime)
        until(lambda: node.live._runtime.status().results > 1, "ticks")
        node.trigger_deactivate()
        until(lambda: gc.collect() >= 0 and runtime() is None, "a round of the executor, and no runtime any more")
        assert network() is not None, "the next activation begins at once"
        node.trigger_cleanup()
        until(lambda: gc.collect() >= 0 and network() is None, "the weights let go of")


def test_a_full_disk_is_counted_and_holds_up_no_other_output(graph: Any) -> None:
    results, run = graph.ear.results(), graph.folder / "run"
    markers = hear(graph, "/tricast/tracks/markers", "visualization_msgs/msg/MarkerArray")
    graph.vehicle(("LIDAR_TOP",))
    with node_here(graph, out=str(run)) as (node, until), Path("/dev/full").open("wb") as full:
        node.trigger_activate()
        outputs = node.live._outputs
        mcap, lines = (file._writer for file in outputs._files._files)
        os.dup2(full.fileno(), lines._file.fileno())
        until(lambda: outputs.not_written > 2, "results that are not written")
        sent = len(markers)
        until(lambda: len(markers) > sent + 2 and results, "markers that go on")
        assert outputs.not_published == 0
        until(lambda: int(graph.ear.value("pipeline", "not_written") or 0) > 2, "the count said")
        os.dup2(full.fileno(), mcap._mcap._file.fileno())
        node.trigger_deactivate()
        assert (node.live.refusal, node.live.state) == (None, "inactive")
        assert {p.name for p in run.iterdir()} == {"results.mcap.partial", "results.jsonl.partial"}
        node.trigger_activate()
        until(lambda: list(run.glob("results.1.*")), "files of the next activation")


def test_files_of_a_pipeline_that_failed_stay_unfinished(graph: Any) -> None:
    run = graph.folder / "run"
    graph.vehicle(("LIDAR_TOP",))
    with pytest.raises(ZeroDivisionError), node_here(graph, out=str(run)) as (node, until):
        node.trigger_activate()
        until(lambda: node.live._outputs._files._written > 2, "results that are written")
        node.live._pipeline.detector.detect = lambda *_: 1 // 0
        until(lambda: False, "the failure")
    assert {p.name for p in run.iterdir()} == {"results.mcap.partial", "results.jsonl.partial"}


def test_a_stalled_disk_delays_no_result(graph: Any) -> None:
    results = graph.ear.results()
    graph.vehicle(("LIDAR_TOP",))
    read, write = os.pipe()
    with node_here(graph, out=str(graph.folder / "run")) as (node, until):
        node.trigger_activate()
        files = node.live._outputs._files
        os.dup2(write, files._files[1]._writer._file.fileno())
        os.close(write)
        os.set_blocking(read, False)
        until(lambda: len(files._waiting) > 5, "results that wait for the disk")
        sent = len(results)
        until(lambda: len(results) > sent + 5, "results that go on")
        assert node.live._outputs.not_published == 0
        os.close(read)  # the disk fails in the end, and the node can be left


def test_a_run_directory_that_cannot_be_written_refuses_activation_and_leaves_nothing(graph: Any) -> None:
    out = graph.folder / "run"
    with node_here(graph, out=str(out)) as (node, _):
        out.rmdir()
        out.write_text("a file by now")
        entities, publishers = len(node._managed_entities), len(list(node.publishers))
        node.trigger_activate()
        assert "choose another folder" in str(node.live.refusal)
        assert (len(node._managed_entities), len(list(node.publishers))) == (entities, publishers)
        out.unlink()
        node.trigger_activate()
        assert node.live.refusal is None
        assert node.live.state == "active"


def test_other_stacks_messages_say_the_same_as_the_result(graph: Any) -> None:
    if message_type("autoware_perception_msgs/msg/TrackedObjects") is None:
        pytest.skip("autoware_perception_msgs is not installed")
    kinds = {
        "/tricast/objects": "vision_msgs/msg/Detection3DArray",
        "/tricast/tracked_objects": "autoware_perception_msgs/msg/TrackedObjects",
        "/tricast/predicted_objects": "autoware_perception_msgs/msg/PredictedObjects",
        "/tricast/tracks/markers": "visualization_msgs/msg/MarkerArray",
    }
    heard = {topic: hear(graph, topic, kind) for topic, kind in kinds.items()}
    graph.vehicle(("LIDAR_TOP",), odom_frame="map")
    graph.live()

    def same_tick() -> Any:
        for _, result in reversed(graph.ear.results()):
            stamp = (result.header.stamp.sec, result.header.stamp.nanosec)
            found = {t: next((m for m in h if stamp_of(m) == stamp), None) for t, h in heard.items()}
            if result.objects and all(m is not None for m in found.values()):
                return result, found
        return None

    result, found = graph.wait_for(same_tick, within_s=20, what="all messages of one tick")
    boxes, tracked = found["/tricast/objects"], found["/tricast/tracked_objects"]
    predicted = found["/tricast/predicted_objects"]
    assert len(boxes.detections) == len(tracked.objects) == len(predicted.objects) == len(result.objects)
    assert (boxes.header.frame_id, tracked.header.frame_id) == ("base_link", "map")
    for own, box, track, future in zip(
        result.objects, boxes.detections, tracked.objects, predicted.objects, strict=True
    ):
        assert box.id == str(own.track_id)
        assert [box.bbox.center.position.x, box.bbox.size.y] == [own.box.center_m[0], own.box.size_m[1]]
        along = track.kinematics.twist_with_covariance.twist.linear
        c, s = math.cos(own.box.yaw_rad), math.sin(own.box.yaw_rad)
        vx, vy = own.box.velocity_mps
        np.testing.assert_allclose([along.x, along.y], [c * vx + s * vy, c * vy - s * vx], atol=1e-9)
        assert bytes(track.object_id.uuid) == bytes(future.object_id.uuid)
        paths = future.kinematics.predicted_paths
        assert [len(path.path) for path in paths] == [13] * len(own.trajectories)
        np.testing.assert_allclose([p.confidence for p in paths], [t.probability for t in own.trajectories], rtol=1e-6)
        assert (paths[0].time_step.sec, paths[0].time_step.nanosec) == (0, 500_000_000)


def hear(graph: Any, topic: str, type_name: str) -> list[Any]:
    """Messages as rclpy's own classes."""
    found: list[Any] = []
    graph.ear.node.create_subscription(message_type(type_name), topic, found.append, 100)
    return found


def stamp_of(message: Any) -> tuple[int, int]:
    header = message.markers[0].header if hasattr(message, "markers") else message.header
    return header.stamp.sec, header.stamp.nanosec
