"""Truth and results of an evaluation as tables: joined over logs, and kept in a run directory without pickle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.configs.disk import partial_of
from tricast.perception.evaluation.box_table import BOX_COLUMNS, BoxTable, concatenate_tables
from tricast.perception.outputs import NUM_FUTURE_STEPS
from tricast.sensors.errors import SensorDataError
from tricast.sensors.log.stream import Losses

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
SAMPLE_COLUMNS = ("sample_tokens", "sample_scene", "sample_time_ns")
FORECAST_COLUMNS = ("offsets_m", "probabilities", "turn_rates_radps", "accelerations_mps2")


@dataclass(frozen=True, kw_only=True, eq=False)
class TruthTables:
    """What should have been found.

    Args:
        boxes: Truth that counts, in the odometry frame; identities count from 0 in each log.
        futures_m: (N, 12, 2) positions 0.5 s to 6 s ahead in the odometry frame, NaN where unknown.

    """

    boxes: BoxTable
    futures_m: Float64


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecasts:
    """Futures of the N rows of a table of tracks, in the table's frame, and what physics needs to forecast the same.

    Args:
        offsets_m: (N, M, 12, 2) from the track's centre, along the frame's axes; float32, as they fill the memory.
        probabilities: (N, M).
        turn_rates_radps: (N,) estimated by the tracker.
        accelerations_mps2: (N,) slope of the track's speed.

    """

    offsets_m: Float32
    probabilities: Float64
    turn_rates_radps: Float64
    accelerations_mps2: Float64


@dataclass(frozen=True, kw_only=True, eq=False)
class ResultTables:
    """What was found with one choice of sensors.

    Args:
        detections: The boxes of the ticks, each by itself, in the odometry frame.
        tracks: Objects with identity, likewise.
        forecasts: Row by row those of `tracks`.
        ticks: Ticks stepped, scored or not.
        latencies_ms: Milliseconds per stage, one value per tick.

    """

    detections: BoxTable
    tracks: BoxTable
    forecasts: Forecasts
    ticks: int
    latencies_ms: dict[str, Float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class LogTables:
    """Truth and results of one log.

    Args:
        truth: What should have been found.
        results: What was found, by choice of sensors.
        late_truth: Annotations that no tick could take, and that are not scored.
        losses: What a damaged log could not deliver.
        path: Of the log.

    """

    truth: TruthTables
    results: dict[str, ResultTables]
    late_truth: int
    losses: Losses
    path: Path


def joined_truth(parts: Sequence[TruthTables]) -> TruthTables:
    """Truth of several logs as one."""
    return TruthTables(
        boxes=concatenate_tables([part.boxes for part in parts]),
        futures_m=np.concatenate([part.futures_m for part in parts]),
    )


def joined_results(parts: Sequence[ResultTables]) -> ResultTables:
    """Results of several logs with one choice of sensors as one."""
    modes = max(part.forecasts.offsets_m.shape[1] for part in parts)
    stages = {stage for part in parts for stage in part.latencies_ms}
    return ResultTables(
        detections=concatenate_tables([part.detections for part in parts]),
        tracks=concatenate_tables([part.tracks for part in parts]),
        forecasts=Forecasts(
            offsets_m=np.concatenate([padded_offsets(part.forecasts.offsets_m, modes) for part in parts]),
            probabilities=np.concatenate([padded_probabilities(part.forecasts.probabilities, modes) for part in parts]),
            turn_rates_radps=np.concatenate([part.forecasts.turn_rates_radps for part in parts]),
            accelerations_mps2=np.concatenate([part.forecasts.accelerations_mps2 for part in parts]),
        ),
        ticks=sum(part.ticks for part in parts),
        latencies_ms={
            stage: np.concatenate([part.latencies_ms.get(stage, np.zeros(0)) for part in parts])
            for stage in sorted(stages)
        },
    )


def padded_offsets(offsets_m: Float32, modes: int) -> Float32:
    """Futures (N, M, 12, 2) brought to a count of modes: a missing one repeats the first."""
    if not len(offsets_m):
        return np.zeros((0, modes, NUM_FUTURE_STEPS, 2), np.float32)
    return np.concatenate([offsets_m, np.repeat(offsets_m[:, :1], modes - offsets_m.shape[1], axis=1)], axis=1)


def padded_probabilities(probabilities: Float64, modes: int) -> Float64:
    """Probabilities (N, M) brought to a count of modes: a missing one has none."""
    if not len(probabilities):
        return np.zeros((0, modes))
    return np.pad(probabilities, ((0, 0), (0, modes - probabilities.shape[1])))


def save_truth(path: Path, truth: TruthTables) -> None:
    """Write truth as one `.npz` file."""
    _save(path, {**_table_arrays("boxes", truth.boxes), "futures_m": truth.futures_m})


def load_truth(path: Path) -> TruthTables:
    """Read what `save_truth` wrote.

    Raises:
        SensorDataError: The file is missing or is no such table.

    """
    arrays = _load(path)
    try:
        return TruthTables(boxes=_table("boxes", arrays), futures_m=arrays["futures_m"])
    except KeyError as error:
        raise _not_a_table(path, f"no column {error}") from error


def save_results(path: Path, results: ResultTables) -> None:
    """Write results as one `.npz` file."""
    forecasts = {name: getattr(results.forecasts, name) for name in FORECAST_COLUMNS}
    _save(
        path,
        {
            **_table_arrays("detections", results.detections),
            **_table_arrays("tracks", results.tracks),
            **{f"forecasts.{name}": column for name, column in forecasts.items()},
            "ticks": np.array(results.ticks),
            **{f"latencies_ms.{stage}": column for stage, column in results.latencies_ms.items()},
        },
    )


def load_results(path: Path) -> ResultTables:
    """Read what `save_results` wrote.

    Raises:
        SensorDataError: The file is missing or is no such table.

    """
    arrays = _load(path)
    try:
        return ResultTables(
            detections=_table("detections", arrays),
            tracks=_table("tracks", arrays),
            forecasts=Forecasts(**{name: arrays[f"forecasts.{name}"] for name in FORECAST_COLUMNS}),
            ticks=int(arrays["ticks"]),
            latencies_ms=_with_prefix("latencies_ms.", arrays),
        )
    except KeyError as error:
        raise _not_a_table(path, f"no column {error}") from error


def _table_arrays(name: str, table: BoxTable) -> dict[str, NDArray[Any]]:
    columns = {column: getattr(table, column) for column in (*SAMPLE_COLUMNS[1:], *BOX_COLUMNS)}
    columns["sample_tokens"] = np.array(table.sample_tokens, dtype=np.str_)
    return {f"{name}.{column}": values for column, values in columns.items()}


def _table(name: str, arrays: Mapping[str, NDArray[Any]]) -> BoxTable:
    columns = {column: arrays[f"{name}.{column}"] for column in (*SAMPLE_COLUMNS[1:], *BOX_COLUMNS)}
    return BoxTable(sample_tokens=tuple(arrays[f"{name}.sample_tokens"].tolist()), **columns)


def _with_prefix(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {key.removeprefix(prefix): values for key, values in arrays.items() if key.startswith(prefix)}


def _save(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(path)
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]
    partial.replace(path)


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError as error:
        raise _not_a_table(path, "no such file") from error
    except Exception as error:  # readers of archives and arrays raise many kinds on bytes that are not theirs
        raise _not_a_table(path, str(error) or "other data") from error


def _not_a_table(path: Path, got: str) -> SensorDataError:
    return SensorDataError(
        where=str(path),
        got=got,
        expected="a table that 'tricast evaluate --out' wrote",
        remedy="name the run directory of an evaluation, or evaluate again",
    )
