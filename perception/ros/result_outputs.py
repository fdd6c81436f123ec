"""From the runtime onto a live graph: results, published by a thread of its own so that the pipeline never waits."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tricast.perception.outputs import TickResult
from tricast.perception.ros import object_messages as objects
from tricast.perception.ros.live_config import LiveConfig
from tricast.perception.ros.result_files import ResultFiles
from tricast.perception.streaming.extrapolation import Extrapolated, extrapolated
from tricast.perception.streaming.results_mcap import (
    EXTRAPOLATED_TYPE,
    RESULT_TOPIC,
    RESULT_TYPE,
    detection_markers,
    extrapolated_message,
    result_message,
    track_markers,
)
from tricast.perception.streaming.runtime_result import Delivery, RuntimeResult
from tricast.sensors.log.schema import serialize
from tricast.sensors.motion_compensation import EgoMotion
from tricast.sensors.ros.installation import is_readable, message_type, ros_module
from tricast.sensors.ros.qos import Qos

MARKERS = "visualization_msgs/msg/MarkerArray"
NOW_TOPIC = "/tricast/objects_now"
DEPTH = 100
"""Results held for slow subscribers: a recorder should miss none."""
MAX_WAITING = 64
DELIVERY_S = 0.5


@dataclass(frozen=True)
class _Outgoing:
    """What of a result is published; without its frame, whose pictures would wait with it."""

    tick: TickResult
    delivery: Delivery
    ego_motion: EgoMotion


class ResultOutputs:
    """Publishes results, and keeps them in a run directory if asked to; a context manager.

    Args:
        node: A lifecycle node; nothing leaves while it is not active.
        config: What to publish.
        now_ns: The clock of the node.

    """

    def __init__(self, node: Any, config: LiveConfig, now_ns: Callable[[], int]) -> None:
        self._node, self._config, self._now_ns = node, config, now_ns
        self._publishers: dict[str, Any] = {}  # lifecycle publishers, while it is entered
        self._waiting: deque[_Outgoing] = deque()
        self._change = threading.Condition()
        self._closing = False
        self._sensed = False
        """Whether a result used a sensor yet."""
        self._open = ExitStack()
        self._files = ResultFiles(Path(config.out), node.get_logger()) if config.out else None
        self.odom_frame = config.odom_frame
        """In which the poses of the results are."""
        self.not_published = 0
        """Results that did not leave because publishing was too slow or failed."""
        self.since_newest_ms: float | None = None
        """From the stamp of the last result's newest input until it was published."""
        self.extrapolated_ms: float | None = None
        """How far the last objects were carried on; None while nothing is extrapolated."""
        self._thread = threading.Thread(target=self._work, name="tricast-publish", daemon=True)

    @property
    def not_written(self) -> int:
        """Results that files of the run directory lack, as on a disk that is slow or full."""
        return 0 if self._files is None else self._files.not_written

    def __enter__(self) -> ResultOutputs:
        """Open the files, publish and start.

        Raises:
            InputError: The run directory cannot be written.

        """
        with ExitStack() as opening:
            if self._files is not None:
                opening.enter_context(self._files)
            for topic, type_name in self._topics().items():
                self._make(topic, type_name)
            self._thread.start()
            self._open = opening.pop_all()
        return self

    def add(self, result: RuntimeResult) -> None:
        """Take a result; never waits. Until one used a sensor they say nothing of the world, and go nowhere."""
        self._sensed |= bool(result.tick.inputs)
        if not self._sensed:
            return
        if self._files is not None:
            self._files.add(result.tick, result.delivery)
        with self._change:
            if len(self._waiting) >= MAX_WAITING:
                self._waiting.popleft()
                self.not_published += 1
            self._waiting.append(_Outgoing(result.tick, result.delivery, result.frame.ego_motion))
            self._change.notify_all()

    def __exit__(self, *failure: Any) -> None:
        """Publish and write what waits, then close the files; after a failure they stay unfinished."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        self._thread.join()
        timeout = ros_module("rclpy.duration").Duration(seconds=DELIVERY_S)
        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(timeout)
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers.clear()
        self._open.__exit__(*failure)

    def _topics(self) -> dict[str, str]:
        topics = {RESULT_TOPIC: RESULT_TYPE}
        if self._config.markers:
            topics |= {"/tricast/tracks/markers": MARKERS, "/tricast/detections/markers": MARKERS}
        if self._config.extrapolate:
            topics[NOW_TOPIC] = EXTRAPOLATED_TYPE
        return topics | {
            "/tricast/objects": objects.DETECTION_ARRAY,
            "/tricast/tracked_objects": objects.TRACKED_OBJECTS,
            "/tricast/predicted_objects": objects.PREDICTED_OBJECTS,
        }

    def _make(self, topic: str, type_name: str) -> None:
        kind = message_type(type_name)
        if kind is None or not is_readable(type_name):
            self._node.get_logger().info(f"{topic} is not published: {type_name} is not installed (docs/ros2.md)")
            return
        self._publishers[topic] = self._node.create_lifecycle_publisher(kind, topic, Qos(depth=DEPTH).profile())

    def _work(self) -> None:
        while True:
            with self._change:
                while not self._waiting and not self._closing:
                    self._change.wait()
                if not self._waiting:
                    return
                result = self._waiting.popleft()
            try:
                self._publish(result)
            except Exception as error:
                self._node.get_logger().error(f"a result was not published: {error}", throttle_duration_sec=1.0)
                self.not_published += 1

    def _publish(self, result: _Outgoing) -> None:
        tick = result.tick
        message = result_message(tick, result.delivery)
        message.header.frame_id = self._config.base_frame
        stamps_ns = [used.timestamp_ns for used in tick.inputs]
        if stamps_ns:
            now_ns = self._now_ns()
            message.since_oldest_input_ns = now_ns - min(stamps_ns)
            message.since_newest_input_ns = now_ns - max(stamps_ns)
            self.since_newest_ms = message.since_newest_input_ns / 1e6
        if RESULT_TOPIC in self._publishers:
            self._publishers[RESULT_TOPIC].publish(serialize(message))
        if not self._waiting:
            self._publish_copies(result)

    def _publish_copies(self, result: _Outgoing) -> None:
        """The result in other forms; left out where the next result already waits, so that no result is ever lost."""
        base, odom, tick = self._config.base_frame, self.odom_frame, result.tick
        if self._config.extrapolate:
            found = extrapolated(tick, self._now_ns(), result.ego_motion)
            self.extrapolated_ms, tick = found.by_ns / 1e6, found.result
            self._copy(NOW_TOPIC, lambda: self._now_message(found))
        if tick.inputs or len(tick.tracks.boxes):
            # Without inputs an empty list would pass for an empty road, and nothing in it tells; silence is noticed.
            self._copy("/tricast/tracked_objects", lambda: objects.tracked_objects(tick, odom))
            self._copy("/tricast/predicted_objects", lambda: objects.predicted_objects(tick, odom))
            self._copy("/tricast/objects", lambda: objects.detection_array(tick, base))
        self._copy("/tricast/tracks/markers", lambda: self._markers(track_markers, tick))
        self._copy("/tricast/detections/markers", lambda: self._markers(detection_markers, result.tick))

    def _copy(self, topic: str, make: Callable[[], Any]) -> None:
        """Publish what the result says in another form; not made while nobody listens: some cost as much as a tick."""
        publisher = self._publishers.get(topic)
        if publisher is None or not publisher.get_subscription_count():
            return
        try:
            publisher.publish(serialize(make()))
        except (TypeError, AttributeError) as error:
            self._node.get_logger().error(f"{topic} is not published any more: its package has other fields ({error})")
            self._node.destroy_lifecycle_publisher(self._publishers.pop(topic))

    def _now_message(self, found: Extrapolated) -> Any:
        message = extrapolated_message(found)
        message.header.frame_id = self._config.base_frame
        return message

    def _markers(self, make: Callable[[TickResult], Any], tick: TickResult) -> Any:
        message = make(tick)
        for marker in message.markers:
            marker.header.frame_id = self._config.base_frame
        return message
