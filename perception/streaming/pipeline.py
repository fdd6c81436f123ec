"""The pipeline: one `step` per tick, from synchronised sensors to tracked boxes with futures.

The same object serves replay and live use; only its two ends differ.
"""

from __future__ import annotations

from tricast.perception.config import PipelineConfig
from tricast.perception.detectors.cluster import ClusterDetector
from tricast.perception.detectors.interface import Detector
from tricast.perception.outputs import TickResult
from tricast.perception.streaming.latency import LatencyRecorder
from tricast.perception.streaming.track_futures import futures_of_tracks
from tricast.perception.tracking.forecasts import forecast
from tricast.perception.tracking.tracker import Tracker
from tricast.sensors.synced_frame import SyncedFrame


class Pipeline:
    """Detector, tracker and forecasts in a row.

    Args:
        config: All settings; the defaults are the packaged `cluster` configuration.
        detector: A detector to use in place of the configured one.

    """

    def __init__(self, config: PipelineConfig | None = None, *, detector: Detector | None = None) -> None:
        self.config = config or PipelineConfig()
        self.detector = detector or _configured(self.config)
        self.tracker = Tracker(self.config.tracker)
        self.latency = LatencyRecorder()

    def step(self, frame: SyncedFrame) -> TickResult:
        """Everything known at one tick, in ego axes at `frame.timestamp_ns`; sensors may be missing in any way."""
        if frame.discontinuity:
            self.reset()
        odom_from_ego = frame.ego_motion.odom_from_ego(frame.timestamp_ns)
        with self.latency.stage("total"):
            with self.latency.stage("detection"):
                detections = self.detector.detect(frame)
            with self.latency.stage("tracking"):
                tracks = self.tracker.update(detections, odom_from_ego)
            with self.latency.stage("forecast"):
                trajectories = futures_of_tracks(tracks, detections, forecast(tracks, self.config.forecast))
        return TickResult(
            timestamp_ns=frame.timestamp_ns,
            odom_from_ego=odom_from_ego,
            detections=detections,
            tracks=tracks,
            trajectories=trajectories,
            inputs=frame.inputs,
            health=frame.health,
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
