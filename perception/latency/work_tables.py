"""What a whole tick costs against how much there is to do: cameras, LiDAR returns, queries."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tricast.perception.config import PipelineConfig
from tricast.perception.detectors.network import NetworkDetector
from tricast.perception.latency.scaled_ticks import with_cameras, with_points
from tricast.perception.model import Network
from tricast.perception.streaming.pipeline import Pipeline
from tricast.sensors.synced_frame import SyncedFrame

AMOUNTS: Mapping[str, tuple[int, ...]] = {
    "cameras": (1, 2, 4, 6, 8),
    "points": (5_000, 10_000, 30_000, 60_000, 120_000, 300_000),
    "queries": (16, 48, 96, 192, 300, 600),
}
"""Points are returns in every sweep."""
NEARLY = 0.1
"""Cost is called nearly linear where no amount is farther from the line than this share of its own cost."""
STAGES = ("preparation", "detection", "tracking", "forecast", "total")


@dataclass(frozen=True, kw_only=True)
class WorkRow:
    """Median milliseconds of one amount, by stage of the pipeline."""

    amount: int
    ms: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class WorkTable:
    """What one kind of work costs.

    Args:
        kind: `cameras`, `points` or `queries`.
        rows: From the least to the most.

    """

    kind: str
    rows: tuple[WorkRow, ...]

    @property
    def line(self) -> tuple[float, float]:
        """Milliseconds for each one more, and for none, of the straight line nearest in shares of the totals."""
        amounts, totals = self._totals()
        slope, at_none = np.polyfit(amounts, totals, 1, w=1 / totals)
        return float(slope), float(at_none)

    @property
    def off_the_line(self) -> float:
        """How far the amount farthest from the line is from it, as a share of its own cost."""
        amounts, totals = self._totals()
        slope, at_none = self.line
        return float(np.max(np.abs(slope * amounts + at_none - totals) / totals))

    @property
    def grows(self) -> str:
        """In words: how cost grows from the least to the most."""
        amounts, totals = self._totals()
        times = f"{amounts[-1] / amounts[0]:.3g} times the {self.kind} cost {totals[-1] / totals[0]:.2f} times the time"
        if self.off_the_line <= NEARLY:
            return f"nearly linear (within {self.off_the_line:.0%} of the line); {times}"
        slower = totals[-1] / totals[0] <= amounts[-1] / amounts[0]
        return f"{'slower' if slower else 'faster'} than linear (up to {self.off_the_line:.0%} off the line); {times}"

    def _totals(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array([row.amount for row in self.rows], float), np.array([row.ms["total"] for row in self.rows])


def work_tables(
    network: Network,
    config: PipelineConfig,
    frames: Sequence[SyncedFrame],
    *,
    rounds: int,
    amounts: Mapping[str, Sequence[int]] = AMOUNTS,
) -> list[WorkTable]:
    """Measure whole ticks, the amounts of one kind in turns; each has a pipeline of its own.

    Args:
        network: In evaluation mode, run as it is; its number of queries is changed and put back.
        config: Of the pipelines.
        frames: Consecutive ticks with cameras and a LiDAR; passed over again as often as needed.
        rounds: Ticks that count of every amount.
        amounts: What is tried.

    """
    return [
        WorkTable(kind=kind, rows=tuple(_measured(network, config, frames, rounds, kind, tried)))
        for kind, tried in amounts.items()
    ]


def _measured(
    network: Network,
    config: PipelineConfig,
    frames: Sequence[SyncedFrame],
    rounds: int,
    kind: str,
    amounts: Sequence[int],
) -> list[WorkRow]:
    before = network.config
    pipelines = {
        n: Pipeline(config, detector=NetworkDetector(config.network, network=network), keep_latencies=rounds)
        for n in amounts
    }
    scaled: Callable[[SyncedFrame, int], SyncedFrame] = {"cameras": with_cameras, "points": with_points}.get(
        kind, lambda frame, _: frame
    )
    try:
        for number in range(rounds + 2):  # the first two are not kept
            for amount, pipeline in pipelines.items():
                if kind == "queries":
                    decoder = before.decoder.model_copy(update={"queries": amount})
                    network.config = before.model_copy(update={"decoder": decoder})
                if number and number % len(frames) == 0:
                    pipeline.reset()
                pipeline.step(scaled(frames[number % len(frames)], amount))
    finally:
        network.config = before
    rows: list[WorkRow] = []
    for amount, pipeline in pipelines.items():
        samples = pipeline.latency.samples_ms()
        rows.append(WorkRow(amount=amount, ms={stage: statistics.median(samples[stage]) for stage in STAGES}))
    return rows
