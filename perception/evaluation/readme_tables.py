"""An evaluation's figures as the few tables of a README, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tricast.perception.evaluation.headlines import figure
from tricast.perception.evaluation.streaming import STRATEGIES
from tricast.perception.evaluation.streaming_run import INPUT_RATES_HZ, OFFLINE, row_name
from tricast.perception.evaluation.text_tables import TextTable, number

COLUMNS = (
    ("detection.mAP", "mAP"),
    ("detection.NDS", "NDS"),
    ("detection.argoverse2.CDS", "CDS"),
    ("tracking.AMOTA", "AMOTA"),
    ("tracking.HOTA", "HOTA"),
    ("prediction.movers.minADE_6", "minADE_6, movers, m"),
    ("prediction.movers.MissRate_6", "MissRate_6, movers"),
    ("calibration.ECE", "ECE"),
)
WITH_INTERVAL = ("detection.mAP", "detection.NDS")


def readme_tables(summary: Mapping[str, Any]) -> str:
    """Choices of sensors, corruptions and scores against the clock, as far as the summary of logs has them."""
    facts = f"Detector `{summary['detector']}`, scenes: {summary['scenes']}, samples: {summary['samples']}"
    intervals = "; intervals of 95 % over scenes" if summary["interval"] else ""
    parts = [f"{facts}{intervals}.", _sensors(summary).markdown()]
    if summary.get("robustness"):
        parts += [_robustness_line(summary["robustness"]), _corruptions(summary["robustness"]).markdown()]
    for latency, stream in summary.get("streaming", {}).items():
        parts += [_streaming_line(latency, stream), _streaming(stream["rows"]).markdown()]
    return "\n\n".join(parts) + "\n"


def _sensors(summary: Mapping[str, Any]) -> TextTable:
    """A row per choice of sensors; choices with the same figures share one."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for name, values in (summary["subsets"] or {summary["sensors"]: summary}).items():
        rows.setdefault(tuple(_cell(values, path) for path, _ in COLUMNS), []).append(name.replace("+", " + "))
    body = [["; ".join(names), *cells] for cells, names in rows.items()]
    return TextTable(header=["sensors", *(name for _, name in COLUMNS)], rows=body)


def _cell(values: Mapping[str, Any], path: str) -> str:
    text, interval = number(figure(values, path)), values["interval"].get(path)
    return f"{text} ({' to '.join(map(number, interval))})" if interval and path in WITH_INTERVAL else text


def _robustness_line(robustness: Mapping[str, Any]) -> str:
    worst = robustness["worst"]
    ten = number(robustness["mRA_multicorrupt"])
    line = (
        f"Under corruptions: share of the clean NDS of {number(robustness['clean'])} that is left, by severity and on "
        f"average (RA); mean {number(robustness['mRA'])}, of MultiCorrupt's ten {ten}, "
        f"worst {worst['name'].replace('_', ' ')}."
    )
    absent = ", ".join(name.replace("_", " ") for name in robustness["not_concerned"])
    return f"{line} Of sensors that no log has or that are not looked at: {absent}." if absent else line


def _corruptions(robustness: Mapping[str, Any]) -> TextTable:
    rows = [
        [name.replace("_", " "), *map(number, values["relative"]), number(values["RA"])]
        for name, values in robustness["corruptions"].items()
    ]
    return TextTable(header=["corruption", "1", "2", "3", "RA"], rows=rows)


def _streaming_line(latency: str, stream: Mapping[str, Any]) -> str:
    took = stream["latency"]
    line = f"Against the clock, latency `{latency}`"
    if "processor_share" in took:
        line += (
            f" (median {number(took['ms']['p50'])} ms, during which the process had {took['processor_share']:.2f} of a "
            f"processor; close to `{took['repeat_with']}`)"
        )
    return f"{line}: NDS of the tracks, offline {number(stream['rows'][OFFLINE]['NDS'])}."


def _streaming(rows: Mapping[str, Mapping[str, Any]]) -> TextTable:
    body: list[Sequence[str]] = []
    for rate in INPUT_RATES_HZ:
        own = [rows[row_name(rate, strategy)] for strategy in STRATEGIES]
        ages = (number(own[0][key]) for key in ("age_ms", "skipped"))
        body.append([f"{rate} Hz", *(number(row["NDS"]) for row in own), *ages])
    names = [strategy.replace("_", " ") for strategy in STRATEGIES]
    return TextTable(header=["input", *names, "age of an answer, ms", "inputs skipped"], rows=body)
