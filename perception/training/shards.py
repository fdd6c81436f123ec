"""Shards: the ticks of one scene with truth, made once and read many times, one safetensors file per scene.

A folder holds `manifest.json` (format, and the settings that the ticks were made with) and files named after their
scenes. LiDAR coordinates are kept to 1/256 m, intensity and age as float16; images as the bytes that came.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from tricast.configs.errors import InputError
from tricast.perception.streaming.replay import check_writable, write_whole
from tricast.perception.tensor_files import write_tensors
from tricast.perception.tick_sample import CameraInput, SampleConfig, TickSample, sample_of
from tricast.perception.training.known_counts import with_known_counts
from tricast.perception.training.tick_truth import TickTruth, truth_of
from tricast.perception.undecoded_pictures import UndecodedPictures
from tricast.sensors.annotations import Annotations
from tricast.sensors.errors import SensorDataError
from tricast.sensors.frames import CameraFrame
from tricast.sensors.geometry.lenses import FisheyeLens, Lens, MeiLens, PinholeLens
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.synced_frame import SyncedFrame
from tricast.sensors.synchronization import SynchronizerConfig

FORMAT = 1
STEPS_PER_M = 256.0
MAX_RANGE_M = 127.0
"""What 16 bits of such steps hold, with a little to spare."""
LENSES: dict[str, type[PinholeLens] | type[FisheyeLens] | type[MeiLens]] = {
    "pinhole": PinholeLens,
    "fisheye": FisheyeLens,
    "mei": MeiLens,
}
FEWEST_SWEEPS = 5
"""So many reach lags of 0.4 s at 10 Hz."""
LOG_BYTES = "log_bytes"
"""In a shard's metadata: size of the file that it was made of."""
SMALLEST_PX = (1, 1)
"""Pictures are looked at as small as they decode, which takes least."""
JUMP_NS = int(SynchronizerConfig().gap_s * 1e9)
"""Ticks that lie further apart, or that go back in time, do not follow each other."""


def synchronizer_for(config: SampleConfig) -> SynchronizerConfig:
    """How a log is cut into ticks for training: with as many sweeps and scans as the network takes."""
    return SynchronizerConfig(
        lidar_sweeps=max(FEWEST_SWEEPS, len(config.lidar_lags_s)),
        lidar_span_s=max(config.lidar_lags_s) + config.lidar_lag_tolerance_s,
        radar_scans=config.radar_scans,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingTick:
    """One tick with its truth.

    Args:
        sample: What the network sees.
        truth: What is there.

    """

    sample: TickSample
    truth: TickTruth


def settings_digest(source: str, config: SampleConfig) -> str:
    """Short digest of what determines a shard's content: the source's own description and the sample settings."""
    # The span came later, and adds nothing at the 10 Hz of the worlds; the source of recorded logs has changed with it.
    timing = synchronizer_for(config).model_dump(mode="json", exclude={"lidar_span_s"})
    text = json.dumps([FORMAT, source, config.model_dump(mode="json"), timing])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class ShardWriter:
    """Adds scenes to a folder of shards.

    Args:
        folder: Made if it is not there.
        source: What the scenes come from, in words that change when their content does.
        config: Sample settings.

    Raises:
        InputError: The folder holds shards made with other settings or cannot be made, or the range is more than
            shards hold.

    """

    def __init__(self, folder: Path, *, source: str, config: SampleConfig) -> None:
        if config.range_m > MAX_RANGE_M:
            raise InputError(
                where="model.sample.range_m",
                got=f"{config.range_m:g}",
                expected=f"at most {MAX_RANGE_M:g} where shards are made: they keep places in 16 bits",
                remedy="train with a smaller range",
            )
        self._folder, self._config = folder, config
        manifest = {"format": FORMAT, "settings": settings_digest(source, config), "source": source}
        path = folder / "manifest.json"
        if not path.exists():
            check_writable(folder, "shards in")
            write_whole(path, json.dumps({**manifest, "sample": config.model_dump(mode="json")}, indent=2) + "\n")
        elif (found := read_manifest(folder)).get("settings") != manifest["settings"]:
            raise InputError(
                where=str(path),
                got=f"shards of {found.get('source')!r} with settings {found.get('settings')}",
                expected=f"{source!r} with settings {manifest['settings']}",
                remedy="choose another folder, or delete this one",
            )

    def has(self, scene: str) -> bool:
        """Whether the scene is already there."""
        return self._path(scene).exists()

    def check_log(self, scene: str, log: Path) -> None:
        """Find out whether a scene's shard is of this log; passed where the log or what the shard knows of it is gone.

        Raises:
            InputError: It is of a log of another size, or cannot be read.

        """
        path = self._path(scene)
        try:
            with safe_open(path, framework="numpy") as file:
                known = (file.metadata() or {}).get(LOG_BYTES)
        except (SafetensorError, OSError) as error:
            raise _broken(path, f"no shard ({error})", "delete it and make it again") from error
        if known is not None and log.is_file() and log.stat().st_size != int(known):
            raise InputError(
                where=str(log),
                got=f"{log.stat().st_size} bytes",
                expected=f"{known}, as when {path} was made of a log of this name",
                remedy="delete that shard to have it made again, or choose another folder of shards",
            )

    def write(
        self,
        scene: str,
        ticks: Iterable[tuple[SyncedFrame, Annotations | None]],
        *,
        undecoded: UndecodedPictures | None = None,
        log_bytes: int | None = None,
    ) -> int:
        """Write a scene's ticks that have truth; the file gets its name only when it is whole.

        Args:
            scene: Its name.
            ticks: Of the scene, with their truth.
            undecoded: Told of pictures that do not decode, which are left out; None takes all pictures as they are.
            log_bytes: Size of the log that they come from, by which one that has changed is known.

        Returns:
            Ticks written; of none there is no file.

        """
        instances: dict[str, int] = {}
        arrays: dict[str, NDArray[Any]] = {}
        described: list[dict[str, Any]] = []
        for frame, annotated in ticks:
            if annotated is None:
                continue
            sample = sample_of(frame, self._config)
            if undecoded is not None:
                sample = _with_decodable(sample, undecoded)
            tick = TrainingTick(sample=sample, truth=with_known_counts(truth_of(annotated, instances), frame, sample))
            described.append(_packed(tick, f"{len(described):04d}", arrays))
        if not described:
            return 0
        # Others are written as they lie in memory, and read as if they lay in rows.
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        metadata = {"ticks": json.dumps(described), "instances": json.dumps([*instances])}
        if log_bytes is not None:
            metadata[LOG_BYTES] = str(log_bytes)
        write_tensors(self._path(scene), lambda partial: save_file(arrays, partial, metadata=metadata))
        return len(described)

    def _path(self, scene: str) -> Path:
        return self._folder / f"{scene}.safetensors"


class ShardSet:
    """Ticks of every scene in a folder, by number; scenes in the order of their names.

    Args:
        folder: Made by `ShardWriter`, or a folder of such folders, in which a scene is named `FOLDER/SCENE`.
        scenes: Names to use; None uses all.

    Raises:
        InputError: The folder is no folder of shards, or a named scene is missing.

    """

    def __init__(self, folder: Path, scenes: Iterable[str] | None = None) -> None:
        names = all_scenes(folder) if scenes is None else list(scenes)
        self._names = tuple(names)
        self._paths = [folder / f"{name}.safetensors" for name in names]
        self._sources = {
            made: str(read_manifest(made).get("source")) for made in {p.parent for p in self._paths} or {folder}
        }
        self._open: dict[int, Any] = {}
        self._described: dict[int, list[dict[str, Any]]] = {}
        self._places: list[tuple[int, int]] = []
        self._drives: list[int] = []
        drive = -1
        for number in range(len(names)):
            last_ns: int | None = None
            for tick, described in enumerate(self._scene(number)):
                stamp_ns = int(described["timestamp_ns"])
                drive += last_ns is None or not 0 < stamp_ns - last_ns <= JUMP_NS
                self._places.append((number, tick))
                self._drives.append(drive)
                last_ns = stamp_ns
        if not self._places:
            raise _broken(folder, "no ticks with truth", "make shards with 'python -m tricast.tools.make_shards'")

    def __len__(self) -> int:
        return len(self._places)

    @property
    def scene_names(self) -> tuple[str, ...]:
        """Names of the scenes."""
        return self._names

    @property
    def sources(self) -> tuple[str, ...]:
        """What each scene was made of, in the words of its manifest."""
        return tuple(self._sources[path.parent] for path in self._paths)

    def scene_of(self, index: int) -> int:
        """Number of the scene that a tick belongs to; where time jumps, as in a log with a pause, another begins."""
        return self._drives[index]

    def timestamp_ns(self, index: int) -> int:
        """Time of a tick."""
        number, tick = self._places[index]
        return int(self._scene(number)[tick]["timestamp_ns"])

    def __getitem__(self, index: int) -> TrainingTick:
        scene, tick = self._places[index]
        described = self._scene(scene)[tick]
        try:
            return _unpacked(described, f"{tick:04d}", self._open[scene])
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise _broken(
                self._paths[scene], f"a tick that does not read ({error})", "delete it and make it again"
            ) from error

    def _scene(self, number: int) -> list[dict[str, Any]]:
        if number not in self._open:
            path = self._paths[number]
            try:
                self._open[number] = safe_open(path, framework="numpy")
                self._described[number] = json.loads(self._open[number].metadata()["ticks"])
            except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
                raise _broken(path, f"no shard ({error})", "delete it and make it again") from error
        return self._described[number]


def all_scenes(folder: Path) -> list[str]:
    """Names of all scenes in a folder of shards and in those within it, sorted."""
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.safetensors"))


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder of shards.

    Raises:
        InputError: There is none.

    """
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _broken(
            path, f"no readable manifest ({error})", "make shards with 'python -m tricast.tools.make_shards'"
        ) from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise _broken(path, "shards of another format", "make them again")
    return manifest


def _with_decodable(sample: TickSample, undecoded: UndecodedPictures) -> TickSample:
    """The sample without pictures that do not decode."""
    kept = tuple(camera for camera in sample.cameras if _decodes(camera.image))
    for camera in sample.cameras:
        if camera not in kept:
            undecoded.note(camera.image)
    return replace(sample, cameras=kept)


def _decodes(image: CameraFrame) -> bool:
    try:
        image.pixels(at_least_px=SMALLEST_PX)
    except SensorDataError:
        return False
    return True


def _packed(tick: TrainingTick, prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Put a tick's arrays under names that begin with `prefix`, and describe the rest."""
    sample = tick.sample
    if sample.lidar is not None:
        arrays[f"{prefix}.lidar_xyz"] = np.rint(sample.lidar[:, :3] * STEPS_PER_M).clip(-32768, 32767).astype(np.int16)
        arrays[f"{prefix}.lidar_rest"] = sample.lidar[:, 3:].clip(-65504, 65504).astype(np.float16)
    if sample.radar is not None:
        arrays[f"{prefix}.radar"] = sample.radar
    cameras = []
    for camera in sample.cameras:
        image = camera.image
        arrays[f"{prefix}.image.{camera.channel}"] = np.frombuffer(image.data, np.uint8)
        cameras.append(
            {
                "channel": camera.channel,
                "timestamp_ns": image.timestamp_ns,
                "encoding": image.encoding,
                "size_px": image.size_px,
                "lens": _lens_values(camera.lens),
                "tick_from_camera": asdict(camera.tick_from_camera),
            }
        )
    for field in fields(TickTruth):
        arrays[f"{prefix}.truth.{field.name}"] = getattr(tick.truth, field.name)
    return {
        "timestamp_ns": sample.timestamp_ns,
        "lidar": sample.lidar is not None,
        "radar": sample.radar is not None,
        "cameras": cameras,
        "odom_from_ego": asdict(sample.odom_from_ego),
    }


def _unpacked(described: Mapping[str, Any], prefix: str, file: Any) -> TrainingTick:
    lidar = None
    if described["lidar"]:
        points = file.get_tensor(f"{prefix}.lidar_xyz").astype(np.float32) / np.float32(STEPS_PER_M)
        lidar = np.concatenate([points, file.get_tensor(f"{prefix}.lidar_rest").astype(np.float32)], axis=1)
    cameras = []
    for camera in described["cameras"]:
        size = camera["size_px"]
        image = CameraFrame(
            channel=camera["channel"],
            timestamp_ns=camera["timestamp_ns"],
            received_ns=camera["timestamp_ns"],
            encoding=camera["encoding"],
            data=file.get_tensor(f"{prefix}.image.{camera['channel']}").tobytes(),
            size_px=None if size is None else (size[0], size[1]),
        )
        cameras.append(
            CameraInput(
                channel=camera["channel"],
                image=image,
                lens=_lens(camera["lens"]),
                tick_from_camera=_pose(camera["tick_from_camera"]),
            )
        )
    sample = TickSample(
        timestamp_ns=described["timestamp_ns"],
        cameras=tuple(cameras),
        lidar=lidar,
        radar=file.get_tensor(f"{prefix}.radar") if described["radar"] else None,
        odom_from_ego=_pose(described["odom_from_ego"]),
    )
    truth = TickTruth(**{f.name: file.get_tensor(f"{prefix}.truth.{f.name}") for f in fields(TickTruth)})
    return TrainingTick(sample=sample, truth=truth)


def _lens_values(lens: Lens) -> dict[str, Any]:
    for kind, lens_type in LENSES.items():
        if isinstance(lens, lens_type):
            return {"kind": kind, **asdict(lens)}
    raise _broken(Path(type(lens).__name__), "a lens of unknown kind", "add it to the shard format")


def _lens(values: Mapping[str, Any]) -> Lens:
    tuples: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key != "kind"
    }
    return LENSES[values["kind"]](**tuples)


def _pose(values: Mapping[str, Any]) -> SE3:
    w, qx, qy, qz = values["quaternion_wxyz"]
    x, y, z = values["translation_m"]
    return SE3(quaternion_wxyz=(w, qx, qy, qz), translation_m=(x, y, z))


def _broken(path: Path, got: str, remedy: str) -> InputError:
    return InputError(where=str(path), got=got, expected="shards of training ticks", remedy=remedy)
