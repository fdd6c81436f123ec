"""Clocks, percentiles, loops, counted work and ceilings, each alone."""

import dataclasses
import time
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from tricast.perception.backends.placement import Placement
from tricast.perception.collation import collate
from tricast.perception.config import PipelineConfig
from tricast.perception.latency.ceilings import CeilingTrials, measure_ceilings
from tricast.perception.latency.closed_loop import ratios_to
from tricast.perception.latency.cores_control import CoresControl
from tricast.perception.latency.jitter import SpinControl, StallMonitor
from tricast.perception.latency.open_loop import Arrival, run_open_loop, summed_up
from tricast.perception.latency.operation_times import kind_of
from tricast.perception.latency.percentiles import percentiles_of
from tricast.perception.latency.stage_clock import StageClock, TimedPictures
from tricast.perception.latency.work import Work, count_work, summed
from tricast.perception.model import ModelConfig, Network
from tricast.perception.streaming.pipeline import Pipeline
from tricast.perception.tick_sample import TickSample
from tricast.perception.undecoded_pictures import UndecodedPictures
from tricast.sensors.calibration import Rig
from tricast.sensors.frames import CameraFrame
from tricast.sensors.synced_frame import SyncedFrame


def test_a_stage_excludes_the_stages_inside_it() -> None:
    clock = StageClock()
    begin = time.perf_counter()
    with clock.stage("outer"):
        time.sleep(0.02)
        with clock.stage("inner"):
            assert clock.current == "inner"
            time.sleep(0.03)
        with clock.stage("inner"):
            time.sleep(0.01)
    whole_ms = (time.perf_counter() - begin) * 1e3
    spent = clock.take()
    assert spent["outer"] >= 20
    assert spent["inner"] >= 40
    assert sum(spent.values()) == pytest.approx(whole_ms, abs=20)
    assert clock.take() == {}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _SlowFrame(CameraFrame):
    """Takes a known time to decode."""

    seconds: float

    def pixels(self, *, at_least_px: tuple[int, int] | None = None) -> np.ndarray:
        time.sleep(self.seconds)
        return super().pixels(at_least_px=at_least_px)


def _slow_frames(*seconds: float) -> list[CameraFrame]:
    plain = CameraFrame.from_pixels("CAM", 0, np.zeros((2, 2, 3), np.uint8))
    return [_SlowFrame(**vars(plain), seconds=s) for s in seconds]


def test_of_decoding_what_the_tick_waits_for_is_booked_and_what_goes_on_beside_it_is_not() -> None:
    clock = StageClock()
    with clock.stage("preparation"):
        awaited = TimedPictures(2, clock).begun(_slow_frames(0.1), (2, 2))
        time.sleep(0.5)
        awaited.taken()
    beside = clock.take()
    assert beside["preparation"] >= 500
    assert beside["image_decoding"] < 90  # nothing of the 100, unless the machine made it wait
    begin = time.perf_counter()
    with clock.stage("preparation"):
        awaited = TimedPictures(2, clock).begun(_slow_frames(0.6), (2, 2))
        time.sleep(0.05)
        awaited.taken()
    whole_ms = (time.perf_counter() - begin) * 1e3
    waited = clock.take()
    assert waited["image_decoding"] >= 300
    assert sum(waited.values()) == pytest.approx(whole_ms, abs=20)


def test_with_one_thread_all_decoding_is_booked() -> None:
    clock = StageClock()
    with clock.stage("preparation"):
        awaited = TimedPictures(1, clock).begun(_slow_frames(0.02, 0.03), (2, 2))
        time.sleep(0.01)
        awaited.taken()
    spent = clock.take()
    assert spent["image_decoding"] >= 50
    assert spent["preparation"] >= 10


@pytest.mark.parametrize(
    ("count", "supported"),
    [(10, []), (11, ["p50"]), (64, ["p50", "p90"]), (661, ["p50", "p90"]), (662, ["p50", "p90", "p99"])],
)
def test_only_percentiles_that_the_count_supports_are_given(count: int, supported: list[str]) -> None:
    figures = percentiles_of([1.0] * count)
    assert [name for name in ("p50", "p90", "p99", "p99.9") if figures[name] is not None] == supported
    assert percentiles_of([2.0] * 6636)["p99.9"] == 2.0
    assert percentiles_of([]) == {"p50": None, "p90": None, "p99": None, "p99.9": None, "max": None, "mean": None}


class _SlowDetector:
    """Takes a known time for every tick."""

    name, modalities = "slow", ()

    def __init__(self, seconds: float) -> None:
        self._seconds, self.undecoded = seconds, UndecodedPictures()

    def prepare(self, frame: SyncedFrame) -> None:
        time.sleep(self._seconds)

    def detect(self, frame: SyncedFrame, prepared: None = None):
        from tricast.perception.outputs import Detections

        return Detections.empty(frame.timestamp_ns)

    def reset(self) -> None:
        pass


def _ticks(count: int) -> list[SyncedFrame]:
    return [SyncedFrame.of(Rig.of([]), number * 100_000_000, []) for number in range(count)]


def test_an_open_loop_that_is_too_slow_misses_ticks_and_one_that_is_fast_does_not() -> None:
    slow = Pipeline(PipelineConfig(), detector=_SlowDetector(0.05))
    arrivals = run_open_loop(slow, _ticks(3), 50.0, 20)
    assert len(arrivals) == 20
    missed = [a for a in arrivals if a.end_ns is None]
    assert 8 <= len(missed) < 20  # 50 ms of work every 20 ms: of five at most two can be run, and the last one is
    scheduled = [a.scheduled_ns for a in arrivals]
    assert all(b - a == pytest.approx(20_000_000, abs=2) for a, b in pairwise(scheduled))
    fast = run_open_loop(Pipeline(PipelineConfig(), detector=_SlowDetector(0.0)), _ticks(3), 3.0, 4)
    assert [a.end_ns is None for a in fast] == [False] * 4


def test_latency_counts_from_the_scheduled_arrival_and_stalls_are_counted_apart() -> None:
    ms = 1_000_000
    arrivals = [
        Arrival(scheduled_ns=0, begin_ns=0, end_ns=30 * ms),
        Arrival(scheduled_ns=50 * ms),
        Arrival(scheduled_ns=100 * ms, begin_ns=105 * ms, end_ns=140 * ms),
        Arrival(scheduled_ns=150 * ms, begin_ns=150 * ms, end_ns=180 * ms),
    ]
    monitor = StallMonitor()
    monitor.stalls = [(60 * ms, 70 * ms), (110 * ms, 120 * ms)]
    figures = summed_up(arrivals, 20.0, monitor)
    assert (figures["ticks"], figures["missed"], figures["missed_in_stalls"], figures["queued"]) == (4, 1, 1, 1)
    assert (figures["stalls"], figures["ticks_in_stalls"]) == (2, 1)
    assert figures["max_ms"] == 40.0  # 140 from 100, not from the 105 at which it began
    assert figures["mean_ms"] == pytest.approx((30 + 40 + 30) / 3, abs=0.001)


def test_a_jitter_control_that_shall_last_longer_counts_farther() -> None:
    """By a factor that even a busy machine keeps."""
    short, long = SpinControl.lasting(0.1), SpinControl.lasting(20.0)
    assert long.rounds > 5 * short.rounds
    assert min(long.run_ms() for _ in range(3)) > 2


def test_a_control_of_all_threads_waits_for_the_last_of_them() -> None:
    short, long = CoresControl(2).lasting(0.5), CoresControl(2).lasting(20.0)
    assert min(long.run_ms() for _ in range(3)) > 4 * min(short.run_ms() for _ in range(3)) > 0


def test_the_stall_monitor_runs_beside_and_ends() -> None:
    with StallMonitor() as monitor:
        time.sleep(0.05)
    assert all(end - begin > 5_000_000 for begin, end in monitor.stalls)


def test_work_is_counted_by_stage_and_kind(small_model: ModelConfig, ticks: list[TickSample]) -> None:
    network = Network(small_model).eval()
    batch = collate(ticks[:1], small_model.batch)
    work = count_work(network, batch)
    assert {"camera_encoder", "lidar_encoder", "radar_encoder", "fusion", "decoder", "heads"} <= work.keys()
    # The LiDAR's network per return: 10 to 32 and 32 to 32, two operations for each weight and return; then kernels
    # of 1x1, products too, on its grid 32 x 32: three ages of 32 to 32, 32 to 16 and back.
    per_return, per_cell = 10 * 32 + 32 * 32, 3 * 32 * 32 + 32 * 16 + 16 * 32
    assert work["lidar_encoder"].matmul_flops == 2 * (len(batch.lidar_points) * per_return + 32 * 32 * per_cell)
    # The radar's grid 16 x 16 of width 16: 1x1 to 8, 3x3 of 8, 1x1 to 16.
    assert work["radar_encoder"].convolution_flops == 2 * 256 * 9 * 8 * 8
    assert work["fusion"].moved_bytes > 0
    total = summed(work)
    assert total.flops == sum(part.flops for part in work.values())
    without = count_work(network, collate([_without_cameras(ticks[0])], small_model.batch))
    assert without["camera_encoder"].flops == 0


def _without_cameras(tick: TickSample) -> TickSample:
    return dataclasses.replace(tick, cameras=())


def test_attention_counts_both_of_its_products(small_model: ModelConfig, ticks: list[TickSample]) -> None:
    """Of the ViT with one block: 4 cameras, 8 tokens of width 24."""
    network = Network(small_model).eval()
    network.camera_encoder.stem, network.camera_encoder.merge = nn.Sequential(), nn.Sequential()
    batch = collate(ticks[:1], small_model.batch)
    block = network.camera_encoder.blocks[0]
    from tricast.perception.latency.work import _Counter

    with torch.no_grad(), _Counter(StageClock()) as counter:
        block(torch.zeros(len(batch.images), 8, 24))
    linear = 2 * 4 * 8 * (4 * 24 * 24 + 2 * 24 * 48)
    attention = 2 * 4 * 8 * 8 * (24 + 24)
    assert counter.work["network"].matmul_flops == linear + attention


def test_the_best_of_several_libraries_and_shapes_is_the_ceiling() -> None:
    threads = torch.get_num_threads()
    trials = CeilingTrials(
        matrices=((4, 4, 4), (128, 128, 128)),
        convolutions=((1, 8, 16, 16, 3),),
        copied_bytes=1 << 20,
        seconds_each=0.01,
    )
    ceilings = measure_ceilings(1, trials, Placement())
    assert ceilings.matmul.shape == (128, 128, 128)  # a product of 4 x 4 is all overhead
    assert min(ceilings.matmul.rate, ceilings.convolution.rate, ceilings.memory.rate) > 0
    assert torch.get_num_threads() == threads


def test_ratios_are_taken_pair_by_pair() -> None:
    ratios = ratios_to("eager", {"eager": [10.0, 20.0, 30.0], "compile": [5.0, 5.0, 10.0]})
    assert ratios == {"compile": {"median": 3.0, "quartile_1": 2.5, "quartile_3": 3.5}}


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("aten::mkldnn_convolution", "convolution"),
        ("mkldnn::_convolution_pointwise", "convolution"),
        ("FusedConv", "convolution"),
        ("Convolution", "convolution"),
        ("aten::addmm", "matmul"),
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "matmul"),
        ("FusedMatMul", "matmul"),
        ("FullyConnected", "matmul"),
        ("aten::add", None),
        ("Concat", None),
        ("aten::convert", None),
        ("ConvertLike", None),
    ],
)
def test_operations_are_known_by_the_runtimes_names(operation: str, kind: str | None) -> None:
    assert kind_of(operation) == kind


def test_summed_work_adds_all_stages() -> None:
    parts = {
        "a": Work(convolution_flops=1, matmul_flops=2, moved_bytes=3),
        "b": Work(convolution_flops=10, matmul_flops=20, moved_bytes=30),
    }
    assert summed(parts) == Work(convolution_flops=11, matmul_flops=22, moved_bytes=33)


def test_bytes_of_operations_in_place_count_and_those_of_views_and_of_mere_shapes_do_not() -> None:
    from tricast.perception.latency.work import _Counter

    made, megabyte = torch.zeros(1000, 250), 1e6
    for operation, megabytes in (
        (lambda: made.add(1.0), 2),
        (lambda: made.add_(1.0), 2),
        (lambda: made.t(), 0),
        (lambda: made.new_empty(250), 0.001),
    ):
        with _Counter(StageClock()) as counter:
            operation()
        assert sum(work.moved_bytes for work in counter.work.values()) == megabytes * megabyte
