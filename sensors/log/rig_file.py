"""A rig as a YAML file: what `--calibration` reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import Field

from tricast.configs.disk import partial_of
from tricast.configs.strict import StrictConfig, parse_config, read_yaml
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.errors import CalibrationError
from tricast.sensors.frames import Modality
from tricast.sensors.geometry.lenses import FisheyeLens, Lens, MeiLens, PinholeLens
from tricast.sensors.geometry.se3 import SE3


class _LensEntry(StrictConfig):
    width_px: int
    height_px: int
    focal_px: tuple[float, float]
    principal_px: tuple[float, float]


class PinholeEntry(_LensEntry):
    """A pinhole with Brown-Conrady distortion (k1, k2, p1, p2, k3), over a denominator (k4, k5, k6) if it has one."""

    model: Literal["pinhole"]
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    rational: tuple[float, float, float] = (0.0, 0.0, 0.0)


class FisheyeEntry(_LensEntry):
    """An equidistant fisheye (k1 to k4)."""

    model: Literal["fisheye"]
    distortion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


class MeiEntry(_LensEntry):
    """A unified omnidirectional lens (k1, k2, p1, p2)."""

    model: Literal["mei"]
    mirror: float
    distortion: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


class SensorEntry(StrictConfig):
    """One sensor of the file."""

    modality: Modality
    quaternion_wxyz: tuple[float, float, float, float]
    translation_m: tuple[float, float, float]
    lens: Annotated[PinholeEntry | FisheyeEntry | MeiEntry, Field(discriminator="model")] | None = None


class RigFile(StrictConfig):
    """The whole file: sensors by channel."""

    sensors: dict[str, SensorEntry]


def load_rig(path: Path) -> Rig:
    """Read a rig.

    Raises:
        ConfigError: The file is missing, is not YAML, or has unknown or wrong entries.
        CalibrationError: An entry is physically impossible.

    """
    entries = parse_config(RigFile, read_yaml(path), where=str(path)).sensors
    sensors: list[SensorCalibration] = []
    for channel, entry in entries.items():
        try:
            pose = SE3(quaternion_wxyz=entry.quaternion_wxyz, translation_m=entry.translation_m)
            lens = _lens(entry)
            sensors.append(SensorCalibration(channel=channel, modality=entry.modality, ego_from_sensor=pose, lens=lens))
        except CalibrationError as error:
            raise CalibrationError(
                where=f"{path}: sensors.{channel}: {error.where}",
                got=error.got,
                expected=error.expected,
                remedy=error.remedy,
            ) from error
    return Rig.of(sensors)


def save_rig(rig: Rig, path: Path) -> None:
    """Write a rig, whole or not at all; `load_rig` gives it back bit for bit."""
    entries: dict[str, dict[str, Any]] = {}
    for channel, sensor in rig.sensors.items():
        entries[channel] = {
            "modality": sensor.modality,
            "quaternion_wxyz": list(sensor.ego_from_sensor.quaternion_wxyz),
            "translation_m": list(sensor.ego_from_sensor.translation_m),
        }
        if sensor.lens is not None:
            names: dict[type, str] = {PinholeLens: "pinhole", FisheyeLens: "fisheye", MeiLens: "mei"}
            values: dict[str, Any] = {name: np.array(value).tolist() for name, value in vars(sensor.lens).items()}
            entries[channel]["lens"] = {"model": names[type(sensor.lens)], **values}
    partial = partial_of(path)
    partial.write_text(yaml.safe_dump({"sensors": entries}, sort_keys=False), encoding="utf-8")
    partial.replace(path)


def _lens(entry: SensorEntry) -> Lens | None:
    if entry.lens is None:
        return None
    values = entry.lens.model_dump(exclude={"model"})
    kinds = {"pinhole": PinholeLens, "fisheye": FisheyeLens, "mei": MeiLens}
    return kinds[entry.lens.model](**values)
