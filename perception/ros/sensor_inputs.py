"""From a live graph into the runtime: subscriptions, the log's own decoder, calibration, and what is amiss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

from tricast.configs.errors import InputError
from tricast.perception.ros.live_calibration import LiveCalibration
from tricast.perception.ros.live_config import LiveConfig
from tricast.perception.streaming.runtime import StreamingRuntime
from tricast.sensors.calibration import Rig
from tricast.sensors.frames import EgoPose, Modality, RadarScan
from tricast.sensors.log import messages as ros
from tricast.sensors.log.cloud_messages import point_cloud
from tricast.sensors.log.radar_scan_messages import RADAR_SCAN, radar_scan
from tricast.sensors.log.schema import deserialize, stamp_ns
from tricast.sensors.log.sensor_topics import CAMERA_INFO, CLOUD, COMPRESSED_IMAGE, IMAGE, channel_of, sensor_of
from tricast.sensors.log.stream import Message
from tricast.sensors.log.transform_buffer import TransformBuffer, frame_named
from tricast.sensors.log.writer import ODOMETRY_TOPIC
from tricast.sensors.ros.installation import is_readable, message_type
from tricast.sensors.ros.qos import Qos
from tricast.sensors.ros.subscription import AdaptiveSubscription

ODOMETRY, TRANSFORMS = "nav_msgs/msg/Odometry", "tf2_msgs/msg/TFMessage"
BY_MODALITY: dict[Modality, tuple[str, ...]] = {
    "camera": ("image", "image_raw", "camera_info"),
    "lidar": ("points",),
    "radar": ("points", "scan"),
}
POSE_DEPTH = 100
Reader: TypeAlias = Callable[[str, Any, int], Sequence[Message]]
"""Takes a channel, a message of the type store and its arrival."""
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
        self.odom_frame = config.odom_frame
        """Of the poses: what odometry says of itself, the configured one as long as there is none."""
        self.before_time = 0
        """Messages of sensors and poses left out because simulated time had not begun."""
        self._not_installed: set[str] = set()
        self._newest_transforms_ns: dict[str, int] = {}
        """By child frame; each has a delay of its own."""
        self._newest_pose_ns = 0
        self._told_rig = self.calibration.rig

    @property
    def now_ns(self) -> int:
        """ROS time; 0 before simulated time began."""
        return int(self._node.get_clock().now().nanoseconds)

    def discover(self) -> None:
        """Subscribe to what is new on the graph, and follow the publishers' QoS."""
        types = {topic: found[0] for topic, found in self._node.get_topic_names_and_types()}
        for name, read, kind in (
            (ODOMETRY_TOPIC, self._odometry, ODOMETRY),
            ("/tf", self._moving_transforms, TRANSFORMS),
            ("/tf_static", self._static_transforms, TRANSFORMS),
        ):
            if types.get(self._node.resolve_topic_name(name)) == kind:
                self._subscribe(name, kind, partial(self._take, name.strip("/"), kind, read), POSE_DEPTH)
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
        self._newest_transforms_ns.clear()
        self._newest_pose_ns = 0

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
        if type_name is None or sensor_of(topic, type_name) is None:
            return
        readers: dict[str, Reader] = {
            CLOUD: self._cloud,
            RADAR_SCAN: self._scan,
            IMAGE: self._image,
            COMPRESSED_IMAGE: self._image,
            CAMERA_INFO: self._camera_info,
        }
        callback = partial(self._take, channel, type_name, readers[type_name])
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

    def _take(self, channel: str, type_name: str, read: Reader, data: bytes) -> None:
        """Decode a message and hand over what is read in it; what cannot be read is counted and left out."""
        now_ns = self.now_ns
        try:
            messages = read(channel, deserialize(data, type_name), now_ns)
        except InputError as error:
            messages = self._left_out(channel, str(error))
        except Exception as error:  # the decoder raises many kinds on bytes that are not the type's
            messages = self._left_out(channel, f"not a {type_name} ({error})")
        if self.calibration.rig is not self._told_rig:
            self._told_rig = self.calibration.rig
            self._node.get_logger().info(f"calibrated: {', '.join(self._told_rig.channels())}")
            self._runtime.recalibrate(self._told_rig)
        if now_ns == 0:
            # What calibrates was learned all the same: it is latched and does not come again when time begins.
            self.before_time += len(messages)
            return
        for message in messages:
            self._runtime.put(message)

    def _left_out(self, channel: str, reason: str) -> Sequence[Message]:
        count = self.malformed.get(channel, (0, ""))[0] + 1
        self.malformed[channel] = (count, reason)
        self._runtime.malformed(channel)
        self._node.get_logger().warning(f"{channel}: a message was left out: {reason}", throttle_duration_sec=1.0)
        return ()

    def _cloud(self, channel: str, message: Any, now_ns: int) -> Sequence[Message]:
        cloud = point_cloud(message, channel, now_ns, self._told_modality(channel))
        modality: Modality = "radar" if isinstance(cloud, RadarScan) else "lidar"
        self.calibration.add_sensor(channel, modality, message.header.frame_id)
        return (cloud,)

    def _told_modality(self, channel: str) -> Modality | None:
        if channel in self._config.lidars:
            return "lidar"
        if channel in self._config.radars:
            return "radar"
        return self.calibration.rig[channel].modality if channel in self.calibration.rig else None

    def _scan(self, channel: str, message: Any, now_ns: int) -> Sequence[Message]:
        scan = radar_scan(message, channel, now_ns)
        self.calibration.add_sensor(channel, "radar", message.header.frame_id)
        return (scan,)

    def _image(self, channel: str, message: Any, now_ns: int) -> Sequence[Message]:
        frame = ros.camera_frame(message, channel, now_ns)
        self.calibration.add_sensor(channel, "camera", message.header.frame_id)
        return (frame,)

    def _camera_info(self, channel: str, message: Any, now_ns: int) -> Sequence[Message]:
        self.calibration.add_camera_info(channel, message)
        return ()

    def _odometry(self, channel: str, message: Any, now_ns: int) -> Sequence[Message]:
        base = self._config.base_frame
        frame = frame_named(message.child_frame_id, base)
        fixed = None if frame == base else self.transforms.lookup(frame, base)
        if frame != base and fixed is None:
            self._node.get_logger().warning(
                f"{ODOMETRY_TOPIC} tells the poses of '{frame}', which no transform joins to {base}; "
                "they are taken as its own",
                once=True,
            )
        self.odom_frame = frame_named(message.header.frame_id, self._config.odom_frame)
        return (ros.ego_pose(message, now_ns, fixed),)

    def _static_transforms(self, channel: str, message: Any, now_ns: int) -> Sequence[Message]:
        self._learn(message, static=True)
        return ()

    def _moving_transforms(self, channel: str, message: Any, now_ns: int) -> Sequence[Message]:
        told = [(frame_named(t.child_frame_id, ""), stamp_ns(t.header.stamp)) for t in message.transforms]
        if any(time_ns < self._newest_transforms_ns.get(child, 0) - JUMP_BACK_NS for child, time_ns in told):
            self.forget_time()
        for child, time_ns in told:
            self._newest_transforms_ns[child] = max(self._newest_transforms_ns.get(child, 0), time_ns)
        self._learn(message, static=False)
        return self._poses(now_ns)

    def _learn(self, message: Any, *, static: bool) -> None:
        version = self.transforms.version
        try:
            self.transforms.add_message(message, static=static)
        finally:
            if self.transforms.version != version or self.calibration.missing:
                self.calibration.look_up()

    def _poses(self, now_ns: int) -> Sequence[Message]:
        """Without odometry, the transforms from odom down to base_link tell where the vehicle is.

        Only where all that moves on the way is known: a transform held at its newest would be another time's.
        """
        odom, base = self._config.odom_frame, self._config.base_frame
        times_ns = self.transforms.known_times(odom, base, self._newest_pose_ns)
        self._newest_pose_ns = times_ns[-1] if times_ns else self._newest_pose_ns
        odometry = self.subscriptions.get(ODOMETRY_TOPIC)
        if odometry is not None and odometry.publishers:
            return ()
        found = [(time_ns, self.transforms.lookup(odom, base, time_ns)) for time_ns in times_ns]
        return [
            EgoPose(timestamp_ns=time_ns, received_ns=now_ns, odom_from_ego=pose)
            for time_ns, pose in found
            if pose is not None
        ]
