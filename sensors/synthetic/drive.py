"""A synthetic drive as a stream of messages: cameras, LiDAR, radars, poses and truth, the same for the same seed."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tricast.sensors.annotations import FUTURE_STEP_S, NUM_FUTURE_STEPS, Annotations
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.boxes import Boxes
from tricast.sensors.geometry.lenses import PinholeLens
from tricast.sensors.geometry.se3 import SE3, wrap_angle
from tricast.sensors.log.stream import Message, stream_order
from tricast.sensors.synthetic.casting import GROUND, NOTHING, Caster
from tricast.sensors.synthetic.scene import LANE_WIDTH_M, Scene, make_scene
from tricast.sensors.synthetic.world_config import WorldConfig

EPOCH_NS = 1_700_000_000_000_000_000
SCENE_GAP_NS = 5_000_000_000
MS_NS = 1_000_000
POSE_PERIOD_MS = 20
TRUTH_PERIOD_MS = 500
TRUTH_RANGE_M = 60.0
LATENCY_MS = {"camera": 30, "lidar": 15, "radar": 10}
SUN = np.array([0.4, 0.3, 0.87])
CAMERA_YAWS = {"CAM_FRONT": 0.0, "CAM_LEFT": 1.4, "CAM_RIGHT": -1.4, "CAM_BACK": math.pi}
OPTICAL = SE3(quaternion_wxyz=(0.5, -0.5, 0.5, -0.5))
"""Body axes (x forward, y left, z up) from optical axes (x right, y down, z forward)."""


class SyntheticDrive:
    """Scenes one after another on one rig, with a gap of 5 s between them.

    Args:
        config: The world.
        seeds: One per scene.
        seconds: Length of each scene.

    """

    def __init__(self, config: WorldConfig, seeds: Sequence[int], seconds: float) -> None:
        self._config, self._seeds, self._length_ms = config, tuple(seeds), round(seconds * 1000)
        self.rig = _rig(config)

    def messages(self) -> Iterator[Message]:
        """All messages in the order of their arrival."""
        for index, seed in enumerate(self._seeds):
            begin_ns = EPOCH_NS + index * (self._length_ms * MS_NS + SCENE_GAP_NS)
            yield from self._scene_messages(make_scene(self._config.street, seed), seed, index, begin_ns)

    def _scene_messages(self, scene: Scene, seed: int, index: int, begin_ns: int) -> Iterator[Message]:
        pending: list[Message] = []
        for now_ms in range(self._length_ms + 1):
            now_ns = begin_ns + now_ms * MS_NS
            made: list[Message] = []
            if now_ms % POSE_PERIOD_MS == 0:
                made.append(_pose(scene, now_ms / 1000, now_ns))
            for channel in self.rig.channels():
                modality = self.rig[channel].modality
                period_ms, phase_ms = self._timing(channel)
                if now_ms > 0 and (now_ms + phase_ms) % period_ms == 0 and (modality != "lidar" or now_ms >= period_ms):
                    rng = np.random.default_rng([seed, 2, now_ms, self.rig.channels().index(channel)])
                    made.append(getattr(self, f"_{modality}")(scene, channel, now_ms / 1000, now_ns, rng))
            if now_ms % TRUTH_PERIOD_MS == 0 and now_ms > 0:
                sweep = next((m for m in reversed(made) if isinstance(m, LidarSweep)), None)
                made.append(_truth(scene, self.rig, sweep, now_ms / 1000, now_ns, index))
            pending = sorted([*pending, *made], key=stream_order)
            while pending and pending[0].received_ns <= now_ns:
                yield pending.pop(0)
        yield from pending

    def _timing(self, channel: str) -> tuple[int, int]:
        modality = self.rig[channel].modality
        period_ms: int = getattr(self._config, modality).period_ms
        phase_ms = 0 if modality == "lidar" else 7 * self.rig.channels(modality).index(channel) + 5
        return period_ms, phase_ms

    def _lidar(self, scene: Scene, channel: str, time_s: float, now_ns: int, rng: np.random.Generator) -> LidarSweep:
        config, extrinsics = self._config.lidar, self.rig[channel].ego_from_sensor
        elevations = np.linspace(config.lowest_rad, config.highest_rad, config.num_beams)
        parts: list[tuple[NDArray[np.float64], ...]] = []
        for columns in np.array_split(np.arange(config.num_columns), config.num_slices):
            azimuth, elevation = (
                a.reshape(-1) for a in np.meshgrid(-2 * np.pi * columns / config.num_columns, elevations)
            )
            rings = np.repeat(np.arange(config.num_beams), len(columns))
            offsets_s = config.period_ms / 1000 * (np.tile(columns, config.num_beams) / config.num_columns - 1)
            local = np.stack(
                [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], axis=1
            )
            caster = Caster(scene, time_s + float(offsets_s.mean()))
            origins = np.zeros((len(local), 3)) + extrinsics.translation + scene.ego_position_m(time_s)
            origins[:, 0] += scene.ego_speed_mps * offsets_s
            directions = extrinsics.rotate(local)
            hits = caster.cast(origins, directions)
            incidence = np.abs((hits.normals * directions).sum(axis=1))
            seen = (hits.distances_m < config.max_range_m) & (rng.random(len(local)) > config.drop_out)
            seen &= rng.random(len(local)) < 0.3 + 0.7 * incidence**0.3
            ranges = hits.distances_m + rng.normal(0, config.range_noise_m, len(local))
            intensity = _albedo(scene, hits.actors).mean(axis=1) * (0.2 + 0.8 * incidence)
            parts.append((local[seen] * ranges[seen, None], intensity[seen], offsets_s[seen] * 1e9, rings[seen]))
        points, intensity, offsets_ns, rings = (np.concatenate(column) for column in zip(*parts, strict=True))
        return LidarSweep.from_points(
            channel,
            now_ns,
            points,
            intensity=intensity,
            time_offsets_ns=np.rint(offsets_ns),
            rings=rings,
            received_ns=now_ns + LATENCY_MS["lidar"] * MS_NS,
        )

    def _camera(self, scene: Scene, channel: str, time_s: float, now_ns: int, rng: np.random.Generator) -> CameraFrame:
        sensor = self.rig[channel]
        assert sensor.lens is not None
        width, height = sensor.lens.width_px, sensor.lens.height_px
        y, x = np.mgrid[0:height, 0:width]
        directions = sensor.ego_from_sensor.rotate(sensor.lens.rays(np.stack([x.ravel(), y.ravel()], axis=1)))
        origins = np.tile(sensor.ego_from_sensor.translation + scene.ego_position_m(time_s), (len(directions), 1))
        hits = Caster(scene, time_s).cast(origins, directions)
        light = 0.45 + 0.55 * np.clip(hits.normals @ SUN, 0, 1)
        color = _albedo(scene, hits.actors) * light[:, None]
        nothing = hits.actors == NOTHING
        points = origins + directions * np.where(nothing, 0, hits.distances_m)[:, None]
        color[hits.actors == GROUND] = _ground_color(points[hits.actors == GROUND])
        sky = np.array([0.55, 0.7, 0.9]) - 0.3 * np.clip(directions[:, 2:], 0, 1) * np.array([1.0, 0.6, 0.2])
        color = np.where(nothing[:, None], sky, color)
        haze = 1 - np.exp(-np.where(nothing, 0, hits.distances_m) / 250)
        color = color * (1 - haze[:, None]) + 0.7 * haze[:, None] + rng.normal(0, 0.012, color.shape)
        pixels = (255 * np.clip(color, 0, 1)).astype(np.uint8).reshape(height, width, 3)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, format="JPEG", quality=self._config.camera.jpeg_quality)
        return CameraFrame(
            channel=channel,
            timestamp_ns=now_ns,
            received_ns=now_ns + LATENCY_MS["camera"] * MS_NS,
            encoding="jpeg",
            data=buffer.getvalue(),
        )

    def _radar(self, scene: Scene, channel: str, time_s: float, now_ns: int, rng: np.random.Generator) -> RadarScan:
        config, extrinsics = self._config.radar, self.rig[channel].ego_from_sensor
        origin = extrinsics.translation + scene.ego_position_m(time_s)
        caster = Caster(scene, time_s)
        rows: list[tuple[float, float, float, float]] = []
        own = np.array([scene.ego_speed_mps, 0.0, 0.0])
        for index, actor in enumerate(scene.actors):
            for _ in range(3):
                target = actor.center_m(time_s) + rng.uniform(-0.4, 0.4, 3) * actor.size_m
                sight = target - origin
                distance = float(np.linalg.norm(sight))
                sight = sight / distance
                if distance > config.max_range_m or rng.random() > config.detection_rate:
                    continue
                if caster.cast(origin[None], sight[None]).actors[0] != index:
                    continue
                doppler = float((actor.velocity_mps - own) @ sight)
                azimuth = math.atan2(*(extrinsics.inverse.rotate(sight)[1::-1]))
                if abs(azimuth) < config.half_view_rad:
                    rows.append((distance, azimuth, doppler, actor.rcs_dbsm + float(rng.normal(0, 3))))
        for _ in range(config.num_clutter):
            azimuth = float(rng.uniform(-config.half_view_rad, config.half_view_rad))
            sight = extrinsics.rotate(np.array([math.cos(azimuth), math.sin(azimuth), 0.0]))
            rows.append(
                (float(rng.uniform(3, config.max_range_m)), azimuth, float(-own @ sight), float(rng.normal(-10, 4)))
            )
        values = np.array(rows).reshape(-1, 4)
        ranges = values[:, 0] + rng.normal(0, config.range_noise_m, len(values))
        azimuths = values[:, 1] + rng.normal(0, config.azimuth_noise_rad, len(values))
        return RadarScan.from_points(
            channel,
            now_ns,
            np.stack([ranges * np.cos(azimuths), ranges * np.sin(azimuths), np.zeros(len(values))], axis=1),
            rcs_dbsm=values[:, 3],
            radial_velocities_mps=values[:, 2] + rng.normal(0, config.doppler_noise_mps, len(values)),
            received_ns=now_ns + LATENCY_MS["radar"] * MS_NS,
        )


def _rig(config: WorldConfig) -> Rig:
    camera = config.camera
    lens = PinholeLens(
        width_px=camera.width_px,
        height_px=camera.height_px,
        focal_px=(camera.focal_px, camera.focal_px),
        principal_px=((camera.width_px - 1) / 2, (camera.height_px - 1) / 2),
    )
    sensors = [
        SensorCalibration(channel="LIDAR_TOP", modality="lidar", ego_from_sensor=SE3(translation_m=(1.0, 0.0, 1.9)))
    ]
    for channel, yaw in CAMERA_YAWS.items():
        body = SE3.from_yaw(yaw, (1.0 + 0.5 * math.cos(yaw), 0.5 * math.sin(yaw), 1.6))
        sensors.append(SensorCalibration(channel=channel, modality="camera", ego_from_sensor=body @ OPTICAL, lens=lens))
    for channel, yaw, x_m in (("RADAR_FRONT", 0.0, 3.6), ("RADAR_BACK", math.pi, -1.0)):
        mount = SE3.from_yaw(yaw, (x_m, 0.0, 0.6))
        sensors.append(SensorCalibration(channel=channel, modality="radar", ego_from_sensor=mount))
    return Rig.of(sensors)


def _albedo(scene: Scene, actors: NDArray[np.int64]) -> NDArray[np.float64]:
    table = np.vstack([[actor.color for actor in scene.actors], [[0.0] * 3], [[0.35] * 3]])
    return table[actors]  # NOTHING is -2 and GROUND is -1: the last two rows


def _ground_color(points_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Asphalt with a dashed centre line, pavements and grass."""
    across, along = np.abs(points_m[:, 1]), points_m[:, 0]
    color = np.tile([0.30, 0.45, 0.22], (len(points_m), 1))
    color[across < LANE_WIDTH_M + 7.5] = (0.55, 0.54, 0.52)
    color[across < LANE_WIDTH_M + 3.0] = (0.28, 0.28, 0.30)
    color[(across < 0.1) & (along % 6 < 3)] = (0.9, 0.9, 0.88)
    return color


def _pose(scene: Scene, time_s: float, now_ns: int) -> EgoPose:
    x, y, z = (float(v) for v in scene.ego_position_m(time_s))
    return EgoPose(
        timestamp_ns=now_ns,
        received_ns=now_ns,
        odom_from_ego=SE3(translation_m=(x, y, z)),
        linear_velocity_mps=(scene.ego_speed_mps, 0.0, 0.0),
        angular_velocity_radps=(0.0, 0.0, 0.0),
    )


def _truth(scene: Scene, rig: Rig, sweep: LidarSweep | None, time_s: float, now_ns: int, index: int) -> Annotations:
    ego = scene.ego_position_m(time_s)
    users = [a for a in scene.actors if a.class_name is not None]
    users = [a for a in users if np.linalg.norm(a.center_m(time_s)[:2] - ego[:2]) < TRUTH_RANGE_M]
    boxes = Boxes(
        centers_m=np.array([a.center_m(time_s) - ego for a in users]).reshape(-1, 3),
        sizes_m=np.array([a.size_m for a in users]).reshape(-1, 3),
        yaws_rad=np.array([wrap_angle(a.yaw_rad) for a in users], dtype=np.float64),
        velocities_mps=np.array([a.velocity_mps[:2] for a in users]).reshape(-1, 2),
    )
    counts = np.full(len(users), -1, np.int32)
    if sweep is not None:
        # Points were measured from where the vehicle was at their own time.
        points = rig[sweep.channel].ego_from_sensor.apply(sweep.points_m.astype(np.float64))
        points[:, 0] += scene.ego_speed_mps * sweep.time_offsets_ns / 1e9
        counts = boxes.contains(points).sum(axis=1).astype(np.int32)
    steps = FUTURE_STEP_S * np.arange(1, NUM_FUTURE_STEPS + 1)
    futures = boxes.centers_m[:, None, :2] + boxes.velocities_mps[:, None] * steps[None, :, None]
    return Annotations(
        timestamp_ns=now_ns,
        received_ns=now_ns,
        boxes=boxes,
        class_names=tuple(str(a.class_name) for a in users),
        instance_ids=tuple(f"{index}/{a.instance_id}" for a in users),
        num_lidar_points=counts,
        num_radar_points=np.full(len(users), -1, np.int32),
        num_visible_pixels=np.full(len(users), -1, np.int32),
        occlusion=np.full(len(users), np.nan, np.float32),
        futures_m=futures,
    )
