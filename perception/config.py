"""The whole configuration of a replay, composed from the parts that each module declares."""

from __future__ import annotations

from typing import Literal

from tricast.configs.strict import StrictConfig
from tricast.perception.detectors.cluster import ClusterConfig
from tricast.perception.tracking.forecasts import ForecastConfig
from tricast.perception.tracking.tracker import TrackerConfig
from tricast.sensors.synchronization import SynchronizerConfig


class PipelineConfig(StrictConfig):
    """Settings of the synchroniser, the detector, the tracker and the forecasts."""

    detector: Literal["cluster"] = "cluster"
    synchronizer: SynchronizerConfig = SynchronizerConfig()
    cluster: ClusterConfig = ClusterConfig()
    tracker: TrackerConfig = TrackerConfig()
    forecast: ForecastConfig = ForecastConfig()
