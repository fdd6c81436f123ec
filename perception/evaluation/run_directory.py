"""An evaluation's run directory: figures, report and the tables that a later comparison needs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tricast.perception.config import PipelineConfig
from tricast.perception.evaluation.readme_tables import readme_tables
from tricast.perception.evaluation.run_tables import (
    ResultTables,
    TruthTables,
    load_results,
    load_truth,
    save_results,
    save_truth,
)
from tricast.perception.evaluation.text_tables import describe_markdown
from tricast.perception.streaming.replay import write_whole
from tricast.sensors.errors import SensorDataError

CONFIG_FILE = "config.yaml"
SUMMARY_FILE = "evaluation.json"
REPORT_FILE = "report.html"
TEXT_FILE = "evaluation.md"
README_TABLES_FILE = "tables.md"
TABLES = "tables"
TRUTH_FILE = "truth.npz"


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredRun:
    """One choice of sensors of a run directory.

    Args:
        name: As the user named it.
        summary: Figures of the whole run.
        truth: What should have been found.
        results: What was found.

    """

    name: str
    summary: Mapping[str, Any]
    truth: TruthTables
    results: ResultTables


def save_run(
    out: Path,
    summary: Mapping[str, Any],
    config: PipelineConfig,
    truth: TruthTables,
    results: Mapping[str, ResultTables],
    report: str,
) -> None:
    """Write settings, figures, report and tables; the figures last, so that they stand for a whole run."""
    out.mkdir(parents=True, exist_ok=True)
    (out / SUMMARY_FILE).unlink(missing_ok=True)
    write_whole(out / CONFIG_FILE, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    save_truth(out / TABLES / TRUTH_FILE, truth)
    for name, tables in results.items():
        save_results(out / TABLES / f"{name}.npz", tables)
    write_whole(out / REPORT_FILE, report)
    write_whole(out / TEXT_FILE, describe_markdown(summary))
    write_whole(out / README_TABLES_FILE, readme_tables(summary))
    write_whole(out / SUMMARY_FILE, json.dumps(summary, indent=1, allow_nan=False) + "\n")


def common_max_range_m(run_a: StoredRun, run_b: StoredRun) -> float | None:
    """How far both runs were scored; None where neither was limited.

    Raises:
        SensorDataError: One was scored further than the other.

    """
    ranges = [run.summary.get("max_range_m") for run in (run_a, run_b)]
    if ranges[0] != ranges[1]:
        raise SensorDataError(
            where=run_b.name,
            got=f"scored to {_range(ranges[1])}, {run_a.name} to {_range(ranges[0])}",
            expected="two runs of the same range",
            remedy="say with --max-range to which distance both shall be scored",
        )
    return ranges[0]


def _range(max_range_m: float | None) -> str:
    return "the protocol's ranges" if max_range_m is None else f"{max_range_m:g} m"


def load_run(text: str) -> StoredRun:
    """Read what `save_run` wrote.

    Args:
        text: A run directory, with `:camera+lidar` for another choice of sensors than the first.

    Raises:
        SensorDataError: It is no run directory of an evaluation, or lacks those sensors.

    """
    directory, sensors = Path(text), None
    if not directory.is_dir() and ":" in text:
        head, _, sensors = text.rpartition(":")
        directory = Path(head)
    try:
        summary = json.loads((directory / SUMMARY_FILE).read_text(encoding="utf-8"))
        first, names = str(summary["sensors"]), list(summary["tables"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SensorDataError(
            where=str(directory),
            got=f"no readable {SUMMARY_FILE}",
            expected="a run directory of an evaluation",
            remedy="make one with 'tricast evaluate LOG --out DIR'",
        ) from error
    sensors = first if sensors is None else sensors
    if sensors not in names:
        raise SensorDataError(
            where=text,
            got=f"no results of '{sensors}'",
            expected=f"one of {', '.join(names)}",
            remedy="evaluate with --sensors all-subsets to have all of them",
        )
    tables = directory / TABLES
    return StoredRun(
        name=text,
        summary=summary,
        truth=load_truth(tables / TRUTH_FILE),
        results=load_results(tables / f"{sensors}.npz"),
    )
