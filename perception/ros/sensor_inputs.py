"""From a live graph into the runtime: subscriptions, the log's own decoder, calibration, and what is amiss."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tricast.configs.errors import InputError
from tricast.perception.ros.live_calibration import LiveCalibration
from tricast.perception.ros.live_config import LiveConfig
from tricast.perception.streaming.runtime import StreamingRuntime
from tricast.sensors.calibration import Rig
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, Modality, RadarScan
from tricast.sensors.log import messages as ros
from tricast.sensors.log.radar_scan_messages import radar_scan
from tricast.sensors.log.reader import channel_of
from tricast.sensors.log.schema import deserialize, stamp_ns
from tricast.sensors.log.transform_buffer import TransformBuffer
from tricast.sensors.log.writer import ODOMETRY_TOPIC
from tricast.sensors.ros.installation import is_readable, message_type
from tricast.sensors.ros.qos import Qos
from tricast.sensors.ros.subscription import AdaptiveSubscription

CLOUD, SCAN = "sensor_msgs/msg/PointCloud2", "radar_msgs/msg/RadarScan"
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
INFO, ODOMETRY, TRANSFORMS = "sensor_msgs/msg/CameraInfo", "nav_msgs/msg/Odometry", "tf2_msgs/msg/TFMessage"
SUFFIXES: dict[str, tuple[str, ...]] = {
    "points": (CLOUD, SCAN),
    "scan": (SCAN,),
    "image": (COMPRESSED, IMAGE),
    "image_raw": (IMAGE,),
    "camera_info": (INFO,),
}
BY_MODALITY: dict[Modality, tuple[str, ...]] = {
    "camera": ("image", "image_raw", "camera_info"),
    "lidar": ("points",),
    "radar": ("points", "scan"),
}
TRANSFORM_DEPTH = 100
JUMP_BACK_NS = 1_000_000_000


class SensorInputs:
    """Subscribes, decodes and hands to the runtime; all of its methods are called in the executor's thread.

    Args:
        node: The node.
        config: What to subscribe to.
        runtime: Where messages and calibration go.
        fixed: Calibration from a file, if any.

    """

    def __init__(self, node: Any, config: LiveConfig, runtime: StreamingRuntime, fixed: Rig | None) -> None:
        self._node, self._config, self._runtime = node, config, runtime
        self.transforms = TransformBuffer()
        self.calibration = LiveCalibration(self.transforms, config.base_frame, fixed)
        self.subscriptions: dict[str, AdaptiveSubscription] = {}
        self.malformed: dict[str, tuple[int, str]] = {}
        """By channel or topic: messages that did not decode, and what was wrong with the last."""
        self.before_time = 0
        """Messages that came while simulated time had not begun."""
        self._not_installed: set[str] = set()
        self._newest_transform_ns = 0

    @property
    def now_ns(self) -> int:
        """ROS time; 0 before simulated time began."""
        return int(self._node.get_clock().now().nanoseconds)

    def discover(self) -> None:
        """Subscribe to what is new on the graph, and follow the publishers' QoS."""
        types = {topic: found[0] for topic, found in self._node.get_topic_names_and_types()}
        for name, callback, kind in (
            (ODOMETRY_TOPIC, self._on_odometry, ODOMETRY),
            ("/tf", partial(self._on_transforms, static=False), TRANSFORMS),
            ("/tf_static", partial(self._on_transforms, static=True), TRANSFORMS),
        ):
            if types.get(self._node.resolve_topic_name(name)) == kind:
                depth = self._config.queue_depth if kind == ODOMETRY else TRANSFORM_DEPTH
                self._subscribe(name, kind, callback, depth)
        for channel, topic in self._sensor_topics(types):
            self._subscribe_sensor(channel, topic, types.get(self._node.resolve_topic_name(topic)))
        for subscription in self.subscriptions.values():
            subscription.adapt()

    def close(self) -> None:
        """Stop hearing."""
        for subscription in self.subscriptions.values():
            subscription.close()
        self.subscriptions.clear()

    def channels(self) -> tuple[str, ...]:
        """Channels that are subscribed to or asked for, sorted."""
        config = self._config
        found = {channel_of(topic) for topic in self.subscriptions}
        return tuple(sorted({*config.cameras, *config.lidars, *config.radars} | {c for c in found if c}))

    def forget_time(self) -> None:
        """Time jumped: moving transforms no longer hold."""
        self.transforms.forget_moving()
        self._newest_transform_ns = 0

    def _sensor_topics(self, types: dict[str, str]) -> list[tuple[str, str]]:
        config = self._config
        named: list[tuple[str, str]] = []
        chosen: dict[Modality, tuple[str, ...]] = {
            "camera": config.cameras,
            "lidar": config.lidars,
            "radar": config.radars,
        }
        for modality, channels in chosen.items():
            named += [(c, f"/sensors/{c}/{suffix}") for c in channels for suffix in BY_MODALITY[modality]]
        if named:
            return named
        return [(channel, topic) for topic in types if (channel := channel_of(topic)) is not None]

    def _subscribe_sensor(self, channel: str, topic: str, type_name: str | None) -> None:
        if type_name not in SUFFIXES.get(topic.rsplit("/", 1)[-1], ()):
            return
        assert type_name is not None
        handlers: dict[str, Callable[..., None]] = {
            CLOUD: self._on_cloud,
            SCAN: self._on_scan,
            IMAGE: self._on_image,
            COMPRESSED: self._on_image,
            INFO: self._on_camera_info,
        }
        callback = partial(self._decoded, channel, type_name, handlers[type_name])
        self._subscribe(topic, type_name, callback, self._config.queue_depth)

    def _subscribe(self, topic: str, type_name: str, callback: Callable[[bytes], None], depth: int) -> None:
        if topic in self.subscriptions or topic in self._not_installed:
            return
        if message_type(type_name) is None or not is_readable(type_name):
            self._not_installed.add(topic)
            self._node.get_logger().warning(f"{topic} is not heard: {type_name} is not installed (docs/ros2.md)")
            return
        asked = None
        if self._config.reliability != "auto" and type_name != TRANSFORMS:
            asked = Qos(reliability=self._config.reliability, depth=depth)
        self.subscriptions[topic] = AdaptiveSubscription(
            self._node, topic, type_name, callback, depth=depth, asked=asked
        )

    def _decoded(self, channel: str, type_name: str, handler: Callable[[str, Any, int], None], data: bytes) -> None:
        now_ns = self.now_ns
        if now_ns == 0:
            self.before_time += 1
            return
        try:
            handler(channel, deserialize(data, type_name), now_ns)
        except InputError as error:
            self._report(channel, str(error))
        except Exception as error:  # the decoder raises many kinds on bytes that are not the type's
            self._report(channel, f"not a {type_name} ({error})")

    def _report(self, channel: str, reason: str) -> None:
        count = self.malformed.get(channel, (0, ""))[0] + 1
        self.malformed[channel] = (count, reason)
        self._runtime.malformed(channel)
        self._node.get_logger().warning(f"{channel}: a message was left out: {reason}", throttle_duration_sec=1.0)

    def _put(self, message: CameraFrame | LidarSweep | RadarScan, modality: Modality, frame_id: str) -> None:
        if self.calibration.add_sensor(message.channel, modality, frame_id):
            self._recalibrate()
        self._runtime.put(message)

    def _on_cloud(self, channel: str, message: Any, now_ns: int) -> None:
        cloud = ros.point_cloud(message, channel, now_ns)
        modality: Modality = "radar" if isinstance(cloud, RadarScan) else "lidar"
        if channel in self._config.radars and isinstance(cloud, LidarSweep):
            cloud = RadarScan.from_points(channel, cloud.timestamp_ns, cloud.points_m, received_ns=now_ns)
            modality = "radar"
        self._put(cloud, modality, message.header.frame_id)

    def _on_scan(self, channel: str, message: Any, now_ns: int) -> None:
        self._put(radar_scan(message, channel, now_ns), "radar", message.header.frame_id)

    def _on_image(self, channel: str, message: Any, now_ns: int) -> None:
        self._put(ros.camera_frame(message, channel, now_ns), "camera", message.header.frame_id)

    def _on_camera_info(self, channel: str, message: Any, now_ns: int) -> None:
        if self.calibration.add_camera_info(channel, message):
            self._recalibrate()

    def _on_odometry(self, data: bytes) -> None:
        def handle(channel: str, message: Any, now_ns: int) -> None:
            self._runtime.put(ros.ego_pose(message, now_ns))

        self._decoded("odometry", ODOMETRY, handle, data)

    def _on_transforms(self, data: bytes, *, static: bool) -> None:
        def handle(channel: str, message: Any, now_ns: int) -> None:
            version = self.transforms.version
            newest_ns = max((stamp_ns(t.header.stamp) for t in message.transforms), default=0)
            if not static and newest_ns < self._newest_transform_ns - JUMP_BACK_NS:
                self.forget_time()
            self._newest_transform_ns = max(self._newest_transform_ns, 0 if static else newest_ns)
            self.transforms.add_message(message, static=static)
            if (self.transforms.version != version or self.calibration.missing) and self.calibration.look_up():
                self._recalibrate()
            if not static and not self._hears_odometry():
                self._put_pose(message, now_ns)

        self._decoded("tf_static" if static else "tf", TRANSFORMS, handle, data)

    def _hears_odometry(self) -> bool:
        odometry = self.subscriptions.get(ODOMETRY_TOPIC)
        return odometry is not None and odometry.publishers > 0

    def _put_pose(self, message: Any, now_ns: int) -> None:
        """Without odometry, the transform odom > base_link tells where the vehicle is."""
        for entry in message.transforms:
            if entry.child_frame_id.removeprefix("/") == self._config.base_frame:
                time_ns = stamp_ns(entry.header.stamp)
                pose = self.transforms.lookup(self._config.odom_frame, self._config.base_frame, time_ns)
                if pose is not None:
                    self._runtime.put(EgoPose(timestamp_ns=time_ns, received_ns=now_ns, odom_from_ego=pose))

    def _recalibrate(self) -> None:
        rig = self.calibration.rig
        self._node.get_logger().info(f"calibrated: {', '.join(rig.channels())}")
        self._runtime.recalibrate(rig)
