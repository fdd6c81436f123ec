"""How each sensor is doing, over time: rate, age, gaps, delay and calibration, as a state that does not flicker.

A tick's own health (`SyncedFrame.health`) says what that tick had; this says whether the channel can be relied on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from threading import Lock
from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import Field

from tricast.configs.strict import StrictConfig
from tricast.sensors.annotations import Annotations
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.frames import CameraFrame, EgoPose
from tricast.sensors.log.stream import Message, SensorMessage
from tricast.sensors.synced_frame import SyncedFrame

ChannelState: TypeAlias = Literal["waiting", "ok", "degraded", "lost", "recovered"]

SECOND_NS = 1_000_000_000
MS_NS = 1_000_000
RECENT = 10
LEARNED = 20
CLEARING = 0.8
"""Share of a limit below which a complaint ends."""
MIN_STALE_NS = 250 * MS_NS
"""A channel of any rate may miss two ticks of 100 ms before it counts as degraded."""


class HealthConfig(StrictConfig):
    """When a channel counts as degraded, lost and well again."""

    degraded_periods: float = Field(default=2.5, gt=1, le=100)
    """Usual periods without fresh data in a tick."""
    lost_after_s: float = Field(default=0.5, gt=0, le=60)
    """Time without fresh data in any tick, or five usual periods where that is longer."""
    recover_s: float = Field(default=0.5, ge=0, le=60)
    """Time without complaint until `recovered` turns `ok`."""
    max_delay_ms: float = Field(default=250, gt=0, le=60_000)
    """From stamp to arrival: transport, and the offset of the sensor's clock."""
    max_ahead_ms: float = Field(default=50, gt=0, le=60_000)
    """By which stamps may lie after their arrival."""
    rate_factor: float = Field(default=2.0, gt=1, le=100)
    """A rate that many times above or below the usual one is a complaint."""
    rates_hz: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """Usual rates by channel; of others the rate of their first messages is the usual one."""
    frozen_after: int = Field(default=3, ge=2, le=1000)
    """Messages of equal content in a row."""
    max_mount_m: float = Field(default=15, gt=0, le=100)
    """Distance of a sensor from the ego origin that still is credible."""


@dataclass(frozen=True, kw_only=True)
class ChannelReport:
    """State of one channel over time.

    `waiting`: it never delivered; `ok`; `degraded`: it delivers, with complaints or holes; `lost`: no tick has had
    fresh data for a while; `recovered`: well again, but not for long yet.

    Args:
        state: The above, with hysteresis.
        reasons: Why it is not `ok`, a sentence each.
        rate_hz: By the newest arrivals; None before there are three.
        age_ns: Tick minus the newest stamp; None while waiting and where the stamp lies after the tick.
        gaps: Holes of more than `degraded_periods` usual periods between stamps so far.
        delay_ns: Median of arrival minus stamp of the newest messages; None while waiting.
        malformed: Messages that did not decode so far.

    """

    state: ChannelState
    reasons: tuple[str, ...] = ()
    rate_hz: float | None = None
    age_ns: int | None = None
    gaps: int = 0
    delay_ns: int | None = None
    malformed: int = 0


@dataclass
class _Channel:
    """What is known of one channel."""

    state: ChannelState = "waiting"
    well_since_ns: int = 0
    fresh_ns: int | None = None
    """Last tick with fresh data; before one, the arrival of the first message."""
    newest_ns: int | None = None
    first_periods_ns: list[int] = field(default_factory=list[int])
    arrivals_ns: deque[int] = field(default_factory=lambda: deque[int](maxlen=RECENT))
    delays_ns: deque[int] = field(default_factory=lambda: deque[int](maxlen=RECENT))
    last: SensorMessage | None = None
    equal: int = 1
    gaps: int = 0
    malformed: int = 0
    malformed_before: int = 0
    malformed_ns: int | None = None
    """Tick that learned of the last one."""
    complaints: dict[str, str] = field(default_factory=dict[str, str])
    calibration: str | None = None

    def restart(self) -> None:
        """Time jumped: what was counted on the old time no longer holds."""
        self.fresh_ns = self.newest_ns = self.last = None
        self.arrivals_ns.clear()
        self.delays_ns.clear()
        self.equal = 1


class HealthMonitor:
    """Watches every message and every tick; decides by their times alone.

    One thread observes; `malformed` may be told by any.

    Args:
        rig: Calibrated channels.
        config: Limits.

    """

    def __init__(self, rig: Rig, config: HealthConfig | None = None) -> None:
        self.config = config or HealthConfig()
        self._rig = rig
        self._channels: dict[str, _Channel] = {}
        self._lock = Lock()

    def recalibrate(self, rig: Rig) -> None:
        """Judge by another rig from now on."""
        with self._lock:
            self._rig = rig
            for channel in self._channels.values():
                channel.last, channel.calibration = None, None

    def malformed(self, channel: str, count: int = 1) -> None:
        """Count messages that did not decode."""
        with self._lock:
            self._channel(channel).malformed += count

    def all_malformed(self) -> dict[str, int]:
        """By channel, how many messages did not decode so far; channels without one are left out."""
        with self._lock:
            return {name: channel.malformed for name, channel in self._channels.items() if channel.malformed}

    def observe(self, message: Message) -> None:
        """Take note of one arrival."""
        if isinstance(message, EgoPose | Annotations) or message.channel not in self._rig:
            return
        with self._lock:
            channel = self._channel(message.channel)
            self._observe(channel, message)

    def tick(self, frame: SyncedFrame) -> dict[str, ChannelReport]:
        """State of every channel of the tick, which follows from it and from what was observed before."""
        with self._lock:
            if frame.discontinuity:
                for channel in self._channels.values():
                    channel.restart()
            fresh = {used.channel for used in frame.inputs if not used.reused}
            return {
                name: self._report(name, self._channel(name), name in fresh, frame.timestamp_ns)
                for name in frame.health
            }

    def _channel(self, name: str) -> _Channel:
        return self._channels.setdefault(name, _Channel())

    def _observe(self, channel: _Channel, message: SensorMessage) -> None:
        size_px = message.header_size_px() if isinstance(message, CameraFrame) else None
        if isinstance(message, CameraFrame) and size_px is None:
            channel.malformed += 1
        elif channel.calibration is None:
            channel.calibration = _calibration_complaint(self._rig[message.channel], size_px, self.config) or ""
        if channel.last is not None:
            same = message.timestamp_ns == channel.last.timestamp_ns or _equal_content(message, channel.last)
            channel.equal = channel.equal + 1 if same else 1
        channel.last = message
        usual_ns = self._usual_ns(message.channel, channel)
        # A stamp from the future is no time at which anything was measured.
        stamp_ns = min(message.timestamp_ns, message.received_ns)
        if channel.newest_ns is not None:
            period_ns = stamp_ns - channel.newest_ns
            # What departs from what is already known teaches nothing: a sensor may go wrong early.
            factor = self.config.rate_factor
            likely = usual_ns is None or usual_ns / factor <= period_ns <= usual_ns * factor
            if period_ns > 0 and likely and len(channel.first_periods_ns) < LEARNED:
                channel.first_periods_ns.append(period_ns)
            if usual_ns is not None and period_ns > self.config.degraded_periods * usual_ns:
                channel.gaps += 1
        channel.newest_ns = max(stamp_ns, channel.newest_ns or stamp_ns)
        channel.arrivals_ns.append(message.received_ns)
        channel.delays_ns.append(message.received_ns - message.timestamp_ns)
        if channel.fresh_ns is None:
            channel.fresh_ns = message.received_ns

    def _usual_ns(self, name: str, channel: _Channel) -> float | None:
        if name in self.config.rates_hz:
            return SECOND_NS / self.config.rates_hz[name]
        learned = channel.first_periods_ns
        return median(learned) if len(learned) >= RECENT else None

    def _report(self, name: str, channel: _Channel, fresh: bool, tick_ns: int) -> ChannelReport:
        if fresh:
            channel.fresh_ns = tick_ns
        self._complain(name, channel, tick_ns)
        channel.state = self._state(name, channel, tick_ns)
        age_ns = None if channel.newest_ns is None else tick_ns - channel.newest_ns
        return ChannelReport(
            state=channel.state,
            reasons=tuple(channel.complaints.values()) if channel.state not in ("ok", "waiting") else (),
            rate_hz=_rate_hz(channel),
            age_ns=age_ns if age_ns is not None and age_ns >= 0 else None,
            gaps=channel.gaps,
            delay_ns=round(median(channel.delays_ns)) if channel.delays_ns else None,
            malformed=channel.malformed,
        )

    def _state(self, name: str, channel: _Channel, tick_ns: int) -> ChannelState:
        config = self.config
        if channel.fresh_ns is None:
            return "waiting" if channel.state == "waiting" else "lost"
        usual_ns = self._usual_ns(name, channel) or 0.0
        stale_ns = tick_ns - channel.fresh_ns
        if stale_ns > max(config.lost_after_s * SECOND_NS, 5 * usual_ns):
            return "lost"
        if channel.complaints:
            return "degraded"
        if channel.state in ("lost", "degraded"):
            channel.well_since_ns = tick_ns
            return "recovered"
        # Below 0 where time was set back since: what was counted on the old time no longer holds.
        if channel.state == "recovered" and 0 <= tick_ns - channel.well_since_ns < config.recover_s * SECOND_NS:
            return "recovered"
        return "ok"

    def _complain(self, name: str, channel: _Channel, tick_ns: int) -> None:
        before, config = channel.complaints, self.config
        now: dict[str, str] = {}
        usual_ns = self._usual_ns(name, channel) or 0.0
        stale_ns = 0 if channel.fresh_ns is None else tick_ns - channel.fresh_ns
        if stale_ns > max(config.degraded_periods * usual_ns, MIN_STALE_NS):
            now["stale"] = f"no tick had fresh data for {stale_ns / SECOND_NS:.1f} s"
        if channel.equal >= config.frozen_after:
            now["frozen"] = f"the same content {channel.equal} times in a row"
        if channel.delays_ns:
            now |= _clock_complaints(median(channel.delays_ns) / MS_NS, before, config)
        now |= _rate_complaints(_rate_hz(channel), SECOND_NS / usual_ns if usual_ns else None, before, config)
        if channel.malformed > channel.malformed_before:
            channel.malformed_before, channel.malformed_ns = channel.malformed, tick_ns
        if channel.malformed_ns is not None and 0 <= tick_ns - channel.malformed_ns < SECOND_NS:
            now["malformed"] = f"messages that do not decode, {channel.malformed} so far"
        if channel.calibration:
            now["calibration"] = channel.calibration
        channel.complaints = now


def _rate_hz(channel: _Channel) -> float | None:
    """By the median distance of the newest arrivals, which one hole does not move."""
    if len(channel.arrivals_ns) < 3:
        return None
    arrivals = list(channel.arrivals_ns)
    period_ns = median(after - before for before, after in pairwise(arrivals))
    return SECOND_NS / period_ns if period_ns > 0 else None


def _clock_complaints(delay_ms: float, before: Mapping[str, str], config: HealthConfig) -> dict[str, str]:
    late = delay_ms > config.max_delay_ms * (CLEARING if "delay" in before else 1)
    ahead = -delay_ms > config.max_ahead_ms * (CLEARING if "ahead" in before else 1)
    if late:
        return {"delay": f"arrives {delay_ms / 1000:.3f} s after its stamps: a slow way, or a clock that is off"}
    if ahead:
        return {"ahead": f"stamps lie {-delay_ms / 1000:.3f} s after their arrival: its clock is off"}
    return {}


def _rate_complaints(
    rate_hz: float | None, usual_hz: float | None, before: Mapping[str, str], config: HealthConfig
) -> dict[str, str]:
    if rate_hz is None or usual_hz is None:
        return {}
    factor = config.rate_factor * (CLEARING if "rate" in before else 1)
    if usual_hz / factor <= rate_hz <= usual_hz * factor:
        return {}
    return {"rate": f"{rate_hz:.1f} messages a second where {usual_hz:.1f} are usual"}


def _equal_content(message: SensorMessage, other: SensorMessage) -> bool:
    """Whether two messages hold the same measurement: no real sensor measures the same twice."""
    if isinstance(message, CameraFrame):
        return isinstance(other, CameraFrame) and message.data == other.data
    if isinstance(other, CameraFrame) or not len(message):
        return False
    # A few points tell most messages apart.
    few = np.array_equal(message.points_m[:16], other.points_m[:16], equal_nan=True)
    return few and np.array_equal(message.points_m, other.points_m, equal_nan=True)


def _calibration_complaint(
    calibration: SensorCalibration, size_px: tuple[int, int] | None, config: HealthConfig
) -> str | None:
    distance_m = float(np.linalg.norm(calibration.ego_from_sensor.translation))
    if distance_m > config.max_mount_m:
        return f"its calibration puts it {distance_m:.1f} m from the vehicle's origin"
    lens = calibration.lens
    if lens is None or size_px is None or size_px == (lens.width_px, lens.height_px):
        return None
    return f"its pictures are {size_px[0]}x{size_px[1]} where its calibration says {lens.width_px}x{lens.height_px}"
