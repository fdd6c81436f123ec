"""The report: one HTML page that holds all it shows, charts and pictures included, and loads nothing."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tricast.perception.evaluation.charts import Series, bar, histogram, line_chart
from tricast.perception.evaluation.detection import TP_ERRORS
from tricast.perception.evaluation.headlines import HEADLINES, OTHER_PROTOCOLS, OTHER_PROTOCOLS_NOTE, figure
from tricast.perception.evaluation.scores import DetectionScores
from tricast.perception.evaluation.text_tables import FORECAST_FIGURES, damaged_logs
from tricast.sensors.annotations import DETECTION_CLASSES

STYLE = """
:root { color-scheme: light; }
body { font: 14px/1.45 system-ui, sans-serif; color: #1d2530; background: #fff; margin: 0 auto; max-width: 1180px;
  padding: 24px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 8px; }
p.note, figcaption { color: #5a6675; margin: 4px 0 10px; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin-top: 16px; }
.tile { border: 1px solid #dde2e8; border-radius: 8px; padding: 10px 14px; min-width: 116px; }
.tile b { display: block; font-size: 22px; font-variant-numeric: tabular-nums; }
.tile span { color: #5a6675; font-size: 12px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 10px; text-align: right; border-bottom: 1px solid #e8ebef; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { color: #5a6675; font-weight: 600; }
.charts { display: flex; flex-wrap: wrap; gap: 10px; }
svg.chart { background: #fff; border: 1px solid #e8ebef; border-radius: 6px; }
svg.chart text { font: 10px system-ui, sans-serif; fill: #5a6675; }
svg.chart text.title { font-size: 12px; font-weight: 600; fill: #1d2530; }
svg.chart line.grid { stroke: #edf0f3; }
figure { margin: 0 0 18px; } figure img { max-width: 100%; border-radius: 6px; display: block; }
"""
# Title, unit, and range of each error's histogram.
ERROR_CHARTS = {
    "ATE": ("Translation error", "m", (0.0, 2.0)),
    "ASE": ("Scale error", "1 - IoU", (0.0, 1.0)),
    "AOE": ("Orientation error", "rad", (0.0, float(np.pi))),
    "AVE": ("Velocity error", "m/s", (0.0, 5.0)),
}


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of one sample.

    Args:
        caption: What it shows.
        png: The file's bytes.

    """

    caption: str
    png: bytes


def report_html(summary: Mapping[str, Any], scores: DetectionScores, pictures: Sequence[Picture] = ()) -> str:
    """The whole page.

    Args:
        summary: Figures as `--json` prints them.
        scores: Curves and errors of the detections that the summary is about.
        pictures: Worst samples.

    """
    sections = [
        _heading(summary),
        _section("Detection by class", _class_table(summary["detection"]), _AP_NOTE),
        _section("Precision and recall", _recall_charts(scores)),
        _section("Detection by distance", _range_table(summary["detection"]["per_range"])),
        _section("By the protocols of Argoverse 2 and KITTI", _other_protocols(summary), OTHER_PROTOCOLS_NOTE),
        _section("Errors of true positives at 2 m", _error_charts(scores), _ERROR_NOTE),
        _section("Scores against precision", _calibration_chart(summary["calibration"]), _calibration_note(summary)),
    ]
    if summary.get("tracking"):
        sections.append(_section("Tracking", _tracking_table(summary["tracking"])))
    if summary.get("prediction"):
        sections.append(_section("Forecasts", _prediction_table(summary), _PREDICTION_NOTE))
    if summary.get("subsets"):
        sections.append(_section("Choices of sensors", _subset_table(summary), _SUBSET_NOTE))
    if summary.get("robustness"):
        sections.append(_section("Corruptions", _robustness_table(summary["robustness"]), _ROBUSTNESS_NOTE))
    for latency, stream in summary.get("streaming", {}).items():
        sections.append(_section(f"Streaming, {latency}", _columns_table(stream["rows"]), _streaming_note(stream)))
    sections.append(_section("Latency, ms a tick", _columns_table(summary["latency_ms"])))
    if pictures:
        sections.append(_section("Worst samples", "".join(_figure(picture) for picture in pictures)))
    body = "\n".join(sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8"/>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f"<title>Tricast evaluation</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


_ERROR_NOTE = "What lies beyond an axis is in its last bar."
_AP_NOTE = (
    "Average precision at four centre distances, and errors of true positives at 2 m: translation (m), scale "
    "(1 - IoU), orientation (rad), velocity (m/s), attribute. A class without truth has AP 0, as in the devkit."
)
_PREDICTION_NOTE = "Tracks matched at 2 m to objects with 6 s of known future; movers are faster than 0.5 m/s."
_SUBSET_NOTE = "Differences with their 95 % interval by the paired bootstrap over scenes."
_ROBUSTNESS_NOTE = "RA: what is left of the clean score, mean of three severities."


def _heading(summary: Mapping[str, Any]) -> str:
    tiles = []
    for path, name in HEADLINES:
        value, interval = figure(summary, path), summary.get("interval", {}).get(path)
        spread = f"{_number(interval[0])} to {_number(interval[1])}" if interval else ""
        tiles.append(f'<div class="tile"><span>{escape(name)}</span><b>{_number(value)}</b><span>{spread}</span></div>')
    facts = (
        f"{summary['detector']} on {summary['sensors']}: {summary['scenes']} scenes, {summary['samples']} samples, "
        f"{summary['ticks']} ticks. Ranges under a figure are 95 % bootstrap intervals over scenes."
    )
    notes = "".join(f'<p class="note">{escape(line)}</p>' for line in (facts, *damaged_logs(summary)))
    return f'<h1>Evaluation</h1>{notes}<div class="tiles">{"".join(tiles)}</div>'


def _section(title: str, content: str, note: str = "") -> str:
    line = f'<p class="note">{escape(note)}</p>' if note else ""
    return f'<h2>{escape(title)}</h2>{line}<div class="wide">{content}</div>'


def _class_table(detection: Mapping[str, Any]) -> str:
    first = next(iter(detection["per_class"].values()))
    header = ["class", "truth", *(f"AP {d} m" for d in first["AP"]), "mean AP", "", *TP_ERRORS]
    rows = [
        [
            escape(name.replace("_", " ")),
            str(values["truth"]),
            *(_number(ap) for ap in values["AP"].values()),
            _number(values["mean_AP"]),
            bar(values["mean_AP"]),
            *(_number(values[error]) for error in TP_ERRORS),
        ]
        for name, values in detection["per_class"].items()
    ]
    return _table(header, rows)


def _other_protocols(summary: Mapping[str, Any]) -> str:
    """Means with their intervals, and figures by class."""
    of_argoverse2, of_kitti = summary["detection"]["argoverse2"], summary["detection"]["kitti"]
    intervals = summary.get("interval", {})
    means = [
        [escape(name), _number(figure(summary, path)), *map(_number, intervals.get(path, ("", "")))]
        for path, name in OTHER_PROTOCOLS
    ]
    rows = [
        [
            escape(name.replace("_", " ")),
            _number(cds),
            bar(cds),
            *(_number(of_kitti["per_class"][name][key]) for key in ("AP_3D", "AP_BEV")),
        ]
        for name, cds in of_argoverse2["per_class"].items()
    ]
    classes = _table(["class", "Argoverse 2 CDS", "", "KITTI AP, 3D", "KITTI AP, BEV"], rows)
    return _table(["mean of classes", "value", "from", "to"], means) + "<br/>" + classes


def _recall_charts(scores: DetectionScores) -> str:
    recalls = np.linspace(0, 1, scores.metrics.precisions.shape[2])
    charts = []
    for row, name in enumerate(DETECTION_CLASSES):
        if not scores.metrics.truth_counts[row]:
            continue
        lines = [
            Series(label=f"{d:g} m", x=recalls, y=_reached(scores.metrics.precisions[row, place]))
            for place, d in enumerate(scores.metrics.config.match_distances_m)
        ]
        title = name.replace("_", " ")
        charts.append(line_chart(title, lines, x_label="recall", x_range=(0, 1), y_range=(0, 1), size_px=(220, 180)))
    return f'<div class="charts">{"".join(charts)}</div>'


def _reached(precisions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Precisions up to the highest recall that was reached; beyond it they are 0 by definition."""
    return np.where(precisions > 0, precisions, np.nan)


def _range_table(ranges: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            f"{score['from_m']:g} to {score['to_m']:g} m",
            str(score["truth"]),
            _number(score["AP_2m"]),
            bar(score["AP_2m"] or 0.0),
            _number(score["recall_2m"]),
        ]
        for score in ranges
    ]
    return _table(["distance", "truth", "AP at 2 m, mean of classes", "", "recall at 2 m"], rows)


def _error_charts(scores: DetectionScores) -> str:
    charts = [
        histogram(title, scores.errors[:, TP_ERRORS.index(error)], x_label=unit, x_range=limits)
        for error, (title, unit, limits) in ERROR_CHARTS.items()
    ]
    return f'<div class="charts">{"".join(charts)}</div>'


def _calibration_chart(calibration: Mapping[str, Any]) -> str:
    bins = calibration["bins"]
    x, y = (np.array(bins[key], np.float64) for key in ("mean_score", "precision"))
    ideal = Series(label="ideal", x=np.array([0.0, 1.0]), y=np.array([0.0, 1.0]), dashed=True)
    lines = [Series(label="measured", x=x, y=y), ideal]
    return line_chart("Precision by score", lines, x_label="score", x_range=(0, 1), y_range=(0, 1))


def _calibration_note(summary: Mapping[str, Any]) -> str:
    calibration = summary["calibration"]
    boxes = sum(calibration["bins"]["boxes"])
    return f"Expected calibration error {_number(calibration['ECE'])} over {boxes} boxes, a match within 2 m is right."


def _streaming_note(stream: Mapping[str, Any]) -> str:
    took = stream["latency"]
    spread = ", ".join(f"{name} {_number(value)} ms" for name, value in took["ms"].items())
    if "processor_share" not in took:
        return f"NDS of tracks with a given latency: {spread}."
    return (
        f"NDS of tracks with latencies measured in this run: {spread}. "
        f"The process had {took['processor_share']:.2f} of a processor meanwhile. "
        f"Another machine comes close to it with --streaming {took['repeat_with']}."
    )


def _prediction_table(summary: Mapping[str, Any]) -> str:
    entries = {"this detector": summary["prediction"], **summary["baseline"]}
    rows: dict[str, Mapping[str, Any]] = {}
    for name, values in entries.items():
        for whom, figures in (("all", values), ("movers", values["movers"])):
            rows[f"{name}, {whom}"] = {key: figures[key] for key in ("agents", *FORECAST_FIGURES)}
    return _columns_table(rows)


def _tracking_table(tracking: Mapping[str, Any]) -> str:
    per_class = tracking["per_class"]
    first = next(iter(per_class.values()))
    return _columns_table({"all classes": {key: tracking.get(key) for key in first}, **per_class})


def _subset_table(summary: Mapping[str, Any]) -> str:
    header = ["sensors", *(name for _, name in HEADLINES), "", "mAP behind the first by"]
    rows = [
        [
            escape(name.replace("+", " + ")),
            *(_number(figure(values, path)) for path, _ in HEADLINES),
            bar(values["detection"]["mAP"]),
            _ahead(summary["ahead_of"].get(name)),
        ]
        for name, values in summary["subsets"].items()
    ]
    return _table(header, rows)


def _ahead(differences: Mapping[str, Mapping[str, Any]] | None) -> str:
    if differences is None:
        return ""
    of_map = differences["detection.mAP"]
    return f"{_number(of_map['difference'])} ({_number(of_map['low'])} to {_number(of_map['high'])})"


def _robustness_table(robustness: Mapping[str, Any]) -> str:
    rows = [
        [escape(name.replace("_", " ")), *map(_number, values["scores"]), _number(values["RA"]), bar(values["RA"])]
        for name, values in robustness["corruptions"].items()
    ]
    rows.append(["clean", _number(robustness["clean"]), "", "", "1", bar(1.0)])
    rows.append(["mean RA", "", "", "", _number(robustness["mRA"]), bar(robustness["mRA"])])
    return _table(["corruption", "severity 1", "severity 2", "severity 3", "RA", ""], rows)


def _columns_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """A row per entry, a column per figure that is one number."""
    columns = [k for k in dict.fromkeys(k for row in rows.values() for k in row) if _plain(k, rows)]
    body = [[escape(name.replace("_", " ")), *(_number(row.get(key)) for key in columns)] for name, row in rows.items()]
    return _table(["", *columns], body)


def _plain(key: str, rows: Mapping[str, Mapping[str, Any]]) -> bool:
    return all(not isinstance(row.get(key), dict | list) for row in rows.values())


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells are markup, the header is text."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _figure(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode("ascii")
    caption = escape(picture.caption)
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{caption}"/><figcaption>{caption}</figcaption></figure>'
    )


def _number(value: Any) -> str:
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return "-"
    if isinstance(value, str):
        return escape(value)
    return f"{value}" if isinstance(value, int) else f"{value:.3f}"
