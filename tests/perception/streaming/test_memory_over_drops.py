"""What a detector remembers over dropped ticks: kept, with the time and motion to move it on by, or reset."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch

from tricast.perception.backends.interface import EagerBackend
from tricast.perception.batch import SensorBatch
from tricast.perception.detectors.cluster import ClusterDetector
from tricast.perception.detectors.network import NetworkDetector
from tricast.perception.detectors.network_config import NetworkConfig
from tricast.perception.model import ModelConfig, Network
from tricast.perception.outputs import Detections
from tricast.perception.query_memory import QueryMemory
from tricast.perception.query_outputs import QueryOutputs
from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.streaming.runtime_result import RuntimeResult
from tricast.perception.streaming.streaming_config import StreamingConfig
from tricast.perception.streaming.tick_runner import TickRunner
from tricast.perception.streaming.tick_source import Ticket, ticks
from tricast.sensors.calibration import Rig
from tricast.sensors.log.stream import Message
from tricast.sensors.synced_frame import SyncedFrame
from tricast.sensors.synchronization import Synchronizer, SynchronizerConfig

MS = 1_000_000
EGO_SPEED_MPS = 5.0
RUN = (0, 1, 2, 6, 7, 20, 21, 29)
"""Ticks of 100 ms that run; those between them are dropped: 0.4 s, then 1.3 s, then 0.8 s apart."""
MEMORY = ("kept", "kept", "kept", "moved_on", "kept", "reset", "kept", "moved_on")


class RememberingDetector(ClusterDetector):
    """The classical detector, which remembers the last tick and carries it to the next as a memory would be."""

    def __init__(self) -> None:
        super().__init__()
        self.remembered_ns: int | None = None
        self.carried: list[tuple[int, float] | None] = []
        """By tick: over what time and what way of the vehicle the memory was carried; None where there was none."""

    def detect(self, frame: SyncedFrame, prepared: Detections | None = None) -> Detections:
        before_ns, self.remembered_ns = self.remembered_ns, frame.timestamp_ns
        if before_ns is None:
            self.carried.append(None)
        else:
            ego_from_earlier_ego = frame.ego_motion.ego_from_ego(frame.timestamp_ns, before_ns)
            way_m = -ego_from_earlier_ego.translation_m[0]
            self.carried.append(((frame.timestamp_ns - before_ns) // MS, way_m))
        return super().detect(frame, prepared)

    def reset(self) -> None:
        self.remembered_ns = None
        super().reset()


class RememberingBackend(EagerBackend):
    """The network, which leaves a memory of its own at every tick."""

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self.given: list[QueryMemory] = []
        self.left: list[QueryMemory] = []

    def __call__(self, batch: SensorBatch, memory: QueryMemory) -> tuple[QueryOutputs, QueryMemory]:
        outputs, _ = super().__call__(batch, memory)
        self.given.append(memory)
        self.left.append(QueryMemory())
        return outputs, self.left[-1]


def run(pipeline: Pipeline, frames: Sequence[SyncedFrame]) -> list[RuntimeResult]:
    """Run the ticks of `RUN` as the policy `latest` does when newer ticks overtake the others."""
    results: list[RuntimeResult] = []
    runner = TickRunner(pipeline, StreamingConfig(max_moved_on_s=1.0), results.append)
    for before, number in pairwise((-1, *RUN)):
        ticket = Ticket(frame=frames[before + 1], sequence=before + 1)
        for later in range(before + 2, number + 1):
            ticket = Ticket(frame=frames[later], sequence=later).after_dropping(ticket)
        runner.run(ticket, runner.prepare(ticket))
    return results


@pytest.fixture
def frames(rig: Rig, drive: list[Message]) -> list[SyncedFrame]:
    return [frame for frame, _ in ticks(drive, Synchronizer(rig, SynchronizerConfig(), origin_ns=0))]


def test_results_say_what_became_of_memory_and_detectors_can_carry_it_over_the_hole(frames: list[SyncedFrame]) -> None:
    detector = RememberingDetector()
    results = run(Pipeline(detector=detector), frames)
    assert tuple(r.delivery.memory for r in results) == MEMORY
    assert [r.delivery.dropped_ticks for r in results] == [0, 0, 0, 3, 0, 12, 0, 7]
    assert [c and c[0] for c in detector.carried] == [None, 100, 100, 400, 100, None, 100, 800]
    for carried in filter(None, detector.carried):
        assert carried[1] == pytest.approx(EGO_SPEED_MPS * carried[0] / 1000, abs=1e-6)


def test_tracks_live_through_a_short_hole_and_end_with_a_long_one(frames: list[SyncedFrame]) -> None:
    results = run(Pipeline(), frames)
    identities = [set(r.tick.tracks.track_ids.tolist()) for r in results]
    assert identities[2] & identities[3], "a track went on over 0.4 s without ticks"
    assert not identities[4] & identities[5], "no track went on over 1.3 s"
    assert [r.tick.discontinuity for r in results] == [memory == "reset" for memory in MEMORY]


def test_the_memory_that_the_network_leaves_is_given_back_to_it_until_a_reset(
    frames: list[SyncedFrame], small_model: ModelConfig
) -> None:
    torch.manual_seed(3)
    network = Network(small_model).eval()
    backend = RememberingBackend(network)
    run(Pipeline(detector=NetworkDetector(NetworkConfig(threads=1), network=network, backend=backend)), frames)
    for place, memory in enumerate(MEMORY):
        fresh = place == 0 or memory == "reset"
        assert (
            (backend.given[place] not in backend.left) if fresh else (backend.given[place] is backend.left[place - 1])
        )
