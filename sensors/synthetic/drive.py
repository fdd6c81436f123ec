"""A synthetic drive as a stream of messages: cameras, LiDAR, radars, poses and truth, the same for the same seed."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tricast.configs.errors import InputError
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.geometry.lenses import Lens
from tricast.sensors.geometry.se3 import wrap_angle
from tricast.sensors.log.stream import Message, stream_order
from tricast.sensors.synthetic.camera import encode_jpeg, render
from tricast.sensors.synthetic.casting import Backend, SceneCaster, default_backend
from tricast.sensors.synthetic.detailed_camera import render_detailed
from tricast.sensors.synthetic.lidar import sweep
from tricast.sensors.synthetic.radar import scan
from tricast.sensors.synthetic.radar_echoes import scan_echoes
from tricast.sensors.synthetic.rig import SyntheticRig, make_rig
from tricast.sensors.synthetic.scene import Scene, make_scene
from tricast.sensors.synthetic.truth import Visibility, annotate
from tricast.sensors.synthetic.world_config import WorldConfig
from tricast.sensors.worker_pool import WorkerPool

EPOCH_NS = 1_700_000_000_000_000_000
SCENE_GAP_NS = 5_000_000_000
MS_NS = 1_000_000
POSE_PERIOD_MS = 20
PIECE_MS = 1000
PHASE_MS = {"camera": 5, "lidar": 0, "radar": 12}
"""How long before the others' time a sensor measures; sensors of a kind are triggered together."""
TRUTH_PERIOD_MS = 500
SPARSE_KEPT = {"camera": 1, "lidar": 5, "radar": 3}
"""How many pictures, sweeps and scans a sparse drive records before each truth, at least."""
SPARSE_LEAD_MS = {"camera": 100, "lidar": 400, "radar": 250}
"""How long before a truth a sparse drive begins to record, at least: enough at the usual periods."""
LATENCY_MS = {"camera": 30, "lidar": 15, "radar": 10}
DERIVATIVE_S = 0.05


class SyntheticDrive:
    """Scenes one after another on one rig, with a gap of 5 s between them.

    Args:
        config: The world.
        seeds: One per scene; the first one also chooses the rig.
        seconds: Length of each scene.
        backend: Caster; the one that this machine can load unless given.
        workers: Processes that record pieces of the scenes; the messages are the same for any number.
        sparse: Leave out what no tick at a truth's stamp uses (see `SPARSE_KEPT`), for training. What is recorded
            has the same bytes as in the full drive.

    Raises:
        InputError: There is no scene, a seed is negative, or the scenes have no length.

    """

    def __init__(
        self,
        config: WorldConfig,
        seeds: Sequence[int],
        seconds: float,
        *,
        backend: Backend | None = None,
        workers: int = 1,
        sparse: bool = False,
    ) -> None:
        _check_scenes(seeds, seconds)
        self._config, self._seeds, self._length_ms = config, tuple(seeds), round(seconds * 1000)
        self._backend: Backend = backend or default_backend()
        self._workers = workers
        self._sparse = sparse
        self.rig = make_rig(config, self._seeds[0]).stated

    @property
    def start_ns(self) -> int:
        """Time at which the first scene begins."""
        return EPOCH_NS

    @property
    def end_ns(self) -> int:
        """Time at which the last scene ends."""
        return self.start_ns + len(self._seeds) * (self._length_ms * MS_NS + SCENE_GAP_NS) - SCENE_GAP_NS

    def messages(self) -> Iterator[Message]:
        """All messages in the order of their arrival."""
        pending: list[Message] = []
        for piece, made in self._recorded():
            pending = sorted([*pending, *made], key=stream_order)
            # What is made later arrives later than the end of this piece.
            ready = bisect_right(pending, piece.end_ns, key=lambda m: m.received_ns)
            yield from pending[:ready]
            pending = pending[ready:]
        yield from pending

    def _recorded(self) -> Iterator[tuple[Piece, list[Message]]]:
        pieces = list(self._pieces())
        if self._workers == 1:
            yield from ((piece, record(piece)) for piece in pieces)
            return
        with WorkerPool(self._workers) as pool:
            # No more than a few pieces ahead of the one that is asked for: memory stays bounded.
            waiting: deque[tuple[Piece, Future[list[Message]]]] = deque()
            for piece in pieces:
                waiting.append((piece, pool.submit(record, piece)))
                if len(waiting) > 2 * self._workers:
                    first, future = waiting.popleft()
                    yield first, future.result()
            yield from ((piece, future.result()) for piece, future in waiting)

    def _pieces(self) -> Iterator[Piece]:
        for index, seed in enumerate(self._seeds):
            # A piece ends with a truth, so that the next truth needs no measurement made before its own piece.
            for last_ms in range(PIECE_MS, self._length_ms + PIECE_MS, PIECE_MS):
                yield Piece(
                    config=self._config,
                    seed=seed,
                    rig_seed=self._seeds[0],
                    index=index,
                    length_ms=self._length_ms,
                    first_ms=last_ms - PIECE_MS + (last_ms > PIECE_MS),
                    last_ms=min(last_ms, self._length_ms),
                    backend=self._backend,
                    sparse=self._sparse,
                )


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a scene that one process records: from `first_ms` up to and including `last_ms`."""

    config: WorldConfig
    seed: int
    rig_seed: int
    index: int
    length_ms: int
    first_ms: int
    last_ms: int
    backend: Backend
    sparse: bool = False

    @property
    def begin_ns(self) -> int:
        """Time at which the scene begins."""
        return EPOCH_NS + self.index * (self.length_ms * MS_NS + SCENE_GAP_NS)

    @property
    def end_ns(self) -> int:
        """Time of the piece's last millisecond."""
        return self.begin_ns + self.last_ms * MS_NS


def sparse_lead_ms(modality: str, period_ms: int) -> int:
    """How long before a truth a sparse drive begins to record a sensor of some period, in ms."""
    shared_ms = math.gcd(period_ms, TRUTH_PERIOD_MS)
    # The newest measurement may be this old at a truth, in the worst case; the others lie whole periods before it.
    oldest_newest_ms = period_ms - shared_ms + PHASE_MS[modality] % shared_ms
    return max(SPARSE_LEAD_MS[modality], (SPARSE_KEPT[modality] - 1) * period_ms + oldest_newest_ms)


def _check_scenes(seeds: Sequence[int], seconds: float) -> None:
    if not seeds or min(seeds) < 0:
        raise InputError(
            where="--seeds",
            got=str(min(seeds)) if seeds else "no seed",
            expected="at least one, of 0 or more",
            remedy="give a first seed and a larger end",
        )
    if not 0.0005 < seconds < math.inf:
        raise InputError(
            where="--seconds",
            got=f"{seconds:g}",
            expected="a finite number of 0.001 or more",
            remedy="give the length of a scene in seconds",
        )


def record(piece: Piece) -> list[Message]:
    """The messages made during a piece, in the order in which they were made."""
    recorder = _recorder(piece.config.model_dump_json(), piece.seed, piece.length_ms, piece.backend, piece.rig_seed)
    return recorder.record(piece)


@lru_cache(maxsize=1)
def _recorder(config_json: str, seed: int, length_ms: int, backend: Backend, rig_seed: int) -> SceneRecorder:
    """Building a scene takes as long as recording a second of it, so a process keeps the last one."""
    config = WorldConfig.model_validate_json(config_json)
    return SceneRecorder(config, make_scene(config, seed, length_ms / 1000), seed, backend, make_rig(config, rig_seed))


class SceneRecorder:
    """The sensors of one scene."""

    def __init__(self, config: WorldConfig, scene: Scene, seed: int, backend: Backend, rig: SyntheticRig) -> None:
        self._config, self._scene, self._seed, self._rig = config, scene, seed, rig.true
        self._sensors = rig
        self._ego_pose = lru_cache(maxsize=8)(scene.world_from_ego)
        self._caster = SceneCaster(scene, backend)
        self._rays = {c: _rays(rig.true[c].lens) for c in rig.true.channels("camera")}
        self._measure: dict[str, Callable[[str, float, int, np.random.Generator], Message]] = {
            "camera": self._camera,
            "lidar": self._lidar,
            "radar": self._radar,
        }
        self._begin_ns, self._prefix = 0, ""
        self._seen = Visibility(num_actors=len(scene.actors))

    def record(self, piece: Piece) -> list[Message]:
        """See `record`."""
        self._begin_ns, self._prefix = piece.begin_ns, str(piece.index)
        self._seen = Visibility(num_actors=len(self._scene.actors))
        made: list[Message] = []
        # The truth counts what every channel saw last, which may lie in the piece before.
        config = self._config
        lead_ms = max(config.camera.period_ms, config.lidar.period_ms, config.radar.period_ms)
        first_truth_ms = -(-piece.first_ms // TRUTH_PERIOD_MS) * TRUTH_PERIOD_MS
        for now_ms in range(max(0, min(piece.first_ms, first_truth_ms - lead_ms)), piece.last_ms + 1):
            now = self._made_at(now_ms, piece.sparse)
            made += now if now_ms >= piece.first_ms else []
        return made

    def _made_at(self, now_ms: int, sparse: bool) -> list[Message]:
        now_ns, time_s = self._begin_ns + now_ms * MS_NS, now_ms / 1000
        made: list[Message] = []
        if now_ms % POSE_PERIOD_MS == 0:
            made.append(self._pose(time_s, now_ns))
        for number, channel in enumerate(self._rig.channels()):
            modality = self._rig[channel].modality
            period_ms: int = getattr(self._config, modality).period_ms
            phase_ms = PHASE_MS[modality]
            if sparse and -now_ms % TRUTH_PERIOD_MS > sparse_lead_ms(modality, period_ms):
                continue
            if now_ms >= (period_ms if modality == "lidar" else 1) and (now_ms + phase_ms) % period_ms == 0:
                rng = np.random.default_rng([self._seed, 2, now_ms, number])
                made.append(self._measure[modality](channel, time_s, now_ns, rng))
        if now_ms % TRUTH_PERIOD_MS == 0 and now_ms > 0:
            lidar = self._rig[self._rig.channels("lidar")[0]].ego_from_sensor
            origin = (self._ego_pose(time_s) @ lidar).translation
            reach = self._config.place.truth_range_m
            made.append(annotate(self._scene, self._caster, self._seen, origin, time_s, now_ns, reach, self._prefix))
        return made

    def _pose(self, time_s: float, now_ns: int) -> EgoPose:
        before, pose, after = (
            self._ego_pose(max(t, 0.0)) for t in (time_s - DERIVATIVE_S, time_s, time_s + DERIVATIVE_S)
        )
        span_s = 2 * DERIVATIVE_S if time_s >= DERIVATIVE_S else time_s + DERIVATIVE_S
        linear = pose.inverse.rotate(self._velocity(time_s))
        turn = float(wrap_angle(after.yaw_rad - before.yaw_rad)) / span_s
        return EgoPose(
            timestamp_ns=now_ns,
            received_ns=now_ns,
            odom_from_ego=pose,
            linear_velocity_mps=(float(linear[0]), float(linear[1]), float(linear[2])),
            angular_velocity_radps=(0.0, 0.0, turn),
        )

    def _velocity(self, time_s: float, lever_m: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Velocity (3,) over ground in world axes of a point of the vehicle."""
        lever = np.zeros(3) if lever_m is None else lever_m
        first, second = max(time_s - DERIVATIVE_S, 0.0), time_s + DERIVATIVE_S
        places = [self._ego_pose(t).apply(lever[None])[0] for t in (first, second)]
        return (places[1] - places[0]) / (second - first)

    def _lidar(self, channel: str, time_s: float, now_ns: int, rng: np.random.Generator) -> LidarSweep:
        mount = self._rig[channel].ego_from_sensor
        returns = sweep(self._scene, self._caster, mount, self._sensors.lidars[channel], time_s, rng)
        self._seen.note("lidar", channel, returns.owners)
        return LidarSweep.from_points(
            channel,
            now_ns,
            returns.points_m,
            intensity=returns.intensity,
            time_offsets_ns=np.rint(returns.offsets_s * 1e9),
            rings=returns.rings,
            received_ns=now_ns + LATENCY_MS["lidar"] * MS_NS,
        )

    def _camera(self, channel: str, time_s: float, now_ns: int, rng: np.random.Generator) -> CameraFrame:
        sensor, config = self._rig[channel], self._config.camera
        ego = self._ego_pose(time_s)
        frozen = self._caster.at(time_s)
        pose = ego @ sensor.ego_from_sensor
        look, detail, rays = self._sensors.looks.get(channel), self._config.detail, self._rays[channel]
        if look is None or detail is None:
            colors, owners = render(self._scene, frozen, pose, ego, rays, config.noise, rng)
        else:
            colors, owners = render_detailed(self._scene, frozen, pose, ego, rays, look, detail, rng)
        self._seen.note("pixels", channel, owners)
        return CameraFrame(
            channel=channel,
            timestamp_ns=now_ns,
            received_ns=now_ns + LATENCY_MS["camera"] * MS_NS,
            encoding="jpeg",
            data=encode_jpeg(colors, config.width_px, config.height_px, config.jpeg_quality),
        )

    def _radar(self, channel: str, time_s: float, now_ns: int, rng: np.random.Generator) -> RadarScan:
        mount = self._rig[channel].ego_from_sensor
        pose = self._ego_pose(time_s) @ mount
        velocity = self._velocity(time_s, mount.translation)
        frozen = self._caster.at(time_s)
        config = self._sensors.radars[channel]
        measure = scan if config.echoes is None else scan_echoes
        returns = measure(self._scene, frozen, pose, velocity, config, time_s, rng)
        self._seen.note("radar", channel, returns.owners)
        return RadarScan.from_points(
            channel,
            now_ns,
            returns.points_m,
            rcs_dbsm=returns.rcs_dbsm,
            radial_velocities_mps=returns.radial_velocities_mps,
            received_ns=now_ns + LATENCY_MS["radar"] * MS_NS,
        )


def _rays(lens: Lens | None) -> NDArray[np.float32]:
    """Rays (H * W, 3) of a lens through its pixels, in optical axes."""
    assert lens is not None
    y, x = np.mgrid[0 : lens.height_px, 0 : lens.width_px]
    return lens.rays(np.stack([x.ravel(), y.ravel()], axis=1)).astype(np.float32)
