"""One ticket through the pipeline: what becomes of memory after drops, whether the deadline was met, the counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from threading import Lock

from tricast.perception.streaming.pipeline import Pipeline, PreparedTick
from tricast.perception.streaming.runtime_result import (
    Delivery,
    MemoryState,
    RuntimeResult,
    RuntimeStatus,
    StatusLevel,
)
from tricast.perception.streaming.streaming_config import StreamingConfig
from tricast.perception.streaming.tick_source import Ticket
from tricast.sensors.synced_frame import SyncedFrame

SECOND_NS = 1_000_000_000


class TickRunner:
    """Runs tickets in order and tells what came of them.

    Args:
        pipeline: Detector, tracker and forecasts.
        config: Deadline and limits.
        on_result: Takes each result, in the thread that runs tickets.

    """

    def __init__(self, pipeline: Pipeline, config: StreamingConfig, on_result: Callable[[RuntimeResult], None]) -> None:
        self._pipeline = pipeline
        self._config = config
        self._on_result = on_result
        self._last_ns: int | None = None
        self._lock = Lock()
        self._results = self._late = self._dropped_ticks = 0
        self._processing_ms: float | None = None
        self._pose_age_s: float | None = None
        """Of the last tick's newest pose; None while there was none."""
        self._sensed = False
        """Whether any tick used a sensor yet."""
        self._deaf = False
        """Whether every sensor was lost at the last tick."""
        self._in_time_s = time.monotonic()

    def prepare(self, ticket: Ticket) -> PreparedTick:
        """What needs no other tick; for any thread."""
        return self._pipeline.prepare(ticket.frame)

    def count_dropped(self) -> None:
        """Count a ticket that will not run."""
        with self._lock:
            self._dropped_ticks += 1

    def run(self, ticket: Ticket, prepared: PreparedTick) -> None:
        """Step the pipeline and hand the result on; one ticket at a time, in order."""
        started_s = time.monotonic()
        frame, memory = self._after_drops(ticket)
        tick = self._pipeline.step(frame, prepared)
        finished_s = time.monotonic()
        total_ms = 1e3 * (finished_s - ticket.closed_s)
        delivery = Delivery(
            sequence=ticket.sequence,
            dropped_ticks=ticket.dropped_ticks,
            not_used=ticket.not_used,
            memory=memory,
            late=total_ms > self._config.deadline_ms,
            waited_ms=1e3 * (started_s - ticket.closed_s),
            processing_ms=prepared.took_ms + 1e3 * (finished_s - started_s),
            total_ms=total_ms,
        )
        self._count(delivery, finished_s, ticket)
        self._on_result(
            RuntimeResult(
                tick=tick, frame=frame, annotations=ticket.annotations, channels=ticket.channels, delivery=delivery
            )
        )

    def _after_drops(self, ticket: Ticket) -> tuple[SyncedFrame, MemoryState]:
        """The tick, told to forget where too much was dropped before it, and what becomes of memory."""
        frame, last_ns = ticket.frame, self._last_ns
        self._last_ns = frame.timestamp_ns
        if frame.discontinuity:
            return frame, "reset"
        if not ticket.dropped_ticks or last_ns is None:
            return frame, "kept"
        if frame.timestamp_ns - last_ns <= self._config.max_moved_on_s * SECOND_NS:
            return frame, "moved_on"
        return replace(frame, discontinuity=True), "reset"

    def _count(self, delivery: Delivery, finished_s: float, ticket: Ticket) -> None:
        frame, stamps_ns = ticket.frame, ticket.frame.ego_motion.stamps_ns
        with self._lock:
            self._pose_age_s = (frame.timestamp_ns - stamps_ns[-1]) / SECOND_NS if stamps_ns else None
            self._sensed |= bool(frame.inputs)
            self._deaf = self._sensed and all(r.state in ("lost", "waiting") for r in ticket.channels.values())
            self._results += 1
            self._late += delivery.late
            self._processing_ms = delivery.processing_ms
            if self._sensed and not delivery.late:
                self._in_time_s = finished_s

    def status(self, *, ticks: int, dropped_messages: int) -> RuntimeStatus:
        """State as a whole, by the limits of the configuration."""
        with self._lock:
            since_s = time.monotonic() - self._in_time_s
            level, reasons = self._judged(since_s)
            return RuntimeStatus(
                level=level,
                reasons=reasons,
                ticks=ticks,
                results=self._results,
                late=self._late,
                dropped_ticks=self._dropped_ticks,
                dropped_messages=dropped_messages,
                processing_ms=self._processing_ms,
                since_in_time_s=since_s,
            )

    def _judged(self, since_s: float) -> tuple[StatusLevel, tuple[str, ...]]:
        """How well it does, and why, by the time since a result came in time."""
        warnings: list[str] = []
        errors: list[str] = []
        if not self._sensed:
            warnings.append("no sensor was heard yet")
        if self._processing_ms is not None and self._processing_ms > self._config.processing_warn_ms:
            warnings.append(f"processing takes {self._processing_ms:.0f} ms")
        if self._pose_age_s is not None and self._pose_age_s > self._config.pose_warn_s:
            warnings.append(f"no ego pose for {self._pose_age_s:.1f} s: the last motion is taken to go on")
        if self._deaf:
            errors.append("every sensor is lost")
        if since_s > self._config.result_timeout_s:
            errors.append(f"no result in time for {since_s:.1f} s")
        return "error" if errors else "warn" if warnings else "ok", (*warnings, *errors)
