"""The load of the benchmark: drives of the synthetic world, enlarged to four 1600x900 JPEGs, 30,000 LiDAR points and
200 radar points a tick; made once, the same wherever it is made.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
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

WORLD, FIRST_SEED = "benchmark", 20
"""A seed of training: settings are tuned on others."""
SCENE_S = 20.0
TICKS_PER_SCENE = 190
"""At least so many of ten a second: at the beginning sensors have not delivered."""
MOST_SCENES = 4
IMAGE_PX = (1600, 900)
JPEG_QUALITY = 85
GRAIN = 3.0
"""Standard deviation, of 255, of the noise laid over enlarged pictures: without it they would decode too easily."""
LIDAR_POINTS, RADAR_POINTS = 30_000, 200

_Points = TypeVar("_Points", LidarSweep, RadarScan)


def benchmark_log(folder: Path, num_ticks: int) -> Path:
    """The log with enough distinct ticks, up to `MOST_SCENES` scenes; made in a folder unless it is there.

    Args:
        folder: Where such logs are kept.
        num_ticks: How many ticks are wanted.

    """
    scenes = min(MOST_SCENES, max(1, -(-num_ticks // TICKS_PER_SCENE)))
    world = load_world(WORLD)
    text = f"{world.model_dump_json()} {IMAGE_PX} {JPEG_QUALITY} {GRAIN} {LIDAR_POINTS} {RADAR_POINTS} {SCENE_S}"
    path = folder / f"benchmark_{hashlib.sha256(text.encode()).hexdigest()[:12]}_{scenes}x{SCENE_S:g}s.mcap"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    seeds = range(FIRST_SEED, FIRST_SEED + scenes)
    drive = SyntheticDrive(world, seeds, SCENE_S, workers=os.cpu_count() or 1)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with LogWriter(partial, _enlarged_rig(drive.rig)) as writer, ProgressLine(drive.start_ns, drive.end_ns) as line:
            for message in drive.messages():
                writer.write(enlarged(message, len(drive.rig.channels("radar"))))
                line.show(message.received_ns, "making the load, once")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def enlarged(message: Message, num_radars: int) -> Message:
    """A message at the load's size: a picture enlarged with grain, a cloud thinned evenly to a fixed number."""
    if isinstance(message, CameraFrame):
        return replace(message, encoding="jpeg", data=_enlarged_jpeg(message))
    if isinstance(message, LidarSweep):
        return _thinned(message, LIDAR_POINTS)
    if isinstance(message, RadarScan):
        return _thinned(message, RADAR_POINTS // num_radars)
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


def _thinned(cloud: _Points, points: int) -> _Points:
    count = len(cloud.points_m)
    if count <= points:
        return cloud
    kept = np.arange(points) * count // points
    columns = {f.name: getattr(cloud, f.name) for f in fields(cloud)}
    return replace(cloud, **{name: value[kept] for name, value in columns.items() if isinstance(value, np.ndarray)})
