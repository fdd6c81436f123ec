"""Which topics and types of a graph or a log are a sensor's: the last part of the topic says what it carries."""

from __future__ import annotations

from tricast.sensors.log.radar_scan_messages import RADAR_SCAN

CLOUD = "sensor_msgs/msg/PointCloud2"
IMAGE, COMPRESSED_IMAGE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"

TYPES_BY_LAST_PART: dict[str, tuple[str, ...]] = {
    "points": (CLOUD, RADAR_SCAN),
    "scan": (RADAR_SCAN,),
    "image": (COMPRESSED_IMAGE, IMAGE),
    "image_raw": (IMAGE,),
    "camera_info": (CAMERA_INFO,),
}
"""Other topics below a channel, such as a mask or a filtered cloud, are not what the sensor measured."""


def channel_of(topic: str) -> str | None:
    """Channel of a topic `/sensors/<channel>/...`."""
    parts = topic.split("/")
    return parts[2] if len(parts) == 4 and parts[:2] == ["", "sensors"] else None


def sensor_of(topic: str, type_name: str | None) -> str | None:
    """Channel that sends on a topic, or whose lens is told there; None where it is no sensor's."""
    known = type_name in TYPES_BY_LAST_PART.get(topic.rsplit("/", 1)[-1], ())
    return channel_of(topic) if known else None
