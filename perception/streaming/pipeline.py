"""The pipeline: one `step` per tick, from synchronised sensors to tracked boxes with futures.

The same object serves replay and live use; only its two ends differ.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from tricast.perception.config import PipelineConfig
from tricast.perception.detectors.cluster import ClusterDetector
from tricast.perception.detectors.interface import Detector
from tricast.perception.outputs import TickResult
from tricast.perception.streaming.latency import LatencyRecorder
from tricast.perception.streaming.track_futures import futures_of_tracks
from tricast.perception.tracking.forecasts import forecast
from tricast.perception.tracking.refinement import refined
from tricast.perception.tracking.tracker import Tracker
from tricast.sensors.synced_frame import SyncedFrame


@dataclass(frozen=True, kw_only=True)
class PreparedTick:
    """What the detector made of a tick alone, and how long that took."""

    value: Any
    took_ms: float


class Pipeline:
    """Detector, tracker and forecasts in a row.

    Args:
        config: All settings; the defaults are the packaged `cluster` configuration.
        detector: A detector to use in place of the configured one.
        keep_latencies: Of how many of the newest ticks times are kept; None keeps all.

    """

    def __init__(
        self,
        config: PipelineConfig | None = None,
        *,
        detector: Detector | None = None,
        keep_latencies: int | None = None,
    ) -> None:
        self.config = config or PipelineConfig()
        self.detector = detector or _configured(self.config)
        self.tracker = Tracker(self.config.tracker)
        self.latency = LatencyRecorder(keep_latencies)

    def prepare(self, frame: SyncedFrame) -> PreparedTick:
        """What of a step needs no other tick: in any thread, for several ticks at once, results the same."""
        begin_ns = time.perf_counter_ns()
        value = self.detector.prepare(frame)
        return PreparedTick(value=value, took_ms=(time.perf_counter_ns() - begin_ns) / 1e6)

    def step(self, frame: SyncedFrame, prepared: PreparedTick | None = None) -> TickResult:
        """Everything known at one tick, in ego axes at `frame.timestamp_ns`; sensors may be missing in any way.

        Args:
            frame: The tick; ticks come in order.
            prepared: What `prepare` gave for it; None has it prepared here.

        """
        prepared = self.prepare(frame) if prepared is None else prepared
        if frame.discontinuity:
            self.reset()
        odom_from_ego = frame.ego_motion.odom_from_ego(frame.timestamp_ns)
        begin_ns = time.perf_counter_ns()
        self.latency.record("preparation", prepared.took_ms)
        with self.latency.stage("detection"):
            detections = self.detector.detect(frame, prepared.value)
        with self.latency.stage("tracking"):
            tracks = self.tracker.update(detections, odom_from_ego)
            detections = refined(detections, tracks, self.config.refinement)
        with self.latency.stage("forecast"):
            trajectories = futures_of_tracks(tracks, detections, forecast(tracks, self.config.forecast))
        self.latency.record("total", prepared.took_ms + (time.perf_counter_ns() - begin_ns) / 1e6)
        return TickResult(
            timestamp_ns=frame.timestamp_ns,
            odom_from_ego=odom_from_ego,
            detections=detections,
            tracks=tracks,
            trajectories=trajectories,
            inputs=frame.inputs,
            health=frame.health,
            pose_stamps_ns=frame.ego_motion.stamps_ns,
            discontinuity=frame.discontinuity,
        )

    def reset(self) -> None:
        """Forget all tracks and what the detector remembers; identities are never used again."""
        self.detector.reset()
        self.tracker.reset()


def _configured(config: PipelineConfig) -> Detector:
    if config.detector == "cluster":
        return ClusterDetector(config.cluster)
    # Only here: torch takes seconds to import, and the classical detector does without it.
    from tricast.perception.detectors.network import NetworkDetector

    return NetworkDetector(config.network)
