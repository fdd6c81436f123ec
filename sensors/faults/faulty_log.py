"""A log to whose sensors faults happen; itself a log."""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import assert_never

import numpy as np

from tricast.configs.errors import InputError
from tricast.sensors.calibration import Rig, SensorCalibration
from tricast.sensors.faults.effects import (
    beams_lost,
    blurred_image,
    dark_image,
    foggy_image,
    foggy_sweep,
    ghostly_scan,
)
from tricast.sensors.faults.fault_config import (
    APPLIES_TO,
    BeamLoss,
    Blur,
    ClockOffset,
    Darkness,
    Delay,
    FaultsConfig,
    Fog,
    Freeze,
    Jitter,
    MessageFault,
    Miscalibration,
    RadarGhosts,
    SensorLoss,
)
from tricast.sensors.frames import CameraFrame, LidarSweep, RadarScan
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.stream import DrivingLog, Losses, Message, SensorMessage, stream_order


class FaultyLog:
    """Any log with faults; the same seed gives the same faults from wherever the reading starts.

    Args:
        log: The log as it was.
        config: The faults; poses and truth are never touched.

    Raises:
        InputError: A fault names a sensor that the log does not have, or that it cannot happen to.

    """

    def __init__(self, log: DrivingLog, config: FaultsConfig) -> None:
        self._log, self._config = log, config
        self._affected = [_affected(log.rig, fault.kind, fault.channels) for fault in config.faults]
        self._frozen: dict[tuple[int, str], SensorMessage | None] = {}
        self._rig = _miscalibrated(log.rig, config, self._affected)

    @property
    def path(self) -> Path:
        """See `DrivingLog`."""
        return self._log.path

    @property
    def kind(self) -> str:
        """See `DrivingLog`."""
        return self._log.kind

    @property
    def rig(self) -> Rig:
        """See `DrivingLog`; off where a fault says so."""
        return self._rig

    @property
    def start_ns(self) -> int:
        """See `DrivingLog`; of the log as it was, so that ticks stay where they were."""
        return self._log.start_ns

    @property
    def end_ns(self) -> int:
        """See `DrivingLog`."""
        return self._log.end_ns

    @property
    def losses(self) -> Losses:
        """See `DrivingLog`; faults are no losses."""
        return self._log.losses

    def messages(self, *, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Message]:
        """See `DrivingLog.messages`."""
        longest_s = sum(_latest_s(fault) for fault in self._config.faults if not isinstance(fault, Miscalibration))
        begin_ns = None if start_ns is None else start_ns - round(longest_s * 1e9)
        waiting: list[tuple[tuple[int, int, str], int, Message]] = []
        for number, message in enumerate(self._log.messages(start_ns=begin_ns, end_ns=end_ns)):
            # Faults never make a message arrive earlier, so what arrives before this one is complete.
            while waiting and waiting[0][0][0] < message.received_ns:
                yield heapq.heappop(waiting)[2]
            changed = self._changed(message)
            late = changed is None or (end_ns is not None and changed.received_ns > end_ns)
            if changed is not None and not late and (start_ns is None or changed.received_ns >= start_ns):
                heapq.heappush(waiting, (stream_order(changed), number, changed))
        while waiting:
            yield heapq.heappop(waiting)[2]

    def _changed(self, message: Message) -> Message | None:
        if not isinstance(message, CameraFrame | LidarSweep | RadarScan):
            return message
        changed: SensorMessage | None = message
        for index, fault in enumerate(self._config.faults):
            if changed is None:
                return None
            if isinstance(fault, Miscalibration) or message.channel not in self._affected[index]:
                continue
            since_s = (message.received_ns - self._log.start_ns) / 1e9
            if fault.start_s <= since_s and (fault.stop_s is None or since_s < fault.stop_s):
                key = [self._config.seed, index, zlib.crc32(message.channel.encode())]
                changed = self._hit(changed, fault, index, key, message.timestamp_ns)
        return changed

    def _hit(
        self, message: SensorMessage, fault: MessageFault, index: int, key: list[int], stamp_ns: int
    ) -> SensorMessage | None:
        rng = np.random.default_rng([*key, stamp_ns])
        match fault:
            case SensorLoss():
                return None if rng.random() < fault.probability else message
            case Freeze():
                first = self._first_frozen(message, fault, index)
                return replace(first, timestamp_ns=message.timestamp_ns, received_ns=message.received_ns)
            case Delay():
                return replace(message, received_ns=message.received_ns + round(fault.delay_s * 1e9))
            case Jitter():
                shift_ns = round(fault.sigma_s * 1e9 * float(np.clip(rng.normal(), -3, 3)))
                stamp = message.timestamp_ns + shift_ns
                return replace(message, timestamp_ns=stamp, received_ns=max(message.received_ns, stamp))
            case ClockOffset():
                return replace(message, timestamp_ns=message.timestamp_ns + round(fault.offset_s * 1e9))
            case BeamLoss():
                assert isinstance(message, LidarSweep)
                return beams_lost(message, fault.share, np.random.default_rng(key))
            case Fog():
                if isinstance(message, CameraFrame):
                    return foggy_image(message, self._log.rig[message.channel], fault.visibility_m)
                assert isinstance(message, LidarSweep)
                return foggy_sweep(message, fault.visibility_m, rng)
            case Darkness() | Blur():
                assert isinstance(message, CameraFrame)
                if isinstance(fault, Blur):
                    return blurred_image(message, fault.sigma_px)
                return dark_image(message, fault, rng)
            case RadarGhosts():
                assert isinstance(message, RadarScan)
                return ghostly_scan(message, fault.per_return, rng)
        assert_never(fault)

    def _first_frozen(self, message: SensorMessage, fault: Freeze, index: int) -> SensorMessage:
        """The channel's first measurement of the interval, found anew wherever the reading started."""
        key = (index, message.channel)
        if key not in self._frozen:
            begin_ns = self._log.start_ns + round(fault.start_s * 1e9)
            same = (
                m
                for m in self._log.messages(start_ns=begin_ns)
                if isinstance(m, CameraFrame | LidarSweep | RadarScan) and m.channel == message.channel
            )
            self._frozen[key] = next(same, None)
        return self._frozen[key] or message


def _latest_s(fault: MessageFault) -> float:
    """How much later than it did a message may arrive."""
    return fault.delay_s if isinstance(fault, Delay) else 3 * fault.sigma_s if isinstance(fault, Jitter) else 0.0


def _affected(rig: Rig, kind: str, names: tuple[str, ...]) -> frozenset[str]:
    possible = [c for m in APPLIES_TO.get(kind, ("camera", "lidar", "radar")) for c in rig.channels(m)]
    if not names:
        return frozenset(possible)
    chosen: set[str] = set()
    for name in names:
        channels = set(rig.channels(name)) if name in ("camera", "lidar", "radar") else {name} & set(rig.channels())
        known = name in ("camera", "lidar", "radar") or channels
        if not known or not channels <= set(possible):
            raise InputError(
                where=f"faults: {kind}",
                got=f"sensor {name!r}",
                expected=f"channels or modalities among {', '.join(possible) or 'none in this log'}",
                remedy="name a sensor that the log has and that this fault can happen to",
            )
        chosen |= channels
    return frozenset(chosen)


def _miscalibrated(rig: Rig, config: FaultsConfig, affected: list[frozenset[str]]) -> Rig:
    sensors: dict[str, SensorCalibration] = {c: rig[c] for c in rig.channels()}
    for fault, channels in zip(config.faults, affected, strict=True):
        if isinstance(fault, Miscalibration):
            roll, pitch, yaw = fault.rotation_rad
            off = SE3.from_euler(roll, pitch, yaw, fault.translation_m)
            for channel in sorted(channels):
                sensors[channel] = replace(sensors[channel], ego_from_sensor=sensors[channel].ego_from_sensor @ off)
    return Rig.of(sensors.values())
