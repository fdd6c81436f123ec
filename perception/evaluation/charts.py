"""Charts as inline SVG: nothing to load, nothing to run, sharp at any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

COLORS = ("#2563a8", "#c2571a", "#3a8f4d", "#8a4fa3", "#b0356b", "#6b6b6b", "#1a8f8f")
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 38, 34
TITLE_Y, LEGEND_Y = 14, 29
NUM_GRID = 4
CHARACTER_PX = 5.6


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """One line of a chart: a label and points (P,) and (P,); points that are not finite part the line."""

    label: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    dashed: bool = False


def line_chart(
    title: str,
    series: Sequence[Series],
    *,
    x_label: str,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    size_px: tuple[int, int] = (280, 200),
) -> str:
    """Lines over one pair of axes, with a legend where there are several."""
    frame = _Frame(x_range=x_range, y_range=y_range, size_px=size_px)
    body = [frame.axes(title, x_label)]
    for index, one in enumerate(series):
        style = ' stroke-dasharray="4 3"' if one.dashed else ""
        for x, y in _finite_runs(one.x, one.y):
            points = " ".join(f"{frame.x(a):.1f},{frame.y(b):.1f}" for a, b in zip(x, y, strict=True))
            body.append(f'<polyline points="{points}" fill="none" stroke="{_color(index)}" stroke-width="1.6"{style}/>')
    if len(series) > 1:
        body.append(_legend([one.label for one in series]))
    return _svg(size_px, body, title)


def histogram(
    title: str,
    values: NDArray[np.float64],
    *,
    x_label: str,
    x_range: tuple[float, float],
    num_bins: int = 30,
    size_px: tuple[int, int] = (280, 200),
) -> str:
    """Share of finite values per bin; those past the range go into the outermost bins. The median is marked."""
    values = values[np.isfinite(values)]
    counts, edges = np.histogram(np.clip(values, *x_range), bins=num_bins, range=x_range)
    shares = counts / max(len(values), 1)
    frame = _Frame(x_range=x_range, y_range=(0.0, max(float(shares.max(initial=0.0)), 1e-3)), size_px=size_px)
    body = [frame.axes(title, x_label)]
    for share, low, high in zip(shares, edges[:-1], edges[1:], strict=True):
        left, top = frame.x(low), frame.y(share)
        width, height = frame.x(high) - left - 0.5, frame.y(0) - top
        body.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{COLORS[0]}"/>'
        )
    if len(values):
        median = float(np.median(values))
        place = frame.x(min(max(median, x_range[0]), x_range[1]))
        body.append(
            f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{TOP}" y2="{frame.y(0):.1f}" stroke="{COLORS[1]}" '
            f'stroke-width="1.4" stroke-dasharray="4 3"/>'
            f'<text x="{LEFT}" y="{LEGEND_Y}" fill="{COLORS[1]}">'
            f"median {median:.2f}, n {len(values)}</text>"
        )
    return _svg(size_px, body, title)


def bar(share: float, *, width_px: int = 120) -> str:
    """A share of 0 to 1 as a bar, for a table's cell."""
    filled = width_px * min(max(share, 0.0), 1.0)
    return (
        f'<svg width="{width_px}" height="10" role="img" aria-label="{share:.2f}">'
        f'<rect width="{width_px}" height="10" rx="2" fill="#e6e9ee"/>'
        f'<rect width="{filled:.1f}" height="10" rx="2" fill="{COLORS[0]}"/></svg>'
    )


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """The plot's rectangle, and what values map to in it."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    size_px: tuple[int, int]

    def x(self, value: float) -> float:
        low, high = self.x_range
        return LEFT + (value - low) / (high - low) * (self.size_px[0] - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return self.size_px[1] - BOTTOM - (value - low) / (high - low) * (self.size_px[1] - TOP - BOTTOM)

    def axes(self, title: str, x_label: str) -> str:
        """Title, grid, numbers along both axes and the name of the horizontal one."""
        width, height = self.size_px
        parts = [f'<text x="{LEFT}" y="{TITLE_Y}" class="title">{escape(title)}</text>']
        for step in range(NUM_GRID + 1):
            share = step / NUM_GRID
            y_value = self.y_range[0] + share * (self.y_range[1] - self.y_range[0])
            x_value = self.x_range[0] + share * (self.x_range[1] - self.x_range[0])
            y, x = self.y(y_value), self.x(x_value)
            parts.append(f'<line x1="{LEFT}" x2="{width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
            parts.append(f'<text x="{LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">{y_value:.3g}</text>')
            parts.append(f'<text x="{x:.1f}" y="{height - BOTTOM + 13}" text-anchor="middle">{x_value:.3g}</text>')
        middle = (LEFT + width - RIGHT) / 2
        parts.append(f'<text x="{middle:.0f}" y="{height - 5}" text-anchor="middle">{escape(x_label)}</text>')
        return "".join(parts)


def _legend(labels: Sequence[str]) -> str:
    """A row of line samples with their labels, between title and plot."""
    parts, left = [], float(LEFT)
    for index, label in enumerate(labels):
        parts.append(
            f'<line x1="{left:.0f}" x2="{left + 12:.0f}" y1="{LEGEND_Y - 4}" y2="{LEGEND_Y - 4}" '
            f'stroke="{_color(index)}" stroke-width="2"/>'
            f'<text x="{left + 16:.0f}" y="{LEGEND_Y}">{escape(label)}</text>'
        )
        left += 26 + CHARACTER_PX * len(label)
    return "".join(parts)


def _finite_runs(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Stretches of points without a gap."""
    kept = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not len(kept):
        return []
    runs = np.split(kept, np.flatnonzero(np.diff(kept) > 1) + 1)
    return [(x[run], y[run]) for run in runs]


def _color(index: int) -> str:
    return COLORS[index % len(COLORS)]


def _svg(size_px: tuple[int, int], body: Sequence[str], title: str) -> str:
    width, height = size_px
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" class="chart" role="img" '
        f'aria-label="{escape(title)}">{"".join(body)}</svg>'
    )
