"""Parameters of the live node, checked like every other configuration."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from tricast.configs.errors import ConfigError
from tricast.configs.strict import StrictConfig, parse_config
from tricast.perception.backends.names import BackendName
from tricast.perception.config import PipelineConfig, chosen_config
from tricast.perception.streaming.streaming_config import StreamingConfig

NOT_OURS = ("use_sim_time", "start_type_description_service", "qos_overrides")
"""Parameters that every ROS 2 node has."""


class LiveConfig(StrictConfig):
    """What the live node subscribes to, runs and publishes. Empty texts and lists mean: not set."""

    config: str = ""
    """Pipeline configuration: packaged name or path, as `tricast replay --config` takes it."""
    detector: Literal["", "cluster", "network"] = ""
    weights: str = ""
    backend: Literal["", "auto"] | BackendName = ""
    """What runs the network; `auto` takes the fastest that is installed and proven, and remembers it."""
    calibration: str = ""
    """YAML rig in place of `/tf_static` and camera infos."""
    out: str = ""
    """Run directory that also gets the results; empty keeps none."""
    cameras: tuple[str, ...] = ()
    lidars: tuple[str, ...] = ()
    radars: tuple[str, ...] = ()
    """Channels to subscribe to, on `/sensors/<channel>/...`; with all three empty, every one found on the graph."""
    base_frame: str = "base_link"
    odom_frame: str = "odom"
    reliability: Literal["auto", "reliable", "best_effort"] = "auto"
    """QoS of sensor subscriptions; `auto` asks for what the publishers offer."""
    queue_depth: int = Field(default=10, ge=1, le=1000)
    deadline_ms: float = Field(default=200, gt=0, le=60_000)
    processing_warn_ms: float = Field(default=200, gt=0, le=60_000)
    result_timeout_s: float = Field(default=1.0, gt=0, le=600)
    diagnostics_hz: float = Field(default=5.0, gt=0, le=100)
    markers: bool = True
    extrapolate: bool = False
    """Whether objects are also published at the time of sending (`/tricast/objects_now`), and the messages of other
    stacks and the markers of tracks at that time in place of the tick's."""
    autostart: bool = True
    """Whether the node configures and activates itself; without, it waits for a lifecycle manager."""

    @field_validator("cameras", "lidars", "radars", mode="before")
    @classmethod
    def _without_empty(cls, value: Any) -> Any:
        """One empty text stands for an empty list too: parameter files of ROS 2 cannot tell the type of `[]`."""
        if not isinstance(value, list | tuple):
            raise ValueError("a list of channels, such as [LIDAR_TOP]")
        return tuple(v for v in value if v != "")

    def pipeline(self) -> PipelineConfig:
        """The pipeline's configuration.

        Raises:
            InputError: It is wrong.

        """
        return chosen_config(
            self.config or None,
            detector=self.detector or None,
            weights=self.weights or None,
            backend=self.backend or None,
        )

    def streaming(self) -> StreamingConfig:
        """The runtime's: the newest tick wins."""
        return StreamingConfig(
            policy="latest",
            deadline_ms=self.deadline_ms,
            processing_warn_ms=self.processing_warn_ms,
            result_timeout_s=self.result_timeout_s,
        )


def parse_parameters(values: dict[str, Any], *, node: str) -> LiveConfig:
    """Parameters as ROS 2 gives them, checked.

    Raises:
        ConfigError: One is unknown or does not fit; names it and what is near.

    """
    # None is what ROS 2 makes of an empty list, whose type it cannot tell.
    given = {name: [] if value is None else value for name, value in values.items()}
    simulated = given.get("use_sim_time", False)
    if not isinstance(simulated, bool):  # which ROS 2 only logs, and goes on by the wall clock
        raise ConfigError(
            where=f"parameters of {node}: use_sim_time",
            got=repr(simulated),
            expected="true or false",
            remedy="correct this setting",
        )
    own = {name: value for name, value in given.items() if name.split(".")[0] not in NOT_OURS}
    return parse_config(LiveConfig, own, where=f"parameters of {node}")
