"""`results.mcap`: detections, tracks and forecasts as markers that draw anywhere, and the full result as a message."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tricast.perception.outputs import TickResult
from tricast.perception.palette import CLASS_COLORS
from tricast.perception.streaming.extrapolation import Extrapolated
from tricast.perception.streaming.runtime_result import Delivery
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.messages import EGO_FRAME, ODOM_FRAME, box_message, pose_message, transform_message
from tricast.sensors.log.ros2_mcap import Ros2McapWriter
from tricast.sensors.log.schema import header, message_class

RESULT_TOPIC = "/tricast/result"
RESULT_TYPE = "tricast_msgs/msg/TickResult"
EXTRAPOLATED_TYPE = "tricast_msgs/msg/ExtrapolatedObjects"
ARROW, CUBE, LINE_STRIP, TEXT, DELETE_ALL = 0, 1, 4, 9, 3
MIN_ARROW_MPS = 0.5


class ResultsMcapWriter:
    """Writes results as a ROS 2 log that overlays the input log in a viewer."""

    def __init__(self, path: Path) -> None:
        self._mcap = Ros2McapWriter(path)

    def __enter__(self) -> ResultsMcapWriter:
        return self

    def write(self, result: TickResult, delivery: Delivery | None = None) -> None:
        """Append one tick, and how it came about where that is to be kept: it depends on the machine's clock."""
        now_ns = result.timestamp_ns
        transform = transform_message(now_ns, [(ODOM_FRAME, EGO_FRAME, result.odom_from_ego)])
        self._mcap.write("/tf", transform, now_ns)
        self._mcap.write(RESULT_TOPIC, result_message(result, delivery), now_ns)
        self._mcap.write("/tricast/detections/markers", detection_markers(result), now_ns)
        self._mcap.write("/tricast/tracks/markers", track_markers(result), now_ns)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._mcap.__exit__(kind, error, traceback)


def result_message(result: TickResult, delivery: Delivery | None = None) -> Any:
    """`tricast_msgs/TickResult`, with the boxes of the tick besides its tracks; without delivery it is all zeros."""
    kinds = {n: message_class(f"tricast_msgs/msg/{n}") for n in ("Detection", "InputUsed", "ChannelHealth")}
    detections = result.detections
    return message_class(RESULT_TYPE)(
        header=header(result.timestamp_ns, EGO_FRAME),
        odom_from_ego=pose_message(result.odom_from_ego),
        detections=[
            kinds["Detection"](
                class_name=detections.class_names[i],
                score=float(detections.scores[i]),
                box=box_message(detections.boxes, i),
            )
            for i in range(len(detections))
        ],
        objects=_object_messages(result),
        inputs=[
            kinds["InputUsed"](channel=used.channel, timestamp_ns=used.timestamp_ns, reused=used.reused)
            for used in result.inputs
        ],
        health=[
            kinds["ChannelHealth"](channel=c, state=h.state, age_ns=-1 if h.age_ns is None else h.age_ns)
            for c, h in sorted(result.health.items())
        ],
        pose_stamps_ns=np.array(result.pose_stamps_ns, np.int64),
        discontinuity=result.discontinuity,
        delivery=_delivery_message(delivery or Delivery()),
        since_oldest_input_ns=-1,
        since_newest_input_ns=-1,
    )


def extrapolated_message(found: Extrapolated) -> Any:
    """`tricast_msgs/ExtrapolatedObjects`: the objects at a later time than their tick, and how much later that is."""
    result = found.result
    return message_class(EXTRAPOLATED_TYPE)(
        header=header(result.timestamp_ns, EGO_FRAME),
        odom_from_ego=pose_message(result.odom_from_ego),
        objects=_object_messages(result),
        tick_ns=result.timestamp_ns - found.by_ns,
        extrapolated_by_ns=found.by_ns,
        beyond=found.beyond,
    )


def _object_messages(result: TickResult) -> list[Any]:
    tracks, futures = result.tracks, result.trajectories
    tracked, trajectory = message_class("tricast_msgs/msg/TrackedObject"), message_class("tricast_msgs/msg/Trajectory")
    return [
        tracked(
            track_id=int(tracks.track_ids[i]),
            class_name=tracks.class_names[i],
            score=float(tracks.scores[i]),
            box=box_message(tracks.boxes, i),
            turn_rate_radps=float(tracks.turn_rates_radps[i]),
            trajectories=[
                trajectory(
                    probability=float(futures.probabilities[i, m]),
                    points_m=futures.points_m[i, m].reshape(-1).copy(),
                )
                for m in range(futures.probabilities.shape[1])
            ],
        )
        for i in range(len(tracks))
    ]


def _delivery_message(delivery: Delivery) -> Any:
    not_used = [
        f"{cause} {channel} {count}"
        for cause, by_channel in sorted(delivery.not_used.items())
        for channel, count in sorted(by_channel.items())
    ]
    return message_class("tricast_msgs/msg/Delivery")(**{**vars(delivery), "not_used": not_used})


def detection_markers(result: TickResult) -> Any:
    """`visualization_msgs/MarkerArray` of the tick's boxes; the first marker clears those of the tick before."""
    markers = [_marker(result, "clear", 0, CUBE, action=DELETE_ALL)]
    repeated = result.detections.alternative
    for i in range(len(result.detections)) if repeated is None else np.flatnonzero(~repeated).tolist():
        color = (*CLASS_COLORS[result.detections.class_names[i]], 0.25)
        markers.append(_cube(result, "detections", i, result.detections.boxes, color))
    return message_class("visualization_msgs/msg/MarkerArray")(markers=markers)


def track_markers(result: TickResult) -> Any:
    """`visualization_msgs/MarkerArray` of boxes, labels, velocities and futures, after one that clears."""
    tracks, futures = result.tracks, result.trajectories
    markers = [_marker(result, "clear", 0, CUBE, action=DELETE_ALL)]
    for i in range(len(tracks)):
        name, identity = tracks.class_names[i], int(tracks.track_ids[i])
        color, center = CLASS_COLORS[name], tracks.boxes.centers_m[i]
        speed = float(np.hypot(*tracks.boxes.velocities_mps[i]))
        markers.append(_cube(result, "boxes", i, tracks.boxes, (*color, 0.5)))
        above = SE3(translation_m=(center[0], center[1], center[2] + tracks.boxes.sizes_m[i, 2] / 2 + 0.5))
        text = f"{identity} {name} {speed:.1f} m/s"
        markers.append(_marker(result, "labels", i, TEXT, pose=above, scale=(0, 0, 0.6), color=(1, 1, 1, 1), text=text))
        if speed > MIN_ARROW_MPS:
            tip = center + np.array([*tracks.boxes.velocities_mps[i], 0.0])
            markers.append(
                _marker(result, "velocities", i, ARROW, scale=(0.15, 0.4, 0.4), color=(*color, 1), points=[center, tip])
            )
        for m in range(futures.probabilities.shape[1]):
            path = np.column_stack([futures.points_m[i, m], np.full(futures.points_m.shape[2], center[2])])
            fade = (*color, float(futures.probabilities[i, m]))
            line = i * futures.probabilities.shape[1] + m
            markers.append(
                _marker(result, "forecasts", line, LINE_STRIP, scale=(0.12, 0, 0), color=fade, points=[center, *path])
            )
    return message_class("visualization_msgs/msg/MarkerArray")(markers=markers)


def _cube(result: TickResult, namespace: str, index: int, boxes: Boxes, color: tuple[float, ...]) -> Any:
    x, y, z = (float(v) for v in boxes.centers_m[index])
    pose = SE3.from_yaw(float(boxes.yaws_rad[index]), (x, y, z))
    scale = tuple(float(v) for v in boxes.sizes_m[index])
    return _marker(result, namespace, index, CUBE, pose=pose, scale=scale, color=color)


def _marker(
    result: TickResult,
    namespace: str,
    index: int,
    kind: int,
    *,
    action: int = 0,
    pose: SE3 | None = None,
    scale: tuple[float, ...] = (1, 1, 1),
    color: tuple[float, ...] = (1, 1, 1, 1),
    text: str = "",
    points: list[Any] | None = None,
) -> Any:
    geometry = "geometry_msgs/msg/"
    point = message_class(geometry + "Point")
    red, green, blue, alpha = (float(v) for v in color)
    head = header(result.timestamp_ns, EGO_FRAME)
    return message_class("visualization_msgs/msg/Marker")(
        header=head,
        ns=namespace,
        id=index,
        type=kind,
        action=action,
        pose=pose_message(pose or SE3()),
        scale=message_class(geometry + "Vector3")(x=float(scale[0]), y=float(scale[1]), z=float(scale[2])),
        color=message_class("std_msgs/msg/ColorRGBA")(r=red, g=green, b=blue, a=alpha),
        lifetime=message_class("builtin_interfaces/msg/Duration")(sec=0, nanosec=0),
        frame_locked=False,
        points=[point(x=float(p[0]), y=float(p[1]), z=float(p[2])) for p in points or []],
        colors=[],
        texture_resource="",
        texture=message_class("sensor_msgs/msg/CompressedImage")(header=head, format="", data=np.zeros(0, np.uint8)),
        uv_coordinates=[],
        text=text,
        mesh_resource="",
        mesh_file=message_class("visualization_msgs/msg/MeshFile")(filename="", data=np.zeros(0, np.uint8)),
        mesh_use_embedded_materials=False,
    )
