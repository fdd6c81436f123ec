"""Results as other stacks' messages: `vision_msgs` and Autoware's, with the definitions that are installed."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.perception.outputs import FUTURE_STEP_S, TickResult
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.schema import header, message_class

DETECTION_ARRAY = "vision_msgs/msg/Detection3DArray"
TRACKED_OBJECTS = "autoware_perception_msgs/msg/TrackedObjects"
PREDICTED_OBJECTS = "autoware_perception_msgs/msg/PredictedObjects"
AUTOWARE = "autoware_perception_msgs/msg/"
GEOMETRY = "geometry_msgs/msg/"
UNKNOWN = 0
AUTOWARE_LABELS = {
    "car": 1,
    "truck": 2,
    "construction_vehicle": 2,
    "bus": 3,
    "trailer": 4,
    "motorcycle": 5,
    "bicycle": 6,
    "pedestrian": 7,
}
BOUNDING_BOX, ORIENTATION_AVAILABLE = 0, 2
STATIONARY_MPS = 0.5


def detection_array(result: TickResult, frame_id: str) -> Any:
    """`vision_msgs/Detection3DArray` of the tracks in ego axes; it has no place for velocity and futures.

    The message's package must be known to the decoder (`is_readable`).
    """
    tracks, head = result.tracks, header(result.timestamp_ns, frame_id)
    poses = _poses(SE3(), tracks.boxes.centers_m, tracks.boxes.yaws_rad)
    detection, box = message_class("vision_msgs/msg/Detection3D"), message_class("vision_msgs/msg/BoundingBox3D")
    scored, hypothesis = (
        message_class("vision_msgs/msg/ObjectHypothesisWithPose"),
        message_class("vision_msgs/msg/ObjectHypothesis"),
    )
    return message_class(DETECTION_ARRAY)(
        header=head,
        detections=[
            detection(
                header=head,
                results=[
                    scored(
                        hypothesis=hypothesis(class_id=tracks.class_names[i], score=float(tracks.scores[i])),
                        pose=_with_covariance("Pose", pose),
                    )
                ],
                bbox=box(center=pose, size=_vector(tracks.boxes.sizes_m[i])),
                id=str(int(tracks.track_ids[i])),
            )
            for i, pose in enumerate(poses)
        ],
    )


def tracked_objects(result: TickResult, frame_id: str) -> Any:
    """`autoware_perception_msgs/TrackedObjects` in the odometry frame; the twist is along the object's own axes."""
    boxes = result.tracks.boxes
    poses, twists = _poses(result.odom_from_ego, boxes.centers_m, boxes.yaws_rad), _twists(result)
    speeds_mps = np.hypot(*boxes.velocities_mps.T)
    kinematics, entry = message_class(AUTOWARE + "TrackedObjectKinematics"), message_class(AUTOWARE + "TrackedObject")
    return message_class(TRACKED_OBJECTS)(
        header=header(result.timestamp_ns, frame_id),
        objects=[
            entry(
                **_identity(result, i),
                kinematics=kinematics(
                    pose_with_covariance=_with_covariance("Pose", poses[i]),
                    twist_with_covariance=_with_covariance("Twist", twists[i]),
                    acceleration_with_covariance=_no_acceleration(),
                    orientation_availability=ORIENTATION_AVAILABLE,
                    is_stationary=bool(speeds_mps[i] < STATIONARY_MPS),
                ),
            )
            for i in range(len(result.tracks))
        ],
    )


def predicted_objects(result: TickResult, frame_id: str) -> Any:
    """`autoware_perception_msgs/PredictedObjects` in the odometry frame; every path begins where the object is."""
    boxes, futures = result.tracks.boxes, result.trajectories
    poses, twists, paths = (
        _poses(result.odom_from_ego, boxes.centers_m, boxes.yaws_rad),
        _twists(result),
        _paths(result),
    )
    kinematics, entry = (
        message_class(AUTOWARE + "PredictedObjectKinematics"),
        message_class(AUTOWARE + "PredictedObject"),
    )
    path, duration = message_class(AUTOWARE + "PredictedPath"), message_class("builtin_interfaces/msg/Duration")
    seconds, nanoseconds = divmod(round(FUTURE_STEP_S * 1e9), 1_000_000_000)
    step = duration(sec=seconds, nanosec=nanoseconds)
    modes, length = futures.probabilities.shape[1], futures.points_m.shape[2] + 1
    return message_class(PREDICTED_OBJECTS)(
        header=header(result.timestamp_ns, frame_id),
        objects=[
            entry(
                **_identity(result, i),
                kinematics=kinematics(
                    initial_pose_with_covariance=_with_covariance("Pose", poses[i]),
                    initial_twist_with_covariance=_with_covariance("Twist", twists[i]),
                    initial_acceleration_with_covariance=_no_acceleration(),
                    predicted_paths=[
                        path(
                            path=paths[(i * modes + m) * length : (i * modes + m + 1) * length],
                            time_step=step,
                            confidence=float(futures.probabilities[i, m]),
                        )
                        for m in range(modes)
                    ],
                ),
            )
            for i in range(len(result.tracks))
        ],
    )


def _identity(result: TickResult, row: int) -> dict[str, Any]:
    """What Autoware's tracked and predicted objects share."""
    tracks, polygon = result.tracks, message_class(GEOMETRY + "Polygon")
    identity = uuid.uuid5(uuid.NAMESPACE_OID, f"tricast track {int(tracks.track_ids[row])}")
    label, score = AUTOWARE_LABELS.get(tracks.class_names[row], UNKNOWN), float(tracks.scores[row])
    shape = message_class(AUTOWARE + "Shape")
    return {
        "object_id": message_class("unique_identifier_msgs/msg/UUID")(uuid=np.frombuffer(identity.bytes, np.uint8)),
        "existence_probability": score,
        "classification": [message_class(AUTOWARE + "ObjectClassification")(label=label, probability=score)],
        "shape": shape(type=BOUNDING_BOX, footprint=polygon(points=[]), dimensions=_vector(tracks.boxes.sizes_m[row])),
    }


def _paths(result: TickResult) -> list[Any]:
    """Poses of all futures, (N, M, 13) row by row: heading along each step, kept where there is none."""
    boxes, points_m = result.tracks.boxes, result.trajectories.points_m
    count, modes, steps = points_m.shape[:3]
    begin_m = np.broadcast_to(boxes.centers_m[:, None, None, :2], (count, modes, 1, 2))
    places_m = np.concatenate([begin_m, points_m], axis=2)
    yaws_rad = np.empty((count, modes, steps + 1))
    yaws_rad[:, :, 0] = boxes.yaws_rad[:, None]
    moves_m = np.diff(places_m, axis=2)
    moving = np.hypot(moves_m[..., 0], moves_m[..., 1]) > STATIONARY_MPS * FUTURE_STEP_S
    headings_rad = np.arctan2(moves_m[..., 1], moves_m[..., 0])
    for k in range(steps):
        yaws_rad[:, :, k + 1] = np.where(moving[:, :, k], headings_rad[:, :, k], yaws_rad[:, :, k])
    heights_m = np.broadcast_to(boxes.centers_m[:, None, None, 2:], (count, modes, steps + 1, 1))
    return _poses(
        result.odom_from_ego, np.concatenate([places_m, heights_m], axis=3).reshape(-1, 3), yaws_rad.reshape(-1)
    )


def _poses(frame_from_ego: SE3, centers_m: NDArray[np.float64], yaws_rad: NDArray[np.float64]) -> list[Any]:
    """`geometry_msgs/Pose` of upright things (N, 3), (N,) in ego axes, seen from another frame."""
    pose, point = message_class(GEOMETRY + "Pose"), message_class(GEOMETRY + "Point")
    quaternion = message_class(GEOMETRY + "Quaternion")
    ow, ox, oy, oz = frame_from_ego.quaternion_wxyz
    c, s = np.cos(yaws_rad / 2), np.sin(yaws_rad / 2)
    turns = np.stack([ox * c + oy * s, oy * c - ox * s, ow * s + oz * c, ow * c - oz * s], axis=1).tolist()
    places = frame_from_ego.apply(centers_m).tolist()
    return [
        pose(position=point(*place), orientation=quaternion(*turn)) for place, turn in zip(places, turns, strict=True)
    ]


def _twists(result: TickResult) -> list[Any]:
    """`geometry_msgs/Twist` of each track along its own axes."""
    boxes, twist = result.tracks.boxes, message_class(GEOMETRY + "Twist")
    c, s = np.cos(boxes.yaws_rad), np.sin(boxes.yaws_rad)
    vx, vy = boxes.velocities_mps.T
    own_mps = np.stack([c * vx + s * vy, c * vy - s * vx, np.zeros_like(vx)], axis=1)
    turns = result.tracks.turn_rates_radps
    return [twist(linear=_vector(own_mps[i]), angular=_vector((0.0, 0.0, turns[i]))) for i in range(len(result.tracks))]


def _with_covariance(kind: str, value: Any) -> Any:
    """A pose, twist or acceleration whose covariance is not known."""
    return message_class(f"{GEOMETRY}{kind}WithCovariance")(**{kind.lower(): value, "covariance": np.zeros(36)})


def _no_acceleration() -> Any:
    zero = _vector((0.0, 0.0, 0.0))
    return _with_covariance("Accel", message_class(GEOMETRY + "Accel")(linear=zero, angular=zero))


def _vector(values: Any) -> Any:
    x, y, z = values
    return message_class(GEOMETRY + "Vector3")(x=float(x), y=float(y), z=float(z))
