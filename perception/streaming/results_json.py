"""`results.jsonl`: one line per tick, schema version 1, the same bytes for the same results."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.configs.disk import partial_of, writing
from tricast.perception.outputs import TickResult, Trajectories
from tricast.sensors.calibration import MODALITIES

RESULTS_SCHEMA_VERSION = 1
DECIMALS = 6


def result_to_json(result: TickResult) -> dict[str, Any]:
    """Plain values of a tick's result in ego axes at its time."""
    tracks, futures = result.tracks, result.trajectories
    return {
        "schema_version": RESULTS_SCHEMA_VERSION,
        "timestamp_ns": result.timestamp_ns,
        "frame": "ego",
        "inputs": [
            {"channel": used.channel, "timestamp_ns": used.timestamp_ns, "reused": used.reused}
            for used in result.inputs
        ],
        "odom_from_ego": {
            "quaternion_wxyz": _numbers(np.array(result.odom_from_ego.quaternion_wxyz)),
            "translation_m": _numbers(result.odom_from_ego.translation),
        },
        "objects": [
            {
                "track_id": int(tracks.track_ids[i]),
                "class": tracks.class_names[i],
                "score": _numbers(tracks.scores[i]),
                "center_m": _numbers(tracks.boxes.centers_m[i]),
                "size_m": _numbers(tracks.boxes.sizes_m[i]),
                "yaw_rad": _numbers(tracks.boxes.yaws_rad[i]),
                "velocity_mps": _numbers(tracks.boxes.velocities_mps[i]),
                "trajectories": [
                    {
                        "probability": _numbers(futures.probabilities[i, m]),
                        "points_m": _numbers(futures.points_m[i, m]),
                        **_scales(futures, i, m),
                    }
                    for m in range(futures.probabilities.shape[1])
                ],
                **_sensor_share(result, i),
            }
            for i in range(len(tracks))
        ],
        "health": {
            channel: {"state": health.state, "age_ns": health.age_ns}
            for channel, health in sorted(result.health.items())
        },
    }


def _scales(futures: Trajectories, track: int, mode: int) -> dict[str, Any]:
    """The field `scales_m` of a future, where it is learned."""
    if futures.scales_m is None or not np.isfinite(futures.scales_m[track, mode]).all():
        return {}
    return {"scales_m": _numbers(futures.scales_m[track, mode])}


def _sensor_share(result: TickResult, track: int) -> dict[str, Any]:
    """The field `sensor_share` of an object, where shares were asked for: those of the detection that updated it."""
    shares, row = result.detections.sensor_shares, int(result.tracks.detection_indices[track])
    if shares is None:
        return {}
    if row < 0:
        return {"sensor_share": None}
    by_modality = {
        name: dict(zip(MODALITIES, _numbers(getattr(shares, name)[row]), strict=True))
        for name in ("attention", "score_drop")
    }
    cameras = dict(zip(shares.camera_channels, _numbers(shares.camera_attention[row]), strict=True))
    return {"sensor_share": {**by_modality, "camera_attention": cameras}}


def result_line(result: TickResult) -> str:
    """One line of `results.jsonl`, without its line end."""
    return json.dumps(result_to_json(result), separators=(",", ":"), allow_nan=False)


class ResultsJsonWriter:
    """Writes `results.jsonl`; the file has its name only once it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = partial_of(path)
        with writing(path):
            self._file = self._partial.open("w", encoding="utf-8")

    def __enter__(self) -> ResultsJsonWriter:
        return self

    def write(self, result: TickResult) -> None:
        """Append one tick.

        Raises:
            InputError: The disk is full, or takes no more for another reason.

        """
        with writing(self._path):
            self._file.write(result_line(result) + "\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            with suppress(OSError):  # what went wrong first is what is told
                self._file.close()
            return
        with writing(self._path):
            self._file.close()
            self._partial.replace(self._path)


def _numbers(values: NDArray[Any] | np.floating[Any]) -> Any:
    # Adding zero turns -0.0 into 0.0, so that equal results have equal text.
    return (np.round(np.asarray(values, dtype=np.float64), DECIMALS) + 0.0).tolist()
