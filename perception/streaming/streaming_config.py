"""Settings of the streaming runtime."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from tricast.configs.strict import StrictConfig
from tricast.sensors.health import HealthConfig


class StreamingConfig(StrictConfig):
    """Queues, threads, deadlines and limits."""

    policy: Literal["lossless", "latest"] = "lossless"
    """`lossless` loses nothing and pushes back; `latest` never pushes back, and the newest tick wins, but
    for one without a sensor over one that has one."""
    workers: int = Field(default=1, ge=0, le=64)
    """Threads that prepare ticks while the network runs; 0 uses no thread at all. Results do not depend on it. Of the
    policy `lossless`; `latest` prepares one tick at a time and has 1."""
    inbox_messages: int = Field(default=256, ge=1, le=100_000)
    queued_ticks: int = Field(default=2, ge=1, le=1000)
    """Ticks that wait for the pipeline, of the policy `lossless`; `latest` keeps one."""
    deadline_ms: float = Field(default=200, gt=0, le=60_000)
    """From the closing of a tick to its result."""
    max_moved_on_s: float = Field(default=1.0, gt=0, le=2)
    """After dropped ticks memory and tracks are moved on over so much time at most; after more they are reset. Tracks
    are no longer carried over more than two seconds in any case."""
    processing_warn_ms: float = Field(default=200, gt=0, le=60_000)
    pose_warn_s: float = Field(default=1.0, gt=0, le=600)
    """Age of the newest ego pose, after which the state is a warning."""
    result_timeout_s: float = Field(default=1.0, gt=0, le=600)
    """Time without a result that met its deadline, after which the state is an error."""
    health: HealthConfig = HealthConfig()

    @model_validator(mode="after")
    def _newest_has_one_thread(self) -> StreamingConfig:
        if self.policy == "latest" and self.workers != 1:
            raise ValueError(f"workers: the policy 'latest' prepares in 1 thread, not {self.workers}")
        return self
