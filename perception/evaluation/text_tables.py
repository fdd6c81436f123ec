"""Figures of an evaluation as tables of text: for a terminal, or in Markdown for a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tricast.perception.evaluation.headlines import HEADLINES, OTHER_PROTOCOLS, figure

FORECAST_FIGURES = ("minADE_1", "minADE_6", "minFDE_6", "MissRate_6", "brier-minFDE_6")


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """Cells of text, the first column to the left, the others to the right; short rows are filled up.

    Args:
        header: Names of the columns.
        rows: Cells.

    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def aligned(self) -> str:
        """Columns side by side, for a terminal."""
        cells = self._filled()
        widths = [max(len(row[column]) for row in cells) for column in range(len(self.header))]
        lines = []
        for row in cells:
            others = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            lines.append("  ".join([row[0].ljust(widths[0]), *others]).rstrip())
        return "\n".join(lines)

    def markdown(self) -> str:
        """A table of GitHub's Markdown."""
        head, *body = self._filled()
        rule = ["---", *["---:"] * (len(self.header) - 1)]
        return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *body])

    def _filled(self) -> list[list[str]]:
        return [[*row, *[""] * (len(self.header) - len(row))] for row in (self.header, *self.rows)]


def describe(summary: Mapping[str, Any]) -> str:
    """All tables of a summary, for a terminal."""
    return "\n\n".join([*_facts(summary), *(table.aligned() for table in _tables(summary))])


def describe_markdown(summary: Mapping[str, Any]) -> str:
    """The same in Markdown."""
    return "\n\n".join([*_facts(summary), *(table.markdown() for table in _tables(summary))]) + "\n"


def number(value: Any) -> str:
    """A figure of a table; what is unknown is a dash."""
    return "-" if value is None else f"{value}" if isinstance(value, int) else f"{value:.3f}"


def _facts(summary: Mapping[str, Any]) -> list[str]:
    if "scenes" not in summary:
        return []
    return [
        f"{summary['detector']}, sensors {summary['sensors']}: {summary['scenes']} scenes, "
        f"{summary['samples']} samples, {summary['ticks']} ticks",
        *damaged_logs(summary),
    ]


def damaged_logs(summary: Mapping[str, Any]) -> list[str]:
    """A line for every log that lost messages: how many, and of which channels."""
    lines: list[str] = []
    for log, lost in summary.get("damaged_logs", {}).items():
        counts = ", ".join(f"{count} of {channel}" for channel, count in lost["by_channel"].items())
        lines.append(f"{log}: {sum(lost['by_channel'].values())} messages lost ({counts})")
    return lines


def _tables(summary: Mapping[str, Any]) -> list[TextTable]:
    tables = [_headlines(summary)] if "scenes" in summary else _of_files(summary)
    if "per_class" in summary.get("detection", {}):
        tables.append(_classes(summary["detection"]["per_class"]))
    if "argoverse2" in summary.get("detection", {}):
        tables.append(_other_protocols(summary))
    if "baseline" in summary:
        tables.append(_forecasts(summary))
    if summary.get("subsets"):
        tables += [_subsets(summary["subsets"]), _ahead(summary)]
    for latency, stream in summary.get("streaming", {}).items():
        keys = list(dict.fromkeys(key for row in stream["rows"].values() for key in row))
        rows = [[name, *(number(row.get(key)) for key in keys)] for name, row in stream["rows"].items()]
        tables.append(TextTable(header=[f"streaming, {latency}", *keys], rows=rows))
    if summary.get("robustness"):
        tables.append(_corruptions(summary["robustness"]))
    return tables


def _headlines(summary: Mapping[str, Any]) -> TextTable:
    return _with_intervals("", HEADLINES, summary)


def _other_protocols(summary: Mapping[str, Any]) -> TextTable:
    return _with_intervals("other protocols", OTHER_PROTOCOLS, summary)


def _with_intervals(title: str, figures: Sequence[tuple[str, str]], summary: Mapping[str, Any]) -> TextTable:
    intervals = summary["interval"]
    rows = [[name, number(figure(summary, path)), *map(number, intervals.get(path, ()))] for path, name in figures]
    return TextTable(header=[title, "value", *(["from", "to"] if intervals else [])], rows=rows)


def _of_files(summary: Mapping[str, Any]) -> list[TextTable]:
    """All plain figures of what files were scored for."""
    tables = []
    for part in ("detection", "tracking", "prediction"):
        rows = [[k, number(v)] for k, v in summary.get(part, {}).items() if not isinstance(v, Mapping)]
        tables += [TextTable(header=[part, "value"], rows=rows)] if rows else []
    return tables


def _classes(per_class: Mapping[str, Mapping[str, Any]]) -> TextTable:
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
    return TextTable(header=["class", "truth", *(f"AP {d}" for d in first["AP"]), "AP", *errors], rows=rows)


def _forecasts(summary: Mapping[str, Any]) -> TextTable:
    rows = []
    for name, values in {"this detector": summary["prediction"], **summary["baseline"]}.items():
        for whom, figures in (("all", values), ("movers", values["movers"])):
            cells = (number(figures[key]) for key in FORECAST_FIGURES)
            rows.append([f"{name.replace('_', ' ')}, {whom}", str(figures["agents"]), *cells])
    return TextTable(header=["forecasts", "agents", *FORECAST_FIGURES], rows=rows)


def _subsets(subsets: Mapping[str, Mapping[str, Any]]) -> TextTable:
    rows = [[key, *(number(figure(values, path)) for path, _ in HEADLINES)] for key, values in subsets.items()]
    return TextTable(header=["sensors", *(name for _, name in HEADLINES)], rows=rows)


def _ahead(summary: Mapping[str, Any]) -> TextTable:
    """How far the whole is ahead in mAP, with the interval of the paired bootstrap over scenes."""
    rows = []
    for name, differences in summary["ahead_of"].items():
        of_map = differences["detection.mAP"]
        rows.append([name, *(number(of_map[key]) for key in ("difference", "low", "high"))])
    return TextTable(header=[f"{summary['sensors']} ahead in mAP of", "by", "from", "to"], rows=rows)


def _corruptions(robustness: Mapping[str, Any]) -> TextTable:
    rows = [
        [name, *(number(score) for score in values["scores"]), number(values["RA"])]
        for name, values in robustness["corruptions"].items()
    ]
    rows += [["clean", number(robustness["clean"])], ["mean RA", "", "", "", number(robustness["mRA"])]]
    rows.append(["mean RA of MultiCorrupt's ten", "", "", "", number(robustness["mRA_multicorrupt"])])
    return TextTable(header=["corruption, NDS", "severity 1", "severity 2", "severity 3", "RA"], rows=rows)
