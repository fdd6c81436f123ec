"""Which part of a tick takes how long: nested stages on the monotonic clock, each without what is nested in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import nn

from tricast.perception.backends.interface import Backend
from tricast.perception.batch import SensorBatch
from tricast.perception.detectors.network import NetworkDetector
from tricast.perception.encoders.camera_vit import CameraEncoder
from tricast.perception.encoders.lidar_pointnet import LidarEncoder
from tricast.perception.encoders.radar_pointnet import RadarEncoder
from tricast.perception.fusion.camera_lift import CameraLift
from tricast.perception.fusion.co_attention import CoAttention
from tricast.perception.fusion.concatenation import Concatenation
from tricast.perception.fusion.learned_seeding import LearnedSeeding
from tricast.perception.fusion.memory_look import MemoryTokenizer
from tricast.perception.fusion.query_decoder import QueryDecoder, Tokenizer
from tricast.perception.fusion.query_seeding import QuerySeeding
from tricast.perception.fusion.trunk import Trunk
from tricast.perception.fusion.weighted_mean import WeightedMean
from tricast.perception.heads.detection import BoxPrior, DetectionHead
from tricast.perception.heads.heatmap import HeatmapHead
from tricast.perception.heads.trajectory import TrajectoryHead
from tricast.perception.model import Network
from tricast.perception.outputs import Detections
from tricast.perception.picture_decoding import AwaitedPictures, Picture, PictureDecoder
from tricast.perception.query_memory import QueryMemory
from tricast.perception.query_outputs import QueryOutputs
from tricast.sensors.frames import CameraFrame
from tricast.sensors.synced_frame import SyncedFrame


class StageClock:
    """Milliseconds per stage since the last `take`; a stage's time excludes that of stages inside it.

    All stages are opened by the thread that runs the tick, so that they sum to its time.
    """

    def __init__(self) -> None:
        self._open: list[tuple[str, int]] = []
        self._spent_ns: dict[str, int] = {}

    @property
    def current(self) -> str | None:
        """The innermost stage that is open."""
        return self._open[-1][0] if self._open else None

    def begin(self, name: str) -> None:
        """Open a stage; what encloses it stands still until it ends."""
        now_ns = time.perf_counter_ns()
        if self._open:
            self._charge(now_ns)
        self._open.append((name, now_ns))

    def end(self) -> None:
        """Close the innermost stage."""
        now_ns = time.perf_counter_ns()
        self._charge(now_ns)
        self._open.pop()
        if self._open:
            self._open[-1] = (self._open[-1][0], now_ns)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """The block as a stage."""
        self.begin(name)
        try:
            yield
        finally:
            self.end()

    def take(self) -> dict[str, float]:
        """Milliseconds by stage since the last time, and forget them."""
        spent, self._spent_ns = self._spent_ns, {}
        return {name: ns / 1e6 for name, ns in spent.items()}

    def _charge(self, now_ns: int) -> None:
        name, since_ns = self._open[-1]
        self._spent_ns[name] = self._spent_ns.get(name, 0) + now_ns - since_ns


class DeviceClock(StageClock):
    """The same by events of a CUDA device, whose work goes on after the calls that ask for it have returned."""

    def __init__(self) -> None:
        super().__init__()
        self._marks: list[tuple[torch.cuda.Event, str | None]] = []

    def begin(self, name: str) -> None:
        """See `StageClock.begin`."""
        self._open.append((name, 0))
        self._mark()

    def end(self) -> None:
        """See `StageClock.end`."""
        self._open.pop()
        self._mark()

    def take(self) -> dict[str, float]:
        """See `StageClock.take`; waits for the device."""
        marks, self._marks = self._marks, []
        torch.cuda.synchronize()
        spent: dict[str, float] = {}
        for (begun, name), (ended, _) in pairwise(marks):
            if name is not None:
                spent[name] = spent.get(name, 0.0) + begun.elapsed_time(ended)
        return spent

    def _mark(self) -> None:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._marks.append((event, self.current))


class TimedPictures(PictureDecoder):
    """A decoder that books as `image_decoding` what it takes of the tick's own thread: decoding there, and waiting for
    other threads. What those decode while that thread does something else takes no time of the tick.
    """

    def __init__(self, threads: int, clock: StageClock) -> None:
        super().__init__(threads)
        self._clock = clock

    def begun(self, images: Sequence[CameraFrame], size_px: tuple[int, int]) -> AwaitedPictures:
        """See `PictureDecoder.begun`."""
        with self._clock.stage("image_decoding"):
            return _TimedAwaited(super().begun(images, size_px), self._clock)


class _TimedAwaited:
    def __init__(self, awaited: AwaitedPictures, clock: StageClock) -> None:
        self._awaited, self._clock = awaited, clock

    def taken(self) -> list[Picture | None]:
        """See `AwaitedPictures.taken`."""
        with self._clock.stage("image_decoding"):
            return self._awaited.taken()


class TimedBackend:
    """A backend that books its time as `network`."""

    def __init__(self, backend: Backend, clock: StageClock) -> None:
        self.name = backend.name
        self._backend, self._clock = backend, clock

    def __call__(self, batch: SensorBatch, memory: QueryMemory) -> tuple[QueryOutputs, QueryMemory]:
        """See `Backend`."""
        with self._clock.stage("network"):
            return self._backend(batch, memory)


class TimedDetector:
    """A detector of networks that books `preprocessing` and `decoding`; see `Detector`."""

    def __init__(self, detector: NetworkDetector, clock: StageClock) -> None:
        self.name, self.modalities, self.undecoded = detector.name, detector.modalities, detector.undecoded
        self._detector, self._clock = detector, clock

    def prepare(self, frame: SyncedFrame) -> SensorBatch:
        """See `Detector.prepare`."""
        with self._clock.stage("preprocessing"):
            return self._detector.prepare(frame)

    def detect(self, frame: SyncedFrame, prepared: SensorBatch | None = None) -> Detections:
        """See `Detector.detect`."""
        with self._clock.stage("decoding"):
            return self._detector.detect(frame, prepared)

    def reset(self) -> None:
        """See `Detector.reset`."""
        self._detector.reset()


STAGES: dict[type[nn.Module], str] = {
    CameraEncoder: "camera_encoder",
    LidarEncoder: "lidar_encoder",
    RadarEncoder: "radar_encoder",
    **dict.fromkeys((CameraLift, WeightedMean, Concatenation, Trunk, CoAttention), "fusion"),
    **dict.fromkeys((QuerySeeding, LearnedSeeding, BoxPrior, Tokenizer, QueryDecoder), "decoder"),
    MemoryTokenizer: "memory",
    **dict.fromkeys((HeatmapHead, DetectionHead, TrajectoryHead), "heads"),
}
"""Which stage a module's time belongs to; that of the modules inside counts for theirs."""


def network_parts(network: Network) -> list[tuple[str, nn.Module]]:
    """Stages inside the network, and the modules that make them up; heads lie inside the decoder and count apart."""
    return [(STAGES[type(module)], module) for module in network.modules() if type(module) in STAGES]


@contextmanager
def network_stages(network: Network, clock: StageClock) -> Iterator[None]:
    """Within the block the network books its parts by forward hooks; it must run in eager mode."""
    handles = []
    for stage, module in network_parts(network):
        handles.append(module.register_forward_pre_hook(_begins(clock, stage)))
        handles.append(module.register_forward_hook(lambda *_: clock.end()))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _begins(clock: StageClock, stage: str) -> Callable[..., None]:
    return lambda *_: clock.begin(stage)
