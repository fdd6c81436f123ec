"""Replaying exactly what earlier ticks had: manifests read from results, and frames made by them.

Which messages a live tick holds depends on when they arrived; its result names them, so that an offline run with the
same messages gives the same boxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mcap.exceptions import McapError
from mcap.records import Channel
from mcap.records import Message as McapMessage

from tricast.configs.errors import InputError
from tricast.perception.streaming.results_mcap import RESULT_TOPIC, RESULT_TYPE
from tricast.perception.streaming.tick_source import Counts, summed
from tricast.sensors.calibration import Rig
from tricast.sensors.errors import LogError
from tricast.sensors.frames import CameraFrame, EgoPose, LidarSweep, RadarScan
from tricast.sensors.log.chunks import MAGIC, DamagedChunkError, records, scan
from tricast.sensors.log.schema import deserialize, stamp_ns
from tricast.sensors.log.stream import Message, SensorMessage
from tricast.sensors.motion_compensation import EgoMotion
from tricast.sensors.synced_frame import ChannelHealth, InputUsed, SyncedFrame

SECOND_NS = 1_000_000_000
PATIENCE_NS = 2 * SECOND_NS
"""How long after a tick its messages are waited for, in the log's own time."""
HISTORY_NS = 5 * SECOND_NS
"""How much older than a tick the messages may be that it names."""


@dataclass(frozen=True, kw_only=True)
class TickManifest:
    """What one tick was made of.

    Args:
        timestamp_ns: The tick.
        inputs: Every message used, in the order of its result.
        pose_stamps_ns: Ego poses known.
        health: State per channel at the tick.
        discontinuity: Whether everything learned before was forgotten.
        dropped_ticks: Ticks dropped since the result before; None where the result does not tell, as those of a replay.
        not_used: Messages that no tick used as they came since the result before (see `Delivery`); None as above.

    """

    timestamp_ns: int
    inputs: tuple[InputUsed, ...]
    pose_stamps_ns: tuple[int, ...]
    health: Mapping[str, ChannelHealth]
    discontinuity: bool
    dropped_ticks: int | None = None
    not_used: Counts | None = None


def read_manifests(path: Path) -> Iterator[TickManifest]:
    """Manifests of the results in an MCAP file, `results.mcap` of a run or the recording of a live graph.

    Raises:
        LogError: The file is no MCAP, is damaged, or holds no results.

    """
    try:
        with path.open("rb") as file:
            whole = file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    if not whole:
        raise _unusable(path, "a file that is no MCAP")
    return _manifests(path)


def _manifests(path: Path) -> Iterator[TickManifest]:
    layout = scan(path)
    topics = dict(layout.channels)
    count = 0
    for chunk in sorted(layout.chunks, key=lambda chunk: (chunk.start_ns, chunk.offset)):
        try:
            parts = records(path, chunk)
        except (DamagedChunkError, McapError) as error:
            raise _unusable(path, f"a damaged part ({error})") from error
        topics |= {record.id: record for record in parts if isinstance(record, Channel)}
        messages = [record for record in parts if isinstance(record, McapMessage)]
        for record in sorted(messages, key=lambda m: m.log_time):
            channel = topics.get(record.channel_id)
            if channel is not None and channel.topic == RESULT_TOPIC:
                count += 1
                yield _manifest(path, record)
    if not count:
        raise _unusable(path, f"no message on {RESULT_TOPIC}")


def _manifest(path: Path, record: McapMessage) -> TickManifest:
    try:
        message = deserialize(record.data, RESULT_TYPE)
        dropped_ticks, not_used = _delivered(message.delivery)
    except Exception as error:  # rosbags raises many kinds on bytes that are not the type's
        raise _unusable(path, f"a message at {record.log_time} ns that is no {RESULT_TYPE} ({error})") from error
    return TickManifest(
        timestamp_ns=stamp_ns(message.header.stamp),
        inputs=tuple(
            InputUsed(channel=used.channel, timestamp_ns=int(used.timestamp_ns), reused=bool(used.reused))
            for used in message.inputs
        ),
        pose_stamps_ns=tuple(int(stamp) for stamp in message.pose_stamps_ns),
        health={
            h.channel: ChannelHealth(state=h.state, age_ns=None if h.age_ns < 0 else int(h.age_ns))
            for h in message.health
        },
        discontinuity=bool(message.discontinuity),
        dropped_ticks=dropped_ticks,
        not_used=not_used,
    )


def _delivered(delivery: Any) -> tuple[int, Counts] | tuple[None, None]:
    """Dropped ticks and messages not used; a delivery of zeros was not kept, as no result takes no time."""
    if delivery.total_ms == 0:
        return None, None
    not_used: dict[str, dict[str, int]] = {}
    for text in delivery.not_used:
        cause, channel, count = text.split(" ")
        not_used.setdefault(cause, {})[channel] = int(count)
    return int(delivery.dropped_ticks), not_used


def _restricted(manifest: TickManifest, channels: frozenset[str]) -> TickManifest:
    others = manifest.health.keys() - channels
    not_used = manifest.not_used or {}
    return replace(
        manifest,
        inputs=tuple(used for used in manifest.inputs if used.channel in channels),
        health={channel: health for channel, health in manifest.health.items() if channel in channels},
        not_used=None
        if manifest.not_used is None
        else {cause: {c: n for c, n in counts.items() if c not in others} for cause, counts in not_used.items()},
    )


def _unusable(path: Path, got: str) -> LogError:
    return LogError(
        where=f"--follow {path}",
        got=got,
        expected=f"an MCAP file with results on {RESULT_TOPIC}",
        remedy="give results.mcap of a run, or a recording of a live graph",
    )


class ManifestFollower:
    """Makes ticks of the messages that manifests name; takes the place of a `Synchronizer`.

    A tick is made once all its messages came, or `PATIENCE_NS` after its time without those that did not.

    Args:
        rig: Calibration of the log.
        manifests: In order of time.
        channels: Sensors whose messages are used; None uses all that manifests name.

    Attributes:
        missing: Messages that manifests name and the log lacks, by channel; `poses` for ego poses.
        dropped_ticks: Ticks that were dropped before those made so far; None if no manifest tells.
        not_used: Messages that the ticks made so far did not use as they came: cause, channel, count; None likewise.

    """

    def __init__(self, rig: Rig, manifests: Iterator[TickManifest], *, channels: frozenset[str] | None = None) -> None:
        self.rig = rig
        self.missing: dict[str, int] = {}
        self.dropped_ticks: int | None = None
        self.not_used: Counts | None = None
        self._manifests = manifests if channels is None else (_restricted(m, channels) for m in manifests)
        self._newest_ns = 0
        self._sensors: dict[tuple[str, int], SensorMessage] = {}
        self._poses: dict[int, EgoPose] = {}
        self._next: TickManifest | None = None
        self._oldest_ns = 0
        """What is older than this, and not named by the next tick, is named by none."""
        self._wanted: set[tuple[str, int] | int] = set()
        self._turn()

    def push(self, message: Message) -> list[SyncedFrame]:
        """Take one message; gives the ticks that it completes, in order."""
        if self._next is None:
            return []
        recent = message.timestamp_ns >= self._oldest_ns
        if isinstance(message, EgoPose):
            if recent or message.timestamp_ns in self._wanted:
                self._poses.setdefault(message.timestamp_ns, message)
            self._wanted.discard(message.timestamp_ns)
        elif isinstance(message, CameraFrame | LidarSweep | RadarScan):
            key = (message.channel, message.timestamp_ns)
            if recent or key in self._wanted:
                self._sensors.setdefault(key, message)
            self._wanted.discard(key)
        self._newest_ns = max(self._newest_ns, message.received_ns)
        frames: list[SyncedFrame] = []
        while self._next is not None:
            if self._wanted and message.received_ns <= self._next.timestamp_ns + PATIENCE_NS:
                break
            frames.append(self._made(self._next))
        return frames

    def advance(self, now_ns: int) -> list[SyncedFrame]:
        """Nothing: manifests say when ticks are."""
        return []

    def flush(self) -> list[SyncedFrame]:
        """The ticks that the end of the log left open, up to its last arrival, and those after it that lack nothing."""
        frames: list[SyncedFrame] = []
        while self._next is not None and (not self._wanted or self._next.timestamp_ns <= self._newest_ns):
            frames.append(self._made(self._next))
        return frames

    def recalibrate(self, rig: Rig) -> None:
        """Use another rig from the next tick on."""
        self.rig = rig

    def _made(self, manifest: TickManifest) -> SyncedFrame:
        for key in self._wanted:
            channel = "poses" if isinstance(key, int) else key[0]
            self.missing[channel] = self.missing.get(channel, 0) + 1
        if manifest.dropped_ticks is not None:
            self.dropped_ticks = (self.dropped_ticks or 0) + manifest.dropped_ticks
        if manifest.not_used is not None:
            self.not_used = summed(self.not_used or {}, manifest.not_used)
        held = [(used, self._sensors.get((used.channel, used.timestamp_ns))) for used in manifest.inputs]
        used = [(entry, message) for entry, message in held if message is not None]
        lidars: dict[str, tuple[LidarSweep, ...]] = {}
        radars: dict[str, tuple[RadarScan, ...]] = {}
        cameras: dict[str, CameraFrame] = {}
        for _, message in used:
            if isinstance(message, LidarSweep):
                lidars[message.channel] = (*lidars.get(message.channel, ()), message)
            elif isinstance(message, RadarScan):
                radars[message.channel] = (*radars.get(message.channel, ()), message)
            else:
                cameras[message.channel] = message
        frame = SyncedFrame(
            timestamp_ns=manifest.timestamp_ns,
            rig=self.rig,
            ego_motion=EgoMotion([self._poses[s] for s in manifest.pose_stamps_ns if s in self._poses]),
            cameras=cameras,
            lidars=lidars,
            radars=radars,
            inputs=tuple(entry for entry, _ in used),
            health=manifest.health,
            not_used=manifest.not_used or {},
            discontinuity=manifest.discontinuity,
        )
        self._turn()
        return frame

    def _turn(self) -> None:
        """Go on to the next manifest, and let go of what is too old for it."""
        before, self._next = self._next, next(self._manifests, None)
        if self._next is None:
            self._wanted = set()
            return
        if before is not None and self._next.timestamp_ns <= before.timestamp_ns:
            raise InputError(
                where="--follow",
                got=f"a result at {self._next.timestamp_ns} ns after one at {before.timestamp_ns} ns",
                expected="results in order of time",
                remedy="follow the results of one pass over a log, not of a loop",
            )
        named = {(used.channel, used.timestamp_ns) for used in self._next.inputs}
        poses = set(self._next.pose_stamps_ns)
        oldest_ns = self._oldest_ns = self._next.timestamp_ns - HISTORY_NS
        self._sensors = {k: message for k, message in self._sensors.items() if k[1] >= oldest_ns or k in named}
        # Old poses are named for as long as no others come.
        self._poses = {stamp: pose for stamp, pose in self._poses.items() if stamp >= oldest_ns or stamp in poses}
        self._wanted = (named - self._sensors.keys()) | (poses - self._poses.keys())
