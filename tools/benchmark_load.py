"""The loads of the benchmark: drives of synthetic worlds, enlarged to 1600x900 JPEGs and to fixed numbers of LiDAR and
radar points; made once, the same wherever they are made.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tricast.perception.config import PipelineConfig
from tricast.perception.streaming.replay import select_channels
from tricast.perception.streaming.tick_source import ticks
from tricast.sensors.calibration import Rig
from tricast.sensors.frames import CameraFrame, LidarSweep, RadarScan
from tricast.sensors.log.open_log import open_log
from tricast.sensors.log.stream import Message
from tricast.sensors.log.writer import LogWriter
from tricast.sensors.synced_frame import SyncedFrame
from tricast.sensors.synchronization import Synchronizer
from tricast.sensors.synthetic.drive import SyntheticDrive
from tricast.sensors.synthetic.world_config import load_world
from tricast.tools.progress import ProgressLine

IMAGE_PX = (1600, 900)
JPEG_QUALITY = 85
GRAIN = 3.0
"""Standard deviation, of 255, of the noise laid over enlarged pictures: without it they would decode too easily."""
LIDAR_STEPS = np.float32(256)
"""Steps of a metre, and of full intensity, in which returns are told, as sensors do: noise below would only fill the
disk."""
AHEAD = 16
"""Messages that threads work on before the oldest is written."""

_Points = TypeVar("_Points", LidarSweep, RadarScan)


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a load is made of.

    Args:
        world: Name of a packaged world, which renders small pictures and at least so many LiDAR returns.
        seed: One of training: settings are tuned on others.
        scene_s: Length of the drive, seconds. Each tick has other bytes, more in all than any processor's cache holds.
        lidar_points: Of a sweep; more are thinned.
        radar_points: Of one scan of every radar together, at most.

    """

    world: str
    seed: int
    scene_s: float
    lidar_points: int
    radar_points: int


LOADS = {
    "standard": Load(world="benchmark", seed=20, scene_s=18.0, lidar_points=30_000, radar_points=200),
    "nuscenes": Load(world="benchmark_nuscenes", seed=20, scene_s=10.0, lidar_points=34_000, radar_points=250),
}
"""By the name that `--load` takes: four cameras and a LiDAR at 10 Hz, about 175 ticks and 180 MB; and what nuScenes'
vehicle carries, six cameras at 12 Hz, a LiDAR at 20 Hz and five radars at 13 Hz."""


def benchmark_log(folder: Path, load: Load) -> Path:
    """The log of a load; made in a folder unless it is there.

    Args:
        folder: Where such logs are kept.
        load: Which.

    """
    world = load_world(load.world)
    sizes = (
        f"{IMAGE_PX} {JPEG_QUALITY} {GRAIN} {load.lidar_points} {LIDAR_STEPS} {load.radar_points} {load.scene_s} "
        f"{load.seed}"
    )
    digest = hashlib.sha256(f"{world.model_dump_json()} {sizes}".encode()).hexdigest()[:12]
    path = folder / f"benchmark_{digest}_{load.scene_s:g}s.mcap"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    workers = os.cpu_count() or 1
    drive = SyntheticDrive(world, [load.seed], load.scene_s, workers=workers)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with LogWriter(partial, _enlarged_rig(drive.rig)) as writer, ProgressLine(drive.start_ns, drive.end_ns) as line:
            for message in _all_enlarged(drive, load, workers):
                writer.write(message)
                line.show(message.received_ns, "making the load, once")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _all_enlarged(drive: SyntheticDrive, load: Load, workers: int) -> Iterator[Message]:
    """The messages of a drive at the load's size, in their order; resizing and encoding run beside each other."""
    radars = len(drive.rig.channels("radar"))
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Message]] = deque()
        for message in drive.messages():
            waiting.append(pool.submit(enlarged, message, load, radars))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def enlarged(message: Message, load: Load, num_radars: int) -> Message:
    """A message at the load's size: a picture enlarged with grain, a cloud thinned evenly to a fixed number."""
    if isinstance(message, CameraFrame):
        return replace(message, encoding="jpeg", data=_enlarged_jpeg(message))
    if isinstance(message, LidarSweep):
        sweep = _thinned(message, load.lidar_points)
        return replace(sweep, points_m=_in_steps(sweep.points_m), intensity=_in_steps(sweep.intensity))
    if isinstance(message, RadarScan):
        return _thinned(message, load.radar_points // num_radars)
    return message


def log_ticks(
    path: Path, config: PipelineConfig, count: int, *, sensors: tuple[str, ...] | None = None
) -> Iterator[SyncedFrame]:
    """Consecutive ticks of any log, each read when it is asked for; passed over again where the log has too few.

    A pass begins with the first tick for which a chosen sensor has delivered; a further one is a discontinuity, so
    that memory and tracks start anew.

    Raises:
        InputError: The log does not open, or sensors are named that it has not.

    """
    made = 0
    while made < count:
        log = open_log(path)
        channels = select_channels(log.rig, sensors)
        synchronizer = Synchronizer(log.rig, config.synchronizer, origin_ns=log.start_ns, channels=channels)
        begin = made
        for frame, _ in ticks(log.messages(), synchronizer):
            if made == begin and not frame.inputs:
                continue
            yield replace(frame, discontinuity=True) if made == begin and made else frame
            made += 1
            if made == count:
                break
        if made == begin:
            return


def _enlarged_rig(rig: Rig) -> Rig:
    return Rig.of(
        sensor if sensor.lens is None else replace(sensor, lens=sensor.lens.scaled(*IMAGE_PX))
        for sensor in rig.sensors.values()
    )


def _enlarged_jpeg(frame: CameraFrame) -> bytes:
    image = Image.fromarray(frame.pixels()).resize(IMAGE_PX, Image.Resampling.BICUBIC)
    rng = np.random.default_rng([frame.timestamp_ns % (1 << 32), sum(frame.channel.encode())])
    # One grain for all colours of a pixel, drawn small and repeated: drawing it anew would take longer than encoding.
    grain = np.resize((GRAIN * rng.standard_normal(1 << 16)).astype(np.int16), (IMAGE_PX[1], IMAGE_PX[0], 1))
    pixels = np.clip(np.asarray(image, np.int16) + grain, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _in_steps(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.round(values * LIDAR_STEPS) / LIDAR_STEPS


def _thinned(cloud: _Points, points: int) -> _Points:
    count = len(cloud.points_m)
    if count <= points:
        return cloud
    kept = np.arange(points) * count // points
    columns = {f.name: getattr(cloud, f.name) for f in fields(cloud)}
    return replace(cloud, **{name: value[kept] for name, value in columns.items() if isinstance(value, np.ndarray)})
