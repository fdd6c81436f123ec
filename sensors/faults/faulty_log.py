"""A log to whose sensors faults happen; itself a log."""

from __future__ import annotations

import copy
import heapq
import math
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from tricast.configs.errors import InputError
from tricast.sensors.calibration import MODALITIES, Rig, SensorCalibration
from tricast.sensors.faults.camera_effects import faulty_image
from tricast.sensors.faults.fault_config import (
    APPLIES_TO,
    ClockOffset,
    Delay,
    Fault,
    FaultsConfig,
    Freeze,
    Jitter,
    MeasurementFault,
    MessageFault,
    Miscalibration,
    SensorLoss,
    StaleData,
)
from tricast.sensors.faults.lidar_effects import faulty_sweep
from tricast.sensors.faults.radar_effects import faulty_scan
from tricast.sensors.frames import CameraFrame, LidarSweep, RadarScan
from tricast.sensors.geometry.se3 import SE3
from tricast.sensors.log.stream import (
    DrivingLog,
    ForeignMessage,
    LogView,
    Message,
    SensorMessage,
    foreign_messages,
    offered_qos,
    stream_order,
)

ARRIVAL_MARGIN_S = 1.0
"""How much later than its stamp a message may arrive and still be found as an older measurement."""
_History: TypeAlias = dict[tuple[int, str], list[SensorMessage]]
"""Messages of the last lags, by number of the fault and channel."""


class FaultyLog(LogView):
    """Any log with faults; the same seed gives the same faults from wherever the reading starts.

    Faults that do not happen, since they begin after the end or the log has no such sensor, are told among its losses.

    Args:
        log: The log as it was.
        config: The faults; poses and truth are never touched.

    Raises:
        InputError: A fault names a sensor that the log does not have, or that it cannot happen to.

    """

    def __init__(self, log: DrivingLog, config: FaultsConfig) -> None:
        super().__init__(log)
        self._config = config
        self._affected = [_affected(log.rig, fault.kind, fault.channels) for fault in config.faults]
        self._frozen: dict[tuple[int, str], SensorMessage | None] = {}
        self._rig = _miscalibrated(log.rig, config, self._affected)

    @property
    def rig(self) -> Rig:
        """See `DrivingLog`; off where a fault says so."""
        return self._rig

    def messages(self, *, start_ns: int | None = None, end_ns: int | None = None) -> Iterator[Message]:
        """See `DrivingLog.messages`."""
        begin_ns = None if start_ns is None else start_ns - _reach_ns(self._config.faults)
        history: _History = {}
        waiting: list[tuple[tuple[int, int, str], int, Message]] = []
        for number, message in enumerate(self._log.messages(start_ns=begin_ns, end_ns=end_ns)):
            if number == 0:
                # Not before: a log begins its count of losses with its first message.
                self._tell_what_never_happens(end_ns)
            # Faults never make a message arrive earlier, so what arrives before this one is complete.
            while waiting and waiting[0][0][0] < message.received_ns:
                yield heapq.heappop(waiting)[2]
            changed = self._changed(message, history)
            late = changed is None or (end_ns is not None and changed.received_ns > end_ns)
            if changed is not None and not late and (start_ns is None or changed.received_ns >= start_ns):
                heapq.heappush(waiting, (stream_order(changed), number, changed))
        while waiting:
            yield heapq.heappop(waiting)[2]

    def foreign_messages(self) -> Iterator[ForeignMessage]:
        """See `HoldsForeignTopics`; no fault happens to them."""
        return foreign_messages(self._log)

    def offered_qos(self) -> dict[str, str]:
        """See `HoldsQos`; that of the log behind."""
        return offered_qos(self._log)

    def _tell_what_never_happens(self, end_ns: int | None) -> None:
        last_ns = self._log.end_ns if end_ns is None else min(end_ns, self._log.end_ns)
        length_s = (last_ns - self._log.start_ns) / 1e9
        for index, fault in enumerate(self._config.faults):
            name = f"{self._log.path}: fault {index + 1}, {fault.kind},"
            lacking = [c for c in fault.channels if c in MODALITIES and not self._log.rig.channels(c)]
            if not self._affected[index]:
                lacking = lacking or list(APPLIES_TO.get(fault.kind, MODALITIES))
            if lacking:
                self._log.losses.tell(f"{name} happens to no {' or '.join(lacking)}: the log has none")
            elif not isinstance(fault, Miscalibration) and fault.start_s > length_s:
                part = "the log ends" if last_ns == self._log.end_ns else "what is read ends"
                self._log.losses.tell(
                    f"{name} does not happen: it begins at {fault.start_s:g} s, {part} at {length_s:.3f} s"
                )

    def _changed(self, message: Message, history: _History) -> Message | None:
        if not isinstance(message, CameraFrame | LidarSweep | RadarScan):
            return message
        return self._after_faults(message, history, len(self._config.faults))

    def _after_faults(self, message: SensorMessage, history: _History, count: int) -> SensorMessage | None:
        """A message after the first so many faults; None if one loses it."""
        changed: SensorMessage | None = message
        for index, fault in enumerate(self._config.faults[:count]):
            if changed is None:
                return None
            if isinstance(fault, Miscalibration) or message.channel not in self._affected[index]:
                continue
            if isinstance(fault, StaleData):
                changed = self._aged(changed, message, fault, index, history)
            elif self._lasts(fault, message):
                changed = self._hit(changed, fault, index, message)
        return changed

    def _lasts(self, fault: MessageFault, message: SensorMessage) -> bool:
        since_s = self._since_s(message)
        return fault.start_s <= since_s and (fault.stop_s is None or since_s < fault.stop_s)

    def _since_s(self, message: SensorMessage) -> float:
        return (message.received_ns - self._log.start_ns) / 1e9

    def _rng(self, index: int, channel: str, *more: int) -> np.random.Generator:
        """A generator of one fault on one channel, at one time if more is given."""
        return np.random.default_rng([self._config.seed, index, zlib.crc32(channel.encode()), *more])

    def _hit(
        self, message: SensorMessage, fault: MessageFault, index: int, original: SensorMessage
    ) -> SensorMessage | None:
        rng = self._rng(index, original.channel, original.timestamp_ns)
        match fault:
            case SensorLoss():
                if fault.period_s is not None:
                    number = math.floor(self._since_s(original) / fault.period_s + 0.5)
                    rng = self._rng(index, original.channel, max(number, 0))
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
            case StaleData():
                raise AssertionError("stale data needs the history of its channel")
            case _:
                return self._measured(message, fault, rng, self._rng(index, original.channel))

    def _measured(
        self,
        message: SensorMessage,
        fault: MeasurementFault,
        rng: np.random.Generator,
        channel_rng: np.random.Generator,
    ) -> SensorMessage:
        """The effect on what was measured; `APPLIES_TO` has let pass only kinds that belong together."""
        if isinstance(message, CameraFrame):
            return faulty_image(message, fault, self._log.rig[message.channel], rng)  # pyright: ignore[reportArgumentType]
        if isinstance(message, LidarSweep):
            return faulty_sweep(message, fault, rng, channel_rng)  # pyright: ignore[reportArgumentType]
        return faulty_scan(message, fault, rng)  # pyright: ignore[reportArgumentType]

    def _aged(
        self, message: SensorMessage, original: SensorMessage, fault: StaleData, index: int, history: _History
    ) -> SensorMessage:
        """The newest measurement between one and two lags old in place of this one, with the fault's probability."""
        past = history.setdefault((index, original.channel), [])
        lag_ns = round(fault.lag_s * 1e9)
        while past and past[0].timestamp_ns < message.timestamp_ns - 2 * lag_ns:
            past.pop(0)
        old = [m for m in past if m.timestamp_ns <= message.timestamp_ns - lag_ns]
        past.append(message)
        chosen = self._rng(index, original.channel, original.timestamp_ns).random() < fault.probability
        if not old or not chosen or not self._lasts(fault, original):
            return message
        return replace(old[-1], timestamp_ns=message.timestamp_ns, received_ns=message.received_ns)

    def _first_frozen(self, message: SensorMessage, fault: Freeze, index: int) -> SensorMessage:
        """The channel's first measurement of the interval, found anew wherever the reading started.

        It is what the faults before this one leave of it: they happen in their order.
        """
        key = (index, message.channel)
        if key not in self._frozen:
            # By an own look at the log: a second pass over it would begin its count of losses anew.
            log = copy.copy(self._log)
            begin_ns = log.start_ns + round(fault.start_s * 1e9)
            history: _History = {}
            same = (
                (m.received_ns, self._after_faults(m, history, index))
                for m in log.messages(start_ns=begin_ns - _reach_ns(self._config.faults[:index]))
                if isinstance(m, CameraFrame | LidarSweep | RadarScan) and m.channel == message.channel
            )
            self._frozen[key] = next((m for at_ns, m in same if m is not None and at_ns >= begin_ns), None)
        return self._frozen[key] or message


def _reach_ns(faults: tuple[Fault, ...]) -> int:
    """How far before a time the reading must begin for what faults one after another make of it."""
    return round(sum(map(_reach_s, faults)) * 1e9)


def _reach_s(fault: Fault) -> float:
    """How far before a time the reading must begin to know what arrives from then on."""
    match fault:
        case Delay():
            return fault.delay_s
        case Jitter():
            return 3 * fault.sigma_s
        case StaleData():
            return 2 * fault.lag_s + ARRIVAL_MARGIN_S
        case _:
            return 0.0


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
    for index, (fault, channels) in enumerate(zip(config.faults, affected, strict=True)):
        if isinstance(fault, Miscalibration):
            for channel in sorted(channels):
                draw = np.random.default_rng([config.seed, index, zlib.crc32(channel.encode())]).standard_normal((2, 3))
                roll, pitch, yaw = (float(v) for v in fault.rotation_rad + fault.rotation_sigma_rad * draw[0])
                x, y, z = (float(v) for v in fault.translation_m + fault.translation_sigma_m * draw[1])
                off = SE3.from_euler(roll, pitch, yaw, (x, y, z))
                sensors[channel] = replace(sensors[channel], ego_from_sensor=sensors[channel].ego_from_sensor @ off)
    return Rig.of(sensors.values())
