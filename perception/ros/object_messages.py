"""Results as other stacks' messages: `vision_msgs` and Autoware's, built from the packages that are installed."""

from __future__ import annotations

import math
import uuid
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.perception.outputs import FUTURE_STEP_S, TickResult
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.ros.installation import message_type

DETECTION_ARRAY = "vision_msgs/msg/Detection3DArray"
TRACKED_OBJECTS = "autoware_perception_msgs/msg/TrackedObjects"
PREDICTED_OBJECTS = "autoware_perception_msgs/msg/PredictedObjects"
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


def installed(type_name: str) -> bool:
    """Whether a type's package is installed here."""
    return message_type(type_name) is not None


def detection_array(result: TickResult, frame_id: str) -> Any:
    """`vision_msgs/Detection3DArray` of the tracks in ego axes; it has no place for velocity and futures."""
    message = _new(DETECTION_ARRAY)
    _fill_header(message.header, result.timestamp_ns, frame_id)
    tracks = result.tracks
    for i in range(len(tracks)):
        detection, hypothesis = _new("vision_msgs/msg/Detection3D"), _new("vision_msgs/msg/ObjectHypothesisWithPose")
        _fill_header(detection.header, result.timestamp_ns, frame_id)
        pose = SE3.from_yaw(float(tracks.boxes.yaws_rad[i]), _triple(tracks.boxes.centers_m[i]))
        hypothesis.hypothesis.class_id = tracks.class_names[i]
        hypothesis.hypothesis.score = float(tracks.scores[i])
        _fill_pose(hypothesis.pose.pose, pose)
        detection.results = [hypothesis]
        _fill_pose(detection.bbox.center, pose)
        _fill_vector(detection.bbox.size, tracks.boxes.sizes_m[i])
        detection.id = str(int(tracks.track_ids[i]))
        message.detections.append(detection)
    return message


def tracked_objects(result: TickResult, frame_id: str) -> Any:
    """`autoware_perception_msgs/TrackedObjects` in the odometry frame; the twist is along the object's own axes."""
    message = _new(TRACKED_OBJECTS)
    _fill_header(message.header, result.timestamp_ns, frame_id)
    for i in range(len(result.tracks)):
        entry = _object(result, i, "autoware_perception_msgs/msg/TrackedObject")
        kinematics = entry.kinematics
        _fill_pose(kinematics.pose_with_covariance.pose, _odom_from_object(result, i))
        _fill_twist(kinematics.twist_with_covariance.twist, result, i)
        kinematics.orientation_availability = ORIENTATION_AVAILABLE
        kinematics.is_stationary = bool(np.hypot(*result.tracks.boxes.velocities_mps[i]) < STATIONARY_MPS)
        message.objects.append(entry)
    return message


def predicted_objects(result: TickResult, frame_id: str) -> Any:
    """`autoware_perception_msgs/PredictedObjects` in the odometry frame; every path begins where the object is."""
    message = _new(PREDICTED_OBJECTS)
    _fill_header(message.header, result.timestamp_ns, frame_id)
    for i in range(len(result.tracks)):
        entry = _object(result, i, "autoware_perception_msgs/msg/PredictedObject")
        kinematics = entry.kinematics
        _fill_pose(kinematics.initial_pose_with_covariance.pose, _odom_from_object(result, i))
        _fill_twist(kinematics.initial_twist_with_covariance.twist, result, i)
        futures = result.trajectories
        kinematics.predicted_paths = [
            _path(result, i, futures.points_m[i, m], float(futures.probabilities[i, m]))
            for m in range(futures.probabilities.shape[1])
        ]
        message.objects.append(entry)
    return message


def _object(result: TickResult, row: int, type_name: str) -> Any:
    entry, label = _new(type_name), _new("autoware_perception_msgs/msg/ObjectClassification")
    identity = uuid.uuid5(uuid.NAMESPACE_OID, f"tricast track {int(result.tracks.track_ids[row])}")
    entry.object_id.uuid = np.frombuffer(identity.bytes, np.uint8)
    entry.existence_probability = float(result.tracks.scores[row])
    label.label = AUTOWARE_LABELS.get(result.tracks.class_names[row], UNKNOWN)
    label.probability = float(result.tracks.scores[row])
    entry.classification = [label]
    entry.shape.type = BOUNDING_BOX
    _fill_vector(entry.shape.dimensions, result.tracks.boxes.sizes_m[row])
    return entry


def _path(result: TickResult, row: int, points_m: NDArray[np.float64], probability: float) -> Any:
    path, pose_type = _new("autoware_perception_msgs/msg/PredictedPath"), message_type("geometry_msgs/msg/Pose")
    assert pose_type is not None
    center_m, yaw_rad = result.tracks.boxes.centers_m[row], float(result.tracks.boxes.yaws_rad[row])
    places_m = np.vstack([center_m[:2], points_m])
    for k, place_m in enumerate(places_m):
        step_m = places_m[k] - places_m[k - 1] if k else np.zeros(2)
        if math.hypot(step_m[0], step_m[1]) > STATIONARY_MPS * FUTURE_STEP_S:
            yaw_rad = math.atan2(step_m[1], step_m[0])
        ego_from_object = SE3.from_yaw(yaw_rad, (float(place_m[0]), float(place_m[1]), float(center_m[2])))
        pose = pose_type()
        _fill_pose(pose, result.odom_from_ego @ ego_from_object)
        path.path.append(pose)
    path.time_step.sec, path.time_step.nanosec = divmod(round(FUTURE_STEP_S * 1e9), 1_000_000_000)
    path.confidence = probability
    return path


def _odom_from_object(result: TickResult, row: int) -> SE3:
    boxes = result.tracks.boxes
    return result.odom_from_ego @ SE3.from_yaw(float(boxes.yaws_rad[row]), _triple(boxes.centers_m[row]))


def _fill_twist(twist: Any, result: TickResult, row: int) -> None:
    boxes = result.tracks.boxes
    (vx, vy), yaw_rad = boxes.velocities_mps[row], float(boxes.yaws_rad[row])
    twist.linear.x = float(math.cos(yaw_rad) * vx + math.sin(yaw_rad) * vy)
    twist.linear.y = float(-math.sin(yaw_rad) * vx + math.cos(yaw_rad) * vy)
    twist.angular.z = float(result.tracks.turn_rates_radps[row])


def _new(type_name: str) -> Any:
    kind = message_type(type_name)
    assert kind is not None, f"{type_name} is installed wherever this is called"
    return kind()


def _fill_header(header: Any, timestamp_ns: int, frame_id: str) -> None:
    header.stamp.sec, header.stamp.nanosec = divmod(timestamp_ns, 1_000_000_000)
    header.frame_id = frame_id


def _fill_pose(pose: Any, value: SE3) -> None:
    _fill_vector(pose.position, value.translation_m)
    w, x, y, z = (float(q) for q in value.quaternion_wxyz)
    pose.orientation.w, pose.orientation.x, pose.orientation.y, pose.orientation.z = w, x, y, z


def _fill_vector(vector: Any, values: Any) -> None:
    vector.x, vector.y, vector.z = (float(v) for v in values)


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z
