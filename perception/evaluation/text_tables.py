"""Figures of an evaluation as a few lines of text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tricast.perception.evaluation.headlines import HEADLINES, figure


def describe(summary: Mapping[str, Any]) -> str:
    """Headline figures with their intervals, classes and choices of sensors."""
    parts = []
    if "scenes" in summary:
        parts.append(
            f"{summary['detector']}, sensors {summary['sensors']}: {summary['scenes']} scenes, "
            f"{summary['samples']} samples, {summary['ticks']} ticks"
        )
    intervals = summary.get("interval", {})
    rows = [[name, number(figure(summary, path)), *map(number, intervals.get(path, ()))] for path, name in HEADLINES]
    present = [row for row in rows if row[1] != "-"]
    if present:
        parts.append(table(["", "value", "from", "to"][: max(len(row) for row in present)], present))
    for block in ("tracking", "prediction") if "scenes" not in summary else ():
        figures = {k: v for k, v in summary.get(block, {}).items() if isinstance(v, int | float)}
        if figures:
            parts.append(table(["", "value"], [[key, number(value)] for key, value in figures.items()]))
    per_class = figure(summary, "detection.per_class")
    if isinstance(per_class, Mapping):
        parts.append(_class_table(per_class))
    if summary.get("subsets"):
        names = [path for path in HEADLINES if any(figure(s, path[0]) is not None for s in summary["subsets"].values())]
        body = [[key, *(number(figure(s, path)) for path, _ in names)] for key, s in summary["subsets"].items()]
        parts.append(table(["sensors", *(name for _, name in names)], body))
        parts.append(_ahead_table(summary))
    if summary.get("streaming"):
        keys = list(dict.fromkeys(key for row in summary["streaming"].values() for key in row))
        body = [[name, *(number(row.get(key)) for key in keys)] for name, row in summary["streaming"].items()]
        parts.append(table(["streaming", *keys], body))
    if summary.get("robustness"):
        parts.append(_robustness_table(summary["robustness"]))
    return "\n\n".join(parts)


def number(value: Any) -> str:
    """A figure of a table; what is unknown is a dash."""
    return "-" if value is None else f"{value}" if isinstance(value, int) else f"{value:.3f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns side by side, the first to the left, the others to the right; short rows are filled up."""
    filled = [[*row, *[""] * (len(header) - len(row))] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in filled) for column in range(len(header))]
    lines = []
    for row in filled:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def _class_table(per_class: Mapping[str, Mapping[str, Any]]) -> str:
    first = next(iter(per_class.values()))
    errors = [key for key in first if key not in ("truth", "AP", "mean_AP")]
    rows = [
        [
            name,
            str(values["truth"]),
            *(number(ap) for ap in values["AP"].values()),
            number(values["mean_AP"]),
            *(number(values[error]) for error in errors),
        ]
        for name, values in per_class.items()
    ]
    return table(["class", "truth", *(f"AP {d}" for d in first["AP"]), "AP", *errors], rows)


def _ahead_table(summary: Mapping[str, Any]) -> str:
    """How far the whole is ahead in mAP, with the interval of the paired bootstrap over scenes."""
    rows = []
    for name, differences in summary["ahead_of"].items():
        of_map = differences["detection.mAP"]
        rows.append([name, *(number(of_map[key]) for key in ("difference", "low", "high"))])
    return table([f"{summary['sensors']} ahead in mAP of", "by", "from", "to"], rows)


def _robustness_table(robustness: Mapping[str, Any]) -> str:
    rows = [
        [name, *(number(score) for score in values["scores"]), number(values["RA"])]
        for name, values in robustness["corruptions"].items()
    ]
    rows += [["clean", number(robustness["clean"])], ["mean RA", "", "", "", number(robustness["mRA"])]]
    return table(["corruption, NDS", "severity 1", "2", "3", "RA"], rows)
