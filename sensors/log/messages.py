"""Between the project's types and ROS 2 messages, both ways, bit for bit; clouds are in `cloud_messages`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig
from tricast.sensors.errors import CalibrationError, SensorDataError
from tricast.sensors.frames import CameraFrame, EgoPose, ImageEncoding
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.lenses import FisheyeLens, Lens, MeiLens, PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.image_layouts import rgb_pixels
from tricast.sensors.log.schema import header, message_class, stamp_ns

ODOM_FRAME = "odom"
EGO_FRAME = "base_link"
UNKNOWN_TWIST = -1.0
"""First covariance entry that marks a twist as not measured."""


def image_message(frame: CameraFrame) -> Any:
    """`sensor_msgs/CompressedImage`, or `sensor_msgs/Image` for raw pixels."""
    head = header(frame.timestamp_ns, frame.channel)
    data = np.frombuffer(frame.data, np.uint8)
    if frame.encoding != "rgb8":
        return message_class("sensor_msgs/msg/CompressedImage")(header=head, format=frame.encoding, data=data)
    width, height = frame.size_px or (0, 0)
    return message_class("sensor_msgs/msg/Image")(
        header=head, height=height, width=width, encoding="rgb8", is_bigendian=0, step=3 * width, data=data
    )


def camera_frame(message: Any, channel: str, received_ns: int) -> CameraFrame:
    """Frame of an image message; raw images of other encodings become `rgb8`.

    Raises:
        SensorDataError: The encoding is none that is read.

    """
    timestamp_ns = stamp_ns(message.header.stamp)
    if not hasattr(message, "format"):
        plain = message.encoding == "rgb8" and message.step == 3 * message.width
        return CameraFrame(
            channel=channel,
            timestamp_ns=timestamp_ns,
            received_ns=received_ns,
            encoding="rgb8",
            data=bytes(message.data) if plain else rgb_pixels(message, channel).tobytes(),
            size_px=(message.width, message.height),
        )
    encoding = message.format.split(";")[-1].strip().split(" ")[0].lower()
    encoding = {"jpg": "jpeg"}.get(encoding, encoding)
    if encoding not in ("jpeg", "png"):
        raise SensorDataError(
            where=channel, got=f"encoding '{encoding}'", expected="jpeg or png", remedy="convert the images"
        )
    return CameraFrame(
        channel=channel,
        timestamp_ns=timestamp_ns,
        received_ns=received_ns,
        encoding=cast("ImageEncoding", encoding),
        data=bytes(message.data),
    )


def odometry_message(pose: EgoPose) -> Any:
    """`nav_msgs/Odometry`; a twist not known at all is marked by its covariance, one half of which is not by NaN."""
    vector = message_class("geometry_msgs/msg/Vector3")
    known = pose.linear_velocity_mps is not None or pose.angular_velocity_radps is not None
    covariance = np.zeros(36)
    if not known:
        covariance[0] = UNKNOWN_TWIST
    nothing = np.nan if known else 0.0
    unknown = (nothing, nothing, nothing)
    linear = pose.linear_velocity_mps or unknown
    angular = pose.angular_velocity_radps or unknown
    twist = message_class("geometry_msgs/msg/Twist")(linear=_xyz(vector, linear), angular=_xyz(vector, angular))
    with_covariance = message_class("geometry_msgs/msg/TwistWithCovariance")
    return message_class("nav_msgs/msg/Odometry")(
        header=header(pose.timestamp_ns, ODOM_FRAME),
        child_frame_id=EGO_FRAME,
        pose=message_class("geometry_msgs/msg/PoseWithCovariance")(
            pose=pose_message(pose.odom_from_ego), covariance=np.zeros(36)
        ),
        twist=with_covariance(twist=twist, covariance=covariance),
    )


def ego_pose(message: Any, received_ns: int, sensor_from_ego: SE3 | None = None) -> EgoPose:
    """Pose of an odometry message; a twist that is not finite is unknown.

    Args:
        message: The `nav_msgs/Odometry`.
        received_ns: When it arrived.
        sensor_from_ego: The ego frame in that of the odometry (`child_frame_id`), where that is another one.

    """
    twist = message.twist.twist
    known = message.twist.covariance[0] != UNKNOWN_TWIST
    position, q = message.pose.pose.position, message.pose.pose.orientation
    pose = EgoPose(
        timestamp_ns=stamp_ns(message.header.stamp),
        received_ns=received_ns,
        odom_from_ego=SE3(quaternion_wxyz=(q.w, q.x, q.y, q.z), translation_m=(position.x, position.y, position.z)),
        linear_velocity_mps=_finite(twist.linear) if known else None,
        angular_velocity_radps=_finite(twist.angular) if known else None,
    )
    return pose if sensor_from_ego is None else _of_ego(pose, sensor_from_ego)


def transform_pose(message: Any, child_from_ego: Callable[[str], SE3 | None], received_ns: int) -> EgoPose | None:
    """Pose of the ego frame by the first transform of a `tf2_msgs/TFMessage` that places it in the odometry frame.

    Args:
        message: The transforms.
        child_from_ego: The ego frame in another that is fixed to it, by that one's name; None where it is not.
        received_ns: When they arrived.

    """
    for entry in message.transforms:
        if entry.header.frame_id.removeprefix("/") != ODOM_FRAME:
            continue
        fixed = child_from_ego(entry.child_frame_id.removeprefix("/"))
        if fixed is None:
            continue
        t, q = entry.transform.translation, entry.transform.rotation
        odom_from_child = SE3(quaternion_wxyz=(q.w, q.x, q.y, q.z), translation_m=(t.x, t.y, t.z))
        at_ns = stamp_ns(entry.header.stamp)
        return EgoPose(timestamp_ns=at_ns, received_ns=received_ns, odom_from_ego=odom_from_child @ fixed)
    return None


def _of_ego(pose: EgoPose, sensor_from_ego: SE3) -> EgoPose:
    """The ego frame's pose and twist by those of a frame that is fixed to it."""
    linear, angular = pose.linear_velocity_mps, pose.angular_velocity_radps
    ego_from_sensor = sensor_from_ego.inverse
    if linear is not None and (angular is not None or not any(sensor_from_ego.translation_m)):
        turning = np.cross(angular or (0.0, 0.0, 0.0), sensor_from_ego.translation)
        x, y, z = (float(v) for v in ego_from_sensor.rotate(np.array(linear) + turning))
        linear = (x, y, z)
    else:
        linear = None
    if angular is not None:
        x, y, z = (float(v) for v in ego_from_sensor.rotate(np.array(angular)))
        angular = (x, y, z)
    return replace(
        pose,
        odom_from_ego=pose.odom_from_ego @ sensor_from_ego,
        linear_velocity_mps=linear,
        angular_velocity_radps=angular,
    )


def _finite(vector: Any) -> tuple[float, float, float] | None:
    """A vector's values; None where one is not finite, as drivers mark what they do not measure."""
    values = (float(vector.x), float(vector.y), float(vector.z))
    return values if np.isfinite(values).all() else None


def pose_message(pose: SE3) -> Any:
    """`geometry_msgs/Pose`."""
    return message_class("geometry_msgs/msg/Pose")(
        position=_xyz(message_class("geometry_msgs/msg/Point"), pose.translation_m),
        orientation=_quaternion(pose),
    )


def transform_message(timestamp_ns: int, transforms: list[tuple[str, str, SE3]]) -> Any:
    """`tf2_msgs/TFMessage` of (parent frame, child frame, parent_from_child) triples."""
    stamped = message_class("geometry_msgs/msg/TransformStamped")
    transform = message_class("geometry_msgs/msg/Transform")
    vector = message_class("geometry_msgs/msg/Vector3")
    return message_class("tf2_msgs/msg/TFMessage")(
        transforms=[
            stamped(
                header=header(timestamp_ns, parent),
                child_frame_id=child,
                transform=transform(translation=_xyz(vector, pose.translation_m), rotation=_quaternion(pose)),
            )
            for parent, child, pose in transforms
        ]
    )


def rig_transforms(rig: Rig) -> list[tuple[str, str, SE3]]:
    """Extrinsics of every sensor as transforms from `base_link`."""
    return [(EGO_FRAME, channel, sensor.ego_from_sensor) for channel, sensor in rig.sensors.items()]


def camera_info_message(lens: Lens, channel: str, timestamp_ns: int) -> Any:
    """`sensor_msgs/CameraInfo`: the model and its coefficients as `lens_of` reads them."""
    assert isinstance(lens, PinholeLens | FisheyeLens | MeiLens)
    (fx, fy), (cx, cy) = lens.focal_px, lens.principal_px
    if isinstance(lens, PinholeLens):
        distortion = lens.coefficients
        model = "plumb_bob" if len(distortion) == 5 else "rational_polynomial"
    elif isinstance(lens, FisheyeLens):
        model, distortion = "equidistant", lens.distortion
    else:
        model, distortion = "mei", (lens.mirror, *lens.distortion)
    return message_class("sensor_msgs/msg/CameraInfo")(
        header=header(timestamp_ns, channel),
        height=lens.height_px,
        width=lens.width_px,
        distortion_model=model,
        d=np.array(distortion),
        k=np.array([fx, 0, cx, 0, fy, cy, 0, 0, 1], dtype=np.float64),
        r=np.eye(3).reshape(-1),
        p=np.array([fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0], dtype=np.float64),
        binning_x=0,
        binning_y=0,
        roi=message_class("sensor_msgs/msg/RegionOfInterest")(
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        ),
    )


def lens_of(message: Any, channel: str) -> Lens:
    """Lens of a camera info: `plumb_bob` and `rational_polynomial` as ROS has them, `equidistant`, or `mei` (xi first).

    Where the camera sends a region of interest, the lens is that of its pixels.

    Raises:
        CalibrationError: The distortion model is unknown or its coefficients do not fit.

    """
    part = message.roi if message.roi.width > 0 and message.roi.height > 0 else None
    width, height = (message.width, message.height) if part is None else (part.width, part.height)
    left, top = (0, 0) if part is None else (part.x_offset, part.y_offset)
    k, d = [float(v) for v in message.k], tuple(float(v) for v in message.d)
    common: dict[str, Any] = {
        "width_px": int(width),
        "height_px": int(height),
        "focal_px": (k[0], k[4]),
        "principal_px": (k[2] - left, k[5] - top),
    }
    model = message.distortion_model
    if model in ("plumb_bob", "") and len(d) in (0, 4, 5):
        return PinholeLens(**common, distortion=(*d, *(0.0,) * (5 - len(d))))  # type: ignore[arg-type]
    if model == "rational_polynomial" and len(d) in (8, 12, 14) and not any(d[8:]):
        k1, k2, p1, p2, k3, k4, k5, k6 = d[:8]
        return PinholeLens(**common, distortion=(k1, k2, p1, p2, k3), rational=(k4, k5, k6))
    if model in ("equidistant", "fisheye") and len(d) == 4:
        return FisheyeLens(**common, distortion=d)
    if model == "mei" and len(d) == 5:
        return MeiLens(**common, mirror=d[0], distortion=d[1:])
    raise CalibrationError(
        where=f"camera info of {channel}",
        got=f"distortion model '{model}' with {len(d)} coefficients",
        expected="plumb_bob (4 or 5), rational_polynomial (8), equidistant (4) or mei (5)",
        remedy="give the camera's calibration with --calibration rig.yaml",
    )


def annotations_message(truth: Annotations) -> Any:
    """`tricast_msgs/Annotations`."""
    annotation = message_class("tricast_msgs/msg/Annotation")
    return message_class("tricast_msgs/msg/Annotations")(
        header=header(truth.timestamp_ns, EGO_FRAME),
        annotations=[
            annotation(
                instance_id=truth.instance_ids[i],
                class_name=truth.class_names[i],
                box=box_message(truth.boxes, i),
                num_lidar_points=int(truth.num_lidar_points[i]),
                num_radar_points=int(truth.num_radar_points[i]),
                num_visible_pixels=int(truth.num_visible_pixels[i]),
                occlusion=float(truth.occlusion[i]),
                future_m=truth.futures_m[i].reshape(-1).copy(),
            )
            for i in range(len(truth))
        ],
    )


def annotations_of(message: Any, received_ns: int) -> Annotations:
    """Truth of an annotations message."""
    entries = message.annotations
    return Annotations(
        timestamp_ns=stamp_ns(message.header.stamp),
        received_ns=received_ns,
        boxes=Boxes(
            centers_m=np.array([e.box.center_m for e in entries], dtype=np.float64).reshape(-1, 3),
            sizes_m=np.array([e.box.size_m for e in entries], dtype=np.float64).reshape(-1, 3),
            yaws_rad=np.array([e.box.yaw_rad for e in entries], dtype=np.float64),
            velocities_mps=np.array([e.box.velocity_mps for e in entries], dtype=np.float64).reshape(-1, 2),
        ),
        class_names=tuple(e.class_name for e in entries),
        instance_ids=tuple(e.instance_id for e in entries),
        num_lidar_points=np.array([e.num_lidar_points for e in entries], dtype=np.int32),
        num_radar_points=np.array([e.num_radar_points for e in entries], dtype=np.int32),
        num_visible_pixels=np.array([e.num_visible_pixels for e in entries], dtype=np.int32),
        occlusion=np.array([e.occlusion for e in entries], dtype=np.float32),
        futures_m=np.array([e.future_m for e in entries], dtype=np.float64).reshape(-1, 12, 2),
    )


def box_message(boxes: Boxes, index: int) -> Any:
    """`tricast_msgs/Box` of one box."""
    return message_class("tricast_msgs/msg/Box")(
        center_m=boxes.centers_m[index].copy(),
        size_m=boxes.sizes_m[index].copy(),
        yaw_rad=float(boxes.yaws_rad[index]),
        velocity_mps=boxes.velocities_mps[index].copy(),
    )


def _xyz(kind: Any, values: tuple[float, float, float]) -> Any:
    return kind(x=float(values[0]), y=float(values[1]), z=float(values[2]))


def _quaternion(pose: SE3) -> Any:
    w, x, y, z = pose.quaternion_wxyz
    return message_class("geometry_msgs/msg/Quaternion")(x=float(x), y=float(y), z=float(z), w=float(w))
