"""Frames and results by hand: a street with five objects, four cameras, a LiDAR and a radar."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from tricast.perception.outputs import NUM_FUTURE_STEPS, Detections, TickResult, Tracks, Trajectories
from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import CameraFrame, LidarSweep, RadarScan
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.lenses import FisheyeLens, PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synced_frame import ChannelHealth, SyncedFrame

NOW_NS = 2_000_000_000
# (x, y, yaw, vx, vy, class); sizes by class.
STREET = (
    (12.0, 0.0, 0.0, 8.0, 0.0, "car"),
    (20.0, 4.0, math.pi, -9.0, 0.0, "truck"),
    (9.0, -5.0, math.pi / 2, 0.0, 1.4, "pedestrian"),
    (-10.0, 3.5, 0.0, 0.0, 0.0, "bus"),
    (2.0, 9.0, 0.3, 4.0, 1.2, "bicycle"),
)
SIZES = {
    "car": (4.5, 1.9, 1.6),
    "truck": (7, 2.5, 3),
    "pedestrian": (0.7, 0.7, 1.8),
    "bus": (11, 2.9, 3.4),
    "bicycle": (1.8, 0.6, 1.5),
}


def _looking(yaw_rad: float) -> SE3:
    """Optical axes (x right, y down, z forward) 1.6 m up, looking along a heading."""
    cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([[sin, 0, cos], [-cos, 0, sin], [0, -1, 0]])
    matrix[:3, 3] = (0, 0, 1.6)
    return SE3.from_matrix(matrix)


@pytest.fixture
def rig() -> Rig:
    pinhole = PinholeLens(width_px=320, height_px=192, focal_px=(200.0, 200.0), principal_px=(159.5, 95.5))
    fisheye = FisheyeLens(width_px=320, height_px=192, focal_px=(110.0, 110.0), principal_px=(159.5, 95.5))
    looks = {"CAM_FRONT": 0.0, "CAM_LEFT": math.pi / 2, "CAM_RIGHT": -math.pi / 2, "CAM_BACK": math.pi}
    cameras = [
        SensorCalibration(
            channel=channel,
            modality="camera",
            ego_from_sensor=_looking(yaw),
            lens=pinhole if yaw in (0.0, math.pi) else fisheye,
        )
        for channel, yaw in looks.items()
    ]
    lidar = SensorCalibration(channel="LIDAR_TOP", modality="lidar", ego_from_sensor=SE3(translation_m=(0, 0, 2)))
    radar = SensorCalibration(channel="RADAR_FRONT", modality="radar", ego_from_sensor=SE3(translation_m=(3, 0, 0.5)))
    return Rig.of([*cameras, lidar, radar])


@pytest.fixture
def frame(rig: Rig) -> SyncedFrame:
    """Every sensor at the tick; the ground around the vehicle as 3000 points."""
    shade = np.linspace(150, 60, 192).astype(np.uint8)
    pixels = np.ascontiguousarray(np.broadcast_to(shade[:, None, None], (192, 320, 3)))
    rng = np.random.default_rng(0)
    angle, distance = rng.uniform(0, 2 * math.pi, 3000), rng.uniform(3, 50, 3000)
    ground = np.column_stack([distance * np.cos(angle), distance * np.sin(angle), np.full(3000, -2.0)])
    radar_points = np.array([[9.0, 0.0, 0.0], [17.0, 4.0, 0.0]])
    return SyncedFrame.of(
        rig,
        NOW_NS,
        [
            *(CameraFrame.from_pixels(channel, NOW_NS, pixels) for channel in rig.channels("camera")),
            LidarSweep.from_points("LIDAR_TOP", NOW_NS, ground),
            RadarScan.from_points(
                "RADAR_FRONT", NOW_NS, radar_points, compensated_velocities_mps=np.array([8.0, -9.0])
            ),
        ],
    )


@pytest.fixture
def bare_frame(rig: Rig) -> SyncedFrame:
    """A tick at which nothing has arrived yet."""
    return SyncedFrame.of(rig, NOW_NS, [])


@pytest.fixture
def make_result() -> Callable[..., TickResult]:
    """Builds a result from rows (x, y, yaw, vx, vy, class); boxes stand on the ground, two futures each."""

    def make(rows: tuple[tuple[float, float, float, float, float, str], ...] = STREET) -> TickResult:
        names = tuple(row[5] for row in rows)
        values = np.array([row[:5] for row in rows], dtype=np.float64).reshape(-1, 5)
        sizes = np.array([SIZES[name] for name in names], dtype=np.float64).reshape(-1, 3)
        boxes = Boxes(
            centers_m=np.column_stack([values[:, :2], sizes[:, 2] / 2]),
            sizes_m=sizes,
            yaws_rad=values[:, 2].copy(),
            velocities_mps=values[:, 3:].copy(),
        )
        times = 0.5 * np.arange(1, NUM_FUTURE_STEPS + 1)
        straight = values[:, None, :2] + values[:, None, 3:] * times[None, :, None]
        turned = straight + 0.1 * times[None, :, None] ** 2 * np.stack([-values[:, 4], values[:, 3]], axis=-1)[:, None]
        return TickResult(
            timestamp_ns=NOW_NS,
            odom_from_ego=SE3(),
            detections=Detections(timestamp_ns=NOW_NS, boxes=boxes, class_names=names, scores=np.full(len(rows), 0.9)),
            tracks=Tracks(
                timestamp_ns=NOW_NS,
                boxes=boxes,
                class_names=names,
                scores=np.full(len(rows), 0.9),
                track_ids=np.arange(1, len(rows) + 1),
                turn_rates_radps=np.zeros(len(rows)),
                detection_indices=np.arange(len(rows)),
                class_scores=np.zeros((len(rows), 10)),
            ),
            trajectories=Trajectories(
                probabilities=np.tile([0.7, 0.3], (len(rows), 1)), points_m=np.stack([straight, turned], axis=1)
            ),
            inputs=(),
            health={
                "CAM_FRONT": ChannelHealth(state="ok", age_ns=0),
                "RADAR_FRONT": ChannelHealth(state="lost", age_ns=900_000_000),
            },
        )

    return make


@pytest.fixture
def truth(make_result: Callable[..., TickResult]) -> Annotations:
    tracks = make_result().tracks
    ids = tuple(str(i) for i in tracks.track_ids)
    return Annotations.from_boxes(NOW_NS, tracks.boxes, tracks.class_names, ids)
