"""The whole configuration of a replay, composed from the parts that each module declares."""

from __future__ import annotations

from typing import Any, Literal

from tricast.configs.errors import InputError
from tricast.configs.strict import StrictConfig, load_config
from tricast.perception.backends.names import BackendName
from tricast.perception.detectors.cluster import ClusterConfig
from tricast.perception.detectors.network_config import NetworkConfig
from tricast.perception.tracking.forecasts import ForecastConfig
from tricast.perception.tracking.refinement import RefinementConfig
from tricast.perception.tracking.tracker import TrackerConfig
from tricast.sensors.synchronization import SynchronizerConfig


class PipelineConfig(StrictConfig):
    """Settings of the synchroniser, the detector, the tracker, the refinement of boxes by tracks, and the forecasts."""

    detector: Literal["cluster", "network"] = "cluster"
    synchronizer: SynchronizerConfig = SynchronizerConfig()
    cluster: ClusterConfig = ClusterConfig()
    network: NetworkConfig = NetworkConfig()
    tracker: TrackerConfig = TrackerConfig()
    refinement: RefinementConfig = RefinementConfig()
    forecast: ForecastConfig = ForecastConfig()

    def with_network(self, **settings: Any) -> PipelineConfig:
        """The same with other settings of the network, by the names of `NetworkConfig`."""
        return self.model_copy(update={"network": self.network.model_copy(update=settings)})


def chosen_config(
    name: str | None = None,
    *,
    detector: Literal["cluster", "network"] | None = None,
    weights: str | None = None,
    backend: BackendName | Literal["auto"] | None = None,
) -> PipelineConfig:
    """The configuration that a command's options name.

    Args:
        name: Packaged configuration or path; None takes the detector's own, that of the network if none is named.
        detector: Detector in place of the configured one.
        weights: Weights of the network in place of the configured ones; they make the network the detector.
        backend: What runs the network, in place of the configured one.

    Raises:
        InputError: The configuration is wrong, or weights or a backend are given to a detector that has none.

    """
    if weights is not None and detector not in (None, "network"):
        raise InputError(
            where="--weights",
            got=f"weights for the detector '{detector}'",
            expected="weights for the network only",
            remedy="leave one of --weights and --detector out",
        )
    detector = "network" if weights is not None else detector
    config = load_config(PipelineConfig, name or detector or "network")
    if detector is None and "detector" not in config.model_fields_set and "network" in config.model_fields_set:
        raise InputError(
            where=f"{name}: network",
            got="settings of the network without a word of the detector, which then is 'cluster'",
            expected="'detector: network' beside them",
            remedy="add it, or give --detector",
        )
    if weights is not None:
        config = config.with_network(weights=weights)
    config = config if detector is None else config.model_copy(update={"detector": detector})
    if backend is None:
        return config
    if config.detector != "network":
        raise InputError(
            where="--backend",
            got=f"a backend for the detector '{config.detector}'",
            expected="a backend for the network only",
            remedy="leave --backend out, or choose --detector network",
        )
    return config.with_network(backend=backend)
